"""Canonical JSON of whole columns, and the identities of rows that follow from it."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curate.files import canonical_json
from curate.memory import drop_mapped_pages

_ROWS = 20_000
_CONSTANTS = {None: "null", True: "true", False: "false"}
_quote = json.encoder.encode_basestring


def row_works(stage: str, rows: pa.Table) -> pa.ChunkedArray:
    """Return the identity of the work of ``stage`` (name and identity) on each row: ``digest([stage, row])``."""
    prefix = hashlib.sha256(f"[{_quote(stage)},".encode())
    chunks = []
    for start in range(0, rows.num_rows, _ROWS):
        works = []
        for row in json_rows(rows.slice(start, _ROWS)):
            work = prefix.copy()
            work.update(f"{row}]".encode("utf-8", "surrogatepass"))
            works.append(work.hexdigest())
        chunks.append(pa.array(works, pa.string()))
        drop_mapped_pages()
    return pa.chunked_array(chunks, pa.string())


def json_rows(rows: pa.Table) -> Iterator[str]:
    """Yield the canonical JSON of each row, equal to that of ``rows.to_pylist()`` and many times as fast."""
    names = sorted(rows.column_names)
    return join_objects(rows.num_rows, names, [json_values(rows[name]) for name in names])


def json_values(values: pa.Array | pa.ChunkedArray) -> Sequence[str]:
    """Return the canonical JSON of each value of a column."""
    kind = values.type
    if values.null_count == len(values):
        return ["null"] * len(values)
    if pa.types.is_string(kind):
        return ["null" if value is None else _quote(value) for value in values.to_pylist()]
    if pa.types.is_boolean(kind):
        return [_CONSTANTS[value] for value in values.to_pylist()]
    if pa.types.is_integer(kind):
        return ["null" if value is None else str(value) for value in values.to_pylist()]
    if pa.types.is_binary(kind):  # in canonical JSON as Python shows it
        return ["null" if value is None else _quote(str(value)) for value in values.to_pylist()]
    if pa.types.is_struct(kind):
        names = sorted(field.name for field in kind)
        objects = join_objects(len(values), names, [json_values(pc.struct_field(values, name)) for name in names])
        valid = values.is_valid().to_pylist()
        return [value if is_valid else "null" for value, is_valid in zip(objects, valid, strict=True)]
    if pa.types.is_list(kind):
        members = iter(json_values(pc.list_flatten(values)))
        lengths = pc.list_value_length(values).to_pylist()
        return [
            "null" if length is None else f"[{','.join([next(members) for _ in range(length)])}]" for length in lengths
        ]
    return [canonical_json(value).decode() for value in values.to_pylist()]


def join_objects(count: int, names: Sequence[str], columns: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield ``count`` JSON objects with members ``names``, in this order, and the JSON values in ``columns``."""
    if not names:
        return iter(["{}"] * count)
    template = "{" + ",".join(_quote(name).replace("%", "%%") + ":%s" for name in names) + "}"
    return (template % values for values in zip(*columns, strict=True))
