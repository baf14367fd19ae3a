"""What is judged: taxonomies, label schemas and their field types. Pure; knows no server and no model."""

from curate.labels.compile import compile_config, target_of
from curate.labels.fields import FIELD_TYPES, Aggregate, Field
from curate.labels.schema import LabelSchema, load_labels
from curate.labels.taxonomy import Label, Taxonomy, load_taxonomy

__all__ = [
    "FIELD_TYPES",
    "Aggregate",
    "Field",
    "Label",
    "LabelSchema",
    "Taxonomy",
    "compile_config",
    "load_labels",
    "load_taxonomy",
    "target_of",
]
