"""What is judged: taxonomies, label schemas and their field types. Pure; knows no server and no model."""

from curate.labels.fields import FIELD_TYPES, Aggregate, Field
from curate.labels.fields.base import DEFAULT_LANGUAGE
from curate.labels.layout import Layout, parse_layout
from curate.labels.schema import LabelSchema, load_labels
from curate.labels.strict import strict_problems
from curate.labels.targets.compile import (
    check_config,
    compile_answer_schema,
    compile_arrow,
    compile_card,
    compile_config,
    describe_labels,
)
from curate.labels.targets.find_layout import find_layout, usual_layout
from curate.labels.targets.screen_check import config_problems
from curate.labels.taxonomy import Label, Taxonomy, load_taxonomy
from curate.labels.units import DEFAULT_FPS, ItemContext, Turn, to_context

__all__ = [
    "DEFAULT_FPS",
    "DEFAULT_LANGUAGE",
    "FIELD_TYPES",
    "Aggregate",
    "Field",
    "ItemContext",
    "Label",
    "LabelSchema",
    "Layout",
    "Taxonomy",
    "Turn",
    "check_config",
    "compile_answer_schema",
    "compile_arrow",
    "compile_card",
    "compile_config",
    "config_problems",
    "describe_labels",
    "find_layout",
    "load_labels",
    "load_taxonomy",
    "parse_layout",
    "strict_problems",
    "to_context",
    "usual_layout",
]
