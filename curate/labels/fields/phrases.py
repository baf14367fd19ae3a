"""Texts in several languages: the ones of a label schema, and those that every form has."""

from typing import Annotated

from pydantic import Field as Setting

DEFAULT_LANGUAGE = "en"

Language = Annotated[str, Setting(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Words = (
    Annotated[str, Setting(min_length=1, max_length=2_000)]
    | Annotated[dict[Language, Annotated[str, Setting(min_length=1, max_length=2_000)]], Setting(min_length=1)]
)
"""A text, or one text by language."""

# fmt: off
_PHRASES: dict[str, str | dict[str, str]] = {
    "optional": {"en": "optional", "de": "freiwillig"},
    "required": {"en": "Please answer", "de": "Bitte beantworten"},
    "to": {"en": "to", "de": "bis"},
    "why": {"en": "Why?", "de": "Warum?"},
    "other": {"en": "other", "de": "andere"},
    "cannot_judge": {"en": "Cannot be judged:", "de": "Nicht zu beurteilen:"},
    "media_broken": {"en": "broken or missing", "de": "defekt oder fehlt"},
    "cut_wrongly": {"en": "cut wrongly", "de": "falsch geschnitten"},
    "wrong_speaker": {"en": "wrong speaker or face", "de": "falsche Person"},
    "language": {"en": "language not understood", "de": "Sprache nicht verstanden"},
    "distressing": {"en": "too distressing", "de": "zu belastend"},
    "unsure": {"en": "I am unsure", "de": "unsicher"},
}
# fmt: on


def phrase(name: str, language: str) -> str:
    """Return a text that every form has, in ``language`` or in English."""
    return in_language(_PHRASES[name], language)


def in_language(words: str | dict[str, str] | None, language: str) -> str:
    """Return the text in ``language``, else in English, else in the first language; empty if there is none."""
    if words is None or isinstance(words, str):
        return words or ""
    base = language.partition("-")[0]
    return words.get(language) or words.get(base) or words.get(DEFAULT_LANGUAGE) or next(iter(words.values()))
