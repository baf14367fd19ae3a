"""Which pictures and sounds of an item go into a prompt. Pure: what has to be decoded is named, and done elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from curate.llm.prompt import Prompt
from curate.llm.request import Media


class MediaSettings(BaseModel):
    """How many pictures of an item are shown, how large, and in which form its sound is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faces: int = Field(3, ge=0, le=20)
    """Crops of the face, chosen by how sharp and frontal they are and spread over what changes."""
    frames: int = Field(4, ge=0, le=20)
    """Frames of a video, chosen by sharpness and spread over what changes."""
    side_px: int = Field(512, ge=64, le=2048)
    """The longer side of a picture as it is sent."""
    detail: Literal["auto", "low", "high"] = "auto"
    sound: bool = True
    sound_format: Literal["wav", "mp3"] = "wav"
    """WAV is exact and understood by every server; MP3 is about a sixth of it."""
    max_sound_s: float = Field(60.0, gt=0, le=600)
    """The sound of longer items is left out."""


class Seen(NamedTuple):
    """A face at one moment of an item, in pixels of its viewing copy."""

    time_s: float
    """From the start of the item"""
    box: tuple[float, ...]
    """x0, y0, x1, y1"""
    points: tuple[float, ...]
    """Five: eyes, nose, corners of the mouth; x and y in turn"""
    score: float


class Wanted(NamedTuple):
    """What of an item a prompt is to show: blobs that are there, and blobs of which something has to be made."""

    image: str | None = None
    crops: tuple[tuple[float, str], ...] = ()
    """Crops to choose from: seconds from the start of the item, and the blob"""
    track: tuple["Seen", ...] = ()
    """Where only the best crop was kept: the face as it was seen, to be cut from the item's ``video``"""
    films: tuple[tuple[str, str], ...] = ()
    """Viewing copies to take frames from: modality (``frames`` or ``frames_b``), and the blob"""
    sounds: tuple[tuple[str, str], ...] = ()
    """FLAC files to turn into what is sent: modality (``audio`` or ``audio_b``), and the blob"""


def wanted(
    item: Mapping[str, Any],
    prompt: Prompt,
    settings: MediaSettings,
    *,
    face: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
) -> Wanted:
    """What of a row of ``items`` the prompt can show.

    ``face`` is the row of ``faces`` that the item's ``face_id`` names, ``source`` that of ``sources`` it comes from.
    The crops are those of ``faces.frames`` within the item where they were kept; else its one best crop, and with a
    viewing copy and both rows also the track to cut others by. There are none where it is uncertain whose face it is.
    """
    asked = prompt.modalities
    start_s, end_s = item.get("start_s"), item.get("end_s")
    crops: list[tuple[float, str]] = []
    track: tuple[Seen, ...] = ()
    # Somebody else's face would be taken for the speaker's.
    if "faces" in asked and settings.faces and item.get("face_outcome") in (None, "speaker face"):
        crops = _crops_within(face, start_s, end_s)
        if not crops:
            track = _track_within(item, face, source)
            crops = [(0.0, item["face"])] if item.get("face") else []
    films = [("frames", "video"), ("frames_b", "video_b")] if settings.frames else []
    seconds = end_s - start_s if start_s is not None and end_s is not None else 0.0
    sounds = [("audio", "audio"), ("audio_b", "audio_b")] if settings.sound and seconds <= settings.max_sound_s else []
    return Wanted(
        item["image"] if "image" in asked and item.get("image") else None,
        tuple(crops),
        track,
        tuple((name, item[column]) for name, column in films if name in asked and item.get(column)),
        tuple((name, item[column]) for name, column in sounds if name in asked and item.get(column)),
    )


def _crops_within(
    face: Mapping[str, Any] | None, start_s: float | None, end_s: float | None
) -> list[tuple[float, str]]:
    if face is None or start_s is None or end_s is None:
        return []
    frames = sorted((each["time_s"], each["crop"]) for each in face.get("frames") or ())
    return [(time_s - start_s, crop) for time_s, crop in frames if start_s <= time_s <= end_s]


def _track_within(
    item: Mapping[str, Any], face: Mapping[str, Any] | None, source: Mapping[str, Any] | None
) -> tuple[Seen, ...]:
    start_s, end_s = item.get("start_s"), item.get("end_s")
    if not face or not source or not item.get("video") or start_s is None or end_s is None:
        return ()
    sides = [(item.get(name), source.get(name)) for name in ("width_px", "height_px")]
    scales = [copy / whole for copy, whole in sides if copy and whole]
    if len(scales) < 2:
        return ()
    across, down = scales
    looks = zip(face["times_s"], face["boxes"], face["landmarks"], face["scores"], strict=True)
    return tuple(
        Seen(time_s - start_s, _scaled(box, across, down), _scaled(points, across, down), score)
        for time_s, box, points, score in looks
        if start_s <= time_s <= end_s
    )


def _scaled(numbers: Sequence[float], across: float, down: float) -> tuple[float, ...]:
    return tuple(number * (down if at % 2 else across) for at, number in enumerate(numbers))


def as_pictures(blobs: Sequence[str], settings: MediaSettings) -> tuple[Media, ...]:
    """Stored pictures as the parts of a message."""
    return tuple(Media(blob, "image", settings.detail, settings.side_px) for blob in blobs)


def as_sound(blob: str, seconds: float | None = None) -> tuple[Media, ...]:
    """A stored WAV or MP3 file as the part of a message."""
    return (Media(blob, "audio", seconds=seconds),)
