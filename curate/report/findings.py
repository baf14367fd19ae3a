"""What other rooms find out about a corpus, for its report."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.figures import Figure


class NamedFigure(NamedTuple):
    """A figure, and in words what it is about and what it is."""

    topic: str
    name: str
    row: Figure


class Findings(NamedTuple):
    """What a report shows besides the tables of the corpus."""

    agreement: Mapping[str, Sequence[Figure]] = {}
    """Figures by what they are grouped by: an empty text for all judgements together, ``rater`` and ``arm``"""
    audit: Sequence[NamedFigure] = ()
    """Figures on the proposals against people who saw none; no figure is of one person"""
    splits: pa.Table | None = None
    """``item_id`` and the ``split`` that the next release puts it into; null where it is withheld"""
    release: str | None = None
    """The version that holds all that the tables do; empty if none does, None if the recipe makes no releases"""
    notices: Sequence[str] = ()
    """Sentences on what a reader has to know"""
    media_bytes: int = 12 * 2**20
    """How much sound and video the page may hold"""
    blobs_path: str | None = None
    """The way from the page to the folder of media, for links to what it does not hold; None for no links"""
