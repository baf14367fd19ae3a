"""How sure a model says it is: a score for each label that it considered, and a confidence in the whole answer."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from curate.labels import LabelSchema, Taxonomy
from curate.labels.strict import label_schema, strict_object

SCORES, CONFIDENCE = "scores", "confidence"
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_MAX_LABELS = 60


class ModelScores(NamedTuple):
    """A model's own scores (0-1) by field and label, and its confidence (0-1) in the whole answer."""

    scores: Mapping[str, Mapping[str, float]]
    confidence: float | None


NO_SCORES = ModelScores(MappingProxyType({}), None)


class Scoring:
    """Asks how likely each considered label is, and reads the reply.

    Fields with more than 60 labels, and those with an intensity for each label, are left out.
    """

    def __init__(self, labels: LabelSchema) -> None:
        self._taxonomies = {
            name: field.scored_taxonomy
            for name, field in labels.fields.items()
            if field.scored_taxonomy is not None and len(field.labels) <= _MAX_LABELS
        }

    def extend_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON schema of a reply with scores and confidence added at the end, after the labels."""
        fields = {
            name: {"type": "array", "maxItems": len(taxonomy.names), "items": _label_and_score(taxonomy)}
            for name, taxonomy in self._taxonomies.items()
        }
        # Part of every request and so of the keys of stored replies: never reword them.
        about_scores = "How likely each label is that you considered, chosen or not: 0 impossible, 1 certain."
        about_confidence = "How likely it is that people who know the item well would agree."
        properties = dict(schema["properties"])
        if fields:
            properties[SCORES] = {**strict_object(fields), "description": about_scores}
        properties[CONFIDENCE] = {**_PROBABILITY, "description": about_confidence}
        return {**schema, "properties": properties, "required": list(properties)}

    def pop_scores(self, answer: dict[str, Any]) -> ModelScores:
        """Remove scores and confidence from an answer and return them; the last score of a label counts.

        Raises ``ValueError`` for anything but a number from 0 to 1 for a label of the field.
        """
        by_field, confidence = answer.pop(SCORES, None), answer.pop(CONFIDENCE, None)
        scores: dict[str, dict[str, float]] = {}
        for name, taxonomy in self._taxonomies.items():
            entries = by_field.get(name) if isinstance(by_field, dict) else None
            if not isinstance(entries, list):
                raise ValueError(f"{SCORES}.{name}: a list of labels with scores is needed")  # noqa: TRY004
            scores[name] = {}
            for entry in entries:
                label = entry.get("label") if isinstance(entry, dict) else None
                if label not in taxonomy.names:
                    names = f"one of its {len(taxonomy.names)} labels"
                    raise ValueError(f"{SCORES}.{name}: {repr(label)[:60]} is not {names}")
                scores[name][str(label)] = _check_probability(entry.get("score"), f"{SCORES}.{name}")
        return ModelScores(scores, _check_probability(confidence, CONFIDENCE))

    def pop_usable_scores(self, answer: dict[str, Any]) -> tuple[ModelScores, list[str]]:
        """Remove scores and confidence from an answer like ``pop_scores``, leaving out what cannot be used.

        A confidence from 1 to 100 is read as per cent. Also returns a sentence for what was mended.
        """
        by_field, confidence = answer.pop(SCORES, None), answer.pop(CONFIDENCE, None)
        before, notes = (by_field, confidence), []
        scores: dict[str, dict[str, float]] = {}
        for name, taxonomy in self._taxonomies.items():
            entries = by_field.get(name) if isinstance(by_field, dict) else None
            pairs = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
            usable = {str(pair.get("label")).strip().casefold(): _probability(pair.get("score")) for pair in pairs}
            scores[name] = {
                label: score for label in taxonomy.names if (score := usable.get(label.casefold())) is not None
            }
        sure = _probability(confidence)
        if sure is None and isinstance(confidence, int | float) and 1 < confidence <= 100:
            sure = confidence / 100
        try:
            self.pop_scores({SCORES: before[0], CONFIDENCE: before[1]})
        except ValueError as error:
            notes.append(str(error))
        return ModelScores(scores, sure), notes


def _probability(value: Any) -> float | None:
    try:
        return _check_probability(float(value) if isinstance(value, str) else value, "")
    except ValueError:
        return None


def _label_and_score(taxonomy: Taxonomy) -> dict[str, Any]:
    return strict_object({"label": label_schema(taxonomy.names), "score": _PROBABILITY})


def _check_probability(value: Any, location: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{location}: {repr(value)[:60]} is not a number from 0 to 1")
    return float(value)
