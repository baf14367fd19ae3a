"""Spans as a model answers with them: quotations, because models miscount characters."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels.fields.spans.repair import Quotation, nearest_quotation
from curate.labels.fields.spans.text import find, occurrence_of
from curate.labels.strict import label_schema, strict_object

_MAX_OCCURRENCE = 1_000_000
_MAX_TURN = 100_000
NAME_SCHEMA: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 20}


def quotation_schema(labels: Sequence[str], *, max_chars: int, has_turns: bool) -> dict[str, Any]:
    """Return the JSON schema of a quotation; ``occurrence`` (1-based) tells equal ones apart."""
    turn = {"turn": {"type": "integer", "minimum": 0, "maximum": _MAX_TURN}} if has_turns else {}
    return strict_object(
        {
            "id": NAME_SCHEMA,
            **turn,
            "text": {"type": "string", "minLength": 1, "maxLength": max_chars},
            "occurrence": {"type": "integer", "minimum": 1, "maximum": _MAX_OCCURRENCE},
            "label": label_schema(labels),
        }
    )


def to_quotation(span: Mapping[str, Any], full_text: str) -> dict[str, Any]:
    """Return a span of ``full_text`` as a quotation."""
    turn = {} if span["turn"] is None else {"turn": span["turn"]}
    occurrence = occurrence_of(full_text, span["text"], span["start"])
    return {"id": span["id"], **turn, "text": span["text"], "occurrence": occurrence, "label": span["label"]}


def from_quotation(quotation: Mapping[str, Any], full_text: str) -> dict[str, Any]:
    """Return the span that a quotation means. Raises ``ValueError`` if it does not occur in ``full_text``."""
    start = find(full_text, quotation["text"], int(quotation["occurrence"]))
    end = start + len(quotation["text"])
    position = {"turn": turn_of(quotation), "start": start, "end": end, "text": quotation["text"]}
    return {"id": quotation["id"], **position, "label": quotation["label"]}


def turn_of(quotation: Mapping[str, Any]) -> int | None:
    """Return the turn of a quotation, which a model may have written as ``1.0``; None over an utterance."""
    return int(quotation["turn"]) if "turn" in quotation else None


def repair(quotations: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return quotations moved to the nearest words that occur in ``texts``, and a sentence for each correction.

    ``texts`` are the turns of the dialogue, or the one text of an utterance.
    """
    repaired, corrections = [], []
    for quotation in quotations:
        original = Quotation(turn_of(quotation) or 0, quotation["text"], int(quotation["occurrence"]))
        nearest = nearest_quotation(texts, *original)
        if nearest is None or nearest == original:
            repaired.append(dict(quotation))
            continue
        turn = {"turn": nearest.turn} if "turn" in quotation else {}
        repaired.append({**quotation, **turn, "text": nearest.text, "occurrence": nearest.occurrence})
        location = f" of turn {nearest.turn}" if turn else ""
        corrections.append(f"{original.text[:80]!r} was corrected to {nearest.text[:80]!r}{location}")
    return repaired, corrections
