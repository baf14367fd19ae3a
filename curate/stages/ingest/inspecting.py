"""Inspect a media file: its format, and perceptual hashes of its pictures and sound."""

from pathlib import Path
from typing import Any

from curate.media.container.decode import read_audio_start
from curate.media.container.pictures import load_rgb
from curate.media.container.probe import Probe, probe
from curate.media.duplicates import MAX_HASHED_S, picture_hash, sound_hash, video_hash


def inspect_media(path: Path) -> dict[str, Any]:
    """Return the source columns that follow from the content of a media file. Raises ``InvalidRow``."""
    probed = probe(path)
    columns = {**probed._asdict(), **_perceptual_hashes(path, probed)}
    columns["width_px"], columns["height_px"] = columns.pop("width"), columns.pop("height")
    return columns


def _perceptual_hashes(path: Path, probed: Probe) -> dict[str, str | None]:
    """Return the hashes of pictures and sound; a stream that cannot be decoded has none."""
    if probed.kind == "image":
        return {"picture_hash": picture_hash(load_rgb(path))}
    return {
        "picture_hash": video_hash(path, probed.duration_s or 0.0) if probed.kind == "video" else None,
        "sound_hash": None if probed.audio_codec is None else sound_hash(read_audio_start(path, MAX_HASHED_S)),
    }
