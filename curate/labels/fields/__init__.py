"""The field types, one module each; a new one is listed here and nowhere else."""

from curate.labels.fields.base import Aggregate, Field
from curate.labels.fields.category import Category
from curate.labels.fields.scale import Scale
from curate.labels.fields.text import Text

FIELD_TYPES: dict[str, type[Field]] = {"category": Category, "scale": Scale, "text": Text}

__all__ = ["FIELD_TYPES", "Aggregate", "Category", "Field", "Scale", "Text"]
