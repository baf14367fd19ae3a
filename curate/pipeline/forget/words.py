"""Texts and names by which something forgotten is recognised in other texts."""

import json
import re
from collections.abc import Callable, Iterable, Sequence


def present_in(words: Sequence[str], texts: Iterable[str]) -> tuple[str, ...]:
    """Return those of many words that occur in any of the texts."""
    joined = "\n".join(texts)
    return tuple(word for word in words if word in joined)


def spellings(text: str) -> frozenset[str]:
    """Return the ways in which a text may be written in JSON, also where that is itself a text in JSON."""
    forms = {text}
    for _ in range(2):
        forms |= {json.dumps(form, ensure_ascii=is_ascii)[1:-1] for form in forms for is_ascii in (True, False)}
    return frozenset(forms)


def replace_words(text: str, words: Sequence[str], replacement: str | Callable[[re.Match[str]], str]) -> str:
    """Return a text without any of many words, where these stand alone."""
    # Most of them are in no given text, and a pattern of all of them would be slow.
    present_words = present_in(words, [text])
    pattern = "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in present_words)
    return re.sub(pattern, replacement, text) if present_words else text
