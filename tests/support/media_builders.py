"""Small media files, sound and whole, built with PyAV; and the samples of the quickstart as known speech and face."""

import struct
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from curate.assets import shipped_folder
from curate.media.container.decode import Span, cut_audio, read_audio, read_frames
from curate.media.words.subtitles import load_cues

RATE_HZ = 16_000
TURN_90 = (0, 1, -1, 0, 0, 0)
"""The MP4 matrix (a, b, c, d, x, y) of a telephone held upright: shown turned clockwise by 90 degrees."""


def sample(name: str = "good_news") -> Path:
    return shipped_folder("recipes") / "quickstart" / f"{name}.mp4"


def make_speech(name: str = "good_news") -> NDArray[np.int16]:
    """About 7 s with two utterances, 16 kHz mono."""
    return read_audio(sample(name))


def make_portrait() -> NDArray[np.uint8]:
    """A face, upright, (320, 320, 3)."""
    return next(iter(read_frames(sample(), [Span(1.0, 2.0)]))).rgb


def make_tone(seconds: float = 1.0, *, level: float = 0.3) -> NDArray[np.int16]:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * 330 * times) * level * 32767).astype(np.int16)


def make_frames(count: int = 10, *, size: tuple[int, int] = (96, 64)) -> list[NDArray[np.uint8]]:
    """Frames of one grey each, brighter with time."""
    return [np.full((size[1], size[0], 3), 20 + 200 * i // max(1, count - 1), np.uint8) for i in range(count)]


def write_media(
    path: Path,
    *,
    frames: Iterable[NDArray[np.uint8]] = (),
    times_s: Sequence[float] | None = None,
    fps: int = 25,
    sound: NDArray[np.int16] | None = None,
    sound_start_s: float = 0.0,
    hole: Span | None = None,
    cover: NDArray[np.uint8] | None = None,
    title: str | None = None,
) -> Path:
    """A file in the format of its suffix. ``times_s`` gives each frame its own time (variable frame rate).

    Sound inside ``hole`` is left out, or moved behind it where the hole ends after the sound.
    """
    frames = list(frames)
    with av.open(str(path), "w") as container:
        if title is not None:
            container.metadata["title"] = title
        video: Any = None
        if frames:
            video = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "ultrafast", "bf": "0"})
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt, video.time_base = "yuv420p", Fraction(1, 90_000)
            video.codec_context.time_base = Fraction(1, 90_000)
        audio: Any = None
        if sound is not None:
            codec = {".mp3": "libmp3lame", ".wav": "pcm_s16le", ".flac": "flac", ".webm": "libopus"}
            audio = container.add_stream(codec.get(path.suffix, "aac"), rate=RATE_HZ)
            audio.layout = "mono"
        art: Any = None
        if cover is not None:
            art = container.add_stream("mjpeg", rate=1)
            art.height, art.width = cover.shape[:2]
            art.pix_fmt = "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            picture = av.VideoFrame.from_ndarray(cover, format="rgb24").reformat(format="yuvj420p")
            container.mux(art.encode(picture))
            container.mux(art.encode(None))
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.time_base = Fraction(1, 90_000)
            frame.pts = round((times_s[index] if times_s is not None else index / fps) * 90_000)
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        if audio is not None and sound is not None:
            offset = round(sound_start_s * RATE_HZ)
            for start in range(0, len(sound), 1024):
                block = np.ascontiguousarray(sound[start : start + 1024]).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start + offset, Fraction(1, RATE_HZ)
                for packet in audio.encode(frame):
                    _mux(container, packet, hole, len(sound) / RATE_HZ)
            for packet in audio.encode(None):
                _mux(container, packet, hole, len(sound) / RATE_HZ)
    return path


def _mux(container: Any, packet: Any, hole: Span | None, length_s: float) -> None:
    time_s = float(packet.pts * packet.time_base)
    if hole is not None and time_s >= hole.start_s:
        if hole.end_s > length_s:
            packet.pts += round((hole.end_s - hole.start_s) / packet.time_base)
            packet.dts = packet.pts
        elif time_s < hole.end_s:
            return
    container.mux(packet)


def embed_subtitles(
    media: Path, text: Path, target: Path, *, codec: str, language: str = "eng", track: int = 0
) -> Path:
    """The media with a further text track."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(media), "-i", str(text), "-map", "0", "-map", "1"]
    command += ["-c", "copy", "-c:s", codec, f"-metadata:s:s:{track}", f"language={language}", str(target)]
    subprocess.run(command, check=True)
    return target


def make_talk(*, gaps_s: Sequence[float], snr_db: float | None = None) -> tuple[NDArray[np.int16], list[Span]]:
    """The six sample utterances again and again, each after one of the gaps, in pink noise; and when each is said."""
    pieces = []
    for name in ("good_news", "broken_promise", "night_noise"):
        sound, text = make_speech(name), sample(name).with_suffix(".srt")
        cues = load_cues(text if text.exists() else text.with_suffix(".vtt")).cues
        pieces += [cut_audio(sound, cue.span).astype(float) for cue in cues]
    parts, spans, at = [], [], 0
    for place, gap_s in enumerate(gaps_s):
        piece = pieces[place % len(pieces)]
        at += round(gap_s * RATE_HZ)
        spans.append(Span(at / RATE_HZ, (at + len(piece)) / RATE_HZ))
        parts += [np.zeros(round(gap_s * RATE_HZ)), piece]
        at += len(piece)
    talk = np.concatenate([*parts, np.zeros(RATE_HZ)])
    if snr_db is not None:
        spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=len(talk)))
        noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(talk))
        power = np.mean([(piece**2).mean() for piece in pieces]) / 10 ** (snr_db / 10)
        talk += noise * np.sqrt(power / (noise**2).mean())
    return np.clip(talk, -32768, 32767).astype(np.int16), spans


def turn_mp4(path: Path, matrix: Sequence[int] = TURN_90) -> Path:
    """Write a display matrix into the first track header of an MP4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52
    a, b, c, d, x, y = matrix
    one, unit = 1 << 16, 1 << 30
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, x * one, y * one, unit)
    path.write_bytes(data)
    return path
