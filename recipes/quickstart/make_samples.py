"""Make the sample clips and posts of the quickstart again: ``python recipes/quickstart/make_samples.py``.

Needs, besides curate itself, espeak-ng on the PATH and scikit-image (for NASA's public-domain portrait).
The portrait is panned and zoomed, and its mouth follows the loudness of synthetic speech.
"""

import io
import json
import subprocess
import wave
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates, uniform_filter1d

from curate.media.faces.centerface import CenterFace

FOLDER = Path(__file__).parent
RATE_HZ, FPS, SIDE_PX = 22_050, 25, 320
LEAD_S, PAUSE_S, TAIL_S = 0.35, 0.75, 0.4


class Line(NamedTuple):
    """One sentence and how espeak-ng says it: words a minute, pitch 0-99."""

    text: str
    speed: int
    pitch: int


class Clip(NamedTuple):
    """One clip: its lines, its voice, the camera's way (x, y, side of the square in the portrait: from, to)."""

    name: str
    voice: str
    lines: tuple[Line, ...]
    camera: tuple[tuple[float, float, float], tuple[float, float, float]]
    subtitles: str
    speaker: str | None = None


CLIPS = (
    Clip(
        "good_news",
        "en-us+f3",
        (
            Line("I got the job, I can not believe it, I am so happy!", 175, 70),
            Line("But leaving all my friends makes me really sad.", 140, 35),
        ),
        ((225, 150, 300), (215, 130, 230)),
        "srt",
    ),
    Clip(
        "broken_promise",
        "en-gb+f2",
        (
            Line("You promised to be there, and you lied to me!", 185, 60),
            Line("I am furious with you, this is disgusting!", 180, 65),
        ),
        ((205, 140, 240), (235, 150, 290)),
        "srt",
    ),
    Clip(
        "night_noise",
        "en-gb-scotland+f4",
        (
            Line("There is somebody in the house, I am so scared.", 165, 55),
            Line("Oh, it was only the cat, what a surprise!", 170, 75),
        ),
        ((240, 135, 250), (210, 140, 280)),
        "vtt",
        "Robin",
    ),
)
POSTS = (
    {"author": "maple", "text": "Third rejection letter this month. I just sat in the car and cried for a while."},
    {"author": "tern", "text": "She said yes!! I have been grinning at strangers on the train all morning."},
    {"author": "quill", "text": "Who leaves fish in the shared fridge for three weeks? I opened the door and gagged."},
    {
        "author": "tern",
        "text": "The brakes failed on the way down the hill. My hands are still shaking as I type this.",
    },
    {
        "author": "osier",
        "text": "Forty minutes on hold and then they hung up on me. I am done being polite.",
        "title": "Support",
    },
    {"author": "quill", "text": "The library opens at nine on Mondays and closes at six."},
)


def main() -> None:
    portrait = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png").convert("RGB"))
    landmarks = CenterFace().detect(portrait)[0].landmarks
    mouth = landmarks[3:].mean(axis=0)
    width = float(np.linalg.norm(landmarks[4] - landmarks[3]))
    for clip in CLIPS:
        sound, cues = speak(clip)
        write_clip(FOLDER / f"{clip.name}.mp4", sound, pictures(portrait, mouth, width, clip, sound))
        write_subtitles(clip, cues)
    lines = [json.dumps(post, ensure_ascii=False) for post in POSTS]
    (FOLDER / "posts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def speak(clip: Clip) -> tuple[NDArray[np.int16], list[tuple[float, float, str]]]:
    """The sound of a clip, and when each line is said."""
    parts, cues = [silence(LEAD_S)], []
    for line in clip.lines:
        at = sum(map(len, parts)) / RATE_HZ
        said = say(line, clip.voice)
        cues.append((at, at + len(said) / RATE_HZ, line.text))
        parts += [said, silence(PAUSE_S)]
    return np.concatenate([*parts[:-1], silence(TAIL_S)]), cues


def say(line: Line, voice: str) -> NDArray[np.int16]:
    command = ["espeak-ng", "-v", voice, "-s", str(line.speed), "-p", str(line.pitch), "--stdout", line.text]
    with wave.open(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)) as file:
        said = np.frombuffer(file.readframes(1 << 30), np.int16)
    loud = np.flatnonzero(np.abs(said.astype(np.int32)) > 200)
    return said[loud[0] : loud[-1] + RATE_HZ // 20]


def silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def pictures(portrait, mouth, width, clip, sound):
    """The frames: the camera glides from one square to the other while the mouth opens with the loudness."""
    count = int(len(sound) / RATE_HZ * FPS)
    loudness = uniform_filter1d(np.abs(sound.astype(np.float64)), RATE_HZ // 12)[:: RATE_HZ // FPS]
    loudness = np.clip(loudness / np.percentile(loudness, 95), 0, 1)
    start, end = map(np.array, clip.camera)
    for index in range(count):
        glide = 0.5 - 0.5 * np.cos(np.pi * index / count)
        x, y, side = start + (end - start) * glide
        grid = (np.arange(SIDE_PX) + 0.5) / SIDE_PX * side - side / 2
        columns, rows = np.meshgrid(grid + x, grid + y)
        yield warp(portrait, rows, columns, mouth, width, loudness[min(index, len(loudness) - 1)])


def warp(portrait, rows, columns, mouth, width, opening):
    """The portrait at the given places, the lower lip and chin drawn down and the gap between the lips darkened."""
    below = (rows - mouth[1]) / width
    beside = np.exp(-(((columns - mouth[0]) / (0.62 * width)) ** 2))
    drawn = np.where(below > 0, np.minimum(below / 0.16, 1) * np.exp(-((np.maximum(below - 0.16, 0) / 0.6) ** 2)), 0)
    source = [rows - 0.13 * width * opening * beside * drawn, columns]
    frame = np.stack([map_coordinates(portrait[:, :, c], source, order=1, mode="nearest") for c in range(3)], axis=2)
    gap = np.exp(-(((columns - mouth[0]) / (0.33 * width)) ** 2) - ((below - 0.06 * opening) / 0.075) ** 2)
    return np.clip(frame * (1 - 0.55 * opening * gap)[:, :, None], 0, 255).astype(np.uint8)


def write_clip(path, sound, frames):
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "27", "preset": "veryslow", "threads": "1"})
        video.width = video.height = SIDE_PX
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ)
        audio.bit_rate, audio.layout = 56_000, "mono"
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, len(sound), 1024):
            block = np.ascontiguousarray(sound[start : start + 1024]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def write_subtitles(clip, cues):
    is_vtt = clip.subtitles == "vtt"
    parts = ["WEBVTT\n"] if is_vtt else []
    for number, (start, end, text) in enumerate(cues, start=1):
        times = f"{stamp(start)} --> {stamp(end)}"
        voice = f"<v {clip.speaker}>" if clip.speaker else ""
        head = times if is_vtt else f"{number}\n{times.replace('.', ',')}"
        parts.append(f"{head}\n{voice}{text}\n")
    (FOLDER / f"{clip.name}.{clip.subtitles}").write_text("\n".join(parts), encoding="utf-8")


def stamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"00:{int(minutes):02d}:{rest:06.3f}"


if __name__ == "__main__":
    main()
