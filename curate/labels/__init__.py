"""What is judged: label schemas, field types and taxonomies, and what they compile to. No input or output but files."""

from curate.labels.features import Feature, arrow_type
from curate.labels.fields import FIELD_TYPES, Aggregate, Field
from curate.labels.fields.base import AggregationRule
from curate.labels.fields.phrases import DEFAULT_LANGUAGE, Language
from curate.labels.layout import Layout, parse_layout
from curate.labels.markup import control_field
from curate.labels.migration import FieldMap, Undecided, load_migration
from curate.labels.schema import LabelSchema, load_labels
from curate.labels.strict import strict_problems
from curate.labels.targets.card import compile_card
from curate.labels.targets.columns import compile_arrow
from curate.labels.targets.features import compile_features
from curate.labels.targets.find_layout import find_layout, usual_layout
from curate.labels.targets.instructions import describe_labels
from curate.labels.targets.screen import compile_config
from curate.labels.targets.screen_check import check_config, config_problems
from curate.labels.taxonomy import Label, Taxonomy, load_taxonomy
from curate.labels.units import DEFAULT_FPS, ItemContext, Turn, to_context

__all__ = [
    "DEFAULT_FPS",
    "DEFAULT_LANGUAGE",
    "FIELD_TYPES",
    "Aggregate",
    "AggregationRule",
    "Feature",
    "Field",
    "FieldMap",
    "ItemContext",
    "Label",
    "LabelSchema",
    "Language",
    "Layout",
    "Taxonomy",
    "Turn",
    "Undecided",
    "arrow_type",
    "check_config",
    "compile_arrow",
    "compile_card",
    "compile_config",
    "compile_features",
    "config_problems",
    "control_field",
    "describe_labels",
    "find_layout",
    "load_labels",
    "load_migration",
    "load_taxonomy",
    "parse_layout",
    "strict_problems",
    "to_context",
    "usual_layout",
]
