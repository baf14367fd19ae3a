"""Scores of the texts and clips of a workspace, from preferences between pairs of them."""

from curate.consensus.scores import SIDES, ScoreRow, score_rows
from curate.corpus.judgements import current_judgements
from curate.errors import InvalidInput
from curate.pipeline.walk import open_corpus
from curate.recipe import LoadedRecipe
from curate.storage.workspace import Workspace


def score_pairs(loaded: LoadedRecipe, workspace: Workspace, *, blind_only: bool = False) -> list[ScoreRow]:
    """Return the score of everything that people compared; see ``score_rows``.

    Raises ``InvalidInput`` for a label schema without a field of type preference.
    """
    if not any(field.comparison == "preference" for field in loaded.labels.fields.values()):
        raise InvalidInput(
            f"label schema {loaded.labels.name} has no preference, so nothing was compared",
            hint="use a label schema with a field of type preference, such as text_preference.v1",
        )
    corpus = open_corpus(loaded, workspace)
    items = corpus.read("items", ["item_id", *(column for pair in SIDES for column in pair)])
    judgements = current_judgements(corpus.read("annotations"))
    return list(score_rows(loaded.labels, judgements, items, blind_only=blind_only))
