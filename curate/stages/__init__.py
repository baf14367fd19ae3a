"""The stages of a recipe: ``STAGES`` is the one place that lists them."""

from curate.stages.aggregate import Aggregate
from curate.stages.annotate import Annotate
from curate.stages.contract import Stage
from curate.stages.derive.stage import Derive
from curate.stages.describe.stage import Describe
from curate.stages.export import Export
from curate.stages.ingest.stage import Ingest
from curate.stages.prelabel.stage import Prelabel
from curate.stages.preprocess.stage import Preprocess
from curate.stages.publish import Publish

STAGES: tuple[type[Stage], ...] = (Ingest, Derive, Preprocess, Prelabel, Annotate, Aggregate, Describe, Export, Publish)
"""Every stage, in the order in which a recipe lists them."""


def written_tables() -> tuple[str, ...]:
    """Return the tables that stages write, in the order of the stages."""
    return tuple(dict.fromkeys(table for kind in STAGES for table in kind.writes))


def writer_of(table: str) -> type[Stage] | None:
    """Return the first stage that writes a table."""
    return next((kind for kind in STAGES if table in kind.writes), None)
