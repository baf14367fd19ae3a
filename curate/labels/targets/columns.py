"""A label schema as Arrow columns."""

import pyarrow as pa

from curate.labels.schema import LabelSchema


def compile_arrow(schema: LabelSchema) -> pa.Schema:
    """Return the columns that the schema adds to every table that carries labels."""
    return pa.schema([pa.field(name, field.arrow_type) for name, field in schema.fields.items()])
