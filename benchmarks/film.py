"""Make films of people who talk, in 1280x720 H.264 with AAC: from real faces, or by code where there are none."""

import os
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from curate.assets import shipped_folder
from curate.media.container.decode import Span, read_audio, read_frames
from curate.media.container.ffmpeg import find_ffmpeg

WIDTH, HEIGHT, FPS, RATE_HZ = 1280, 720, 25, 16_000
HEADS = ("WDA_AlexandriaOcasioCortez_000.mp4", "WDA_KatieHill_000.mp4")
"""Talking heads of 8 s each (512x512, 25 frames per second) in the shared data"""
CLIPS = ("good_news", "broken_promise", "night_noise")


def make_talk(path: Path, *, minutes: float) -> bool:
    """A film of two talking heads: one after the other, then side by side, and again. False without the shared data."""
    shared = os.environ.get("CURATE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
    heads = [Path(shared) / "media" / "sadtalker" / name for name in HEADS]
    if not all(head.is_file() for head in heads):
        return False
    large, small = "scale=1280:1280,crop=1280:720:0:160,setsar=1", "scale=640:640"
    graph = (
        f"[0:v]split[a1][a2];[1:v]split[b1][b2];[a1]{large}[A];[b1]{large}[B];[a2]{small}[a3];[b2]{small}[b3];"
        "[a3][b3]hstack,pad=1280:720:0:40:gray,setsar=1[C];[0:a]asplit[x][z];[A][x][B][1:a][C][z]concat=n=3:v=1:a=1[v][a]"
    )
    unit, ffmpeg = path.with_suffix(".unit.mp4"), [find_ffmpeg(), "-v", "error", "-nostdin", "-y"]
    inputs = [argument for head in heads for argument in ("-i", str(head))]
    pictures = ["-r", "25", "-c:v", "libx264", "-preset", "medium", "-crf", "21", "-pix_fmt", "yuv420p"]
    coding = [*pictures, "-c:a", "aac", "-b:a", "128k", "-ar", "48000"]
    subprocess.run(
        [*ffmpeg, *inputs, "-filter_complex", graph, "-map", "[v]", "-map", "[a]", *coding, unit], check=True
    )
    length = ["-t", str(minutes * 60)]
    subprocess.run([*ffmpeg, "-stream_loop", "-1", "-i", unit, *length, "-c", "copy", path], check=True)
    unit.unlink()
    return True


def make_film(path: Path, *, minutes: float, speech_share: float = 0.7, seed: int = 0) -> Path:
    """A film of this length: a shot of 3-12 s after the other with none to three people, and speech for its share."""
    rng = np.random.default_rng(seed)
    actors = [_actor(name) for name in CLIPS]
    voices = [read_audio(_clip(name)) for name in CLIPS]
    total = round(minutes * 60 * FPS)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ)
        audio.bit_rate, audio.layout = 128_000, "mono"
        for index, rgb in enumerate(_shots(rng, actors, total)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
            if index % FPS == FPS - 1:
                _mux_second(container, audio, index // FPS, voices, speech_share)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def make_speech() -> NDArray[np.int16]:
    """The speech of the shipped clips, 16 kHz."""
    return np.concatenate([read_audio(_clip(name)) for name in CLIPS])


def _clip(name: str) -> Path:
    return shipped_folder("recipes") / "quickstart" / f"{name}.mp4"


def _actor(name: str) -> list[NDArray[np.uint8]]:
    return [frame.rgb for frame in read_frames(_clip(name), [Span(0.0, 60.0)])]


def _shots(rng: np.random.Generator, actors: list[list[NDArray[np.uint8]]], total: int) -> Iterator[NDArray[np.uint8]]:
    done, noise = 0, rng.integers(0, 11, (2 * HEIGHT, 2 * WIDTH, 1), np.uint8)
    while done < total:
        length = min(total - done, int(rng.uniform(3, 12) * FPS))
        scene = _scene(rng)
        people = [_person(rng, actors, length) for _ in range(rng.choice(4, p=[0.1, 0.45, 0.35, 0.1]))]
        # Half of the shots are from a tripod.
        drift = rng.uniform(-1, 1, 2) * (rng.random() < 0.5)
        for step in range(length):
            x, y = (int(side / 2 + drift[i] * step * 0.4) % side for i, side in enumerate((WIDTH, HEIGHT)))
            frame = scene[y : y + HEIGHT, x : x + WIDTH].copy()
            for frames, phase, size, start, way in people:
                _paste(frame, frames[(phase + step) % len(frames)], size, start + way * step / FPS)
            yield _with_grain(frame, noise, step)
        done += length


def _scene(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A soft background, four times the picture, with some grain so that it costs what a real one does."""
    coarse = rng.integers(30, 220, (9, 16, 3), np.uint8)
    soft = Image.fromarray(coarse).resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BICUBIC)
    soft = soft.filter(ImageFilter.GaussianBlur(3))
    grain = np.kron(rng.integers(-9, 9, (HEIGHT, WIDTH, 1)), np.ones((2, 2, 3), np.int64))
    return np.clip(np.asarray(soft, np.int16) + grain, 0, 255).astype(np.uint8)


def _with_grain(frame: NDArray[np.uint8], noise: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """What a sensor adds, another in every frame."""
    y, x = step * 97 % HEIGHT, step * 61 % WIDTH
    return np.minimum(frame, 244) + noise[y : y + HEIGHT, x : x + WIDTH]


def _person(rng, actors, length):
    size = int(rng.uniform(160, 520)) // 2 * 2
    frames = actors[rng.integers(len(actors))]
    if rng.random() < 0.5:
        frames = [frame[:, ::-1] for frame in frames]
    start = np.array([rng.uniform(0, WIDTH - size), rng.uniform(0, HEIGHT - size)])
    way = rng.uniform(-1, 1, 2) * (60, 20) * (rng.random() < 0.5)
    if rng.random() < 0.25:
        # Walks in from the side at a pace that shows all of the head within about a second and a half.
        start[0], way = -size, np.array([size / 1.5, 0.0])
    return frames, int(rng.integers(len(frames))), size, start, way


def _paste(frame: NDArray[np.uint8], picture: NDArray[np.uint8], size: int, at: NDArray[np.float64]) -> None:
    scaled = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0))
    x, y = (round(float(side)) for side in at)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(WIDTH, x + size), min(HEIGHT, y + size)
    if x1 > x0 and y1 > y0:
        frame[y0:y1, x0:x1] = scaled[y0 - y : y1 - y, x0 - x : x1 - x]


def _mux_second(container, audio, second: int, voices: list[NDArray[np.int16]], speech_share: float) -> None:
    """One second of sound: samples of speech for their share of every 10 minutes' worth of clips, else faint noise."""
    rng = np.random.default_rng(second)
    sound = rng.normal(0, 30, RATE_HZ).astype(np.int16)
    slot, offset = divmod(second, 7)
    if (slot * 37 % 100) < 100 * speech_share:
        voice = voices[slot % len(voices)][offset * RATE_HZ : (offset + 1) * RATE_HZ]
        sound[: len(voice)] += voice
    for start in range(0, RATE_HZ, 1000):
        frame = av.AudioFrame.from_ndarray(sound[start : start + 1000].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, second * RATE_HZ + start, Fraction(1, RATE_HZ)
        container.mux(audio.encode(frame))
