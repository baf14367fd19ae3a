"""Values, texts and times as words of a page; everything from outside is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any

from curate.labels import Field

_MOST_CHARS = 400
_MOST_CHIPS = 12


def show_value(field: Field, value: Any) -> str:
    """A label field's value in words: a chip for each of several parts, else text."""
    parts = field.show(value)
    if len(parts) == 1:
        return show_text(parts[0])
    more = ["…"] if len(parts) > _MOST_CHIPS else []
    return "".join(f'<span class="chip">{show_text(part)}</span>' for part in [*parts[:_MOST_CHIPS], *more])


def show_text(value: Any) -> str:
    """Anything as escaped text of bounded length."""
    text = "" if value is None else str(value)
    return escape(text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…")


def show_count(value: int | None) -> str:
    """A count, and nothing for none."""
    return f"{value:,}" if value else ""


def show_span(item: Mapping[str, Any]) -> str:
    """An item's place in its source: ``1:02.5–1:04.0``."""
    if item["start_s"] is None or item["end_s"] is None:
        return ""
    return f"{show_clock(item['start_s'])}–{show_clock(item['end_s'])}"


def show_clock(seconds: float) -> str:
    """Minutes and seconds: ``1:02.5``."""
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def show_duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
