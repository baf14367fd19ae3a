"""What ``benchmarks/preprocess.py`` measures, each in a process of its own; prints its findings as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.film import make_film
from curate.media.container.decode import Span, decode_frames, read_audio, read_frames
from curate.media.container.open import AUDIO_RATE_HZ, open_media
from curate.media.container.pictures import encode_jpeg
from curate.media.faces.analyse import analyse_video
from curate.media.faces.centerface import CenterFace
from curate.media.faces.detector import intersection_over_union
from curate.media.speech.vad import find_utterances, speech_probabilities

MIN_FACE_PX = 40
SCRIPT_S = 60.0


def build(film: Path, minutes: str) -> dict[str, float]:
    make_film(film, minutes=float(minutes))
    return {}


def facts(film: Path) -> tuple[float, float]:
    """Seconds and bits a second."""
    with open_media(film) as media:
        seconds = media.measure_duration()
    return seconds, film.stat().st_size * 8 / seconds


def repeat(film: Path, target: Path, times: int) -> Path:
    """The film so many times in a row, its packets copied."""
    import av

    with av.open(str(target), "w") as out:
        streams, shift_s = {}, 0.0
        for _ in range(times):
            with av.open(str(film)) as source:
                kinds = [source.streams.video[0], source.streams.audio[0]]
                for stream in kinds:
                    if stream.type not in streams:
                        streams[stream.type] = out.add_stream_from_template(stream)
                for packet in source.demux(*kinds):
                    if packet.dts is None:
                        continue
                    shift = round(shift_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.type]
                    out.mux(packet)
            # A little more than its length, so that no packet comes before the last one of the round before.
            shift_s += facts(film)[0] + 0.5
    return target


def spoken(film: Path) -> tuple[np.ndarray, list[Span]]:
    samples = read_audio(film)
    found = find_utterances(speech_probabilities(samples), duration_s=len(samples) / AUDIO_RATE_HZ)
    return samples, [one.span for one in found]


def thinned(spans: list[Span], seconds: float, share: float) -> list[Span]:
    """Evenly spread utterances that make up at most this share of the film."""
    wanted, total = share * seconds, sum(s.end_s - s.start_s for s in spans)
    step = max(1.0, total / wanted)
    return [spans[int(at)] for at in np.arange(0, len(spans), step)]


def _watch(film: Path, crops: str, share: float | None = None) -> dict[str, float]:
    samples, spans = spoken(film)
    seconds = len(samples) / AUDIO_RATE_HZ
    chosen = thinned(spans, seconds, share) if share else [Span(0.0, seconds)]
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(10**9))

        def keep(data: bytes, suffix: str) -> str:
            path = Path(folder) / f"{next(count)}.{suffix}"
            path.write_bytes(data)
            return path.name

        watched = analyse_video(film, chosen, CenterFace(), crops=crops, store=keep, min_face_px=MIN_FACE_PX)
        kept = next(count)
    return {"tracks": len(watched.tracks), "shots": len(watched.shots), "utterances": len(spans), "kept": kept}


def located(film: Path, share: str = "") -> dict[str, float]:
    return _watch(film, "none", float(share) if share else None)


def crops(film: Path) -> dict[str, float]:
    return _watch(film, "frames")


def videos(film: Path) -> dict[str, float]:
    return _watch(film, "video")


def sparse(film: Path) -> dict[str, float]:
    return _watch(film, "frames", 0.07)


def vad(film: Path) -> dict[str, float]:
    samples = read_audio(film)
    speech_probabilities(samples[:AUDIO_RATE_HZ])
    began = time.process_time()
    speech_probabilities(samples)
    return {"speed": len(samples) / AUDIO_RATE_HZ / (time.process_time() - began)}


def segments(film: Path) -> dict[str, float]:
    from curate.media.container.render import render_audio

    samples, spans = spoken(film)
    seconds = len(samples) / AUDIO_RATE_HZ
    spans = (
        (spans * (500 // len(spans) + 1))[:500] if spans else [Span(i % seconds, i % seconds + 2) for i in range(500)]
    )
    began = time.monotonic()
    for span in spans:
        render_audio(samples, span)
    return {"count": len(spans), "cut_s": time.monotonic() - began}


def accuracy(film: Path) -> dict[str, float]:
    """Interpolated tracks against the detector on every whole frame, in four stretches of 15 s."""
    seconds, detector = facts(film)[0], CenterFace()
    hits = faces = extra = ours = 0
    overlaps: list[float] = []
    stretches = [Span(at, at + 15.0) for at in np.linspace(0, max(0.0, seconds - 16), 4)]
    for stretch in stretches:
        tracks = analyse_video(film, [stretch], detector, crops="none", min_face_px=MIN_FACE_PX).tracks
        for picture in decode_frames(film, [stretch], prefetch=True):
            seen = [face for face in detector.detect(picture.to_rgb()) if face.size_px >= MIN_FACE_PX]
            mine = [face for face in (found.track.at(picture.time_s) for found in tracks) if face is not None]
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
        "iou": float(np.mean(overlaps)),
        "extra": extra / max(1, ours),
        "faces": faces,
        "minutes": sum(s.end_s - s.start_s for s in stretches) / 60,
    }


def script(film: Path) -> dict[str, float]:
    """The obvious script: pydub.silence, an ffmpeg for each segment, the detector on every frame, face crops."""
    from pydub import AudioSegment, silence

    from curate.media.container.ffmpeg import find_ffmpeg
    from curate.media.faces.align import align

    AudioSegment.converter = find_ffmpeg()
    detector, done_s = CenterFace(), 0.0
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "first.mp4"
        copy = ["-v", "error", "-nostdin", "-y", "-i", str(film), "-t", str(SCRIPT_S), "-c", "copy"]
        subprocess.run([find_ffmpeg(), *copy, str(whole)], check=True)
        sound = AudioSegment.from_file(str(whole))
        for start, end in silence.detect_nonsilent(sound, min_silence_len=300, silence_thresh=-40, seek_step=10):
            clip = Path(folder) / "clip.mp4"
            cut = [
                "-v",
                "error",
                "-nostdin",
                "-y",
                "-ss",
                str(start / 1000),
                "-i",
                str(whole),
                "-t",
                str((end - start) / 1000),
            ]
            subprocess.run([find_ffmpeg(), *cut, "-preset", "veryfast", str(clip)], check=True)
            for index, frame in enumerate(read_frames(clip, [Span(0.0, 1e6)])):
                for number, face in enumerate(detector.detect(frame.rgb)):
                    crop = encode_jpeg(align(frame.rgb, face.landmarks))
                    (Path(folder) / f"{start}-{index}-{number}.jpg").write_bytes(crop)
            done_s += (end - start) / 1000
    return {"seconds": done_s}


def like_script(film: Path) -> dict[str, float]:
    """The same job with ours: utterances, a viewing copy of each, and a JPEG crop of every frame's faces."""
    from curate.media.container.render import render_video

    samples, spans = spoken(film)
    spans = [span for span in spans if span.end_s <= SCRIPT_S]
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(10**9))

        def keep(data: bytes, suffix: str) -> str:
            path = Path(folder) / f"{next(count)}.{suffix}"
            path.write_bytes(data)
            return path.name

        analyse_video(film, spans, CenterFace(), crops="video", store=keep, min_face_px=MIN_FACE_PX)
        for span in spans:
            keep(render_video(film, span, samples), "mp4")
    return {"seconds": sum(span.end_s - span.start_s for span in spans)}


JOBS = {f.__name__: f for f in (build, located, crops, videos, sparse, vad, segments, accuracy, script, like_script)}

if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
