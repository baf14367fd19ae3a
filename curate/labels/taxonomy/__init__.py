"""Taxonomies: the labels that a field may take, with what people and models need to know about them."""

from curate.labels.taxonomy.label import Kind, Label, MapRule
from curate.labels.taxonomy.taxonomy import Taxonomy, fold, load_taxonomy, read_taxonomy

__all__ = ["Kind", "Label", "MapRule", "Taxonomy", "fold", "load_taxonomy", "read_taxonomy"]
