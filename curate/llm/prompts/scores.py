"""How sure a model says it is: a score for each label that it considered, and one for the whole."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from curate.labels import LabelSchema
from curate.labels.fields import Category
from curate.labels.fields.base import strict_object
from curate.labels.strict import label_schema

SCORES, CONFIDENCE = "scores", "confidence"
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_MOST_LABELS = 60


class Scored(NamedTuple):
    """What a reply says of itself: scores (0-1) by field and label, and confidence."""

    scores: Mapping[str, Mapping[str, float]]
    confidence: float | None


UNSCORED = Scored(MappingProxyType({}), None)


class Scoring:
    """Asks how likely each label is that was considered, and reads what is said.

    Fields with more than 60 labels, and such as grade each, are not asked about.
    """

    def __init__(self, labels: LabelSchema) -> None:
        self._fields = {
            name: field
            for name, field in labels.fields.items()
            if isinstance(field, Category) and field.intensity is None and len(field.labels) <= _MOST_LABELS
        }

    def ask(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON schema of a reply that says it too: last, when the labels stand."""
        fields = {
            name: {"type": "array", "maxItems": len(field.labels), "items": _scored(field)}
            for name, field in self._fields.items()
        }
        about = "How likely each label is that you considered, chosen or not: 0 impossible, 1 certain."
        more: dict[str, Any] = {SCORES: {**strict_object(fields), "description": about}} if fields else {}
        more[CONFIDENCE] = {**_SHARE, "description": "How likely it is that people who know the item well would agree."}
        properties = {**schema["properties"], **more}
        return {**schema, "properties": properties, "required": list(properties)}

    def take(self, answer: dict[str, Any]) -> Scored:
        """What a reply says, taken out of it. Raises ``ValueError`` for scores that are none.

        Of several scores of one label the last counts.
        """
        given, confidence = answer.pop(SCORES, None), answer.pop(CONFIDENCE, None)
        scores: dict[str, dict[str, float]] = {}
        for name, field in self._fields.items():
            entries = given.get(name) if isinstance(given, dict) else None
            if not isinstance(entries, list):
                raise ValueError(f"{SCORES}.{name}: a list of labels with scores is needed")  # noqa: TRY004
            scores[name] = {}
            for entry in entries:
                label = entry.get("label") if isinstance(entry, dict) else None
                if label not in field.labels:
                    names = f"one of its {len(field.labels)} labels"
                    raise ValueError(f"{SCORES}.{name}: {repr(label)[:60]} is not {names}")
                scores[name][str(label)] = _share(entry.get("score"), f"{SCORES}.{name}")
        return Scored(scores, _share(confidence, CONFIDENCE))


def _scored(field: Category) -> dict[str, Any]:
    return strict_object({"label": label_schema(field.labels), "score": _SHARE})


def _share(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{place}: {repr(value)[:60]} is not a number from 0 to 1")
    return float(value)
