"""Media of derived items: those of their parents, or a part of them."""

from collections.abc import Mapping
from typing import Any

from curate.errors import InvalidRow
from curate.labels.markup import MEDIA_VARIABLES
from curate.media.container.decode import Span, read_audio
from curate.media.container.render import render_audio
from curate.storage.blobs import BlobMissing, Blobs

_COLUMNS = tuple(name for name in MEDIA_VARIABLES if name != "face")


def to_media(
    derived: Mapping[str, Any], cut: Mapping[str, float | None] | None, parent: Blobs, own: Blobs
) -> dict[str, Any]:
    """Return the media columns of a derived item as blobs of its own workspace.

    ``derived`` names blobs of the parent's; ``cut`` says what part of the sound is kept. Raises ``InvalidRow`` for
    media that cannot be read.
    """
    names = {column: derived[column] for column in _COLUMNS if derived.get(column)}
    try:
        if cut is not None and cut["start_s"] is not None and cut["end_s"] is not None:
            samples = read_audio(parent.path(names["audio"]))
            sound = render_audio(samples, Span(cut["start_s"], cut["end_s"]))
            return {"audio": own.put(sound, "flac")}
        return {column: own.put(parent.read(name), name.rpartition(".")[2]) for column, name in names.items()}
    except BlobMissing as error:
        raise InvalidRow(error.message, reason="unavailable") from error
