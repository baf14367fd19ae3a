"""Labellers that need no network, no key and no GPU, by name."""

from pathlib import Path
from typing import Literal

from curate.llm.labellers.protocol import TextLabeller

__all__ = ["OfflineName", "TextLabeller", "open_offline"]

OfflineName = Literal["offline", "lexicon", "vader", "textblob"]


def open_offline(name: OfflineName, recipe_folder: Path | None = None) -> TextLabeller:
    """Return the labeller of this name; taxonomies in the recipe's folder win over shipped ones."""
    if name == "offline":
        from curate.llm.labellers.ngrams import NgramLabeller

        return NgramLabeller(recipe_folder)
    if name == "vader":
        from curate.llm.labellers.vader import VaderLabeller

        return VaderLabeller()
    if name == "textblob":
        from curate.llm.labellers.textblob import TextBlobLabeller

        return TextBlobLabeller()
    from curate.llm.labellers.lexicon import LexiconLabeller

    return LexiconLabeller()
