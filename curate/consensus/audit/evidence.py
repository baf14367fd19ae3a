"""The answers to one field by people who saw no proposal, next to those of a labeller."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.consensus.agreement.judged import Judged, encode, judged
from curate.consensus.agreement.ratings import UNNAMED, Floats, Integers
from curate.labels import Field

PRELABEL_COLUMNS = ("item_id", "labeller", "sample", "final", "outcome", "confidence", "scores")
"""What audits read of ``prelabels`` besides the fields of the label schema."""


class Answers(NamedTuple):
    """Judgements of people: number of the item, of the rater (-1 for nobody named) and of the value."""

    items: Integers
    raters: Integers
    codes: Integers

    def select(self, chosen: NDArray[Any]) -> "Answers":
        """Return the judgements of a mask or of row numbers."""
        return Answers(self.items[chosen], self.raters[chosen], self.codes[chosen])


class Compared(NamedTuple):
    """What people and a labeller said of one field.

    Items are numbers into ``item_ids``. ``model`` has the number of the labeller's value for each item, -1 for none,
    and ``values`` every value once. ``blind`` are the judgements made without a proposal, ``prefilled`` the others, of
    which ``untouched`` left the proposal as it was. ``scores`` (items by labels of the field, NaN for none) and
    ``confidence`` are what the labeller says of its answers.
    """

    field: Field
    item_ids: pa.Array
    values: Sequence[Any]
    model: Integers
    scores: Floats
    confidence: Floats
    blind: Answers
    prefilled: Answers
    untouched: int
    rater_names: Sequence[str]
    without_proposal: int
    """Items that people judged blind, and for which the labeller has no answer"""
    labellers: Sequence[str]
    """Who made the proposals"""

    @property
    def labelled(self) -> Integers:
        """The items with a blind judgement and an answer of the labeller, each once."""
        return np.unique(self.blind.items)

    @property
    def raters(self) -> int:
        """How many named people judged blind."""
        return len(np.unique(self.blind.raters[self.blind.raters != UNNAMED]))


def usable_proposals(prelabels: pa.Table, labeller: str | None) -> pa.Table:
    """Return one usable proposal for each item: the one that people see, or the first answer of a labeller."""
    usable = prelabels.filter(pc.equal(prelabels["outcome"], "ok"))
    if labeller is None:
        usable = usable.filter(pc.fill_null(usable["final"], False))
    else:
        usable = usable.filter(pc.fill_null(pc.equal(usable["labeller"], labeller), False))
    usable = usable.sort_by([("item_id", "ascending"), ("sample", "ascending")])
    ids = np.asarray(usable["item_id"].combine_chunks().dictionary_encode().indices, dtype=np.int64)
    return usable.take(pa.array(np.flatnonzero(np.diff(ids, prepend=-1))))


def compare(field: Field, judgements: pa.Table, proposals: pa.Table) -> Compared:
    """Return the current judgements of a field next to one proposal for each item.

    Only items with an answer of the labeller count; in fields of regions, nothing marked is an answer, with the value
    None.
    """
    marks_regions = field.comparison in ("ranges", "spans", "boxes") and not field.when
    both = pa.concat_arrays([_plain(judgements[field.name]), _plain(proposals[field.name])])
    codes, values = encode(both)
    if marks_regions:
        codes, values = np.where(codes < 0, len(values), codes), [*values, None]
    of_people, of_model = codes[: judgements.num_rows], codes[judgements.num_rows :]
    answered = proposals.filter(pa.array(of_model >= 0))
    item_ids = _plain(answered["item_id"])
    owners = np.asarray(pc.fill_null(pc.index_in(judgements["item_id"], value_set=item_ids), -1)).astype(np.int64)
    every = judged(field, judgements, empty=[] if marks_regions else None)
    is_blind = ~every.prefilled
    blind, prefilled = every.select(is_blind).newest(), every.select(~is_blind).newest()
    has_proposal = owners[blind.rows] >= 0

    prefilled = prefilled.select(owners[prefilled.rows] >= 0)

    def answers(part: Judged) -> Answers:
        part = part.select(owners[part.rows] >= 0)
        part = part.select(np.argsort(owners[part.rows], kind="stable"))
        return Answers(owners[part.rows], part.raters, of_people[part.rows])

    return Compared(
        field,
        item_ids,
        values,
        of_model[of_model >= 0],
        _scores(field, answered),
        np.asarray(_plain(answered["confidence"]).cast(pa.float64()).to_numpy(zero_copy_only=False)),
        answers(blind),
        answers(prefilled),
        int(prefilled.untouched.sum()),
        every.rater_names,
        len(np.unique(blind.items[~has_proposal])),
        sorted(answered["labeller"].drop_null().unique().to_pylist()),
    )


def codes_by_item(compared: Compared, table: pa.Table, column: str) -> tuple[Integers, Sequence[Any]]:
    """Return a number for each item's value of a column of ``table`` (-1 for none), and the values."""
    rows = pc.index_in(compared.item_ids, value_set=table["item_id"])
    return encode(_plain(table[column]).take(rows))


def speakers_of(compared: Compared, speakers: pa.Table) -> Integers:
    """Return the number of each item's speaker; an unknown one has a number of its own."""
    numbers, names = codes_by_item(compared, speakers, "speaker")
    return np.where(numbers >= 0, numbers, len(names) + np.arange(len(numbers)))


def _plain(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _scores(field: Field, proposals: pa.Table) -> Floats:
    """Return the scores of each label; of a proposal with any, labels that it does not mention have 0."""
    scores = np.full((proposals.num_rows, len(field.labels)), np.nan)
    column = _plain(proposals["scores"])
    entries, rows = column.flatten(), np.asarray(pc.list_parent_indices(column))
    if not len(entries) or not field.labels:
        return scores
    labels = pc.index_in(entries.field("label"), value_set=pa.array(field.labels, pa.string()))
    numbers = np.asarray(pc.fill_null(labels, -1)).astype(np.int64)
    chosen = np.asarray(pc.fill_null(pc.equal(entries.field("field"), field.name), False)) & (numbers >= 0)
    scores[rows[chosen]] = 0.0
    scores[rows[chosen], numbers[chosen]] = np.asarray(entries.field("score").cast(pa.float64()))[chosen]
    return scores
