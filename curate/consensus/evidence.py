"""The judgements that labels rest on: those of people, or of models where no person judged."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.consensus.agreement.judged import encode, is_prefilled
from curate.consensus.agreement.ratings import Integers
from curate.corpus.judgements import current_judgements
from curate.labels import LabelSchema


class Evidence(NamedTuple):
    """Judgements sorted by item: row ``i`` is of item ``items[i]``, by rater ``raters[i]`` (-1 for nobody named).

    Items are numbers into ``item_ids``, which are sorted. ``starts`` has the first row of each item.
    """

    table: pa.Table
    items: Integers
    raters: Integers
    rater_names: list[str]
    item_ids: pa.Array
    starts: Integers
    by_people: NDArray[np.bool_]

    @property
    def item_count(self) -> int:
        """The number of items that have a judgement."""
        return len(self.item_ids)

    def per_item(self, values: pa.Array) -> pa.Array:
        """Return the values of each item's rows as a list, sorted and each once."""
        codes, distinct = encode(values)
        order = sorted(range(len(distinct)), key=lambda code: str(distinct[code]))
        rank = np.empty(len(distinct) + 1, dtype=np.int64)
        rank[order], rank[-1] = np.arange(len(distinct)), -1
        ranks = rank[codes]
        valid = ranks >= 0
        cells = np.unique(self.items[valid] * max(len(distinct), 1) + ranks[valid])
        lengths = np.bincount(cells // max(len(distinct), 1), minlength=self.item_count)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        entries = pa.array([distinct[code] for code in order], values.type).take(
            pa.array(cells % max(len(distinct), 1), pa.int64())
        )
        return pa.ListArray.from_arrays(offsets, entries)


def gather(
    labels: LabelSchema,
    annotations: pa.Table,
    prelabels: pa.Table,
    *,
    blind_only: bool = False,
    arms: Collection[str] = (),
) -> Evidence:
    """Return the current judgement of each person on each item, and the usable proposals for all other items.

    ``blind_only`` leaves out judgements whose form showed a proposal; ``arms`` those of all other arms.
    """
    people = current_judgements(annotations)
    if arms:
        people = people.filter(pc.is_in(people["arm"], value_set=pa.array(sorted(arms), pa.string())))
    if blind_only:
        people = people.filter(pa.array(~is_prefilled(people)))
    people = people.take(_newest_of_each(people))
    models = prelabels.filter(pc.and_(prelabels["final"], pc.equal(prelabels["outcome"], "ok")))
    models = models.filter(pc.invert(pc.is_in(models["item_id"], value_set=people["item_id"].unique())))
    table = pa.concat_tables(
        [
            _evidence(people, labels, rater=people["annotator"], evidence=people["annotation_id"], arm=people["arm"]),
            _evidence(models, labels, rater=models["labeller"], evidence=models["prelabel_id"], arm=None),
        ]
    ).combine_chunks()
    by_people = np.arange(table.num_rows) < people.num_rows
    order = pc.sort_indices(table, sort_keys=[("item_id", "ascending"), ("evidence", "ascending")])
    table, by_people = table.take(order), by_people[np.asarray(order)]
    raters, names = encode(table["rater"])
    encoded = table["item_id"].combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    items = np.asarray(encoded.indices).astype(np.int64)
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    return Evidence(table, items, raters, names, encoded.dictionary, starts, by_people)


def _evidence(rows: pa.Table, labels: LabelSchema, *, rater: Any, evidence: Any, arm: Any) -> pa.Table:
    arms = pa.nulls(rows.num_rows, pa.string()) if arm is None else arm
    columns = {"item_id": rows["item_id"], "rater": rater, "evidence": evidence, "arm": arms}
    return pa.table({**columns, **{name: rows[name] for name in labels.fields}})


def _newest_of_each(people: pa.Table) -> pa.Array:
    """Return the rows of the last judgement of each person on each item, and of all judgements by unnamed people."""
    items, _ = encode(people["item_id"])
    raters, names = encode(people["annotator"])
    named = np.flatnonzero(raters >= 0)[::-1]
    _, last = np.unique(items[named] * max(len(names), 1) + raters[named], return_index=True)
    return pa.array(np.sort(np.concatenate([named[last], np.flatnonzero(raters < 0)])), pa.int64())
