"""Labelled stretches of a text or a dialogue, and relations between them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting
from pydantic import model_validator

from curate.labels.fields.base import (
    DEFAULT_LANGUAGE,
    Aggregate,
    Field,
    How,
    LabelNames,
    Result,
    choice,
    class_label,
    known_label,
    label_lines,
    list_of,
    members,
    one_label,
    scalar,
    strict_object,
    unanimous,
    value_of,
)
from curate.labels.fields.spans import repair as span_repair
from curate.labels.fields.spans import text as span_text
from curate.labels.fields.spans.text import Place
from curate.labels.fields.spans.votes import agreed_relations, agreed_spans, jaccard
from curate.labels.layout import Layout, element
from curate.labels.strict import label_schema
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import WITH_DIALOGUE, WITH_TEXT, ItemContext, Unit

_LONGEST = 1_000_000


class Spans(Field):
    """A value is ``{spans: [{id, turn, start, end, text, label}], relations: [{from, to, label}]}``.

    ``turn`` counts the turns of the dialogue from 0 and is null over an utterance; ``start`` and ``end`` count Unicode
    code points as Python does, from 0, the end excluded; ``text`` is exactly what stands there, without blank ends.
    Spans are in order of turn, start, end and label, each once, and named s1, s2 … in that order; relations refer to
    those names, sorted. Whatever names a value comes with, ``check`` gives it these.
    """

    type: Literal["spans"]
    over: Literal["utterance", "dialogue"]
    taxonomy: Taxonomy
    relations: Annotated[LabelNames, Setting(max_length=50)] = ()
    max_spans: int = Setting(default=50, ge=1, le=1_000)
    max_chars: int = Setting(default=2_000, ge=1, le=100_000)

    level: ClassVar[str] = "spans"

    @model_validator(mode="after")
    def _check_relations(self) -> "Spans":
        folded = [" ".join(name.casefold().split()) for name in self.relations]
        if not all(folded) or len(set(folded)) < len(folded):
            raise ValueError("relations have names, each another one")
        return self

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_DIALOGUE if self.over == "dialogue" else WITH_TEXT

    @property
    def claim(self) -> str:
        return "relations" if self.relations else ""

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """The taxonomy's labels in order."""
        return self.taxonomy.names

    @property
    def arrow_type(self) -> pa.DataType:
        return _arrow(pa.string(), pa.string())

    @property
    def release_type(self) -> pa.DataType:
        return _arrow(pa.int64(), pa.int64() if self.relations else pa.string())

    @property
    def feature(self) -> dict[str, Any]:
        word, number = scalar("string"), scalar("int32")
        span = {"id": word, "turn": number, "start": number, "end": number, "text": word}
        named = class_label(self.relations) if self.relations else word
        return {
            "spans": list_of({**span, "label": class_label(self.labels)}),
            "relations": list_of({"from": word, "to": word, "label": named}),
        }

    def to_release(self, value: Any) -> Any:
        return {
            "spans": [{**each, "label": self.labels.index(each["label"])} for each in value["spans"]],
            "relations": [{**each, "label": self.relations.index(each["label"])} for each in value["relations"]],
        }

    def from_release(self, released: Any) -> Any:
        return {
            "spans": [{**each, "label": self.labels[each["label"]]} for each in released["spans"]],
            "relations": [{**each, "label": self.relations[each["label"]]} for each in released["relations"]],
        }

    def labels_of(self, value: Any) -> list[str]:
        return [each["label"] for each in value["spans"]]

    def json_schema(self) -> dict[str, Any]:
        """Spans as quotations: models miscount characters. ``occurrence`` tells equal ones apart, from 1."""
        name = {"type": "string", "minLength": 1, "maxLength": 20}
        turn = {"type": "integer", "minimum": 0, "maximum": 100_000}
        span = {
            "id": name,
            **({"turn": turn} if self.over == "dialogue" else {}),
            "text": {"type": "string", "minLength": 1, "maxLength": self.max_chars},
            "occurrence": {"type": "integer", "minimum": 1, "maximum": _LONGEST},
            "label": label_schema(self.labels),
        }
        parts = {"spans": {"type": "array", "items": strict_object(span), "maxItems": self.max_spans}}
        if self.relations:
            relation = {"from": name, "to": name, "label": {"type": "string", "enum": list(self.relations)}}
            most = self.max_spans**2
            parts["relations"] = {"type": "array", "items": strict_object(relation), "maxItems": most}
        return strict_object(parts)

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        checked = self.check(value, item)
        spans = []
        for each in checked["spans"]:
            turn = {"turn": each["turn"]} if self.over == "dialogue" else {}
            occurrence = span_text.occurrence(self._text(item, each["turn"]), each["text"], each["start"])
            spans.append(
                {"id": each["id"], **turn, "text": each["text"], "occurrence": occurrence, "label": each["label"]}
            )
        return {"spans": spans, **({"relations": checked["relations"]} if self.relations else {})}

    def mend_answer(self, answer: Any, item: ItemContext) -> tuple[Any, list[str]]:
        """Quotations that stand nowhere become the nearest words that do, where that leaves no doubt."""
        mended, told = [], []
        texts = [item.text or ""] if self.over == "utterance" else [turn.text for turn in item.dialogue]
        for each in answer["spans"]:
            given = (_whole(each.get("turn", 0)), each["text"], _whole(each["occurrence"]))
            found = span_repair.nearest_quotation(texts, *given)
            if found is None or found == given:
                mended.append(each)
                continue
            turn, text, occurrence = found
            at = {"turn": turn} if self.over == "dialogue" else {}
            mended.append({**each, **at, "text": text, "occurrence": occurrence})
            told.append(
                f"{self.name}: {each['text'][:80]!r} was put right: {text[:80]!r}{f' of turn {turn}' if at else ''}"
            )
        return {**answer, "spans": mended}, told

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        if not answer["spans"]:
            return None
        spans = []
        for each in answer["spans"]:
            turn = None if "turn" not in each else _whole(each["turn"])
            start = span_text.find(self._text(item, turn), each["text"], _whole(each["occurrence"]))
            where = {"turn": turn, "start": start, "end": start + len(each["text"])}
            spans.append({"id": each["id"], **where, "text": each["text"], "label": each["label"]})
        return self.check({"spans": spans, "relations": answer.get("relations", [])}, item)

    def check(self, value: Any, item: ItemContext | None = None) -> dict[str, Any]:
        given, links = members(value, "spans", optional=("relations",))
        if not isinstance(given, list | tuple) or not given:
            raise ValueError("no span is given")
        places: dict[Any, Place] = {}
        for number, each in enumerate(given, start=1):
            turn, start, end, text, label, name = members(
                each, "turn", "start", "end", "text", "label", optional=("id",)
            )
            place = span_text.checked_place(turn, start, end, text, over=self.over, max_chars=self.max_chars)
            if item is not None:
                span_text.check_text(self._text(item, turn), place)
            name = f"s{number}" if name is None else name
            if name in places:
                raise ValueError(f"two spans are named {name!r}")
            places[name] = place._replace(label=self.labels.index(known_label(label, self.taxonomy)))
        ordered = sorted(set(places.values()), key=Place.order)
        if len(ordered) > self.max_spans:
            raise ValueError(f"{len(ordered)} spans are more than {self.max_spans}")
        names = {place: f"s{number}" for number, place in enumerate(ordered, start=1)}
        spans = [
            {
                "id": names[place],
                "turn": place.turn,
                "start": place.start,
                "end": place.end,
                "text": place.text,
                "label": self.labels[place.label],
            }
            for place in ordered
        ]
        return {"spans": spans, "relations": self._checked_relations(links or [], places, names)}

    def _checked_relations(
        self, links: Any, places: Mapping[Any, Place], names: Mapping[Place, str]
    ) -> list[dict[str, str]]:
        found = set()
        for each in links if isinstance(links, list | tuple) else [links]:
            begin, end, label = members(each, "from", "to", "label")
            for name in (begin, end):
                if not isinstance(name, str) or name not in places:
                    raise ValueError(f"a relation is about {name!r}, which is no span")
            if label not in self.relations:
                raise ValueError(f"{label!r} is not a relation; there are {', '.join(self.relations) or 'none'}")
            ends = names[places[begin]], names[places[end]]
            if ends[0] == ends[1]:
                raise ValueError(f"a span is related to itself by {label!r}")
            found.add((int(ends[0][1:]), int(ends[1][1:]), self.relations.index(label)))
        return [{"from": f"s{a}", "to": f"s{b}", "label": self.relations[at]} for a, b, at in sorted(found)]

    def _text(self, item: ItemContext, turn: Any) -> str:
        """The text that a span is over. Raises ``ValueError`` when the item has none there."""
        if self.over == "utterance":
            if item.text is None:
                raise ValueError("the item has no text")
            return item.text
        if not isinstance(turn, int) or not 0 <= turn < len(item.dialogue):
            raise ValueError(f"turn {turn} is not one of the dialogue's {len(item.dialogue)}, counted from 0")
        return item.dialogue[turn].text

    def _object(self, layout: Layout) -> str:
        return layout.find(self.name, "Paragraphs" if self.over == "dialogue" else "Text")

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        to_name = self._object(layout)
        labels = [
            choice("Label", label.name, background=label.color, hotkey=label.hotkey, hint=label.definition)
            for label in self.taxonomy.labels
        ]
        tag = "ParagraphLabels" if self.over == "dialogue" else "Labels"
        asked = [element(tag, {"name": self.name, "toName": to_name, "choice": "single"}, labels)]
        if self.relations:
            asked.append(element("Relations", {}, [choice("Relation", name) for name in self.relations]))
        return asked

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = self._object(layout)
        checked = self.check(value, item)
        kind = "paragraphlabels" if self.over == "dialogue" else "labels"
        results = []
        for each in checked["spans"]:
            where = span_text.to_offsets(each, self._text(item, each["turn"]))
            content = {**where, "text": each["text"], kind: [each["label"]]}
            results.append(self.result(kind, content, to_name, region=each["id"]))
        for each in checked["relations"]:
            begin, end = (f"{self.name}-{each[key]}" for key in ("from", "to"))
            link = {"from_id": begin, "to_id": end, "type": "relation", "direction": "right", "labels": [each["label"]]}
            results.append({"id": f"{begin}-{end}", **link})
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        kind = "paragraphlabels" if self.over == "dialogue" else "labels"
        spans = []
        for result in results:
            if result.get("type") == "relation":
                continue
            turn = span_text.turn_of(value_of(result)) if self.over == "dialogue" else None
            place = span_text.from_offsets(value_of(result), turn, self._text(item, turn))
            label = one_label(result, kind, self.taxonomy)
            where = {"turn": turn, "start": place.start, "end": place.end, "text": place.text}
            spans.append({"id": str(result.get("id")), **where, "label": label})
        if not spans:
            return None
        links = [
            link
            for result in results
            if result.get("type") == "relation"
            for link in span_text.relations_of(result, self.relations)
        ]
        return self.check({"spans": spans, "relations": links}, item)

    def distance(self, one: Any, other: Any) -> float | None:
        """One minus the characters labelled alike by both as a share of those labelled by either."""
        return 1 - jaccard(one, other)

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        turn = " `turn` is the number in front of the turn that it is from." if self.over == "dialogue" else ""
        linked = (
            f" Relations lead from the `id` of one quotation to that of another: {', '.join(self.relations)}."
            if self.relations
            else ""
        )
        return [
            "Quotations, each exactly as it stands in the text, character by character: nothing corrected, translated "
            "or left out. As short as still says it, from one place and one turn. `occurrence` counts from 1 which of "
            f"several equal places is meant.{turn}{linked} No quotation where there is nothing to quote. Labels:",
            *label_lines(self.taxonomy),
        ]

    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """For each label, the characters that more than half of the raters (or any, or all) give it.

        With them come the relations that as many draw between such stretches.

        A relation counts for a rater between the settled spans that overlap the rater's own.
        """
        if unanimous(values):
            return Aggregate(values[0], {})
        spans = agreed_spans(values, how)
        if not spans:
            return Aggregate(None, {})
        return Aggregate(self.check({"spans": spans, "relations": agreed_relations(values, spans, how)}), {})

    def describe(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.labels)
        linked = f", related by {', '.join(f'`{name}`' for name in self.relations)}" if self.relations else ""
        return f"**{self.name}**: spans of the {self.over}, each one of {names} ({self.taxonomy.title}){linked}"


def _arrow(label: pa.DataType, relation: pa.DataType) -> pa.DataType:
    where = {"id": pa.string(), "turn": pa.int32(), "start": pa.int32(), "end": pa.int32(), "text": pa.string()}
    link = {"from": pa.string(), "to": pa.string(), "label": relation}
    return pa.struct({"spans": pa.list_(pa.struct({**where, "label": label})), "relations": pa.list_(pa.struct(link))})


def _whole(number: float) -> int:
    """A whole number that a model may have written as ``1.0``."""
    return int(number)
