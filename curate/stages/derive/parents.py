"""The items of another corpus with everything that a view may derive from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from curate.corpus.judgements import current_judgements
from curate.corpus.sessions import join_groups, read_sessions
from curate.corpus.view import Corpus
from curate.labels import LabelSchema

Evidence = Literal["judgements", "labels"]
_ITEM_COLUMNS = (
    *("item_id", "source_id", "unit", "layout", "start_s", "end_s", "speaker", "text", "text_b", "statement"),
    *("dialogue", "turn", "audio", "video", "image", "frame_rate_hz", "width_px", "height_px", "group", "words"),
)
_SOURCE_COLUMNS = ("source_id", "participant", "licence", "consent", "consent_until", "collection", "title", "columns")
_ACT_COLUMNS = ("annotation_id", "judgement_id", "item_id", "annotator", "arm", "action", "acted_at")


class Answer(NamedTuple):
    """What one rater said of an item under one arm: values of fields, and the ids of the rows that say so."""

    rater: str | None
    arm: str | None
    values: Mapping[str, Any]
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class ParentItem:
    """An item with its source, the answers that count, and its aggregated label if there is one."""

    row: Mapping[str, Any]
    source: Mapping[str, Any]
    answers: tuple[Answer, ...] = ()
    label: Mapping[str, Any] | None = None

    @property
    def item_id(self) -> str:
        """The id of the item in its own corpus."""
        return str(self.row["item_id"])

    @property
    def group(self) -> str:
        """What keeps the item together with others when a release is divided."""
        return str(self.row["group"] or self.row["source_id"])

    @property
    def duration_s(self) -> float | None:
        """Its length; None for what has none."""
        start_s, end_s = self.row["start_s"], self.row["end_s"]
        return None if start_s is None or end_s is None else float(end_s - start_s)

    def column(self, name: str) -> str | None:
        """Return a column of the item, or else one that its table kept; None if it has neither."""
        if (value := self.row.get(name) or self.source.get(name)) is not None and not isinstance(value, list):
            return str(value)
        kept = {entry["name"]: entry["value"] for entry in self.source["columns"] or ()}
        value = kept.get(name)
        return None if value is None else str(value)

    def order(self) -> tuple[Any, ...]:
        """Return what items of one source are in order by: turns, then times, then ids."""
        row = self.row
        return (row["source_id"], row["turn"] or 0, row["start_s"] or 0.0, row["end_s"] or 0.0, self.item_id)


@dataclass(frozen=True)
class Parents:
    """The corpus that items are derived from: its name, its label schema, and its items in order of their ids."""

    corpus: str
    labels: LabelSchema
    items: Sequence[ParentItem] = field(default=())

    def __iter__(self) -> Iterator[ParentItem]:
        return iter(self.items)


def read_parents(corpus: Corpus, *, evidence: Evidence, arms: Sequence[str]) -> Parents:
    """Return the current items of a corpus. With ``arms``, only judgements of these count."""
    labels, name = corpus.labels, corpus.workspace.recipe or "corpus"
    sources = {row["source_id"]: row for row in corpus.read("sources", list(_SOURCE_COLUMNS)).to_pylist()}
    by_item: dict[str, list[Answer]] = {}
    label_columns = ["item_id", "soft", "evidence", "label_source", *labels.fields]
    label_of = {row["item_id"]: _with_soft(row) for row in corpus.read("labels", label_columns).to_pylist()}
    if evidence == "judgements":
        acts = current_judgements(corpus.read("annotations", [*_ACT_COLUMNS, *labels.fields])).to_pylist()
        for act in acts:
            if not arms or act["arm"] in arms:
                values = {field: act[field] for field in labels.fields if act[field] is not None}
                answer = Answer(act["annotator"], act["arm"], values, (act["annotation_id"],))
                by_item.setdefault(act["item_id"], []).append(answer)
    else:
        # A model's label would otherwise pass for the judgement of a person.
        for item_id, row in ((name, row) for name, row in label_of.items() if row["label_source"] == "human"):
            values = {field: row[field] for field in labels.fields if row[field] is not None}
            by_item[item_id] = [Answer(f"labels of {name}", None, values, tuple(row["evidence"] or ()))]
    items = [
        ParentItem(row, sources[row["source_id"]], tuple(by_item.get(row["item_id"], ())), label_of.get(row["item_id"]))
        for row in join_groups(corpus.read("items", list(_ITEM_COLUMNS)), read_sessions(corpus)).to_pylist()
        if row["source_id"] in sources
    ]
    return Parents(name, labels, items)


def _with_soft(row: dict[str, Any]) -> dict[str, Any]:
    shares: dict[str, dict[str, float]] = {}
    for entry in row["soft"] or ():
        shares.setdefault(entry["field"], {})[entry["label"]] = entry["share"]
    return {**row, "soft": shares}


def shares_of(labels: LabelSchema, answers: Sequence[Answer], field: str) -> dict[str, float]:
    """Return the share (0-1, of one whole) of each label in the answers to a field; empty without any answer.

    Every answer weighs the same, and is divided among its labels.
    """
    values = [answer.values[field] for answer in answers if field in answer.values]
    shares: dict[str, float] = {}
    for value in values:
        names = labels.fields[field].labels_of(value)
        for name in names:
            shares[name] = shares.get(name, 0.0) + 1 / (len(names) * len(values))
    return {name: shares[name] for name in labels.fields[field].labels if name in shares}
