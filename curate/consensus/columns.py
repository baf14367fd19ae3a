"""What is decided about a field for all items, as columns; items with equal judgements are decided once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.consensus.agreement.judged import encode
from curate.consensus.agreement.ratings import Floats, Integers
from curate.consensus.decide import Decision, decide, entropy
from curate.consensus.evidence import Evidence
from curate.consensus.settings import FieldSettings
from curate.labels import Field

_FACTS = pa.struct([("method", pa.string()), ("entropy", pa.float32()), ("decided_by", pa.string())])


class Pattern(NamedTuple):
    """Everything about a field that follows from the values of an item."""

    value: Any
    soft: list[tuple[str, float]]
    agreement: float | None
    facts: dict[str, Any]


class FieldColumns(NamedTuple):
    """The patterns of a field as columns, and the pattern of each item; -1 where nobody answered."""

    values: pa.Array
    soft: pa.Array
    agreement: pa.Array
    facts: pa.Array
    pattern_of_item: Integers


class Answers(NamedTuple):
    """The answers to a field: rows of the evidence, their codes and the values by code, in an order of their own."""

    rows: Integers
    codes: Integers
    values: Sequence[Any]


def answers_of(field: Field, evidence: Evidence) -> Answers:
    """Return who answered a field, and what."""
    codes, values = encode(evidence.column(field.name))
    order = sorted(range(len(values)), key=lambda code: _key(values[code]))
    rank = np.empty(len(values) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(values)), -1
    ranked = rank[codes]
    rows = np.flatnonzero(ranked >= 0)
    return Answers(rows, ranked[rows], [values[code] for code in order])


def decide_all(field: Field, evidence: Evidence, answers: Answers, settings: FieldSettings) -> FieldColumns:
    """Return the columns of a field for methods that count."""
    items = evidence.items[answers.rows]
    order = np.lexsort((answers.codes, items))
    items, codes = items[order], answers.codes[order]
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    ends = np.append(starts[1:], len(items))
    first, pattern = _equal_groups(codes, starts, len(answers.values))
    pattern_of_item = np.full(evidence.item_count, -1, dtype=np.int64)
    pattern_of_item[items[starts]] = pattern
    patterns = []
    for index in first.tolist():
        values = [answers.values[code] for code in codes[starts[index] : ends[index]].tolist()]
        patterns.append(to_pattern(field, decide(field, values, settings), values, settings.method))
    return to_columns(field, patterns, pattern_of_item)


def to_pattern(field: Field, decision: Decision, values: Sequence[Any], method: str) -> Pattern:
    """Return a decision together with what else follows from the values."""
    facts: dict[str, Any] = {"method": method, "entropy": None, "decided_by": decision.decided_by}
    if decision.soft:
        facts["entropy"] = entropy(decision.soft)
    agreement = field.pairwise_agreement(values) if len(values) > 1 else None
    return Pattern(decision.value, list(decision.soft.items()), agreement, facts)


def to_columns(field: Field, patterns: Sequence[Pattern], pattern_of_item: Integers) -> FieldColumns:
    """Return patterns as columns."""
    shares = pa.list_(pa.struct([("field", pa.string()), ("label", pa.string()), ("share", pa.float32())]))
    soft = [
        [{"field": field.name, "label": label, "share": share} for label, share in pattern.soft] for pattern in patterns
    ]
    return FieldColumns(
        pa.array([pattern.value for pattern in patterns], field.arrow_type),
        pa.array(soft, shares),
        pa.array([pattern.agreement for pattern in patterns], pa.float32()),
        pa.array([pattern.facts for pattern in patterns], _FACTS),
        pattern_of_item,
    )


def facts_of(method: str, entropies: Floats, decided_by: NDArray[Any]) -> pa.Array:
    """Return the facts of labels as a column; an entropy of NaN is null."""
    methods = repeated(method, len(entropies))
    measured = pa.array(entropies.astype(np.float32), mask=np.isnan(entropies))
    return pa.StructArray.from_arrays([methods, measured, pa.array(decided_by, pa.string())], fields=list(_FACTS))


def per_item(column: pa.Array, pattern_of_item: Integers) -> pa.Array:
    """Return a column of patterns as one of items, null where nobody answered."""
    return column.take(pa.array(pattern_of_item, mask=pattern_of_item < 0))


def repeated(text: str, count: int) -> pa.Array:
    """Return a column with the same text in every row."""
    return pa.array([text], pa.string()).take(pa.array(np.zeros(count, np.int64)))


def joined_lists(lists: Sequence[pa.Array], kind: pa.DataType) -> pa.Array:
    """Return the lists of several columns as one column, in each row one after the other."""
    lengths = [np.asarray(column.value_lengths().fill_null(0)).astype(np.int64) for column in lists]
    row_lengths = np.sum(lengths, axis=0)
    row_starts = np.cumsum(row_lengths) - row_lengths
    flat = pa.concat_arrays([column.flatten().cast(kind.value_type) for column in lists])
    position = np.empty(len(flat), dtype=np.int64)
    taken, filled = 0, row_starts.copy()
    for length in lengths:
        count = int(length.sum())
        within = np.arange(count) - np.repeat(np.cumsum(length) - length, length)
        position[np.repeat(filled, length) + within] = np.arange(taken, taken + count)
        filled, taken = filled + length, taken + count
    offsets = pa.array(np.append(row_starts, len(flat)), pa.int32())
    return pa.ListArray.from_arrays(offsets, flat.take(pa.array(position)))


def _equal_groups(codes: Integers, starts: Integers, code_count: int) -> tuple[Integers, Integers]:
    """Return the first group with each set of codes, and which of these every group equals.

    Groups are compared by sums of a random 128-bit number for each code.
    """
    if not len(starts):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    numbers = np.random.default_rng(0).integers(0, 2**64, (code_count, 2), dtype=np.uint64)
    keys = np.add.reduceat(numbers[codes], starts, axis=0)
    _, first, pattern = np.unique(keys[:, 0], return_index=True, return_inverse=True)
    if (keys[first[pattern], 1] != keys[:, 1]).any():
        _, first, pattern = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), pattern.astype(np.int64)


def _key(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return 0, value
    return 1, repr(value)


def numbers_of(answers: Answers) -> Floats:
    """Return the answers as numbers."""
    return np.asarray(answers.values, dtype=np.float64)[answers.codes]
