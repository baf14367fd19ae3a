"""Texts that a model wrote anew for the labels that people gave, as columns of a release."""

from collections import Counter
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.rewritten import REWRITTEN, read_rewritten
from curate.corpus.view import Corpus
from curate.release.rows import ReleaseTables
from curate.sentences import count_of
from curate.stages.capabilities import Rewriting
from curate.stages.contract import Tools


class ReleasedTexts(NamedTuple):
    """The columns of new texts, and how many items have one, by model and prompt."""

    columns: dict[str, pa.Array]
    models: Counter[tuple[str, str]]

    def with_columns(self, items: pa.Table) -> pa.Table:
        """Return the items with these columns."""
        for name, column in self.columns.items():
            items = items.append_column(name, column)
        return items

    def sentences(self) -> list[str]:
        """Return what a card says of these texts."""
        names = ", ".join(self.columns)
        return [
            f"Nobody has checked {names}: texts of {count_of(count, 'item')} that {model} wrote (prompt {prompt}), "
            "because people gave other labels than the text was written for, or there was none."
            for (model, prompt), count in sorted(self.models.items())
        ]


def released_texts(corpus: Corpus, tools: Tools, tables: ReleaseTables, is_left_out: pa.Array) -> ReleasedTexts:
    """Return the new texts of the items in a release; none of items that it leaves out, or whose answers it hides."""
    stage = _rewriting(tools)
    if stage is None:
        return ReleasedTexts({}, Counter())
    ids = tables.items["item_id"]
    without = frozenset(ids.filter(is_left_out).to_pylist())
    texts = stage.texts(tools.labels)
    return ReleasedTexts(*read_rewritten(corpus, ids.to_pylist(), tables.labels, texts, without=without))


def texts_state(corpus: Corpus, tools: Tools) -> list[str]:
    """Return what the new texts in a release follow from; nothing if a recipe has none written."""
    stage = _rewriting(tools)
    return [] if stage is None else [str(corpus.table(REWRITTEN).state()), *stage.texts(tools.labels)]


def _rewriting(tools: Tools) -> Rewriting | None:
    return next((stage for stage in tools.stages if isinstance(stage, Rewriting)), None)
