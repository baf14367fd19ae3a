"""What every form offers beside its questions: that the item cannot be judged, and why."""

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from curate.labels.fields.phrases import phrase
from curate.labels.markup import choice, element, literal

CONTROL = "cannot_judge"
REASONS = ("media_broken", "cut_wrongly", "wrong_speaker", "language", "distressing", "unsure")
"""The reasons, as they are stored."""


def reason_controls(to_name: str, language: str) -> ET.Element:
    """Return the control that takes the reason, about the object ``to_name``."""
    choices = [choice("Choice", reason, phrase(reason, language)) for reason in REASONS]
    attributes = {"name": CONTROL, "toName": to_name, "choice": "single-radio", "layout": "inline"}
    header = ET.Element("Header", {"value": literal(phrase(CONTROL, language)), "size": "6"})
    return element("View", {"className": "cannot-judge"}, [header, element("Choices", attributes, choices)])


def unless_given(questions: Iterable[ET.Element]) -> ET.Element:
    """Return the questions, hidden and not required once a reason is chosen."""
    condition = {"visibleWhen": "choice-unselected", "whenTagName": CONTROL, "className": "questions"}
    return element("View", condition, list(questions))


def reason_in(results: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the reason that an annotator gave, or None. Raises ``ValueError`` for one that no form offers."""
    for result in results:
        if result.get("from_name") == CONTROL:
            value = result.get("value")
            chosen = value.get("choices") if isinstance(value, Mapping) else None
            if not isinstance(chosen, list) or len(chosen) != 1 or chosen[0] not in REASONS:
                raise ValueError(f"{repr(chosen)[:60]} is not a reason; valid: {', '.join(REASONS)}")
            return str(chosen[0])
    return None
