"""One released row per item, joined from all tables, with raters under pseudonyms."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.identity import join_objects, json_values
from curate.corpus.judgements import current_judgements
from curate.corpus.pseudonyms import pseudonym
from curate.corpus.sessions import COLUMNS as SESSION_COLUMNS
from curate.errors import InvalidInput
from curate.labels import LabelSchema, arrow_type
from curate.memory import release_memory
from curate.release.columns import (
    Column,
    DistinctValues,
    Indices,
    combined,
    find_rows,
    take_column,
    take_rows,
    to_struct,
)
from curate.release.features import MEDIA, released_features
from curate.release.long import positions_of

ITEM_COLUMNS = (
    *("item_id", "source_id", "unit", "start_s", "end_s", *SESSION_COLUMNS, "speaker", "turn", "text"),
    *("text_b", "text_source", "statement", "dialogue", *MEDIA, "face_outcome", "face_identity"),
)
SOURCE_COLUMNS = ("file", "collection", "licence", "title", "key", "columns")
PRELABEL_COLUMNS = ("prelabel_id", "labeller", "model", "outcome")


class ReleaseTables(NamedTuple):
    """The current rows of the tables that a release is joined from, items in the order of their ids."""

    items: pa.Table
    sources: pa.Table
    prelabels: pa.Table
    annotations: pa.Table
    labels: pa.Table


class ReleaseRows:
    """Released rows by the index of their item in ``item_ids``; ``audio`` and ``face`` hold names of blobs."""

    def __init__(
        self, tables: ReleaseTables, labels: LabelSchema, *, secret: bytes, folder: Path, columns: Sequence[str] = ()
    ) -> None:
        """Join the tables; for many items on disk, in a file without a name in ``folder``.

        ``columns`` are further ones of the items, such as their splits in several schemes.
        """
        self._schema = labels
        self.features = released_features(labels, columns)
        """Every column in order"""
        self._own = columns
        self._kinds = {name: arrow_type(feature) for name, feature in self.features.items()}
        self._kinds |= dict.fromkeys(MEDIA, pa.string())
        self._items = tables.items
        self.item_ids = self._items["item_id"]
        """The ids of all items, in release order"""
        self._labels, self._prelabels = tables.labels, tables.prelabels
        self.source_numbers: Indices = combined(self._items["source_id"].dictionary_encode()).indices.to_numpy()
        """A number for the source of each item"""
        self._label_rows = find_rows(self.item_ids, self._labels["item_id"])
        self._prelabel_rows = self._find_prelabels()
        release_memory()
        source_rows = find_rows(self._items["source_id"], tables.sources["source_id"])
        self._sources, _ = take_rows(tables.sources, [*SOURCE_COLUMNS, "participant"], source_rows, folder)
        of_labels = [name for name in self._labels.column_names if name not in ("item_id", "evidence")]
        self._labels, self._label_rows = take_rows(self._labels, of_labels, self._label_rows, folder)
        of_prelabels = [*PRELABEL_COLUMNS, *labels.fields]
        self._prelabels, self._prelabel_rows = take_rows(self._prelabels, of_prelabels, self._prelabel_rows, folder)
        release_memory()
        self._label_values = self._distinct(self._labels)
        self._prelabel_values = self._distinct(self._prelabels)
        self._soft = DistinctValues(self._labels["soft"], self._soft_labels, self._soft_kinds())
        acts = current_judgements(tables.annotations, with_skipped=True)
        self._acts = acts.sort_by([("item_id", "ascending"), ("judgement_id", "ascending")])
        self._acts = self._acts.filter(pc.is_in(self._acts["item_id"], value_set=self.item_ids))
        self._act_values = self._distinct(self._acts)
        self._pseudonyms = DistinctValues(
            self._acts["annotator"], lambda name: (pseudonym(name, secret),), [pa.string()]
        )
        act_items = find_rows(self._acts["item_id"], self.item_ids)
        starts = np.searchsorted(act_items, np.arange(len(self.item_ids) + 1))
        self._act_starts, self._act_ends = starts[:-1], starts[1:].copy()
        self._positions = positions_of(self._acts)
        self._is_hidden = np.zeros(len(self.item_ids), np.bool_)

    def select(self, *, reviewed_only: bool = False) -> Indices:
        """Return all items; with ``reviewed_only`` those that people labelled."""
        if not reviewed_only:
            return np.arange(len(self.item_ids))
        reviewed = combined(pc.fill_null(pc.equal(self._labels["label_source"], "human"), False)).to_numpy(False)
        return np.flatnonzero((self._label_rows >= 0) & np.append(reviewed, False)[self._label_rows])

    def hide(self, items: Indices) -> None:
        """Leave the labels, judgements and pre-labels of these items out."""
        self._is_hidden[items] = True
        self._label_rows[items] = self._prelabel_rows[items] = -1
        self._act_ends[items] = self._act_starts[items]

    def has_media(self, items: Indices) -> bool:
        """Return whether any of these items has a medium."""
        rows = pa.array(items)
        return any(self._items[name].take(rows).null_count < len(items) for name in MEDIA)

    def owners(self, items: Indices) -> pa.ChunkedArray:
        """Return whose each of these items is: the participant's, or else its source's."""
        rows = pa.array(items)
        return pc.coalesce(self._sources["participant"].take(rows), self._items["source_id"].take(rows))

    def acts(self, items: Indices) -> tuple[pa.Table, pa.Array, pa.Array, pa.Array]:
        """Return the acts on these items, in order, with the id of the item, the rater and the position of each."""
        rows, offsets = self._act_rows(items)
        owners = combined(self.item_ids).take(pa.array(np.repeat(items, np.diff(offsets))))
        raters = self._pseudonyms.take(rows, with_json=False)[0].values
        return self._acts.take(pa.array(rows)), owners, raters, self._positions.take(pa.array(rows))

    def _act_rows(self, items: Indices) -> tuple[Indices, Indices]:
        """Return the rows of the acts on these items, and where those of each item begin and end among them."""
        starts, ends = self._act_starts[items], self._act_ends[items]
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        return np.repeat(starts - offsets[:-1], ends - starts) + np.arange(offsets[-1]), offsets

    def columns(self, items: Indices, *, with_json: bool = False) -> dict[str, Column]:
        """Return the columns of a release for these items, in order; fields hold released values."""
        rows = {"items": items, "sources": items, "labels": self._label_rows[items]}
        tables = {"items": self._items, "sources": self._sources, "labels": self._labels}

        def take(table: str, name: str) -> Column:
            return take_column(tables[table], name, rows[table], self._kinds[name], with_json=with_json)

        columns = {name: take("items", name) for name in (*ITEM_COLUMNS, *self._own)}
        columns |= {name: take("sources", name) for name in SOURCE_COLUMNS}
        columns |= {name: take("labels", name) for name in ("label_source", "raters", "agreement", "decisions")}
        reviewed = pc.fill_null(pc.equal(columns["label_source"].values, "human"), False)
        reviewed = pc.if_else(pa.array(self._is_hidden[items]), pa.scalar(None, pa.bool_()), reviewed)
        columns["reviewed"] = Column(reviewed, json_values(reviewed) if with_json else None)
        columns |= self._take_fields(self._label_values, rows["labels"], with_json=with_json)
        soft = (f"{name}_soft" for name, field in self._schema.fields.items() if field.soft_labels)
        columns |= dict(zip(soft, self._soft.take(rows["labels"], with_json=with_json), strict=True))
        columns["prelabel"] = self._take_prelabels(items, with_json=with_json)
        columns["judgements"] = self._take_judgements(items, with_json=with_json)
        return {name: columns[name] for name in self._kinds}

    def table(self, items: Indices) -> pa.Table:
        """Return the rows of these items."""
        return pa.table({name: column.values for name, column in self.columns(items).items()})

    def _distinct(self, table: pa.Table) -> dict[str, DistinctValues]:
        return {
            name: DistinctValues(table[name], partial(self._release, name), [self._kinds[name]])
            for name in self._schema.fields
        }

    def _release(self, name: str, value: Any) -> tuple[Any]:
        field = self._schema.fields[name]
        try:
            field.check(value)
            return (field.to_release(value),)
        except ValueError as error:
            raise InvalidInput(
                f"the workspace holds {value!r} for {name}, which label schema {self._schema.name} does not allow: "
                f"{error}",
                hint="a label schema in use is never edited: give the changed one a new version (.v2)",
            ) from error

    def _soft_kinds(self) -> list[pa.DataType]:
        return [self._kinds[f"{name}_soft"] for name, field in self._schema.fields.items() if field.soft_labels]

    def _soft_labels(self, soft: list[dict[str, Any]]) -> tuple[list[float] | None, ...]:
        shares: dict[str, dict[str, float]] = defaultdict(dict)
        for entry in soft:
            shares[entry["field"]][entry["label"]] = entry["share"]
        return tuple(
            [shares[name].get(label, 0.0) for label in field.soft_labels] if name in shares else None
            for name, field in self._schema.fields.items()
            if field.soft_labels
        )

    def _take_fields(self, values: dict[str, DistinctValues], rows: Indices, *, with_json: bool) -> dict[str, Column]:
        return {name: distinct.take(rows, with_json=with_json)[0] for name, distinct in values.items()}

    def _take_prelabels(self, items: Indices, *, with_json: bool) -> Column:
        rows, kind = self._prelabel_rows[items], self._kinds["prelabel"]
        columns = {
            name: take_column(self._prelabels, name, rows, kind.field(name).type, with_json=with_json)
            for name in PRELABEL_COLUMNS
        } | self._take_fields(self._prelabel_values, rows, with_json=with_json)
        return to_struct(columns, kind, rows < 0)

    def _take_judgements(self, items: Indices, *, with_json: bool) -> Column:
        rows, offsets = self._act_rows(items)
        kind = self._kinds["judgements"].value_type
        skipped = pc.equal(self._acts["action"], "skipped")
        acts = self._acts.append_column("skipped", skipped).append_column("seconds", self._acts["lead_time_s"])
        columns = {
            name: take_column(acts, name, rows, kind.field(name).type, with_json=with_json)
            for name in ("judgement_id", "arm", "acted_at", "seconds", "skipped", "cannot_judge", "origins")
        } | self._take_fields(self._act_values, rows, with_json=with_json)
        columns["annotator"] = self._pseudonyms.take(rows, with_json=with_json)[0]
        judgements = to_struct(columns, kind)
        values = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), judgements.values, self._kinds["judgements"])
        if judgements.json is None:
            return Column(values, None)
        spans = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        return Column(values, [f"[{','.join(judgements.json[start:end])}]" for start, end in spans])

    def _find_prelabels(self) -> Indices:
        """Return for each item the pre-label that its label is based on, else a usable one, else one that failed."""
        owners = find_rows(self._prelabels["item_id"], self.item_ids)
        best = np.full(len(self.item_ids), -1)
        rows = np.flatnonzero(owners >= 0)
        best[owners[rows]] = rows
        several = np.bincount(owners[rows], minlength=len(best)) > 1
        candidates: dict[int, list[dict[str, Any]]] = defaultdict(list)
        rows = rows[several[owners[rows]]]
        compared = self._prelabels.select(["prelabel_id", "outcome"]).take(rows).to_pylist()
        for owner, row, proposal in zip(owners[rows].tolist(), rows.tolist(), compared, strict=True):
            candidates[owner].append({**proposal, "row": row})
        for owner, proposals in candidates.items():
            label = self._label_rows[owner]
            used = set(self._labels["evidence"][label].as_py() or ()) if label >= 0 else set()
            first = min(
                proposals, key=lambda row: (row["prelabel_id"] not in used, row["outcome"] != "ok", row["prelabel_id"])
            )
            best[owner] = first["row"]
        return best


def to_lines(columns: dict[str, Column]) -> list[str]:
    """Return the canonical JSON of each row."""
    names = sorted(columns)
    count = len(columns[names[0]].values)
    return list(join_objects(count, names, [columns[name].json or () for name in names]))
