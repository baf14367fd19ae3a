"""The current tables that a release is joined from."""

from collections.abc import Sequence

import pyarrow as pa

from curate.corpus.sessions import read_sessions, with_sessions
from curate.corpus.splitting.splits import SplitSettings
from curate.corpus.view import Corpus
from curate.labels import LabelSchema
from curate.release.rows import ITEM_COLUMNS, PRELABEL_COLUMNS, SOURCE_COLUMNS, ReleaseTables
from curate.stages.divide import read_items, read_sources

_ITEM = (*ITEM_COLUMNS, "layout", "language", "face_id")
_LABEL = ("item_id", "label_source", "raters", "agreement", "decisions", "soft", "evidence")
_ANNOTATION = (
    "annotation_id",
    "judgement_id",
    "item_id",
    "annotator",
    "arm",
    "action",
    "acted_at",
    "cannot_judge",
    "lead_time_s",
    "origins",
)


def read_tables(corpus: Corpus, labels: LabelSchema, schemes: Sequence[SplitSettings]) -> ReleaseTables:
    """Return the current tables that a release is joined from, with the columns that divide it."""
    fields = labels.fields
    return ReleaseTables(
        items=read_released_items(corpus, schemes),
        sources=read_sources(corpus, SOURCE_COLUMNS, schemes),
        prelabels=corpus.read("prelabels", ["item_id", *PRELABEL_COLUMNS, *fields]),
        annotations=corpus.read("annotations", [*_ANNOTATION, *fields]),
        labels=corpus.read("labels", [*_LABEL, *fields]),
    )


def read_released_items(corpus: Corpus, schemes: Sequence[SplitSettings]) -> pa.Table:
    """Return the current items with what decides their release."""
    return with_sessions(read_items(corpus, _ITEM, schemes), read_sessions(corpus))
