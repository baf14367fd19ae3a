"""What ``benchmarks/preprocess.py`` measures, each in a process of its own; prints its findings as JSON."""

import json
import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.film import make_film, make_speech, make_talk
from curate.media.container.decode import Span, cut_audio, decode_frames, read_audio
from curate.media.container.open import AUDIO_RATE_HZ, open_media
from curate.media.container.render import render_video
from curate.media.faces.analyse import analyse_video
from curate.media.faces.centerface import CenterFace
from curate.media.faces.detector import intersection_over_union
from curate.media.speech.vad import find_utterances, speech_probabilities
from curate.stages.ingest.inspecting import inspect_media

MIN_FACE_PX = 40


def build(film: Path, minutes: str) -> dict[str, float]:
    if not make_talk(film, minutes=float(minutes)):
        make_film(film, minutes=float(minutes))
    return {}


def build_sound(path: Path, size_gib: str) -> dict[str, float]:
    """A WAV file of 48 kHz stereo, with speech in its first and last minute; it holds a little less than 4 GiB."""
    speech = np.repeat(np.resize(make_speech(), 60 * AUDIO_RATE_HZ), 6).tobytes()
    size = min(int(float(size_gib) * 2**30), 2**32 - 2**20) // 4 * 4
    with path.open("wb") as file:
        header = (b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 2, 48_000, 192_000, 4, 16, b"data", size)
        file.write(struct.pack("<4sI4s4sIHHIIHH4sI", *header) + speech)
        file.seek(size + 44 - len(speech))
        file.write(speech)
    return {}


def facts(film: Path) -> tuple[float, float]:
    """Seconds and bits a second."""
    with open_media(film) as media:
        seconds = media.measure_duration()
    return seconds, film.stat().st_size * 8 / seconds


def spoken(film: Path) -> tuple[np.ndarray, list[Span]]:
    samples = read_audio(film)
    found = find_utterances(speech_probabilities(samples), duration_s=len(samples) / AUDIO_RATE_HZ)
    return samples, [utterance.span for utterance in found]


@contextmanager
def store():
    """A function that keeps files for as long as the job runs."""
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(10**9))

        def keep(data: bytes, suffix: str) -> str:
            path = Path(folder) / f"{next(count)}.{suffix}"
            path.write_bytes(data)
            return path.name

        yield keep


def _watch(film: Path, crops: str, share: float | None = None) -> dict[str, float]:
    seconds = facts(film)[0]
    spans = [Span(0.0, seconds)]
    if share:
        utterances = spoken(film)[1]
        step = max(1.0, sum(span.end_s - span.start_s for span in utterances) / (share * seconds))
        spans = [utterances[int(index)] for index in np.arange(0, len(utterances), step)]
    with store() as keep:
        video = analyse_video(film, spans, CenterFace(), crops=crops, store=keep, min_face_px=MIN_FACE_PX)
    return {"tracks": len(video.tracks), "shots": len(video.shots)}


def inspect(film: Path) -> dict[str, float]:
    inspect_media(film)
    return {}


def listen(film: Path) -> dict[str, float]:
    return {"utterances": len(spoken(film)[1])}


def watch(film: Path) -> dict[str, float]:
    return _watch(film, "best")


def frames(film: Path) -> dict[str, float]:
    return _watch(film, "frames")


def videos(film: Path) -> dict[str, float]:
    return _watch(film, "video")


def sparse(film: Path) -> dict[str, float]:
    return _watch(film, "frames", 0.07)


def copies(film: Path) -> dict[str, float]:
    samples, spans = spoken(film)
    with store() as keep:
        for span in spans:
            keep(render_video(film, span, cut_audio(samples, span)), "mp4")
    return {"copies": len(spans)}


def accuracy(film: Path) -> dict[str, float]:
    """Interpolated tracks against the detector on every whole frame, in up to four stretches of 15 s."""
    seconds, detector = facts(film)[0], CenterFace()
    hits = faces = extra = ours = 0
    overlaps: list[float] = []
    starts = np.linspace(0, seconds - 15, 4) if seconds > 60 else [0.0]
    for stretch in [Span(start, min(seconds, start + (15 if seconds > 60 else 60))) for start in starts]:
        tracks = analyse_video(film, [stretch], detector, crops="none", min_face_px=MIN_FACE_PX).tracks
        for picture in decode_frames(film, [stretch], prefetch=True):
            seen = [face for face in detector.detect(picture.to_rgb()) if face.size_px >= MIN_FACE_PX]
            mine = [face for face in (t.track.face_at(picture.time_s) for t in tracks) if face is not None]
            faces, ours = faces + len(seen), ours + len(mine)
            if not seen or not mine:
                extra += len(mine)
                continue
            overlap = intersection_over_union(np.stack([f.box for f in seen]), np.stack([f.box for f in mine]))
            best = overlap.max(axis=1)
            hits += int((best >= 0.5).sum())
            overlaps += best[best >= 0.5].tolist()
            extra += int((overlap.max(axis=0) < 0.5).sum())
    return {
        "recall": hits / max(1, faces),
        "iou": float(np.mean(overlaps)) if overlaps else 0.0,
        "extra": extra / max(1, ours),
        "faces": faces,
    }


JOBS: dict[str, Callable[..., dict[str, float]]] = {
    f.__name__: f for f in (build, build_sound, inspect, listen, watch, frames, videos, sparse, copies, accuracy)
}

if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
