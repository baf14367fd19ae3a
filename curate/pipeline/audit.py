"""Audits of a workspace: its proposals, and the people who judged, against people who saw no proposal."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from curate.consensus.audit.bias import bias_rows
from curate.consensus.audit.evidence import PRELABEL_COLUMNS
from curate.consensus.audit.model import audit_rows
from curate.consensus.audit.rows import DEFAULTS, AuditRow, Options
from curate.consensus.audit.summary import summary_rows
from curate.corpus.judgements import current_judgements
from curate.corpus.splitting.keys import speakers_of
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.pipeline.grouping import with_column
from curate.pipeline.walk import open_corpus
from curate.recipe import LoadedRecipe
from curate.storage.workspace import Workspace

DEFAULT_COLUMNS = ("participant", "speaker", "language", "collection")
"""What a bias audit groups by, if nothing else is asked for and there are two groups of it."""


class Audit(NamedTuple):
    """The rows of an audit, and how many judgements and proposals there are."""

    rows: list[AuditRow]
    judgements: int
    proposals: int


class _Inputs(NamedTuple):
    corpus: Corpus
    judgements: pa.Table
    prelabels: pa.Table
    speakers: pa.Table
    """The speaker of each item, or else its participant or source"""


def audit_model(
    loaded: LoadedRecipe,
    workspace: Workspace,
    *,
    labeller: str | None = None,
    field: str | None = None,
    arm: str | None = None,
    options: Options = DEFAULTS,
) -> Audit:
    """Return whether a model may replace a rater, and what its proposals say of all items; see ``audit_rows``."""
    inputs = _read(loaded, open_corpus(loaded, workspace))
    rows = audit_rows(
        loaded.labels,
        inputs.judgements,
        inputs.prelabels,
        speakers=inputs.speakers,
        labeller=labeller,
        field=field,
        arm=arm,
        options=options._replace(seed=loaded.recipe.seed),
    )
    return Audit(list(rows), inputs.judgements.num_rows, inputs.prelabels.num_rows)


def audit_bias(
    loaded: LoadedRecipe,
    workspace: Workspace,
    *,
    by: Sequence[str] = (),
    labeller: str | None = None,
    field: str | None = None,
    arm: str | None = None,
    options: Options = DEFAULTS,
) -> Audit:
    """Return whom the model and raters judge differently; see ``bias_rows``.

    ``by`` names columns of items or sources, or ``split``. Raises ``InvalidInput`` for any other name.
    """
    inputs = _read(loaded, open_corpus(loaded, workspace))
    rows = bias_rows(
        loaded.labels,
        inputs.judgements,
        inputs.prelabels,
        _groupings(loaded, inputs, by),
        speakers=inputs.speakers,
        labeller=labeller,
        field=field,
        arm=arm,
        options=options._replace(seed=loaded.recipe.seed),
    )
    return Audit(rows, inputs.judgements.num_rows, inputs.prelabels.num_rows)


def audit_summary(loaded: LoadedRecipe, corpus: Corpus, *, draws: int) -> list[AuditRow]:
    """Return what a report says of the audit of the model; see ``summary_rows``."""
    inputs = _read(loaded, corpus)
    options = Options(draws, seed=loaded.recipe.seed)
    return summary_rows(loaded.labels, inputs.judgements, inputs.prelabels, speakers=inputs.speakers, options=options)


def _read(loaded: LoadedRecipe, corpus: Corpus) -> _Inputs:
    judgements = current_judgements(corpus.read("annotations"))
    prelabels = corpus.read("prelabels", [*PRELABEL_COLUMNS, *loaded.labels.fields])
    items = corpus.read("items", ["item_id", "source_id", "speaker"])
    speakers = speakers_of(items, corpus.read("sources", ["source_id", "participant"]))
    return _Inputs(corpus, judgements, prelabels, speakers)


def _groupings(loaded: LoadedRecipe, inputs: _Inputs, by: Sequence[str]) -> dict[str, pa.Table]:
    """Return the group of each item by each column."""
    items = inputs.speakers.select(["item_id"])
    of_judgements = set(inputs.judgements.column_names) - {"item_id"}
    if wrong := sorted(of_judgements.intersection(by)):
        raise InvalidInput(
            f"--by {wrong[0]}: it is of judgements, and groups are of items",
            hint="name a column of items or sources; `--arm` chooses judgements",
        )
    tables = {column: with_column(loaded, inputs.corpus, items, column) for column in by or DEFAULT_COLUMNS}
    return {column: table for column, table in tables.items() if by or len(table[column].drop_null().unique()) >= 2}
