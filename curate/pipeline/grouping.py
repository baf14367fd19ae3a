"""What judgements can be grouped by: columns of their own, of items and sources, and splits."""

import pyarrow as pa

from curate.corpus.kept import kept_column, kept_names
from curate.corpus.view import Corpus
from curate.document import nearest
from curate.errors import InvalidInput
from curate.pipeline.walk import make_tools
from curate.recipe import LoadedRecipe
from curate.stages.divide import planned_splits

_OWN_GROUPS = ("arm", "rater", "label", "group", "collection", "split")


def with_column(loaded: LoadedRecipe, corpus: Corpus, judgements: pa.Table, by: str) -> pa.Table:
    """Return judgements with the column ``by`` of their items, sources or tables, or with the splits of their items.

    Raises ``InvalidInput`` if there is no such column, or if it holds lists.
    """
    items, sources = corpus.table("items").spec.schema, corpus.table("sources").spec.schema
    judgement_columns = [
        name for name in judgements.column_names if not pa.types.is_nested(judgements.schema.field(name).type)
    ]
    if by in judgement_columns and by not in loaded.labels.fields:
        return judgements
    nested = {column.name for schema in (items, sources) for column in schema if pa.types.is_nested(column.type)}
    if by in nested:
        raise InvalidInput(f"--by {by}: its values are lists", hint="name a column with one value an item")
    if by == "split":
        table, column = _splits(loaded, corpus), "split"
    elif by in items.names:
        table, column = corpus.read("items", ["item_id", by]), by
    elif by in sources.names:
        of_items = corpus.read("items", ["item_id", "source_id"])
        joined = of_items.join(corpus.read("sources", ["source_id", by]), "source_id")
        table, column = joined.select(["item_id", by]), by
    elif (kept_table := kept_column(corpus, by)) is not None:
        table, column = kept_table, by
    else:
        names = dict.fromkeys((*_OWN_GROUPS, *kept_names(corpus), *judgement_columns, *items.names, *sources.names))
        raise InvalidInput(
            f"--by {by}: there is no such column{nearest(by, tuple(name for name in names if name not in nested))}",
            hint="name rater, label, split, or a column of annotations, items, sources or the corpus's tables",
        )
    position = dict(zip(table["item_id"].to_pylist(), range(table.num_rows), strict=True))
    rows = pa.array([position.get(item_id) for item_id in judgements["item_id"].to_pylist()], pa.int64())
    return judgements.append_column(column, table[column].take(rows))


def _splits(loaded: LoadedRecipe, corpus: Corpus) -> pa.Table:
    """Return the split of every item as the next release would have it."""
    splits = planned_splits(corpus, make_tools(loaded, corpus.workspace))
    if splits is None:
        raise InvalidInput("--by split: the recipe has no export stage, so there are no splits", hint="add one")
    return splits
