"""A label schema as text of the data card."""

from curate.labels.fields import Field
from curate.labels.schema import LabelSchema


def compile_card(schema: LabelSchema) -> str:
    """Return what is judged as Markdown: a title and one line for each field."""
    lines = [f"- {' '.join(field.describe().split())}{_condition(field)}" for field in schema.fields.values()]
    return "\n".join(
        [f"### {schema.title or schema.name}", "", f"Asked of: {', '.join(schema.units)}.", "", *lines, ""]
    )


def _condition(field: Field) -> str:
    return "".join(f"; asked when {condition} is {' or '.join(labels)}" for condition, labels in field.when.items())
