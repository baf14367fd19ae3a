"""Self-contained HTML pages, made from templates that escape everything."""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import StorageFailed
from curate.files import write_whole
from curate.sentences import count_of
from curate.storage.blobs import Blobs

if TYPE_CHECKING:
    from jinja2 import Environment

_MAX_CHARS = 400
_THUMBNAIL_PX = 168
_MEDIA_TYPES = {"flac": "audio/flac", "mp3": "audio/mpeg", "wav": "audio/wav", "mp4": "video/mp4"}


def render_page(template: str, **values: Any) -> str:
    """Return a page that fetches nothing. Values are escaped, and those shown by ``short`` are bounded.

    It runs nothing but ``script``, a file among the templates, which its security policy names by its hash.
    """
    script = values.pop("script", None)
    code = Path(__file__).with_name("templates").joinpath(script).read_text("utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() if code else ""
    return _environment().get_template(template).render(values, script=code, script_digest=digest)


def write_page(path: Path, page: str, *, name: str) -> Path:
    """Write a page in one step and return its path. Raises ``StorageFailed`` that calls the page by its ``name``."""
    try:
        write_whole(path, page.encode("utf-8", "replace"))
    except StorageFailed as error:
        message = error.message.replace("cannot write", f"cannot write the {name}", 1)
        raise StorageFailed(message, hint=error.hint) from error
    return path


def thumbnail(blob: str | None, blobs: Blobs) -> str:
    """Return a small JPEG of a picture as a data URI; empty if there is no picture or it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    if not blob:
        return ""
    try:
        with Image.open(blobs.path(blob)) as picture:
            picture.draft("RGB", (_THUMBNAIL_PX, _THUMBNAIL_PX))
            small = picture.convert("RGB")
        small.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=80)
    except (OSError, UnidentifiedImageError, StorageFailed):
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def media_uri(blob: str | None, blobs: Blobs, room: "MediaBudget") -> str:
    """Return a sound or video as a data URI; empty if there is none, it cannot be read, or the page has no room."""
    kind = _MEDIA_TYPES.get((blob or "").rpartition(".")[2])
    if not blob or kind is None or room.left_bytes <= 0:
        return ""
    try:
        if room.size_of(blob, blobs) > room.left_bytes:
            return ""
        data = blobs.read(blob)
    except StorageFailed:
        return ""
    room.left_bytes -= len(data)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@dataclass
class MediaBudget:
    """The bytes of sound and video that a page may still hold."""

    left_bytes: int = 24 * 2**20
    _size: Callable[[str], int] | None = None

    def size_of(self, blob: str, blobs: Blobs) -> int:
        """Return the size of a blob; the store is listed once. Raises ``StorageFailed`` if it is gone."""
        self._size = self._size or blobs.sizes()
        return self._size(blob)


def short(value: Any) -> str:
    """Return anything as text of bounded length; empty for None."""
    text = "" if value is None else str(value)
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 1]}…"


def show_count(value: int | None) -> str:
    """Return a count with thousands separators; empty for zero."""
    return f"{value:,}" if value else ""


def show_span(item: Mapping[str, Any]) -> str:
    """Return the start and end of an item in its source: ``1:02.5–1:04.0``."""
    if item["start_s"] is None or item["end_s"] is None:
        return ""
    return f"{show_clock(item['start_s'])}–{show_clock(item['end_s'])}"


def show_clock(seconds: float) -> str:
    """Return minutes and seconds: ``1:02.5``."""
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def show_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, whichever suits it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _show_usd(amount: float | None) -> str:
    return "price unknown" if amount is None else f"{amount:,.4f}"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("curate.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "short": short,
        "count": show_count,
        "counted": count_of,
        "clock": show_clock,
        "duration": show_duration,
        "span": show_span,
        "usd": _show_usd,
    }
    return environment
