"""One released row per item: what is known of it from all tables, with people behind pseudonyms."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from curate.errors import InvalidInput
from curate.labels import LabelSchema

Row = dict[str, Any]

_ITEM = ("item_id", "source_id", "unit", "start_s", "end_s", "speaker", "text", "text_source", "audio", "face")
_SOURCE = ("collection", "licence", "title")
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
        self._items = _by_key(tables.items, "item_id")
        self._sources = _by_key(tables.sources, "source_id")
        self._labels = _by_key(tables.labels, "item_id")
        self._prelabels = _grouped(tables.prelabels.to_pylist())
        self._judgements = _grouped(live_judgements(tables.annotations))

    def item_ids(self, *, reviewed_only: bool = False) -> list[str]:
        """The items in release order; with ``reviewed_only`` those whose label people gave."""
        return [item for item in sorted(self._items) if not reviewed_only or self._reviewed(item)]

    def row(self, item_id: str) -> Row:
        """The row of one item."""
        item = self._items[item_id]
        source = self._sources.get(item["source_id"], {})
        label = self._labels.get(item_id, {})
        shares: dict[str, dict[str, float]] = defaultdict(dict)
        for entry in label.get("soft") or ():
            shares[entry["field"]][entry["label"]] = entry["share"]
        soft = {
            f"{name}_soft": [shares[name].get(each, 0.0) for each in field.labels] if name in shares else None
            for name, field in self._schema.fields.items()
            if field.labels
        }
        return (
            {name: item[name] for name in _ITEM}
            | {name: source.get(name) for name in _SOURCE}
            | self._values(label)
            | soft
            | {
                "label_source": label.get("label_source"),
                "reviewed": self._reviewed(item_id),
                "raters": label.get("raters"),
                "agreement": label.get("agreement"),
                "judgements": [self._judgement(act) for act in self._judgements.get(item_id, ())],
                "prelabel": self._prelabel(item_id, label.get("evidence") or ()),
            }
        )

    def _reviewed(self, item_id: str) -> bool:
        return self._labels.get(item_id, {}).get("label_source") == "human"

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

    def _prelabel(self, item_id: str, evidence: Iterable[str]) -> Row | None:
        """The pre-label that the label rests on, else a usable one, else one that failed."""
        rested = set(evidence)
        proposals = sorted(
            self._prelabels.get(item_id, ()),
            key=lambda row: (row["prelabel_id"] not in rested, row["outcome"] != "ok", row["prelabel_id"]),
        )
        if not proposals:
            return None
        return {name: proposals[0][name] for name in _PRELABEL} | self._values(proposals[0])


def live_judgements(annotations: pa.Table) -> list[Row]:
    """The last act upon each judgement, by item and judgement, without the judgements that were deleted."""
    last: dict[str, Row] = {}
    for act in annotations.to_pylist():
        known = last.get(act["judgement_id"])
        if known is None or _when(act) > _when(known):
            last[act["judgement_id"]] = act
    live = (act for act in last.values() if act["action"] != "deleted")
    return sorted(live, key=lambda act: (act["item_id"], act["judgement_id"]))


def pseudonym(annotator: str | None, secret: bytes) -> str | None:
    """A name that is the same for one person throughout a workspace and tells nothing outside it (HMAC-SHA256)."""
    if annotator is None:
        return None
    return f"rater-{hmac.new(secret, annotator.encode('utf-8', 'surrogatepass'), hashlib.sha256).hexdigest()[:8]}"


def _when(act: Row) -> tuple[bool, Any, str]:
    return act["acted_at"] is not None, act["acted_at"] or 0, act["annotation_id"]


def _by_key(table: pa.Table, key: str) -> dict[str, Row]:
    return {row[key]: row for row in table.to_pylist()}


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["item_id"]].append(row)
    return groups
