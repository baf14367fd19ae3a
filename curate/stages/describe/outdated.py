"""Which texts say what people did not: a model wrote them for other labels, and nobody has changed them since."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.rewritten import basis_of
from curate.corpus.view import Corpus
from curate.labels import LabelSchema

Row = dict[str, Any]
_ITEM_COLUMNS = (
    "item_id",
    "source_id",
    "text",
    "text_b",
    "statement",
    "speaker",
    "language",
    "dialogue",
    "turn",
    "start_s",
    "end_s",
)


class Outdated(NamedTuple):
    """An item whose texts no longer fit: its row, the labels that people gave, the texts to write, and what they said.

    ``clues`` are what models told of it, if any did.
    """

    item: Row
    labels: Row
    fields: tuple[str, ...]
    drafts: Mapping[str, str]
    clues: str
    basis: str


def find_outdated(corpus: Corpus, schema: LabelSchema, fields: Sequence[str]) -> list[Outdated]:
    """Return the items that people labelled and whose texts are missing, or are a model's for other labels.

    A text that a person wrote or changed is left as it is.
    """
    labels = corpus.read("labels", ["item_id", "label_source", *schema.fields])
    labels = labels.filter(pc.equal(labels["label_source"], "human")).drop_columns(["label_source"])
    ids = set(labels["item_id"].to_pylist())
    columns = ["item_id", "final", "outcome", "labeller", "extras", *schema.fields]
    prelabels = corpus.read("prelabels", columns, matching=("item_id", ids)) if ids else None
    proposals, clues = _proposals(prelabels)
    outdated: dict[str, tuple[Row, tuple[str, ...], Row]] = {}
    for row in labels.to_pylist():
        item_id = row.pop("item_id")
        proposal = proposals.get(item_id, {})
        is_corrected = any(row[name] != proposal.get(name) for name in schema.fields if name not in fields)
        due = tuple(
            name
            for name in fields
            if schema.is_asked(name, row) and (row[name] is None or (is_corrected and row[name] == proposal.get(name)))
        )
        if due:
            outdated[item_id] = row, due, proposal
    items = corpus.read("items", _ITEM_COLUMNS, matching=("item_id", set(outdated))).to_pylist() if outdated else []
    return [_outdated(item, *outdated[item["item_id"]], clues.get(item["item_id"], "")) for item in items]


def _outdated(item: Row, labels: Row, due: tuple[str, ...], proposal: Row, clues: str) -> Outdated:
    drafts = {name: proposal[name] for name in due if proposal.get(name)}
    settled = {name: value for name, value in labels.items() if name not in due}
    return Outdated(item, settled, due, drafts, clues, basis_of(labels))


def _proposals(prelabels: pa.Table | None) -> tuple[dict[str, Row], dict[str, str]]:
    """Return the final proposal and the clues of each item."""
    proposals: dict[str, Row] = {}
    clues: dict[str, str] = {}
    for row in prelabels.to_pylist() if prelabels is not None else ():
        if row["outcome"] == "clue":
            lines = [
                f"{extra['name'].replace('_', ' ')}: {' '.join(extra['text'].split())}" for extra in row["extras"] or ()
            ]
            told = "\n".join([f"[{row['labeller']}]", *lines])
            clues[row["item_id"]] = "\n\n".join(filter(None, (clues.get(row["item_id"]), told)))
        elif row["final"] and row["outcome"] == "ok":
            proposals[row["item_id"]] = row
    return proposals, clues
