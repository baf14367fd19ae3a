"""Places in texts as other tools count them, in code points; refused where it is not clear how they count."""

import unicodedata
from typing import Any

from curate.annotation.importing.settings import Offsets

_JOINERS = "\u200d\ufe0e\ufe0f"


def code_points(
    text: str, start: Any, end: Any, offsets: Offsets | None, *, quoted: str | None = None, tool: str = ""
) -> tuple[int, int]:
    """Return a stretch of a text in code points.

    If the export quotes the stretch, whichever way of counting gives the quotation holds. If not, ``offsets`` says how
    it counts; a ``tool`` that counts in a way of its own needs it where the ways differ. Raises ``ValueError``.
    """
    if not _is_count(start) or not _is_count(end):
        raise ValueError(f"a stretch from {str(start)[:20]!r} to {str(end)[:20]!r} is not counted in characters")
    if start >= end:
        raise ValueError(f"a stretch from {str(start)[:20]} to {str(end)[:20]} is empty")
    if quoted is not None:
        ways: tuple[Offsets, ...] = (offsets,) if offsets else ("characters", "utf16")
        for way in ways:
            stretch = _convert(text, start, end, way)
            if stretch is not None and _same(text[stretch[0] : stretch[1]], quoted):
                return stretch
        raise ValueError(f"the export marks {quoted[:60]!r} from {start} to {end}, where the text is another")
    if offsets is None and tool and _is_ambiguous(text, end):
        raise ValueError(
            f"{tool} may count the characters before {end} in one of several ways, since some of them are not simple: "
            "set offsets to utf16 or characters, whichever fits"
        )
    counted = _convert(text, start, end, offsets or "characters")
    if counted is None:
        raise ValueError(f"a stretch from {start} to {end} is not in a text of {len(text)} characters")
    return counted


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _convert(text: str, start: int, end: int, offsets: Offsets) -> tuple[int, int] | None:
    """Return a stretch in code points; None if it is not in the text, or begins or ends within a character."""
    if offsets == "characters":
        return (start, end) if end <= len(text) else None
    encoding, width = ("utf-16-le", 2) if offsets == "utf16" else ("utf-8", 1)
    encoded = text.encode(encoding, "surrogatepass")
    if end * width > len(encoded):
        return None
    try:
        return len(encoded[: start * width].decode(encoding)), len(encoded[: end * width].decode(encoding))
    except UnicodeDecodeError:
        return None


def _is_ambiguous(text: str, end: int) -> bool:
    """Return whether there are characters of several code points or of several UTF-16 units before ``end``."""
    before = text[:end]
    if before.isascii() and "\r" not in before:
        return False
    return any(ord(c) > 0xFFFF or unicodedata.combining(c) or c in _JOINERS or c == "\r" for c in before)


def _same(text: str, quoted: str) -> bool:
    return text == quoted or "".join(text.split()) == "".join(quoted.replace("\\n", "\n").split())
