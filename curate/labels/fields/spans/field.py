"""Labelled stretches of a text or a dialogue, and relations between them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import Field as Setting
from pydantic import model_validator

from curate.labels.features import Feature, class_label, from_class_ids, list_of, scalar, to_class_ids
from curate.labels.fields.base import Aggregate, AggregationRule, Comparison, Field, LabelNames
from curate.labels.fields.checks import known_label, label_lines, members, unanimous
from curate.labels.fields.marks import Marks
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.fields.regions import Interval
from curate.labels.fields.results import PartlyRead, Result, region_label, value_of
from curate.labels.fields.spans import quotations
from curate.labels.fields.spans import text as span_text
from curate.labels.fields.spans.text import Position
from curate.labels.fields.spans.votes import agreed_relations, agreed_spans, jaccard
from curate.labels.layout import Layout
from curate.labels.markup import choice, element, region_labels
from curate.labels.strict import strict_object
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import WITH_DIALOGUE, WITH_TEXT, ItemContext, Unit


class Spans(Field):
    """A value is ``{spans: [{id, turn, start, end, text, label}], relations: [{from, to, label}]}``.

    ``turn`` counts the turns of the dialogue from 0 and is null over an utterance; ``start`` and ``end`` count Unicode
    code points as Python does, from 0, the end excluded; ``text`` is exactly the text there, without blank ends. Spans
    are distinct, sorted by turn, start, end and label, and named s1, s2 … in that order; relations refer to those
    names, sorted, with null for one that has no name. ``check`` renames spans accordingly.
    """

    type: Literal["spans"]
    over: Literal["utterance", "dialogue"]
    """Whether words of an utterance or of a whole dialogue are marked."""
    taxonomy: Taxonomy
    """The taxonomy with the labels of spans, by name."""
    relations: Annotated[LabelNames, Setting(max_length=50)] = ()
    """Names of relations between spans; without any, there are none."""
    max_spans: int = Setting(default=50, ge=1, le=1_000)
    """The most spans in a value."""
    max_chars: int = Setting(default=2_000, ge=1, le=100_000)
    """The longest span."""

    @model_validator(mode="after")
    def _check_relations(self) -> "Spans":
        folded = [" ".join(name.casefold().split()) for name in self.relations]
        if not all(folded) or len(set(folded)) < len(folded):
            raise ValueError("the names of relations must not be empty, and must differ by more than case and spaces")
        return self

    @property
    def units(self) -> frozenset[Unit]:
        return WITH_DIALOGUE if self.over == "dialogue" else WITH_TEXT

    @property
    def labels(self) -> tuple[str, ...]:
        return self.taxonomy.names

    def check(self, value: Any, item: ItemContext | None = None) -> dict[str, Any]:
        entries, relations = members(value, "spans", optional=("relations",))
        if not isinstance(entries, list | tuple) or not entries:
            raise ValueError("no span is given")
        positions: dict[Any, Position] = {}
        for number, entry in enumerate(entries, start=1):
            turn, start, end, text, label, name = members(
                entry, "turn", "start", "end", "text", "label", optional=("id",)
            )
            position = span_text.checked_position(turn, start, end, text, over=self.over, max_chars=self.max_chars)
            if item is not None:
                span_text.check_text(self._text(item, turn), position)
            name = f"s{number}" if name is None else name
            if name in positions:
                raise ValueError(f"two spans are named {name!r}")
            positions[name] = position._replace(label=self.labels.index(known_label(label, self.taxonomy)))
        ordered = sorted(set(positions.values()), key=Position.order)
        if len(ordered) > self.max_spans:
            raise ValueError(f"{len(ordered)} spans are more than {self.max_spans}")
        names = {position: f"s{number}" for number, position in enumerate(ordered, start=1)}
        spans = [
            {"id": names[position], **position._asdict(), "label": self.labels[position.label]} for position in ordered
        ]
        return {"spans": spans, "relations": self._checked_relations(relations or [], positions, names)}

    def _checked_relations(
        self, relations: Any, positions: Mapping[Any, Position], names: Mapping[Position, str]
    ) -> list[dict[str, str | None]]:
        checked = set()
        for relation in relations if isinstance(relations, list | tuple) else [relations]:
            begin, end, label = members(relation, "from", "to", "label")
            for name in (begin, end):
                if not isinstance(name, str) or name not in positions:
                    raise ValueError(f"a relation is about {name!r}, which is not a span")
            if label not in self.relations and not (label is None and self.relations):
                raise ValueError(f"{label!r} is not a relation; there are {', '.join(self.relations) or 'none'}")
            ends = names[positions[begin]], names[positions[end]]
            if ends[0] == ends[1]:
                raise ValueError(f"a span is related to itself by {label!r}")
            checked.add((int(ends[0][1:]), int(ends[1][1:]), -1 if label is None else self.relations.index(label)))
        labels = [*self.relations, None]
        return [{"from": f"s{a}", "to": f"s{b}", "label": labels[index]} for a, b, index in sorted(checked)]

    def _text(self, item: ItemContext, turn: Any) -> str:
        """Return the text that a span is over. Raises ``ValueError`` if the item has none there."""
        if self.over == "utterance":
            if item.text is None:
                raise ValueError("the item has no text")
            return item.text
        if not isinstance(turn, int) or not 0 <= turn < len(item.dialogue):
            raise ValueError(f"turn {turn} is not one of the dialogue's {len(item.dialogue)}, counted from 0")
        return item.dialogue[turn].text

    @property
    def arrow_type(self) -> pa.DataType:
        text, number = pa.string(), pa.int32()
        span = {"id": text, "turn": number, "start": number, "end": number, "text": text, "label": text}
        relation = {"from": text, "to": text, "label": text}
        return pa.struct({"spans": pa.list_(pa.struct(span)), "relations": pa.list_(pa.struct(relation))})

    @property
    def feature(self) -> Feature:
        text, number = scalar("string"), scalar("int32")
        span = {"id": text, "turn": number, "start": number, "end": number, "text": text}
        relation = class_label(self.relations) if self.relations else text
        return {
            "spans": list_of({**span, "label": class_label(self.labels)}),
            "relations": list_of({"from": text, "to": text, "label": relation}),
        }

    def to_release(self, value: Any) -> Any:
        return {
            "spans": to_class_ids(value["spans"], self.labels),
            "relations": to_class_ids(value["relations"], self.relations),
        }

    def from_release(self, released: Any) -> Any:
        return {
            "spans": from_class_ids(released["spans"], self.labels),
            "relations": from_class_ids(released["relations"], self.relations),
        }

    def labels_of(self, value: Any) -> list[str]:
        return [span["label"] for span in value["spans"]]

    def relabelled(self, value: Any, names: Mapping[str, str | None]) -> Any:
        relabelled = super().relabelled
        spans = [span for stored in value["spans"] if (span := relabelled(stored, names)) is not None]
        if not spans:
            return None
        span_ids = {span["id"] for span in spans}
        relations = [link for link in value["relations"] or () if {link["from"], link["to"]} <= span_ids]
        return {"spans": spans, "relations": relations}

    def json_schema(self) -> dict[str, Any]:
        span = quotations.quotation_schema(self.labels, max_chars=self.max_chars, has_turns=self.over == "dialogue")
        parts: dict[str, Any] = {"spans": {"type": "array", "items": span, "maxItems": self.max_spans}}
        if self.relations:
            ends = {"from": quotations.NAME_SCHEMA, "to": quotations.NAME_SCHEMA}
            relation = strict_object({**ends, "label": {"type": "string", "enum": list(self.relations)}})
            parts["relations"] = {"type": "array", "items": relation, "maxItems": self.max_spans**2}
        return strict_object(parts)

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        checked = self.check(value, item)
        spans = [quotations.to_quotation(span, self._text(item, span["turn"])) for span in checked["spans"]]
        named = [relation for relation in checked["relations"] if relation["label"] is not None]
        return {"spans": spans, **({"relations": named} if self.relations else {})}

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        if not answer["spans"]:
            return None
        spans = [
            quotations.from_quotation(quotation, self._text(item, quotations.turn_of(quotation)))
            for quotation in answer["spans"]
        ]
        return self.check({"spans": spans, "relations": answer.get("relations", [])}, item)

    def repair_answer(self, answer: Any, item: ItemContext) -> tuple[Any, list[str]]:
        texts = [item.text or ""] if self.over == "utterance" else [turn.text for turn in item.dialogue]
        repaired, corrections = quotations.repair(answer["spans"], texts)
        return {**answer, "spans": repaired}, [f"{self.name}: {correction}" for correction in corrections]

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        turn = " `turn` is the number in front of the turn that it is from." if self.over == "dialogue" else ""
        related = (
            f" Relations lead from the `id` of one quotation to that of another: {', '.join(self.relations)}."
            if self.relations
            else ""
        )
        return [
            "Quotations, each exactly as it stands in the text, character by character: nothing corrected, translated "
            "or left out. As short as still says it, from one place and one turn. `occurrence` counts from 1 which of "
            f"several equal places is meant.{turn}{related} No quotation where there is nothing to quote. Labels:",
            *label_lines(self.taxonomy),
        ]

    @property
    def marked_taxonomy(self) -> Taxonomy:
        return self.taxonomy

    @property
    def link_names(self) -> tuple[str, ...]:
        return self.relations

    def from_marks(self, marked: Marks, item: ItemContext) -> Any:
        """See ``Field.from_marks``: without a turn, a mark over a dialogue of one turn is in that turn."""
        spans = []
        for number, mark in enumerate(marked.marks, start=1):
            if mark.start is None or mark.end is None:
                raise ValueError(f"{mark.label!r} does not mark a piece of text")
            turn = 0 if mark.turn is None and self.over == "dialogue" and len(item.dialogue) == 1 else mark.turn
            text = self._text(item, turn)[mark.start : mark.end]
            quoted = text if mark.text is None else mark.text
            if text != quoted:
                raise ValueError(f"the export marks {quoted[:60]!r}, and the item's text there is {text[:60]!r}")
            place = {"turn": turn, "start": mark.start, "end": mark.end, "text": text}
            spans.append({"id": mark.name or f"<{number}>", **place, "label": mark.label})
        return self.check({"spans": spans, "relations": self._linked(marked)}, item)

    def _linked(self, marked: Marks) -> list[dict[str, Any]]:
        if marked.links and not self.relations:
            raise ValueError(f"{self.name} has no relations, and the export has some: name them in `relations`")
        only = self.relations[0] if len(self.relations) == 1 else None
        return [{"from": link.begin, "to": link.end, "label": link.label or only} for link in marked.links]

    @property
    def exclusive_part(self) -> str:
        return "relations" if self.relations else ""

    @property
    def _kind(self) -> str:
        """The type of a result of the field's control, and the member with its labels."""
        return "paragraphlabels" if self.over == "dialogue" else "labels"

    def _object(self, layout: Layout) -> str:
        return layout.find(self.name, "Paragraphs" if self.over == "dialogue" else "Text")

    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        tag = "ParagraphLabels" if self.over == "dialogue" else "Labels"
        attributes = {"name": self.name, "toName": self._object(layout), "choice": "single"}
        controls = [element(tag, attributes, region_labels(self.taxonomy))]
        if self.relations:
            controls.append(element("Relations", {}, [choice("Relation", name) for name in self.relations]))
        return controls

    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        to_name = self._object(layout)
        checked = self.check(value, item)
        results = []
        for span in checked["spans"]:
            offsets = span_text.to_offsets(span, self._text(item, span["turn"]))
            content = {**offsets, "text": span["text"], self._kind: [span["label"]]}
            results.append(self.result(self._kind, content, to_name, region=span["id"]))
        for relation in checked["relations"]:
            begin, end = (f"{self.name}-{relation[key]}" for key in ("from", "to"))
            line = {"from_id": begin, "to_id": end, "type": "relation", "direction": "right"}
            name = [relation["label"]] if relation["label"] else []
            results.append({"id": f"{begin}-{end}", **line, "labels": name})
        return results

    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        """See ``Field.from_result``. A relation that is not allowed never costs the spans: ``PartlyRead``."""
        spans: list[dict[str, Any]] = []
        for result in results:
            if result.get("type") == "relation":
                continue
            turn = span_text.turn_of(value_of(result)) if self.over == "dialogue" else None
            position = span_text.from_offsets(value_of(result), turn, self._text(item, turn))
            label = region_label(result, self._kind, self.taxonomy)
            spans.append({"id": str(result.get("id")), **position._asdict(), "label": label})
        if not spans:
            return None
        value = self.check({"spans": spans}, item)
        relations: list[dict[str, Any]] = []
        problems: list[str] = []
        for result in (result for result in results if result.get("type") == "relation"):
            for relation in span_text.relations_of(result, self.relations):
                try:
                    value = self.check({"spans": spans, "relations": [*relations, relation]}, item)
                    relations.append(relation)
                except ValueError as error:
                    problems.append(str(error))
        if problems:
            raise PartlyRead("; ".join(problems), value)
        return value

    @property
    def comparison(self) -> Comparison:
        return "spans"

    def comparable(self, value: Any) -> list[Interval]:
        return [Interval(span["label"], span["start"], span["end"], span["turn"]) for span in value["spans"]]

    def distance(self, a: Any, b: Any) -> float | None:
        """Return one minus the characters labelled alike by both as a share of those labelled by either."""
        return 1 - jaccard(a, b)

    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Return for each label the characters to which enough raters give it, and the relations that enough draw.

        A relation counts for a rater between the agreed spans that overlap the rater's own. Of more or longer spans
        than a value may have, those with the most raters are kept.
        """
        if unanimous(values):
            return Aggregate(values[0], {})
        spans = agreed_spans(values, rule, max_spans=self.max_spans, max_chars=self.max_chars)
        if not spans:
            return Aggregate(None, {})
        return Aggregate(self.check({"spans": spans, "relations": agreed_relations(values, spans, rule)}), {})

    def describe(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.labels)
        related = f", related by {', '.join(f'`{name}`' for name in self.relations)}" if self.relations else ""
        return f"**{self.name}**: spans of the {self.over}, each one of {names} ({self.taxonomy.title}){related}"

    def show(self, value: Any) -> list[str]:
        texts = {span["id"]: span["text"] for span in value["spans"]}
        relations = [f"{texts[r['from']]} {r['label'] or '→'} {texts[r['to']]}" for r in value["relations"]]
        return [*(f"{span['label']}: {span['text']}" for span in value["spans"]), *relations]
