"""The judgements that labels rest on: those of people, or of models where no person judged."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.consensus.agreement.judged import encode
from curate.consensus.agreement.ratings import Integers
from curate.corpus.judgements import current_judgements, is_prefilled
from curate.errors import InvalidInput
from curate.labels import LabelSchema

HUMAN_COLUMNS = (
    *("annotation_id", "judgement_id", "item_id", "annotator", "arm", "action", "acted_at", "origins", "prelabel_id"),
)
MODEL_COLUMNS = ("prelabel_id", "item_id", "labeller", "final", "outcome")
"""What aggregation reads besides the fields of the label schema."""
_NAMES = {"evidence": ("annotation_id", "prelabel_id"), "arm": ("arm", "")}


class Evidence(NamedTuple):
    """Judgements sorted by item: row ``i`` is of item ``items[i]``, by rater ``raters[i]`` (-1 for nobody named).

    Items are numbers into ``item_ids``, which are sorted. ``starts`` has the first row of each item. ``column`` gives
    everything else, a column at a time so that few are in memory twice.
    """

    people: pa.Table
    models: pa.Table
    order: pa.Array
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

    def column(self, name: str) -> pa.Array:
        """Return a field of the label schema, ``evidence`` (the ids of the judgements) or ``arm``."""
        return _joined(self.people, self.models, *_NAMES.get(name, (name, name))).take(self.order)

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
        in_order = pa.array([distinct[code] for code in order], values.type)
        return pa.ListArray.from_arrays(offsets, in_order.take(pa.array(cells % max(len(distinct), 1), pa.int64())))


def gather(
    labels: LabelSchema,
    annotations: pa.Table,
    prelabels: pa.Table,
    *,
    blind_only: bool = False,
    arms: Collection[str] = (),
) -> Evidence:
    """Return the current judgement of each person on each item, and the usable proposals for all other items.

    ``blind_only`` leaves out judgements whose form showed a proposal; ``arms`` those of all other arms. Raises
    ``InvalidInput`` if there are judgements, and none is of one of the arms.
    """
    people = current_judgements(annotations.select([*HUMAN_COLUMNS, *labels.fields]))
    if arms:
        check_arms(people, arms)
        people = people.filter(pc.is_in(people["arm"], value_set=pa.array(sorted(arms), pa.string())))
    if blind_only:
        people = people.filter(pa.array(~is_prefilled(people)))
    people = people.take(_newest_of_each(people))
    is_usable = pc.and_(prelabels["final"], pc.equal(prelabels["outcome"], "ok"))
    is_usable = pc.and_(is_usable, pc.invert(pc.is_in(prelabels["item_id"], value_set=people["item_id"].unique())))
    usable = np.flatnonzero(np.asarray(is_usable.fill_null(False)))
    rows = np.concatenate([np.arange(people.num_rows), usable + people.num_rows])
    ids = _joined(people, prelabels, "item_id", "item_id").take(pa.array(rows))
    evidence = _joined(people, prelabels, *_NAMES["evidence"]).take(pa.array(rows))
    order = np.asarray(
        pc.sort_indices(
            pa.table({"item_id": ids, "evidence": evidence}),
            sort_keys=[("item_id", "ascending"), ("evidence", "ascending")],
        )
    )
    del evidence
    encoded = ids.take(pa.array(order)).dictionary_encode()
    rows = rows[order]
    raters, names = encode(_joined(people, prelabels, "annotator", "labeller").take(pa.array(rows)))
    items = np.asarray(encoded.indices).astype(np.int64)
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    by_people = rows < people.num_rows
    return Evidence(people, prelabels, pa.array(rows), items, raters, names, encoded.dictionary, starts, by_people)


def check_arms(people: pa.Table, arms: Collection[str]) -> None:
    """Raise ``InvalidInput`` for an arm that no judgement is of."""
    stored = sorted(name for name in people["arm"].unique().to_pylist() if name is not None)
    if people.num_rows and (unknown := sorted(set(arms) - set(stored))):
        raise InvalidInput(
            f"no judgement is of arm {', '.join(unknown)}",
            hint=f"the arms are {', '.join(stored)}" if stored else "leave out `arms`: no judgement names one",
        )


def _joined(people: pa.Table, models: pa.Table, of_people: str, of_models: str) -> pa.Array:
    """Return a column of people's judgements and one of proposals as one; proposals may lack it."""
    first = people[of_people]
    second = models[of_models].chunks if of_models else [pa.nulls(models.num_rows, first.type)]
    return pa.chunked_array([*first.chunks, *second], first.type).combine_chunks()


def _newest_of_each(people: pa.Table) -> pa.Array:
    """Return the rows of the last judgement of each person on each item, and of all judgements by unnamed people."""
    items, _ = encode(people["item_id"])
    raters, names = encode(people["annotator"])
    named = np.flatnonzero(raters >= 0)[::-1]
    _, last = np.unique(items[named] * max(len(names), 1) + raters[named], return_index=True)
    return pa.array(np.sort(np.concatenate([named[last], np.flatnonzero(raters < 0)])), pa.int64())
