"""Labellers that need no network, no key and no GPU, by name."""

from pathlib import Path
from typing import Literal

from curate.llm.labellers.protocol import TextLabeller

__all__ = ["OfflineName", "TextLabeller", "open_offline"]

OfflineName = Literal["offline", "lexicon", "vader", "textblob"]


def open_offline(name: OfflineName, beside: Path | None = None) -> TextLabeller:
    """The labeller of this name; ``beside`` is the recipe's folder, whose taxonomies win over the shipped ones."""
    if name == "offline":
        from curate.llm.labellers.ngrams import NgramLabeller

        return NgramLabeller(beside)
    if name == "vader":
        from curate.llm.labellers.vader import VaderLabeller

        return VaderLabeller()
    if name == "textblob":
        from curate.llm.labellers.textblob import TextBlobLabeller

        return TextBlobLabeller()
    from curate.llm.labellers.lexicon import LexiconLabeller

    return LexiconLabeller()
