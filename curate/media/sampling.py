"""Which pictures of an item to look at: sharp ones from where something changes, and sound as others can read it."""

import io
import wave
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container.decode import Span, decode_frames, read_audio_start
from curate.media.container.encode import encode_mp3
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.container.pictures import encode_jpeg, load_rgb
from curate.media.container.planes import Planes
from curate.media.faces.align import estimate_pose, sharpness
from curate.media.faces.crops import aligned_planes, crop_frame
from curate.media.faces.detector import Face

MAX_CANDIDATES = 48
_RATED_PX = 256
_SHARP = 50.0
_SIDEWAYS_DEG = 60.0
_SLACK_S = 0.5
_NEAR_S = 0.021
"""Half of a frame at the slowest usual rate: a viewing copy has no more than 30 a second of a faster source."""


class FrameCandidate(NamedTuple):
    """One picture that could be taken."""

    time_s: float
    score: float
    """0-1: sharp, and a face in it large and turned to the camera"""
    motion: float
    """How much has changed since the look before: mean difference of the luma, 0-255"""


class Still(NamedTuple):
    """A picture of an item and when it was taken, in seconds from the item's start."""

    time_s: float
    jpeg: bytes


class Sound(NamedTuple):
    """A sound file and how long it lasts."""

    data: bytes
    duration_s: float


def choose_frames(looks: Sequence[FrameCandidate], count: int) -> list[int]:
    """The places of at most ``count`` looks, in order of time.

    The looks are cut into ``count`` stretches that hold equal shares of time and of motion, half and half, so that
    there is more to see of what changes; of each stretch the look of most worth is taken, the first among equals.
    """
    if count >= len(looks):
        return list(range(len(looks)))
    if count < 1:
        return []
    moved = sum(look.motion for look in looks) or 1.0
    shares = np.array([0.5 / len(looks) + 0.5 * look.motion / moved for look in looks])
    middles = (np.cumsum(shares) - shares / 2) / shares.sum()
    stretches = np.minimum((middles * count).astype(int), count - 1)
    best: dict[int, int] = {}
    for at, stretch in enumerate(stretches.tolist()):
        if stretch not in best or looks[at].score > looks[best[stretch]].score:
            best[stretch] = at
    chosen = set(best.values())
    while len(chosen) < count:  # one look with much motion can fill a stretch or more by itself
        chosen.add(max(sorted(set(range(len(looks))) - chosen), key=lambda at: min(abs(at - one) for one in chosen)))
    return sorted(chosen)


def sample_frames(path: Path, duration_s: float, count: int, *, side_px: int) -> list[Still]:
    """At most ``count`` frames of a viewing copy as JPEG, chosen by sharpness and motion, no side above ``side_px``.

    At most 48 frames, evenly apart, are looked at. Raises ``InvalidRow`` where the file cannot be decoded.
    """
    step_s = max(duration_s / MAX_CANDIDATES, 0.02)
    kept: list[tuple[float, Planes]] = []
    looks: list[FrameCandidate] = []
    before: NDArray[np.uint8] | None = None
    for picture in decode_frames(path, [Span(0.0, duration_s + _SLACK_S)]):
        if picture.time_s + 1e-6 < len(kept) * step_s or len(kept) == MAX_CANDIDATES:
            continue
        planes = picture.to_planes()
        thumb = planes.thumbnail()
        looks.append(FrameCandidate(picture.time_s, _sharp(_small(planes.y)), _motion(before, thumb)))
        kept.append((picture.time_s, planes))
        before = thumb
    if not kept:
        raise InvalidRow(f"{path.name} has no picture that can be decoded", reason="truncated")
    return [
        Still(time_s, _to_jpeg(planes, side_px)) for time_s, planes in (kept[at] for at in choose_frames(looks, count))
    ]


def sample_faces(path: Path, track: Sequence[tuple[float, Face]], count: int, *, size_px: int = 256) -> list[Still]:
    """At most ``count`` aligned crops of one face, cut from a viewing copy, chosen by worth and motion.

    ``track`` holds the face as it was seen over time, in seconds and pixels of that file; at most 48 of these are
    looked at. Empty where the face is nowhere large and bright enough. Raises ``InvalidRow`` where the file cannot be
    decoded.
    """
    seen = sorted(track, key=lambda each: each[0])
    if not seen:
        return []
    waiting = [
        seen[at] for at in sorted({round(k * (len(seen) - 1) / (MAX_CANDIDATES - 1)) for k in range(MAX_CANDIDATES)})
    ]
    looks: list[FrameCandidate] = []
    squares: list[Planes] = []
    before: NDArray[np.uint8] | None = None
    for picture in decode_frames(path, [Span(waiting[0][0] - _SLACK_S, waiting[-1][0] + _SLACK_S)]):
        while waiting and picture.time_s + _NEAR_S >= waiting[0][0]:
            time_s, face = waiting.pop(0)
            if picture.time_s - time_s > _NEAR_S:
                continue
            planes = picture.to_planes()
            crop = crop_frame(planes, face, time_s=time_s, size_px=size_px, encode=False)
            square = aligned_planes(planes, face, size_px) if crop else None
            if crop and square:
                small = _small(square.y)
                looks.append(FrameCandidate(time_s, crop.score, _motion(before, small)))
                squares.append(square)
                before = small
        if not waiting:
            break
    return [Still(looks[at].time_s, _to_jpeg(squares[at], size_px)) for at in choose_frames(looks, count)]


def rate_crops(
    crops: Sequence[tuple[float, Path]], landmarks: Sequence[NDArray[np.float32] | None], *, largest_px: float = 0.0
) -> list[FrameCandidate]:
    """What aligned crops of one face are worth, in order of time.

    ``landmarks`` are the five points of each in the picture that it was cut from, or None; a face counts less the more
    it is turned away and, where ``largest_px`` tells the greatest distance of the eyes, the smaller it is. Crops that
    cannot be read are worth nothing.
    """
    looks: list[FrameCandidate] = []
    before: NDArray[np.uint8] | None = None
    for (time_s, path), points in zip(crops, landmarks, strict=True):
        try:
            luma = np.asarray(load_rgb(path) @ np.array([0.299, 0.587, 0.114]), np.uint8)
        except InvalidRow:
            looks.append(FrameCandidate(time_s, 0.0, 0.0))
            continue
        frontal = 1.0 if points is None else max(0.1, 1 - abs(estimate_pose(points).yaw_deg) / _SIDEWAYS_DEG)
        apart = 0.0 if points is None else float(np.linalg.norm(points[1] - points[0]))
        near = min(1.0, apart / largest_px) if largest_px > 0 and points is not None else 1.0
        small = _small(luma)
        looks.append(FrameCandidate(time_s, _sharp(small) * frontal * near, _motion(before, small)))
        before = small
    return looks


def sample_sound(path: Path, form: Literal["wav", "mp3"], *, max_s: float) -> Sound | None:
    """The sound of a file, 16 kHz mono, as a WAV file, or as MP3, about a sixth of that; None where it is longer.

    Raises ``InvalidRow`` where there is none, or it cannot be decoded.
    """
    samples = read_audio_start(path, max_s + _SLACK_S)
    if not len(samples):
        raise InvalidRow(f"{path.name} has no sound that can be decoded", reason="no_audio")
    duration_s = len(samples) / AUDIO_RATE_HZ
    if duration_s > max_s:
        return None
    return Sound(_to_wav(samples) if form == "wav" else encode_mp3(samples), duration_s)


def _to_wav(samples: NDArray[np.int16]) -> bytes:
    sink = io.BytesIO()
    with wave.open(sink, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(AUDIO_RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return sink.getvalue()


def _small(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma with every so-many-th row and column, at least 256 pixels high where it was."""
    step = max(1, ceil(min(luma.shape) / _RATED_PX / 1.999) if min(luma.shape) > _RATED_PX else 1)
    return luma[::step, ::step]


def _sharp(luma: NDArray[np.uint8]) -> float:
    found = sharpness(luma)
    return found / (found + _SHARP)


def _motion(before: NDArray[np.uint8] | None, now: NDArray[np.uint8]) -> float:
    if before is None or before.shape != now.shape:
        return 0.0
    return float(np.abs(before.astype(np.int16) - now.astype(np.int16)).mean())


def _to_jpeg(planes: Planes, side_px: int) -> bytes:
    scale = min(1.0, side_px / max(planes.width, planes.height))
    return encode_jpeg(
        planes.rgb(max(1, round(planes.width * scale)), max(1, round(planes.height * scale))), quality=90
    )
