"""The current tables that a release is joined from."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.link_names import public_link, public_links
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
        sources=_public(read_sources(corpus, SOURCE_COLUMNS, schemes)),
        prelabels=_read_proposals(corpus, fields),
        annotations=corpus.read("annotations", [*_ANNOTATION, *fields]),
        labels=corpus.read("labels", [*_LABEL, *fields]),
    )


def read_released_items(corpus: Corpus, schemes: Sequence[SplitSettings]) -> pa.Table:
    """Return the current items with what decides their release."""
    sessions = read_sessions(corpus)
    public = {name: entry._replace(file=public_link(entry.file)) for name, entry in sessions.items()}
    return with_sessions(read_items(corpus, _ITEM, schemes), public)


def _read_proposals(corpus: Corpus, fields: Iterable[str]) -> pa.Table:
    """Return the pre-labels without clues, which propose nothing themselves."""
    rows = corpus.read("prelabels", ["item_id", *PRELABEL_COLUMNS, *fields])
    return rows.filter(pc.not_equal(rows["outcome"], "clue"))


def _public(sources: pa.Table) -> pa.Table:
    """Return sources whose links give nobody's access away."""
    for name in ("file", "key"):
        sources = sources.set_column(sources.column_names.index(name), name, public_links(sources[name]))
    return sources
