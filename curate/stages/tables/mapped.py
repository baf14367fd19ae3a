"""What the tables of a recipe hold by their mapping: items, judgements, and rows that cannot be used."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from curate.annotation.importing.acts import FIELDS
from curate.annotation.importing.combined import combine_parts
from curate.annotation.importing.holding import column_type
from curate.annotation.importing.items import items_of, unique_items, with_keys
from curate.annotation.importing.judgements import FACTS, judgements_of
from curate.annotation.importing.provenance import ACT
from curate.annotation.importing.reshape import cell_columns, reshape
from curate.annotation.importing.rows import KEY, LINE, PLACE, TableRows, no_problems, prepare, problems_of
from curate.annotation.importing.settings import FILE_COLUMN, HubTable, Join, Table
from curate.errors import InvalidInput, InvalidRow
from curate.labels import LabelSchema
from curate.stages.tables.delimited import listed
from curate.stages.tables.exports import forget_exports, missing_answers, read_export_rows
from curate.stages.tables.read import columns_of, missing_columns, read_file

if TYPE_CHECKING:
    import polars as pl

Find = Callable[[str | HubTable], Sequence[tuple[str, Path]]]
"""Returns names and paths of the files that a glob matches or that a data set has. Raises ``InvalidRow`` with a
sentence if there are none."""


class Mapped(NamedTuple):
    """Items (see ``items_of``), judgements (``FACTS``, ``FIELDS`` and all fields of the schema), unusable rows.

    ``left_out`` counts what exports of annotation tools hold and the mapping does not read, by what it is.
    """

    items: "pl.DataFrame | None"
    judgements: pa.Table
    problems: "pl.DataFrame"
    left_out: Mapping[str, int]


def table_problems(tables: Sequence[Table], find: Find) -> Iterator[tuple[int, str]]:
    """Yield the tables (by number) whose files are not there or lack columns that the mapping reads, and a sentence."""
    for number, table in enumerate(tables):
        try:
            joined = [find(join.table) for join in table.join]
            files = [file for location in table.places for file in find(location)]
            if table.files:
                _listed(table, find)
        except InvalidRow as error:
            yield number, error.message
            continue
        if table.format is not None and not table.join:
            if problem := missing_answers(files, table, _used(table)):
                yield number, problem
            continue
        for name, path in files:
            try:
                _columns(name, path, table, joined)
            except InvalidRow as error:
                yield number, error.message


def map_tables(
    tables: Sequence[Table], find: Find, labels: LabelSchema, *, named: "pl.DataFrame | None" = None
) -> Mapped:
    """Return what the tables hold. Judgements are about their items or, if given, about those of the workspace.

    ``named`` has the names of these (``KEY``), their ``item_id`` and how many ``items`` go by the name. Raises
    ``InvalidInput`` with a sentence for each table that cannot be read.
    """
    import polars as pl

    if problems := tuple(sentence for _, sentence in table_problems(tables, find)):
        all_problems = problems if len(problems) > 1 else ()
        raise InvalidInput(problems[0], problems=all_problems, hint="correct the mapping, or the table")
    items: list[pl.DataFrame] = []
    keyed: list[tuple[Table, TableRows]] = []
    left_out: Counter[str] = Counter()
    places: list[pl.DataFrame] = []
    for table in tables:
        rows = _prepared(table, find, left_out)
        if table.format is not None:
            places.append(rows.frame.select(FILE_COLUMN, LINE, PLACE))
            if table.item is None:  # tasks that nobody answered are nothing here
                rows = rows._replace(frame=rows.frame.filter(pl.col(ACT).is_not_null()))
        rows = with_keys(rows, table)
        if table.item is not None:
            is_once = not (table.has_judgements or table.item.is_of_rows) and table.format is None
            table_items, rows = items_of(rows, table.item, is_once=is_once)
            items.append(table_items)
        keyed.append((table, rows))
    forget_exports()
    every, conflicts = unique_items(pl.concat(items)) if items else (None, no_problems())
    problem_parts = [conflicts]
    judged = []
    for table, rows in keyed:
        frame = rows.frame.join(
            conflicts.select(FILE_COLUMN, LINE), on=[FILE_COLUMN, LINE], how="anti", maintain_order="left"
        )
        if table.item is None:
            frame, unknown = _of_known_items(frame, every, named)
            problem_parts.append(unknown)
        problem_parts.append(rows.problems)
        if table.has_judgements:
            judgements, wrong = _judgements(frame, table, labels)
            problem_parts.append(wrong)
            judged.append(_with_all_fields(judgements, labels))
    judgements, again = _unique(_concatenated(judged, labels))
    judgements = combine_parts(judgements, labels.fields)
    return Mapped(every, judgements, _placed(pl.concat([*problem_parts, again]), places), left_out)


def _placed(problems: "pl.DataFrame", places: "Sequence[pl.DataFrame]") -> "pl.DataFrame":
    """Return problems whose sentences name the records of exports that they are about."""
    import polars as pl

    if not places or not problems.height:
        return problems
    placed = problems.join(
        pl.concat(places).unique([FILE_COLUMN, LINE]), on=[FILE_COLUMN, LINE], how="left", maintain_order="left"
    )
    named = pl.coalesce(pl.format("{}: {}", PLACE, "sentence"), "sentence")
    return placed.select(named.alias(name) if name == "sentence" else name for name in problems.columns)


def _of_known_items(
    frame: "pl.DataFrame", items: "pl.DataFrame | None", named: "pl.DataFrame | None"
) -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Return the rows about items that are there, and the problems of the others; with ``named``, keys are item ids."""
    import polars as pl

    key = pl.col(KEY).str.slice(0, 60)
    if named is not None:
        frame = frame.join(named, on=KEY, how="left", maintain_order="left")
        several = pl.format("'{}' is the name of {} items: name them by their item_id", key, pl.col("items"))
        unknown = pl.format("item '{}' is not in the workspace", key)
        sentence = pl.when(pl.col("items") > 1).then(several).otherwise(unknown)
        is_known = (frame["items"] == 1).fill_null(False)
        problems = problems_of(frame.filter(~is_known), sentence, reason="unknown_item")
        return frame.filter(is_known).drop(KEY, "items").rename({"item_id": KEY}), problems
    if items is None:
        return frame, no_problems()
    is_known = frame[KEY].is_in(items[KEY].implode())
    sentence = pl.format("item '{}' is not in the tables", key)
    return frame.filter(is_known), problems_of(frame.filter(~is_known), sentence, reason="unknown_item")


def _prepared(table: Table, find: Find, left_out: Counter[str]) -> TableRows:
    import polars as pl

    columns = sorted({*table.columns_used(), *table.extracted} - {FILE_COLUMN})
    columns += [ACT, PLACE] if table.format is not None else []
    if table.files:
        rows = prepare(TableRows(_listed(table, find), no_problems()), table, ())
        return rows._replace(frame=rows.frame.select(FILE_COLUMN, LINE, *columns))
    parts = []
    joined = [find(join.table) for join in table.join]
    lookups: dict[tuple[int, tuple[str, ...]], pl.DataFrame] = {}
    for name, path in (file for location in table.places for file in find(location)):
        own_columns, joined_columns = _columns(name, path, table, joined)
        try:
            if table.format is not None:
                rows = read_export_rows(path, name, table, [*own_columns, ACT], left_out)
            else:
                cells = cell_columns(table, columns_of(path, table, own_columns)) if table.unpivot else []
                rows = reshape(read_file(path, name, table, [*own_columns, *cells]), table, cells)
            tables = []
            for index, (join, files, wanted) in enumerate(zip(table.join, joined, joined_columns, strict=True)):
                lookup = lookups.get((index, tuple(wanted)))
                if lookup is None:
                    lookup = lookups[index, tuple(wanted)] = _joined(join, files, wanted)
                tables.append(lookup)
            rows = prepare(rows, table, tables)
        except (InvalidRow, ValueError, OSError) as error:
            raise InvalidInput(f"{name}: {error}", hint="correct the mapping, or the table") from error
        parts.append(rows._replace(frame=rows.frame.select(FILE_COLUMN, LINE, *columns)))
    return TableRows(*(pl.concat([part[index] for part in parts]) for index in (0, 1)))


def _joined(join: Join, files: Sequence[tuple[str, Path]], wanted: Sequence[str]) -> "pl.DataFrame":
    """Return the columns of a joined table, under the names that they are to have."""
    import polars as pl

    original = {new: column for column, new in join.take.items()}
    columns_read = [original.get(column, column) for column in wanted]
    frames = [read_file(path, name, join, list(dict.fromkeys(columns_read))).frame for name, path in files]
    chosen = [pl.col(column).alias(name) for column, name in zip(columns_read, wanted, strict=True)]
    return pl.concat(frames).select(chosen)


def _listed(table: Table, find: Find) -> "pl.DataFrame":
    """Return the files of a mapping as rows. Raises ``InvalidRow`` if there are none, or it reads another column."""
    import polars as pl

    if cell_columns := [column for column in table.columns_used() if column != FILE_COLUMN]:
        raise InvalidRow(f"files have no column {listed(cell_columns[:1])}: take it out of {FILE_COLUMN} by `extract`")
    names = dict.fromkeys(name for pattern in table.files for name, _ in find(pattern))
    return pl.DataFrame({FILE_COLUMN: list(names), LINE: 1}, schema={FILE_COLUMN: pl.String, LINE: pl.Int64})


def _used(table: Table) -> list[str]:
    return [column for column in table.columns_used() if column != FILE_COLUMN]


def _columns(
    name: str, path: Path, table: Table, joined: Sequence[Sequence[tuple[str, Path]]]
) -> tuple[list[str], list[list[str]]]:
    """Return which of the columns used are in a file, and which in each table joined to it.

    Raises ``InvalidRow`` with a sentence if a column is in none of them.
    """
    used = _used(table)
    if table.unpivot is not None:
        try:
            cell_columns(table, _names(path, name, table, used))
        except ValueError as error:
            raise InvalidRow(f"{name}: {error}") from error
    if not table.join:
        if table.format is None and (problem := missing_columns(path, name, table, used)):
            raise InvalidRow(problem)
        return [*used, FILE_COLUMN], []
    names = _names(path, name, table, used)
    own_columns = [column for column in used if column in names]
    missing = [column for column in used if column not in names]
    joined_columns = []
    for join, files in zip(table.join, joined, strict=True):
        keys = list(join.by.values())
        available: list[str] = []
        for joined_name, joined_path in files:
            if problem := missing_columns(joined_path, joined_name, join, [*keys, *join.take]):
                raise InvalidRow(problem)
            available += [*join.take.values(), *_names(joined_path, joined_name, join, [*keys, *missing])]
        joined_columns.append(list(dict.fromkeys([*keys, *(column for column in missing if column in available)])))
        missing = [column for column in missing if column not in available]
    missing = [column for column in missing if column not in table.extracted]
    if missing:
        noun = "column" if len(missing) == 1 else "columns"
        also = " or ".join(["", *(f"{join.table}" for join in table.join)])
        raise InvalidRow(f"{name}{also} has no {noun} {listed(missing)}; the columns of {name} are {listed(names)}")
    return [*own_columns, FILE_COLUMN], joined_columns


def _names(path: Path, name: str, table: object, wanted: Sequence[str]) -> list[str]:
    try:
        return columns_of(path, table, wanted)  # type: ignore[arg-type]
    except OSError as error:
        raise InvalidRow(f"{name} cannot be read: {error.strerror}") from error
    except InvalidRow as error:
        raise InvalidRow(f"{name} cannot be read as a table: {error.message}") from error


def _judgements(frame: "pl.DataFrame", table: Table, labels: LabelSchema) -> "tuple[pa.Table, pl.DataFrame]":
    try:
        return judgements_of(frame, table, labels)
    except ValueError as error:
        raise InvalidInput(f"{', '.join(map(str, (*table.places, *table.files)))}: {error}") from error


def _unique(judgements: pa.Table) -> "tuple[pa.Table, pl.DataFrame]":
    """Return the first judgement of each named rater on each item, arm and fields, and problems with the others."""
    import polars as pl

    facts = pl.DataFrame(judgements.select([*FACTS, FIELDS]))
    named = facts.with_row_index("<row>").filter(pl.col("annotator").is_not_null())
    keys = (KEY, "annotator", "arm", FIELDS)
    first = named.unique(keys, keep="first", maintain_order=True)
    if first.height == named.height:
        return judgements, no_problems()
    pairs = named.join(first, on=keys, how="left", suffix=" of first", nulls_equal=True)
    repetitions = pairs.filter(pl.col("<row>") != pl.col("<row> of first"))
    sentence = pl.format(
        "rater '{}' judged item '{}' before, in {}, line {}",
        *("annotator", KEY, f"{FILE_COLUMN} of first", f"{LINE} of first"),
    )
    again = problems_of(repetitions, sentence, part="again", reason="duplicate")
    first_rows = facts.with_row_index("<row>").join(
        repetitions.select("<row>"), on="<row>", how="anti", maintain_order="left"
    )
    return judgements.take(first_rows["<row>"].to_arrow()), again


def _with_all_fields(rows: pa.Table, labels: LabelSchema) -> pa.Table:
    for name, field in labels.fields.items():
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, column_type(field)))
    return rows.select([*FACTS, FIELDS, *labels.fields])


def _concatenated(tables: Sequence[pa.Table], labels: LabelSchema) -> pa.Table:
    kinds = {name: pa.int64() if name == LINE else pa.string() for name in (*FACTS, FIELDS)}
    schema = pa.schema({**kinds, **{name: column_type(field) for name, field in labels.fields.items()}})
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])
