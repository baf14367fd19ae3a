"""Tables with the columns and types that they should have."""

import pyarrow as pa


def fill_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of ``schema``, cast to their types; missing ones are null."""
    arrays = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def is_same_type(first: pa.DataType, second: pa.DataType) -> bool:
    """Return whether two types hold the same values, whatever they call the members of a list."""
    # Delta names the members of a list "element" where Arrow says "item".
    if pa.types.is_list(first) and pa.types.is_list(second):
        return is_same_type(first.value_type, second.value_type)
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        names = [field.name for field in first] == [field.name for field in second]
        return names and all(is_same_type(a.type, b.type) for a, b in zip(first, second, strict=True))
    return bool(first == second)
