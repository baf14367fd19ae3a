"""Maps between taxonomies: direct, or over the shortest chain of maps, each stating what is lost."""

from curate.labels.maps.load import check_taxonomy, load_map
from curate.labels.maps.map import TaxonomyMap, kind_of, rules_of

__all__ = ["TaxonomyMap", "check_taxonomy", "kind_of", "load_map", "rules_of"]
