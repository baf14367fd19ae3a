"""Judgements that tables hold in parts, such as emotions in some rows and valence in others, put together."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curate.annotation.importing.acts import FIELDS
from curate.annotation.importing.holding import TIMED
from curate.annotation.importing.provenance import PROVENANCE
from curate.annotation.importing.rows import CLOCK, KEY
from curate.labels import Field

_SEPARATOR = ","


def combine_parts(judgements: pa.Table, fields: Mapping[str, Field]) -> pa.Table:
    """Return one judgement for what a named rater said of an item under an arm about different fields.

    Each has the file and line of its first part. Parts that share a field or have times of other clocks stay apart, as
    do those of unnamed raters and those of exports, which say when and how each was made.
    """
    columns = (judgements[name].to_pylist() for name in (KEY, "annotator", "arm", FIELDS, PROVENANCE))
    parts: dict[tuple[str, str, str | None], list[tuple[int, list[str]]]] = {}
    for row, (key, rater, arm, names, act) in enumerate(zip(*columns, strict=True)):
        if rater is not None and act is None:
            parts.setdefault((key, rater, arm), []).append((row, names.split(_SEPARATOR)))
    clocks = judgements[CLOCK].to_pylist()
    row_of_field: dict[int, dict[str, int]] = {}
    absorbed: set[int] = set()
    for rows in parts.values():
        if len(rows) == 1 or max(Counter(name for _, names in rows for name in names).values()) > 1:
            continue
        if len({clocks[row] for row, names in rows if any(fields[name].comparison in TIMED for name in names)}) > 1:
            continue
        clocks[rows[0][0]] = next((clocks[row] for row, _ in rows if clocks[row] is not None), None)
        row_of_field[rows[0][0]] = {name: row for row, names in rows for name in names}
        absorbed.update(row for row, _ in rows[1:])
    if not absorbed:
        return judgements
    left = [row for row in range(judgements.num_rows) if row not in absorbed]
    whole = judgements.take(pa.array(left, pa.int64()))
    table: dict[str, Any] = {name: whole[name] for name in whole.column_names}
    texts = table[FIELDS].to_pylist()
    table[FIELDS] = pa.array(
        [
            _SEPARATOR.join(sorted(row_of_field[row])) if row in row_of_field else text
            for row, text in zip(left, texts, strict=True)
        ],
        pa.string(),
    )
    table[CLOCK] = pa.array([clocks[row] for row in left], pa.string())
    for name in fields:
        rows_of_values = [row_of_field.get(row, {}).get(name, row) for row in left]
        table[name] = judgements[name].take(pa.array(rows_of_values, pa.int64()))
    return pa.table(table)
