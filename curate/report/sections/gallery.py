"""Items as cards to filter and page through: what people were shown, what they said, and what came of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.labels import LabelSchema
from curate.report.findings import Findings
from curate.report.page import MediaBudget, media_uri, show_span, thumbnail
from curate.report.sections.items import final_proposals, label_entries

MAX_ITEMS, PAGE_ITEMS = 240, 24
_MAX_DISPUTED = 96
_MAX_TURNS, _MAX_JUDGEMENTS = 12, 20
_COLUMNS = (
    "item_id",
    "unit",
    "layout",
    "start_s",
    "end_s",
    "speaker",
    "text",
    "text_b",
    "statement",
    "dialogue",
    "turn",
)
_MEDIA = ("video", "video_b", "audio", "audio_b")
_ACTS = ("annotation_id", "judgement_id", "item_id", "annotator", "arm", "action", "acted_at", "cannot_judge")
_SHOWN_ACTS = ("created", "updated", "restored", "migrated", "cannot_judge")

OUTCOMES = (
    "labelled by people",
    "labelled by a model",
    "no label",
    "cannot be judged, somebody says",
    "no usable proposal",
    "people decided otherwise than the model",
)
DISAGREEMENT = ("everybody agrees", "people differ", "undecided", "one person judged")

Row = dict[str, Any]


class Gallery(NamedTuple):
    """Cards, the number of items they were chosen from, and the choices of its three filters, by index."""

    cards: list[Row]
    total: int
    disputed: int
    """How many of the cards were chosen because people differ most"""
    labels: list[tuple[int, str]]
    disagreement: list[tuple[int, str]]
    outcomes: list[tuple[int, str]]
    unplayed: int
    """Cards with sound or video that the page has no room for"""
    links: bool
    """Whether these have links instead"""


def gallery(corpus: Corpus, tables: Mapping[str, pa.Table], findings: Findings) -> Gallery:
    """Return cards of at most 240 items: those about which people differ most, and others evenly over the corpus.

    The words and media of no other items are read.
    """
    keys, order = _in_order(tables)
    disputed = _most_disputed(tables["labels"])
    position = {item: index for index, item in enumerate(keys["id"].take(order).to_pylist())} if len(disputed) else {}
    first = sorted(position[item] for item in disputed if item in position)
    undisputed = np.setdiff1d(np.arange(len(order)), first)
    places = sorted([*first, *undisputed[_spread(len(undisputed), MAX_ITEMS - len(first))].tolist()])
    chosen = keys.take(order.take(pa.array(places, pa.int64())))
    maker = _CardMaker(corpus, chosen["id"].to_pylist(), findings)
    cards = [
        maker.card(item, title) for item, title in zip(*(chosen[c].to_pylist() for c in ("id", "title")), strict=True)
    ]
    return Gallery(
        cards,
        len(order),
        len(first) if len(order) > MAX_ITEMS else 0,
        maker.label_choices(),
        _choices(DISAGREEMENT, cards, "disagreement"),
        _choices(OUTCOMES, cards, "outcomes"),
        maker.unplayed,
        findings.blobs_path is not None,
    )


def _in_order(tables: Mapping[str, pa.Table]) -> tuple[pa.Table, pa.Array]:
    """Return item ids with the titles of their sources, and their order: by title, then by time."""
    sources, items = tables["sources"], tables["items"]
    has_title = pc.greater(pc.utf8_length(pc.fill_null(sources["title"], "")), 0)
    titles = pc.if_else(has_title, sources["title"], sources["file"])
    source_indices = pc.index_in(items["source_id"], value_set=sources["source_id"])
    keys = pa.table(
        {"title": titles.take(source_indices), "start_s": pc.fill_null(items["start_s"], 0.0), "id": items["item_id"]}
    )
    return keys, pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names])


def _most_disputed(labels: pa.Table) -> list[str]:
    """Return the items about which people agree least, at most 96, without those on which all agree."""
    entries = pc.list_flatten(labels["agreement"])
    if not len(entries):
        return []
    parents = pc.list_parent_indices(labels["agreement"])
    table = pa.table({"item": labels["item_id"].take(parents), "value": pc.struct_field(entries, "value")})
    by_item = table.group_by("item").aggregate([("value", "mean")])
    by_item = by_item.filter(pc.less(by_item["value_mean"], 0.999))
    order = pc.sort_indices(by_item, [("value_mean", "ascending"), ("item", "ascending")])
    ids: list[str] = by_item["item"].take(order[:_MAX_DISPUTED]).to_pylist()
    return ids


def _spread(count: int, limit: int) -> list[int]:
    """Return at most ``limit`` indices, evenly spaced."""
    return list(range(count)) if count <= limit else [i * count // limit for i in range(limit)]


def _choices(names: Sequence[str], cards: Sequence[Row], key: str) -> list[tuple[int, str]]:
    present = {index for card in cards for index in card[key]}
    return [(index, name) for index, name in enumerate(names) if index in present]


class _CardMaker:
    """Reads what is shown of the chosen items, and makes their cards."""

    def __init__(self, corpus: Corpus, ids: Sequence[str], findings: Findings) -> None:
        self._schema: LabelSchema = corpus.labels
        self._blobs, self._blobs_path = corpus.workspace.blobs, findings.blobs_path
        self._room = MediaBudget(findings.media_bytes)
        self._numbers: dict[tuple[str, str], int] = {}
        self.unplayed = 0
        fields, selection = tuple(corpus.labels.fields), ("item_id", ids)
        columns = (*_COLUMNS, *_MEDIA, "face", "image")
        self._items = {row["item_id"]: row for row in corpus.read("items", columns, matching=selection).to_pylist()}
        label_columns = ("item_id", "label_source", "raters", "agreement", "decisions", *fields)
        self._labels = {
            row["item_id"]: row for row in corpus.read("labels", label_columns, matching=selection).to_pylist()
        }
        prelabels = corpus.read("prelabels", ("item_id", "final", "outcome", "detail", *fields), matching=selection)
        failures = prelabels.filter(pc.fill_null(prelabels["final"], False)).to_pylist()
        usable = reversed(final_proposals(prelabels).to_pylist())
        self._proposals = {row["item_id"]: row for row in [*failures, *usable]}
        self._acts: dict[str, list[Row]] = defaultdict(list)
        acts = corpus.read("annotations", (*_ACTS, *fields), matching=selection)
        for act in current_judgements(acts, with_skipped=True).to_pylist():
            if act["action"] in _SHOWN_ACTS:
                self._acts[act["item_id"]].append(act)

    def label_choices(self) -> list[tuple[int, str]]:
        """Return the labels of the cards made so far, by field and name."""
        several = len({field for field, _ in self._numbers}) > 1
        names = [
            (number, f"{field}: {label}" if several else label) for (field, label), number in self._numbers.items()
        ]
        return sorted(names, key=lambda entry: entry[1])

    def card(self, item_id: str, title: str | None) -> Row:
        item, label = self._items[item_id], self._labels.get(item_id, {})
        proposal, acts = self._proposals.get(item_id, {}), self._acts[item_id]
        failure = ""
        if proposal.get("outcome", "ok") != "ok":
            failure = ": ".join(filter(None, [proposal["outcome"], proposal["detail"]]))
        dialogue = [turn for turn in item["dialogue"] or () if item["text"] is None or len(item["dialogue"]) > 1]
        return {
            "id": item_id,
            "picture": thumbnail(item["image"] or item["face"], self._blobs),
            "is_visual": bool(item["face"]) or item["layout"] in ("video", "image"),
            "place": list(filter(None, [title, show_span(item), item["speaker"]])),
            "source": label.get("label_source") or "none",
            "texts": list(filter(None, [item["text"], item["text_b"], item["statement"]])),
            "dialogue": [(turn["speaker"] or "", turn["text"] or "") for turn in dialogue[:_MAX_TURNS]],
            "more_turns": max(0, len(dialogue) - _MAX_TURNS),
            "clips": self._clips(item),
            "entries": label_entries(label, proposal, self._schema),
            "failure": failure,
            "judgements": [self._judgement(act) for act in acts[:_MAX_JUDGEMENTS]],
            "judgement_count": len(acts),
            "labels": self._label_numbers(label),
            "disagreement": _disagreement(label),
            "outcomes": self._outcomes(label, proposal, acts),
        }

    def _clips(self, item: Row) -> list[Row]:
        """Return the players of an item, or links where the page has no room: video if there is one, else sound."""
        names = [name for name in ("video", "video_b") if item[name]] or [n for n in ("audio", "audio_b") if item[n]]
        clips = []
        for name in names:
            uri, blob = media_uri(item[name], self._blobs, self._room), item[name]
            if not uri and name.startswith("video") and (sound := item[name.replace("video", "audio")]):
                name, blob = name.replace("video", "audio"), sound
                uri = media_uri(sound, self._blobs, self._room)
            link = f"{self._blobs_path}/{blob}" if not uri and self._blobs_path is not None else ""
            clips.append({"kind": name.partition("_")[0], "uri": uri, "link": link})
        self.unplayed += any(not clip["uri"] for clip in clips)
        return clips

    def _judgement(self, act: Row) -> Row:
        answers = [
            {"name": name, "label": field.show(act[name])}
            for name, field in self._schema.fields.items()
            if act[name] is not None
        ]
        return {
            "rater": act["annotator"] or "not named",
            "arm": act["arm"],
            "cannot": act["cannot_judge"],
            "said": answers,
        }

    def _label_numbers(self, label: Row) -> list[int]:
        pairs = [
            (name, value)
            for name, field in self._schema.fields.items()
            if field.labels and label.get(name) is not None
            for value in field.labels_of(label[name])
        ]
        return sorted({self._numbers.setdefault(pair, len(self._numbers)) for pair in pairs})

    def _outcomes(self, label: Row, proposal: Row, acts: Sequence[Row]) -> list[int]:
        source = label.get("label_source")
        is_other = source == "human" and any(
            proposal.get(name) is not None and label.get(name) is not None and proposal[name] != label[name]
            for name, field in self._schema.fields.items()
            if field.labels
        )
        holds = (
            source == "human",
            source == "model",
            source is None,
            any(act["cannot_judge"] for act in acts),
            proposal.get("outcome") != "ok",
            is_other,
        )
        return [index for index, is_so in enumerate(holds) if is_so]


def _disagreement(label: Row) -> list[int]:
    if label.get("label_source") != "human":
        return []
    values = [entry["value"] for entry in label["agreement"] or () if entry["value"] is not None]
    undecided = any(entry["decided_by"] == "undecided" for entry in label["decisions"] or ())
    holds = (
        bool(values) and min(values) > 0.999,
        bool(values) and min(values) <= 0.999,
        undecided,
        label["raters"] == 1,
    )
    return [index for index, is_so in enumerate(holds) if is_so]
