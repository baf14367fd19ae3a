"""The field types, one module each; a new one is listed here."""

from curate.labels.fields.base import Aggregate, Field
from curate.labels.fields.boxes.field import Boxes
from curate.labels.fields.category import Category
from curate.labels.fields.open_set import OpenSet
from curate.labels.fields.preference import Preference
from curate.labels.fields.scale import Scale
from curate.labels.fields.spans.field import Spans
from curate.labels.fields.text import Text
from curate.labels.fields.timeline.field import Timeline
from curate.labels.fields.trace import Trace

FIELD_TYPES: dict[str, type[Field]] = {
    "category": Category,
    "open_set": OpenSet,
    "scale": Scale,
    "text": Text,
    "spans": Spans,
    "timeline": Timeline,
    "trace": Trace,
    "boxes": Boxes,
    "preference": Preference,
}

__all__ = [
    "FIELD_TYPES",
    "Aggregate",
    "Boxes",
    "Category",
    "Field",
    "OpenSet",
    "Preference",
    "Scale",
    "Spans",
    "Text",
    "Timeline",
    "Trace",
]
