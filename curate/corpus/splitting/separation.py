"""How far splits are apart: which values of a key are in more than one of them."""

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.splitting.keys import column_of
from curate.memory import release_memory


class Separation(NamedTuple):
    """How far items that share a value of a key are in one split."""

    key: str
    """One of ``SplitSettings.keys``, or another column"""
    known: int
    """Items that have a value"""
    total: int
    leaks: dict[str, list[str]]
    """The splits by value, of values that occur in more than one"""


def separations(items: pa.Table, splits: pa.Array, keys: Iterable[str]) -> list[Separation]:
    """Return for each key whether its values are in one split only; items without a split count nowhere.

    ``items`` has the column of every key.
    """
    keys = list(keys)
    placed = items.select(list(dict.fromkeys(map(column_of, keys)))).append_column("split", splits)
    placed = placed.filter(splits.is_valid())
    result = []
    for key in keys:
        pairs = pa.table({"value": placed[column_of(key)], "split": placed["split"]})
        pairs = pairs.filter(pairs["value"].is_valid())
        by_value = pairs.group_by("value").aggregate([("split", "distinct")])
        several = by_value.filter(pc.greater(pc.list_value_length(by_value["split_distinct"]), 1))
        leaks = {str(row["value"]): sorted(row["split_distinct"]) for row in several.to_pylist()}
        release_memory()
        result.append(Separation(key, pairs.num_rows, placed.num_rows, leaks))
    return result
