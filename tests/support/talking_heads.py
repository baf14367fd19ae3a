"""Videos of people who talk: the portrait of the samples side by side, mouths moved by the sound of whoever speaks."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, uniform_filter1d

from curate.media.container.decode import Span, cut_audio, read_audio
from curate.media.faces.centerface import CenterFace
from tests.support.media_builders import RATE_HZ, make_portrait, sample, write_media

LINES = (
    ("good_news", Span(0.35, 3.35)),
    ("good_news", Span(4.15, 7.2)),
    ("broken_promise", Span(0.35, 2.7)),
    ("broken_promise", Span(3.5, 5.9)),
    ("night_noise", Span(0.35, 3.1)),
    ("night_noise", Span(4.0, 6.6)),
)
"""What is said in the samples, and when."""
FPS, LEVELS = 25, 12
Picture = NDArray[np.uint8]


class Turn(NamedTuple):
    """A line and who says it: the place of the head, or None for a voice off screen."""

    line: int
    speaker: int | None


def make_dialogue(path: Path, turns: Sequence[Turn], *, people: int = 2, pause_s: float = 0.6) -> list[Span]:
    """Write a video of heads side by side, each line said by one of them; gives when each line is said."""
    sound, spans, openings = [np.zeros(RATE_HZ // 2, np.int16)], [], []
    for turn in turns:
        name, line = LINES[turn.line]
        voice = cut_audio(read_audio(sample(name)), line)
        start = sum(map(len, sound))
        spans.append(Span(start / RATE_HZ, (start + len(voice)) / RATE_HZ))
        openings.append((round(start / RATE_HZ * FPS), _openings(voice), turn.speaker))
        sound += [voice, np.zeros(round(pause_s * RATE_HZ), np.int16)]
    mouths = np.zeros((people, round(sum(map(len, sound)) / RATE_HZ * FPS)), np.int64)
    for start, opening, speaker in openings:
        if speaker is not None:
            mouths[speaker, start : start + len(opening)] = opening[: mouths.shape[1] - start]
    write_media(path, frames=_frames(mouths), sound=np.concatenate(sound))
    return spans


def _openings(voice: NDArray[np.int16]) -> NDArray[np.int64]:
    """For each frame how far the mouth is open, 0-11."""
    loudness = uniform_filter1d(np.abs(voice.astype(np.float64)), RATE_HZ // 12)[:: RATE_HZ // FPS]
    return np.rint(np.clip(loudness / np.percentile(loudness, 95), 0, 1) * (LEVELS - 1)).astype(np.int64)


def _frames(mouths: NDArray[np.int64]) -> Iterator[Picture]:
    rng = np.random.default_rng(0)
    for index in range(mouths.shape[1]):
        heads = []
        for who, openings in enumerate(mouths):
            head = talking_head()[openings[index]]
            head = head[:, ::-1] if who % 2 else head
            # Everybody nods and sways, whether they speak or not.
            sway = (round(4 * np.sin(index / 11 + who)), round(5 * np.sin(index / 17 + 2 * who)))
            heads.append(np.roll(head, sway, axis=(0, 1)))
        frame = np.concatenate(heads, axis=1).astype(np.int16)
        frame += rng.integers(-4, 5, (*frame.shape[:2], 1), np.int16)
        yield np.clip(frame, 0, 255).astype(np.uint8)


@cache
def talking_head() -> list[Picture]:
    """The portrait with its mouth shut, and open further and further."""
    portrait = make_portrait()
    landmarks = CenterFace().detect(portrait)[0].landmarks
    mouth, width = landmarks[3:].mean(axis=0), float(np.linalg.norm(landmarks[4] - landmarks[3]))
    rows, columns = np.mgrid[: portrait.shape[0], : portrait.shape[1]].astype(np.float64)
    return [_open(portrait, rows, columns, mouth, width, level / (LEVELS - 1)) for level in range(LEVELS)]


def _open(portrait, rows, columns, mouth, width, opening) -> Picture:
    """The lower lip and chin drawn down and the gap between the lips darkened."""
    below = (rows - mouth[1]) / width
    beside = np.exp(-(((columns - mouth[0]) / (0.62 * width)) ** 2))
    drawn = np.where(below > 0, np.minimum(below / 0.16, 1) * np.exp(-((np.maximum(below - 0.16, 0) / 0.6) ** 2)), 0)
    source = [rows - 0.13 * width * opening * beside * drawn, columns]
    frame = np.stack([map_coordinates(portrait[:, :, c], source, order=1, mode="nearest") for c in range(3)], axis=2)
    gap = np.exp(-(((columns - mouth[0]) / (0.33 * width)) ** 2) - ((below - 0.06 * opening) / 0.075) ** 2)
    return np.clip(frame * (1 - 0.55 * opening * gap)[:, :, None], 0, 255).astype(np.uint8)
