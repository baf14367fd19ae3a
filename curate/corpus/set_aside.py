"""Judgements that people made and that the recipe's present items or label schema leave out."""

from typing import NamedTuple

import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.sentences import count_of, verb_of

_ACTS = ("annotation_id", "judgement_id", "item_id", "action", "acted_at")
_LOG = "_delta_log/*.json"


class SetAside(NamedTuple):
    """Judgements that stay in the workspace and reach no label of the present recipe."""

    items: int
    """Judged items that the recipe does not make now: a setting changed, their source is gone, or they repeat others"""
    judgements: int
    """The judgements of those items"""
    other_schemas: tuple[str, ...]
    """Label schemas other than the recipe's under which the workspace holds judgements"""

    def sentences(self) -> list[str]:
        """Return what a person has to know; nothing if no judgement is set aside."""
        lines = []
        if self.items:
            lines.append(
                f"{self._judged} set aside: a setting of an earlier stage changed, or their source is gone; the "
                "judgements are kept, and count again when the items come back"
            )
        if self.other_schemas:
            names = ", ".join(self.other_schemas)
            lines.append(f"judgements under label schema {names} are set aside: this recipe uses another label schema")
        return lines

    def forecast(self) -> str:
        """Return what a person has to know before a run; empty if no judgement may be set aside."""
        if not self.items:
            return ""
        return f"{self._judged} not made by these settings so far: those that the run does not make are set aside"

    @property
    def _judged(self) -> str:
        verb = verb_of(self.items, "is", "are")
        return f"{count_of(self.items, 'item')} that people judged ({count_of(self.judgements, 'judgement')}) {verb}"


def set_aside(corpus: Corpus) -> SetAside:
    """Return which judgements of a workspace the recipe leaves out."""
    table = corpus.table("annotations")
    schemas = {
        name.partition("/")[0]
        for name in corpus.workspace.folder.child("tables").child("annotations").glob(f"*/{_LOG}")
    }
    others = tuple(sorted(schemas - {corpus.labels.name}))
    acts = table.read(list(_ACTS))
    if not acts.num_rows:
        return SetAside(0, 0, others)
    judgements = current_judgements(acts)
    made = corpus.read("items", ["item_id"])["item_id"]
    lost = judgements.filter(pc.invert(pc.is_in(judgements["item_id"], value_set=made)))
    return SetAside(len(lost["item_id"].unique()), lost.num_rows, others)
