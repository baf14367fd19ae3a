"""Describe a media file by reading it."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import InvalidRow
from curate.media.container.decode import read_audio
from curate.media.container.open import AUDIO_RATE_HZ, MediaFile, check_reachable, open_media
from curate.media.container.pictures import is_picture, load_rgb
from curate.media.container.sound import sound_start_s
from curate.media.container.video import first_geometry

_DECLARING = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "asf", "w64", "flac", "aiff", "caf", "au")
"""Formats whose header tells the duration; that of others is estimated"""
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_MISSING_S, _MISSING_SHARE = 1.0, 0.05
_HDR = {16: "PQ", 18: "HLG"}


class Probe(NamedTuple):
    """The description of one file. Sizes are as displayed, after rotation; None without such a stream."""

    kind: str
    """video, audio or image"""
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    frame_rate_hz: float | None = None
    rotation_deg: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    audio_channels: int | None = None
    audio_start_s: float | None = None
    title: str | None = None


def probe(path: Path) -> Probe:
    """Return the description of a file; its duration is measured from the packets, not read from the header.

    Raises ``InvalidRow`` with reason ``empty_file``, ``not_media``, ``unreadable``, ``unavailable``, ``truncated``
    (media, but nothing can be decoded) or ``no_streams`` (neither sound nor moving pictures; cover art does not count).
    """
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        check_reachable(path, error)
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    if size_bytes == 0:
        raise InvalidRow(f"{path.name} is empty", reason="empty_file")
    if is_picture(path):
        height, width = load_rgb(path).shape[:2]
        return Probe("image", width=width, height=height, rotation_deg=0)
    with open_media(path) as media:
        if media.video is None and media.audio is None:
            raise InvalidRow(f"{path.name} has neither sound nor moving pictures", reason="no_streams")
        measured_s = media.measure_duration()
    with open_media(path) as media:
        changes_rate = media.changes_rate()
    if changes_rate:
        measured_s = len(read_audio(path)) / AUDIO_RATE_HZ
    with open_media(path) as media:
        video = _describe_video(media)
    with open_media(path) as media:
        audio = _describe_audio(media)
        if not video and not audio:
            raise InvalidRow(f"nothing in {path.name} can be decoded", reason="truncated")
        duration_s = round(measured_s, 6) or _declared_duration(media)
        return Probe("video" if video else "audio", duration_s=duration_s, title=media.title, **video, **audio)


def _describe_video(media: MediaFile) -> dict[str, Any]:
    first = first_geometry(media) if media.video is not None else None
    if first is None or media.video is None:
        return {}
    rate = media.video.average_rate or media.video.guessed_rate
    return {
        "width": first.width,
        "height": first.height,
        "rotation_deg": first.rotation_deg,
        "frame_rate_hz": float(rate) if rate and 0 < rate < 1000 else None,
        "video_codec": media.video.codec_context.name,
    }


def _describe_audio(media: MediaFile) -> dict[str, Any]:
    start_s = sound_start_s(media) if media.audio is not None else None
    if start_s is None or media.audio is None:
        return {}
    context = media.audio.codec_context
    return {
        "audio_codec": context.name,
        "audio_rate_hz": context.sample_rate,
        "audio_channels": context.channels,
        "audio_start_s": round(start_s, 6),
    }


def _declared_duration(media: MediaFile) -> float | None:
    micros = media.container.duration or 0
    if "matroska" in media.container.format.name:
        # Matroska's duration counts from zero, wherever the clock of the file starts.
        micros -= max(0, media.container.start_time or 0)
    seconds = micros / 1_000_000 if micros else math.nan
    return seconds if 0 < seconds < 7 * 86_400 else None


def describe_limits(path: Path, duration_s: float | None) -> list[str]:
    """Return sentences on what a file declares but does not have, or has but is not read."""
    sentences = []
    with open_media(path) as media:
        declared_s = _promised_duration(path, media, duration_s or 0.0)
        missing_s = (declared_s or 0.0) - (duration_s or 0.0)
        if declared_s and missing_s > max(_MISSING_S, _MISSING_SHARE * declared_s):
            missing = f"{missing_s:.1f} s ({missing_s / declared_s:.0%}) are missing"
            ends = f"{path.name} ends after {duration_s or 0.0:.1f} s of the {declared_s:.1f} s that it declares"
            sentences.append(f"{ends}: {missing}; copy it again if the original is whole")
        transfer = None if media.video is None else _HDR.get(media.video.codec_context.color_trc)
        if transfer:
            sentences.append(f"{path.name} is HDR ({transfer}): its colours are read as they are and look pale")
    return sentences


def _promised_duration(path: Path, media: MediaFile, measured_s: float) -> float | None:
    """Return the duration that the header of a file tells, or None if it tells none."""
    with path.open("rb") as file:
        head = file.read(8192)
    size_bytes = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and size_bytes not in _UNKNOWN_SIZES:
        return measured_s * (size_bytes + 8) / path.stat().st_size
    has_header = media.container.format.name in _DECLARING or b"Xing" in head or b"Info" in head
    return _declared_duration(media) if has_header else None
