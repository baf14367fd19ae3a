"""One released row per item, joined from all tables, with raters under pseudonyms."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.judgements import current_judgements
from curate.errors import InvalidInput
from curate.labels import LabelSchema

Row = dict[str, Any]

_ITEM = (
    *("item_id", "source_id", "unit", "start_s", "end_s", "speaker", "text", "text_source", "audio"),
    *("face", "face_outcome", "face_identity"),
)
_SOURCE = ("collection", "licence", "title")
_BATCH = 1_000
_PRELABEL = ("prelabel_id", "labeller", "model", "outcome")


class ReleaseTables(NamedTuple):
    """The current rows of the tables that a release is joined from."""

    items: pa.Table
    sources: pa.Table
    prelabels: pa.Table
    annotations: pa.Table
    labels: pa.Table


class ReleaseRows:
    """Released rows by item id; ``audio`` and ``face`` hold names of blobs, label fields hold released values."""

    def __init__(self, tables: ReleaseTables, labels: LabelSchema, *, secret: bytes) -> None:
        self._schema = labels
        self._secret = secret
        self._items = _Index(tables.items.select(list(_ITEM)), "item_id")
        self._sources = _Index(tables.sources.select(["source_id", *_SOURCE]), "source_id")
        self._labels = _Index(tables.labels, "item_id")
        self._prelabels = _Index(tables.prelabels, "item_id")
        judgements = current_judgements(tables.annotations, with_skipped=True)
        self._judgements = _Index(
            judgements.sort_by([("item_id", "ascending"), ("judgement_id", "ascending")]), "item_id"
        )

    def item_ids(self, *, reviewed_only: bool = False) -> list[str]:
        """Return the items in release order; with ``reviewed_only`` those that people labelled."""
        if not reviewed_only:
            return sorted(self._items.indices)
        sources = self._labels.table["label_source"].to_pylist()
        return sorted(
            item
            for item in self._items.indices
            if any(sources[index] == "human" for index in self._labels.indices.get(item, ()))
        )

    def rows(self, item_ids: Sequence[str]) -> Iterator[Row]:
        """Yield the rows of items in the given order, with a thousand in memory at a time."""
        for start in range(0, len(item_ids), _BATCH):
            part = item_ids[start : start + _BATCH]
            items = self._items.rows(part)
            sources = self._sources.rows(rows[0]["source_id"] for rows in items.values())
            labels, prelabels, acts = (index.rows(part) for index in (self._labels, self._prelabels, self._judgements))
            for item_id in part:
                item = items[item_id][0]
                source = (sources.get(item["source_id"]) or [{}])[0]
                label = (labels.get(item_id) or [{}])[0]
                yield self._row(item, source, label, prelabels.get(item_id, []), acts.get(item_id, []))

    def _row(self, item: Row, source: Row, label: Row, prelabels: list[Row], acts: list[Row]) -> Row:
        shares: dict[str, dict[str, float]] = defaultdict(dict)
        for entry in label.get("soft") or ():
            shares[entry["field"]][entry["label"]] = entry["share"]
        soft = {
            f"{name}_soft": [shares[name].get(label, 0.0) for label in field.soft_labels] if name in shares else None
            for name, field in self._schema.fields.items()
            if field.soft_labels
        }
        return (
            item
            | {name: source.get(name) for name in _SOURCE}
            | self._values(label)
            | soft
            | {
                "label_source": label.get("label_source"),
                "reviewed": label.get("label_source") == "human",
                "raters": label.get("raters"),
                "agreement": label.get("agreement"),
                "judgements": [self._judgement(act) for act in acts],
                "prelabel": self._prelabel(prelabels, label.get("evidence") or ()),
            }
        )

    def _values(self, row: Mapping[str, Any]) -> Row:
        return {name: self._value(name, row.get(name)) for name in self._schema.fields}

    def _value(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        try:
            return self._schema.fields[name].to_release(value)
        except ValueError as error:
            raise InvalidInput(
                f"the workspace holds {value!r} for {name}, which label schema {self._schema.name} does not have",
                hint="a label schema in use is never edited: give the changed one a new version (.v2)",
            ) from error

    def _judgement(self, act: Mapping[str, Any]) -> Row:
        return {
            "judgement_id": act["judgement_id"],
            "annotator": pseudonym(act["annotator"], self._secret),
            "acted_at": act["acted_at"],
            "skipped": act["action"] == "skipped",
            "cannot_judge": act["cannot_judge"],
            "origins": act["origins"],
        } | self._values(act)

    def _prelabel(self, proposals: list[Row], evidence: Iterable[str]) -> Row | None:
        """Return the pre-label that the label is based on, else a usable one, else one that failed."""
        if not proposals:
            return None
        used = set(evidence)
        best = min(
            proposals, key=lambda row: (row["prelabel_id"] not in used, row["outcome"] != "ok", row["prelabel_id"])
        )
        return {name: best[name] for name in _PRELABEL} | self._values(best)


class _Index:
    """A table and the indices of its rows by key, so that only requested rows become Python objects."""

    def __init__(self, table: pa.Table, key: str) -> None:
        self.table = table.combine_chunks()
        self.key = key
        self.indices: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(table[key].to_pylist()):
            self.indices[name].append(index)

    def rows(self, keys: Iterable[str]) -> dict[str, list[Row]]:
        """Return the rows of each key that has any."""
        indices = [index for key in dict.fromkeys(keys) for index in self.indices.get(key, ())]
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in self.table.take(pa.array(indices, pa.int64())).to_pylist():
            rows[row[self.key]].append(row)
        return rows


def pseudonym(annotator: str | None, secret: bytes) -> str | None:
    """Return a name that is the same for one person throughout a workspace and reveals nothing (HMAC-SHA256)."""
    if annotator is None:
        return None
    return f"rater-{hmac.new(secret, annotator.encode('utf-8', 'surrogatepass'), hashlib.sha256).hexdigest()[:8]}"
