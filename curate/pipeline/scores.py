"""Scores of a workspace: of texts and clips that were compared in pairs, and of models' free words."""

from collections.abc import Sequence

import pyarrow.compute as pc

from curate.consensus.scores import SIDES, ScoreRow, score_rows
from curate.consensus.word_scores import WordScore, paired_words, word_scores
from curate.corpus.judgements import current_judgements
from curate.errors import InvalidInput
from curate.labels import load_taxonomy
from curate.labels.fields import OpenSet
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


def score_words(
    loaded: LoadedRecipe, workspace: Workspace, *, wheels: Sequence[str] = (), level: int | None = None
) -> list[WordScore]:
    """Return how well each labeller's free words agree with those of people; see ``word_scores``.

    ``wheels`` are taxonomies by name, by default that of the field. Raises ``InvalidInput`` for a label schema without
    a field of type open_set.
    """
    fields = {name: field for name, field in loaded.labels.fields.items() if isinstance(field, OpenSet)}
    if not fields:
        raise InvalidInput(
            f"label schema {loaded.labels.name} has no free words",
            hint="use a label schema with a field of type open_set, such as open_emotion.v1",
        )
    taxonomies = [load_taxonomy(name, loaded.folder) for name in wheels]
    corpus = open_corpus(loaded, workspace)
    labels = corpus.read("labels", ["item_id", "label_source", *fields])
    labels = labels.filter(pc.equal(labels["label_source"], "human"))
    proposals = corpus.read("prelabels", ["item_id", "labeller", "outcome", *fields])
    proposals = proposals.filter(pc.equal(proposals["outcome"], "ok"))
    scores: list[WordScore] = []
    for name, field in fields.items():
        reference = dict(zip(labels["item_id"].to_pylist(), labels[name].to_pylist(), strict=True))
        chosen = taxonomies or ([field.taxonomy] if field.taxonomy is not None else [])
        for labeller in sorted(set(proposals["labeller"].to_pylist())):
            own = proposals.filter(pc.equal(proposals["labeller"], labeller))
            pairs = paired_words(reference, dict(zip(own["item_id"].to_pylist(), own[name].to_pylist(), strict=True)))
            scores += word_scores(name, labeller, pairs, chosen, level=level) if pairs else ()
    return scores
