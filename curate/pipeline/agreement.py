"""How far the raters of a workspace agree."""

from typing import NamedTuple

from curate.consensus.agreement.rows import AgreementRow, Over, agreement_rows
from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.pipeline.grouping import with_column
from curate.pipeline.walk import open_corpus
from curate.recipe import LoadedRecipe
from curate.storage.workspace import Workspace


class Agreement(NamedTuple):
    """The agreement rows of a workspace, and how many judgements of people they are about."""

    rows: list[AgreementRow]
    judgements: int


def measure_agreement(
    loaded: LoadedRecipe,
    workspace: Workspace,
    *,
    by: str | None = None,
    draws: int = 0,
    over: Over = "items",
) -> Agreement:
    """Return the agreement of the people who judged a recipe's items, in groups of ``by``.

    ``by`` is ``rater``, ``label``, ``split``, or a column of ``annotations``, ``items`` or ``sources``. Raises
    ``InvalidInput`` for any other name.
    """
    return measure_corpus(loaded, open_corpus(loaded, workspace), by=by, draws=draws, over=over)


def measure_corpus(
    loaded: LoadedRecipe, corpus: Corpus, *, by: str | None = None, draws: int = 0, over: Over = "items"
) -> Agreement:
    """Return what ``measure_agreement`` does of an opened corpus."""
    judgements = current_judgements(corpus.read("annotations"))
    if by not in (None, "rater", "label"):
        judgements = with_column(loaded, corpus, judgements, str(by))
    rows = list(agreement_rows(loaded.labels, judgements, by=by, draws=draws, over=over, seed=loaded.recipe.seed))
    return Agreement(rows, judgements.num_rows)
