"""Judgements that people made and that the recipe's present items or label schema leave out."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.corpus.schema_fit import open_stored
from curate.corpus.view import Corpus
from curate.sentences import count_of, verb_of
from curate.storage.workspace import Workspace

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
            lines.append(
                f"judgements under label schema {names} are set aside: this recipe uses another label schema "
                "(`curate labels migrate --from` carries them over)"
            )
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
    acts = table.read(list(_ACTS))
    unused_schemas = tuple(
        name
        for name in judged_schemas(corpus.workspace)
        if name != corpus.labels.name and not _is_carried_over(corpus, name, acts["judgement_id"])
    )
    if not acts.num_rows:
        return SetAside(0, 0, unused_schemas)
    judgements = current_judgements(acts)
    made = corpus.read("items", ["item_id"])["item_id"]
    lost = judgements.filter(pc.invert(pc.is_in(judgements["item_id"], value_set=made)))
    return SetAside(len(lost["item_id"].unique()), lost.num_rows, unused_schemas)


def judged_schemas(workspace: Workspace) -> tuple[str, ...]:
    """Return the names of the label schemas under which a workspace holds acts."""
    names = workspace.folder.child("tables").child("annotations").glob(f"*/{_LOG}")
    return tuple(sorted({name.partition("/")[0] for name in names}))


def _is_carried_over(corpus: Corpus, schema_name: str, judgement_ids: pa.ChunkedArray) -> bool:
    """Return whether every judgement under another label schema has an act under the recipe's."""
    stored = open_stored(corpus.workspace, corpus.labels, schema_name)
    if stored is None:
        return True
    judgements = current_judgements(stored.table.read(list(_ACTS)), with_skipped=True)["judgement_id"]
    return bool(pc.all(pc.is_in(judgements, value_set=judgement_ids), min_count=0).as_py())
