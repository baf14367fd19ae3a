"""Choose sharp and varied pictures of an item, and encode its sound, for models and other readers."""

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
_JPEG_QUALITY = 90
_SHARP = 50.0
_MAX_YAW_DEG = 60.0
_SLACK_S = 0.5
_MAX_OFFSET_S = 0.021
"""Half a frame at the slowest usual rate."""


class FrameCandidate(NamedTuple):
    """One picture that could be chosen."""

    time_s: float
    score: float
    """0-1: sharp and, for a face, large and frontal"""
    motion: float
    """Change since the previous candidate: mean difference of the luma, 0-255"""


class Still(NamedTuple):
    """A picture of an item and its time, in seconds from the start of the item."""

    time_s: float
    jpeg: bytes


class EncodedSound(NamedTuple):
    """A sound file and its duration."""

    data: bytes
    duration_s: float


def choose_frames(candidates: Sequence[FrameCandidate], count: int) -> list[int]:
    """Return the indices of at most ``count`` candidates, in order of time.

    The candidates are divided into ``count`` stretches with equal shares of time and of motion, half and half, so that
    more is chosen where more changes; from each stretch the candidate with the best score, the first among equals.
    """
    if count >= len(candidates):
        return list(range(len(candidates)))
    if count < 1:
        return []
    total_motion = sum(candidate.motion for candidate in candidates) or 1.0
    shares = np.array([0.5 / len(candidates) + 0.5 * candidate.motion / total_motion for candidate in candidates])
    middles = (np.cumsum(shares) - shares / 2) / shares.sum()
    stretches = np.minimum((middles * count).astype(int), count - 1)
    best: dict[int, int] = {}
    for index, stretch in enumerate(stretches.tolist()):
        if stretch not in best or candidates[index].score > candidates[best[stretch]].score:
            best[stretch] = index
    chosen = set(best.values())
    while len(chosen) < count:  # one candidate with much motion can fill several stretches
        remaining = sorted(set(range(len(candidates))) - chosen)
        chosen.add(max(remaining, key=lambda index: min(abs(index - chosen_index) for chosen_index in chosen)))
    return sorted(chosen)


def sample_frames(path: Path, span: Span, count: int, *, side_px: int) -> list[Still]:
    """Return at most ``count`` frames of a span of a video as JPEG, chosen by sharpness and motion.

    No side is longer than ``side_px``. At most 48 frames, evenly spaced, are candidates. Raises ``InvalidRow`` if the
    file cannot be decoded.
    """
    step_s = max((span.end_s - span.start_s) / MAX_CANDIDATES, 0.02)
    frames: list[tuple[float, NDArray[np.uint8]]] = []
    candidates: list[FrameCandidate] = []
    previous: NDArray[np.uint8] | None = None
    for frame in decode_frames(path, [span]):
        time_s = max(0.0, frame.time_s - span.start_s)
        if time_s + 1e-6 < len(frames) * step_s or len(frames) == MAX_CANDIDATES:
            continue
        planes = frame.to_planes()
        thumbnail = planes.thumbnail()
        score = _sharpness_score(_subsample(planes.y))
        candidates.append(FrameCandidate(time_s, score, _motion(previous, thumbnail)))
        frames.append((time_s, _reduced(planes, side_px)))
        previous = thumbnail
    if not frames:
        raise InvalidRow(f"{path.name} has no picture that can be decoded", reason="truncated")
    chosen = [frames[index] for index in choose_frames(candidates, count)]
    return [Still(time_s, encode_jpeg(rgb, quality=_JPEG_QUALITY)) for time_s, rgb in chosen]


def sample_faces(path: Path, track: Sequence[tuple[float, Face]], count: int, *, size_px: int = 256) -> list[Still]:
    """Return at most ``count`` aligned crops of one face of a video, chosen by score and motion.

    ``track`` holds the face over time, in seconds and pixels of that file; at most 48 of its frames are candidates.
    Empty if the face is never large and bright enough. Raises ``InvalidRow`` if the file cannot be decoded.
    """
    detections = sorted(track, key=lambda detection: detection[0])
    if not detections:
        return []
    indices = sorted({round(k * (len(detections) - 1) / (MAX_CANDIDATES - 1)) for k in range(MAX_CANDIDATES)})
    pending = [detections[index] for index in indices]
    candidates: list[FrameCandidate] = []
    squares: list[Planes] = []
    previous: NDArray[np.uint8] | None = None
    for frame in decode_frames(path, [Span(pending[0][0] - _SLACK_S, pending[-1][0] + _SLACK_S)]):
        while pending and frame.time_s + _MAX_OFFSET_S >= pending[0][0]:
            time_s, face = pending.pop(0)
            if frame.time_s - time_s > _MAX_OFFSET_S:
                continue
            planes = frame.to_planes()
            crop = crop_frame(planes, face, time_s=time_s, size_px=size_px, encode=False)
            square = aligned_planes(planes, face, size_px) if crop else None
            if crop and square:
                small = _subsample(square.y)
                candidates.append(FrameCandidate(time_s, crop.score, _motion(previous, small)))
                squares.append(square)
                previous = small
        if not pending:
            break
    return [
        Still(candidates[index].time_s, encode_jpeg(_reduced(squares[index], size_px), quality=_JPEG_QUALITY))
        for index in choose_frames(candidates, count)
    ]


def rate_crops(
    crops: Sequence[tuple[float, Path]], landmarks: Sequence[NDArray[np.float32] | None], *, largest_px: float = 0.0
) -> list[FrameCandidate]:
    """Return stored crops of one face as candidates, in order of time.

    ``landmarks`` are the five points of each face in the picture that it was cut from, or None. A face scores less the
    further it is turned away and, relative to ``largest_px`` (the largest distance between the eyes, 0 if unknown), the
    smaller it is. Crops that cannot be read score 0.
    """
    candidates: list[FrameCandidate] = []
    previous: NDArray[np.uint8] | None = None
    for (time_s, path), points in zip(crops, landmarks, strict=True):
        try:
            luma = np.asarray(load_rgb(path) @ np.array([0.299, 0.587, 0.114]), np.uint8)
        except InvalidRow:
            candidates.append(FrameCandidate(time_s, 0.0, 0.0))
            continue
        frontal = 1.0 if points is None else max(0.1, 1 - abs(estimate_pose(points).yaw_deg) / _MAX_YAW_DEG)
        eye_distance = 0.0 if points is None else float(np.linalg.norm(points[1] - points[0]))
        size = min(1.0, eye_distance / largest_px) if largest_px > 0 and points is not None else 1.0
        small = _subsample(luma)
        score = _sharpness_score(small) * frontal * size
        candidates.append(FrameCandidate(time_s, score, _motion(previous, small)))
        previous = small
    return candidates


def sample_sound(path: Path, form: Literal["wav", "mp3"], *, max_s: float) -> EncodedSound | None:
    """Return the sound of a file, 16 kHz mono, as WAV, or as MP3 of about a sixth of the size; None if over ``max_s``.

    Raises ``InvalidRow`` if there is no sound or it cannot be decoded.
    """
    samples = read_audio_start(path, max_s + _SLACK_S)
    if not len(samples):
        raise InvalidRow(f"{path.name} has no sound that can be decoded", reason="no_audio")
    duration_s = len(samples) / AUDIO_RATE_HZ
    if duration_s > max_s:
        return None
    return EncodedSound(_to_wav(samples) if form == "wav" else encode_mp3(samples), duration_s)


def _to_wav(samples: NDArray[np.int16]) -> bytes:
    sink = io.BytesIO()
    with wave.open(sink, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(AUDIO_RATE_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return sink.getvalue()


def _subsample(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return every n-th row and column of the luma, keeping at least 256 of them if there were as many."""
    step = max(1, ceil(min(luma.shape) / _RATED_PX / 1.999) if min(luma.shape) > _RATED_PX else 1)
    return luma[::step, ::step]


def _sharpness_score(luma: NDArray[np.uint8]) -> float:
    variance = sharpness(luma)
    return variance / (variance + _SHARP)


def _motion(previous: NDArray[np.uint8] | None, current: NDArray[np.uint8]) -> float:
    if previous is None or previous.shape != current.shape:
        return 0.0
    return float(np.abs(previous.astype(np.int16) - current.astype(np.int16)).mean())


def _reduced(planes: Planes, side_px: int) -> NDArray[np.uint8]:
    scale = min(1.0, side_px / max(planes.width, planes.height))
    return planes.rgb(max(1, round(planes.width * scale)), max(1, round(planes.height * scale)))
