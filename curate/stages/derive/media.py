"""Media of derived items: those of their parents, or a part of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.labels.markup import MEDIA_VARIABLES
from curate.media.container.decode import Span, read_audio, read_frames
from curate.media.container.pictures import encode_jpeg
from curate.media.container.render import render_audio
from curate.storage.blobs import BlobMissing, Blobs

_COLUMNS = tuple(name for name in MEDIA_VARIABLES if name != "face")

_LONGEST_PICTURE_S = 30.0
_AFTER_S = 1.0
_EXACT_S = 0.0005


def to_media(
    derived: Mapping[str, Any], cut: Mapping[str, float | None] | None, parent: Blobs, own: Blobs
) -> dict[str, Any]:
    """Return the media columns of a derived item as blobs of its own workspace.

    ``derived`` names blobs of the parent's; ``cut`` says what part of the sound is kept, or when to take a picture of
    the video. Raises ``InvalidRow`` for
    media that cannot be read.
    """
    names = {column: derived[column] for column in _COLUMNS if derived.get(column)}
    try:
        if cut is not None and cut["start_s"] is not None and cut["end_s"] is not None:
            samples = read_audio(parent.path(names["audio"]))
            sound = render_audio(samples, Span(cut["start_s"], cut["end_s"]))
            return {"audio": own.put(sound, "flac")}
        if cut is not None and cut["still_s"] is not None:
            picture = take_still(parent.path(names["video"]), cut["still_s"])
            height, width = picture.shape[:2]
            return {
                "video": None,
                "image": own.put(encode_jpeg(picture), "jpg"),
                "width_px": width,
                "height_px": height,
            }
        return {column: own.put(parent.read(name), name.rpartition(".")[2]) for column, name in names.items()}
    except BlobMissing as error:
        raise InvalidRow(error.message, reason="unavailable") from error


def take_still(path: Path, time_s: float) -> NDArray[np.uint8]:
    """Return the picture that a video shows at a time, upright, (height, width, 3).

    Raises ``InvalidRow`` if there is none.
    """
    shown = None
    for frame in read_frames(path, [Span(max(0.0, time_s - _LONGEST_PICTURE_S), time_s + _AFTER_S)]):
        if shown is not None and frame.time_s > time_s + _EXACT_S:
            break
        shown = frame.rgb
    if shown is None:
        raise InvalidRow(f"the viewing copy has no picture at {time_s:g} s", reason="truncated")
    return shown
