"""One released row per item: what is known of it from all tables, with people behind pseudonyms."""

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
        """The items in release order; with ``reviewed_only`` those whose label people gave."""
        if not reviewed_only:
            return sorted(self._items.places)
        sources = self._labels.table["label_source"].to_pylist()
        return sorted(
            item
            for item in self._items.places
            if any(sources[at] == "human" for at in self._labels.places.get(item, ()))
        )

    def rows(self, item_ids: Sequence[str]) -> Iterator[Row]:
        """The rows of items in the given order, a thousand in memory at a time."""
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
            f"{name}_soft": [shares[name].get(each, 0.0) for each in field.soft_labels] if name in shares else None
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

    def _value(self, name: str, given: Any) -> Any:
        if given is None:
            return None
        try:
            return self._schema.fields[name].to_release(given)
        except ValueError as error:
            raise InvalidInput(
                f"the workspace holds {given!r} for {name}, which label schema {self._schema.name} does not have",
                hint="a label schema in use is never edited: give the new one a new version (.v2)",
            ) from error

    def _judgement(self, act: Mapping[str, Any]) -> Row:
        return {
            "judgement_id": act["judgement_id"],
            "annotator": pseudonym(act["annotator"], self._secret),
            "acted_at": act["acted_at"],
            "skipped": act["action"] == "skipped",
            "origins": act["origins"],
        } | self._values(act)

    def _prelabel(self, proposals: list[Row], evidence: Iterable[str]) -> Row | None:
        """The pre-label that the label rests on, else a usable one, else one that failed."""
        if not proposals:
            return None
        rested = set(evidence)
        best = min(
            proposals, key=lambda row: (row["prelabel_id"] not in rested, row["outcome"] != "ok", row["prelabel_id"])
        )
        return {name: best[name] for name in _PRELABEL} | self._values(best)


class _Index:
    """A table and the places of its rows by key, so that only the rows asked for become Python objects."""

    def __init__(self, table: pa.Table, key: str) -> None:
        self.table = table.combine_chunks()
        self.key = key
        self.places: dict[str, list[int]] = defaultdict(list)
        for at, name in enumerate(table[key].to_pylist()):
            self.places[name].append(at)

    def rows(self, keys: Iterable[str]) -> dict[str, list[Row]]:
        """The rows of each key that has any."""
        places = [at for key in dict.fromkeys(keys) for at in self.places.get(key, ())]
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.table.take(pa.array(places, pa.int64())).to_pylist():
            found[row[self.key]].append(row)
        return found


def pseudonym(annotator: str | None, secret: bytes) -> str | None:
    """A name that is the same for one person throughout a workspace and tells nothing outside it (HMAC-SHA256)."""
    if annotator is None:
        return None
    return f"rater-{hmac.new(secret, annotator.encode('utf-8', 'surrogatepass'), hashlib.sha256).hexdigest()[:8]}"
