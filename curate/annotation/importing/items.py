"""The items of a table: one row for each id, with its content and the columns that are kept."""

import hashlib
from typing import TYPE_CHECKING

from curate.annotation.importing.dialogues import DIALOGUE, ITEM_TURN, with_dialogues
from curate.annotation.importing.item_settings import Item
from curate.annotation.importing.rows import KEY, LINE, MAX_QUOTED, TableRows, problems_of
from curate.annotation.importing.settings import FILE_COLUMN, Table
from curate.annotation.importing.stretches import TIMES, read_times
from curate.annotation.importing.turn_settings import Turns
from curate.annotation.importing.values import read_texts, text_of

if TYPE_CHECKING:
    import polars as pl

CONTENT = ("text", "text_b", "statement", "speaker", "participant", "title")
MEDIA, KEPT_COLUMNS = "media", "columns"
MAX_TEXT_BYTES = 1_000_000


def with_keys(rows: TableRows, table: Table) -> TableRows:
    """Return the rows with the id of their item, without those that have none.

    Rows of items without ids have one made of what the items are.
    """
    import polars as pl

    frame, item_id = rows.frame, table.item_id or (table.item.id if table.item else None)
    if item_id is None and table.item is not None:
        return rows._replace(frame=frame.with_columns(_content_keys(frame, table.item).alias(KEY)))
    keys, problems = read_texts(frame, item_id, "id") if item_id is not None else (None, rows.problems.clear())
    frame = frame.with_columns(pl.Series(KEY, keys, pl.String))
    lost = frame.filter(pl.col(KEY).is_null()).join(problems, on=[FILE_COLUMN, LINE], how="anti")
    missing = problems_of(lost, "the row does not say which item it is about: the id is blank")
    return TableRows(frame.filter(pl.col(KEY).is_not_null()), pl.concat([rows.problems, problems, missing]))


def items_of(rows: TableRows, item: Item, *, is_once: bool) -> "tuple[pl.DataFrame, TableRows]":
    """Return the items of rows that have keys, in order of their first rows, and the rows without those in conflict.

    With ``is_once``, an item has one row only, since nothing but the item is in it.
    An item has the columns ``KEY``, file, line, those of ``CONTENT``, ``DIALOGUE`` and ``ITEM_TURN``, ``MEDIA`` (paths
    by preference), ``KEPT_COLUMNS``, and those of ``TIMES`` (seconds, null for whole files).
    """
    import polars as pl

    if item.dialogue is not None and not item.is_of_rows:
        rows = with_dialogues(rows, item.dialogue)
    frame, problems = rows.frame, [rows.problems]
    columns: dict[str, pl.Series] = {}
    for name, value in item.values():
        texts, wrong = (text_of(frame, value), None) if name == "text" else read_texts(frame, value, name)
        columns[name] = texts.rename(name)
        if wrong is not None and wrong.height:
            problems.append(wrong.with_columns(pl.lit("").alias("part")))
    media = [text_of(frame, value).rename(f"<media {index}>") for index, value in enumerate(item.media)]
    lists = pl.concat_list(media) if media else pl.lit(None, pl.List(pl.String))
    entries = [
        pl.struct(pl.lit(name).alias("name"), pl.col(column).alias("value")) for column, name in item.keep.items()
    ]
    kept_type = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))
    kept_columns = pl.concat_list(entries) if entries else pl.lit(None, kept_type)
    content = [columns.get(name, pl.lit(None, pl.String).alias(name)) for name in CONTENT]
    times, wrong_times = read_times(frame, item)
    problems.append(wrong_times)
    if item.dialogue is None or item.is_of_rows:
        dialogue = [pl.lit(None, pl.String).alias(DIALOGUE), pl.lit(None, pl.Int64).alias(ITEM_TURN)]
    else:
        dialogue = [pl.col(DIALOGUE), pl.col(ITEM_TURN)]
    others: list[pl.Expr | pl.Series] = [lists.alias(MEDIA), kept_columns.alias(KEPT_COLUMNS), *times]
    items = frame.select(KEY, FILE_COLUMN, LINE, *content, *dialogue, *others)
    bad = items.filter(pl.col("text").str.len_bytes() > MAX_TEXT_BYTES)
    problems.append(problems_of(bad, f"the text is longer than {MAX_TEXT_BYTES} bytes"))
    rejected = pl.concat(problems[1:]).select(FILE_COLUMN, LINE)
    items, frame = (
        part.join(rejected, on=[FILE_COLUMN, LINE], how="anti", maintain_order="left") for part in (items, frame)
    )
    items, conflicts = unique_items(items, is_once=is_once)
    if conflicts.height:
        frame = frame.join(conflicts, on=[FILE_COLUMN, LINE], how="anti", maintain_order="left")
        problems.append(conflicts)
    rows = TableRows(frame, pl.concat(problems))
    return _of_turns(items, rows, item.dialogue) if item.dialogue is not None and item.is_of_rows else (items, rows)


def _of_turns(items: "pl.DataFrame", rows: TableRows, turns: Turns) -> "tuple[pl.DataFrame, TableRows]":
    """Return items whose dialogues are all of their rows, and the rows in the order of their turns."""
    rows = with_dialogues(rows, turns)
    dialogues = rows.frame.unique(KEY, keep="first", maintain_order=True).select(KEY, DIALOGUE)
    joined = items.drop(DIALOGUE).join(dialogues, on=KEY, how="inner", maintain_order="left")
    return joined.select(items.columns), rows


def unique_items(items: "pl.DataFrame", *, is_once: bool = False) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Return the first row of each item, and the problems of rows that say something else of the same item.

    With ``is_once``, also of those that say the same.
    """
    import polars as pl

    first = items.unique(KEY, keep="first", maintain_order=True)
    if first.height == items.height:
        return first, problems_of(items.clear(), "")
    names = (*CONTENT, DIALOGUE, MEDIA, KEPT_COLUMNS, *TIMES)
    pairs = items.join(first, on=KEY, how="left", suffix=" of first", maintain_order="left")
    differs = [pl.col(name).ne_missing(pl.col(f"{name} of first")) for name in names]
    is_first = pl.struct(FILE_COLUMN, LINE) == pl.struct(
        pl.col(f"{FILE_COLUMN} of first").alias(FILE_COLUMN), pl.col(f"{LINE} of first").alias(LINE)
    )
    duplicates = pairs.filter(~is_first if is_once else pl.any_horizontal(differs))
    named = zip(differs, names, strict=True)
    part_name = pl.coalesce(
        [pl.when(differ).then(pl.lit("columns kept" if name == KEPT_COLUMNS else name)) for differ, name in named]
    )
    first_location = pl.format("in {}, line {}", pl.col(f"{FILE_COLUMN} of first"), pl.col(f"{LINE} of first"))
    item = pl.format("item '{}'", pl.col(KEY).str.slice(0, MAX_QUOTED))
    sentence = pl.coalesce(
        pl.format("{} has another {} here than {}", item, part_name, first_location),
        pl.format("{} is {} already", item, first_location),
    )
    return first, problems_of(duplicates, sentence, reason="duplicate")


def _content_keys(frame: "pl.DataFrame", item: Item) -> "pl.Series":
    import polars as pl

    # What is said in a stretch may be corrected without making it another one.
    named = [value for name, value in item.values() if not item.is_stretch or name == "speaker"]
    values = [text_of(frame, value).fill_null("") for value in (*named, *item.times)]
    values += [text_of(frame, value).fill_null("") for value in item.media]
    values += [frame[column].fill_null("") for column in (item.dialogue.columns_read if item.dialogue else ())]
    if not values:
        return pl.repeat("", frame.height, dtype=pl.String, eager=True)
    texts = pl.select(pl.concat_str(values, separator="\x1f")).to_series()
    distinct = texts.unique()
    keys = [f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:32]}" for text in distinct.to_list()]
    return texts.replace_strict(distinct, pl.Series(keys, dtype=pl.String), return_dtype=pl.String)
