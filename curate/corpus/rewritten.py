"""Texts that a model wrote anew for the labels that people gave, as far as these are still the labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.view import Corpus
from curate.files import digest

REWRITTEN = "rewritten"
"""The table of these texts."""
SUFFIX = "_rewritten"
"""What follows the name of a field in the name of the released column with its new texts."""


class Rewritten(NamedTuple):
    """A column of texts for each field, one for each of the items asked for, and how many each model wrote."""

    columns: dict[str, pa.Array]
    models: Counter[tuple[str, str]]
    """By model and prompt"""


def basis_of(labels: Mapping[str, Any]) -> str:
    """Return a hash of the values of a label by field: also of its texts, since a person may have changed them."""
    return digest(dict(labels))


def read_rewritten(
    corpus: Corpus, item_ids: Sequence[str], labels: pa.Table, texts: Sequence[str], *, without: frozenset[str]
) -> Rewritten:
    """Return the new texts of items whose ``labels`` are those that they were written for.

    ``labels`` has ``item_id`` and the fields of the label schema; ``without`` are items that a release leaves out, or
    whose answers it hides.
    """
    rows = corpus.read(REWRITTEN, ["item_id", "texts", "basis", "model", "model_answered", "prompt", "outcome"])
    stored = {
        row["item_id"]: row for row in rows.to_pylist() if row["outcome"] == "ok" and row["item_id"] not in without
    }
    valid: dict[str, dict[str, str]] = {}
    models: Counter[tuple[str, str]] = Counter()
    fields = list(corpus.labels.fields)
    for label in labels.select(["item_id", *fields]).to_pylist() if stored else ():
        row = stored.get(label.pop("item_id"))
        if row is not None and row["basis"] == basis_of(label):
            valid[row["item_id"]] = {entry["field"]: entry["text"] for entry in row["texts"] or ()}
            models[row["model_answered"] or row["model"], row["prompt"]] += 1
    columns = {
        f"{name}{SUFFIX}": pa.array([valid.get(item_id, {}).get(name) for item_id in item_ids], pa.string())
        for name in texts
    }
    return Rewritten(columns, models)
