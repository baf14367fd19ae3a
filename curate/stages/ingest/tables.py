"""Inputs of ingest from tables: one for each item, and one for each row that cannot be used."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.dialogues import DIALOGUE, ITEM_TURN
from curate.annotation.importing.items import CONTENT, KEPT_COLUMNS, MEDIA
from curate.annotation.importing.rows import KEY, LINE
from curate.annotation.importing.settings import FILE_COLUMN, HubTable, Table
from curate.annotation.importing.stretches import TIMES
from curate.corpus.identity import json_rows
from curate.corpus.sources import LINK_STARTS, MEMBER, RawFolders, allowing, is_fetched, outside
from curate.errors import InvalidRow
from curate.files import sha256_of
from curate.labels import LabelSchema
from curate.stages.contract import Rejection, Tools
from curate.stages.ingest.cuts import add_cut, described
from curate.stages.ingest.files import file_input
from curate.stages.ingest.finding import DIALOGUE_TYPE, INPUTS, RECORD, find_files, list_refused
from curate.stages.ingest.hub import find_hub_files, is_at_hand
from curate.stages.ingest.matching import LeadsOutside
from curate.stages.tables.audformat import SUFFIXES as DATABASES
from curate.stages.tables.audformat import database_files
from curate.stages.tables.mapped import Mapped, map_tables
from curate.stages.tables.sheets import SUFFIXES as SHEETS
from curate.stages.tables.sheets import hidden_sheets
from curate.storage.columns import fill_columns

if TYPE_CHECKING:
    import polars as pl


def find_tables(location: str | HubTable, raw: RawFolders, tools: Tools | None = None) -> list[tuple[str, Path]]:
    """Return names and paths of the tables that a glob matches, or of a data set's. Raises ``InvalidRow``.

    Without ``tools``, no data set is read, and none of their files are returned.
    """
    if isinstance(location, HubTable):
        return find_hub_files(location, tools) if tools is not None else []
    try:
        files = sorted(find_files(location, raw))
        refused = list_refused([location], raw)
    except LeadsOutside as error:
        raise InvalidRow(f"{outside(error.path, error.real)}; {allowing(error.real)}") from error
    if refused:
        raise InvalidRow(f"{refused[0]['file']}: {refused[0]['problem']}")
    if not files:
        folders = " or ".join(str(folder.resolve()) for folder in raw)
        raise InvalidRow(f"there is no file {location!r} in {folders}")
    return [(name, raw.join(name)) for name in files]


def read_tables(tables: Sequence[Table], raw: RawFolders, labels: LabelSchema, *, tools: Tools | None = None) -> Mapped:
    """Return what tables hold: of data sets of the Hub, those at hand. ``tools`` is needed to read any.

    Raises ``InvalidInput`` with a sentence for each that cannot be read.
    """
    present = [table for table in tables if is_at_hand(table, tools)]
    return map_tables(present, partial(find_tables, raw=raw, tools=tools), labels)


def table_inputs(mapped: Mapped, raw: RawFolders) -> pa.Table:
    """Return the inputs of ingest in tables: items with the file that shows them, if it is there, and unusable rows."""
    import polars as pl

    parts = [_problem_inputs(mapped.problems)]
    if mapped.items is not None:
        items = mapped.items.with_columns(pl.format("{}#{}", FILE_COLUMN, LINE).alias("file"))
        if items[MEDIA].null_count() < items.height:
            with_files, problems, items = _media_inputs(items, raw)
            parts += [with_files, problems]
            first = pl.col(MEDIA).list.drop_nulls().list.first()
            has_media = with_files.num_rows > 0
            items = items.with_columns(
                first.alias("media"), (first if has_media else pl.lit(None, pl.String)).alias("absent")
            )
        parts.append(_record_inputs(items))
    return pa.concat_tables([fill_columns(part, INPUTS) for part in parts if part.num_rows] or [INPUTS.empty_table()])


def record_sources(batch: pa.Table, origin: dict[str, str | None]) -> pa.Table:
    """Return the sources of items that are nothing but their row: a text, or something that is not at hand.

    Their identity is a hash of the collection, their id and everything that is judged or shown.
    """
    rows = pa.table({name: batch[RECORD].combine_chunks().field(name) for name in (KEY_NAME, *CONTENT)})
    identified = rows.drop_columns(["participant", "title"])
    identified = identified.append_column("collection", pa.array([origin["collection"]] * rows.num_rows, pa.string()))
    record = batch[RECORD].combine_chunks()
    ids = pa.array([sha256_of(row) for row in _identities(identified, record)], pa.string())
    has_text = pc.or_(rows["text"].is_valid(), record.field(DIALOGUE).is_valid())
    is_text = pc.and_(has_text, record.field("media").is_null())
    kinds = pc.if_else(is_text, "text", "record")
    columns = {"source_id": ids, "file": batch["file"], "kind": kinds}
    columns |= {name: rows[name] for name in (KEY_NAME, *CONTENT)}
    columns |= {name: pa.array([value] * rows.num_rows, pa.string()) for name, value in origin.items()}
    columns |= {name: record.field(name) for name in (DIALOGUE, ITEM_TURN)}
    columns["size_bytes"] = pc.fill_null(pc.binary_length(rows["text"]), 0).cast(pa.int64())
    return pa.table({**columns, KEPT_COLUMNS: batch[RECORD].combine_chunks().field(KEPT_COLUMNS)})


def _identities(rows: pa.Table, record: pa.StructArray) -> Iterator[str]:
    """Yield what identifies each row as JSON: with its dialogue, if it has one."""
    if record.field(DIALOGUE).null_count == len(record):
        yield from json_rows(rows)
        return
    plain = json_rows(rows)
    with_dialogue = json_rows(rows.append_column(DIALOGUE, record.field(DIALOGUE)))
    for is_dialogue, own, longer in zip(record.field(DIALOGUE).is_valid(), plain, with_dialogue, strict=True):
        yield longer if is_dialogue.as_py() else own


def absent_media(batch: pa.Table) -> list[Rejection]:
    """Return a rejection for the file of each item that is absent, though other items of its table have theirs."""
    paths = batch[RECORD].combine_chunks().field("absent")
    rows = pc.indices_nonzero(paths.is_valid())
    named = zip(batch["file"].take(rows).to_pylist(), paths.take(rows).to_pylist(), strict=True)
    return [
        Rejection(file, f"{file}:media", "unavailable", f"{file}: {path} is not there: the item is kept without it")
        for file, path in named
    ]


KEY_NAME = "key"


def _record_inputs(items: "pl.DataFrame") -> pa.Table:
    import polars as pl

    nulls = [pl.lit(None, pl.String).alias(name) for name in ("media", "absent")]
    is_path = items.schema[MEDIA] == pl.String
    items = items if is_path else items.with_columns(nulls)
    names = (*CONTENT, "media", "absent", KEPT_COLUMNS)
    values = [_plain(items[name].to_arrow()) for name in (KEY, *names)]
    turns = [None if text is None else json.loads(text) for text in items[DIALOGUE].to_list()]
    values += [pa.array(turns, DIALOGUE_TYPE), items[ITEM_TURN].to_arrow().cast(pa.int32())]
    record = pa.StructArray.from_arrays(values, [KEY_NAME, *names, DIALOGUE, ITEM_TURN])
    return pa.table({"file": _plain(items["file"].to_arrow()), RECORD: record.cast(INPUTS.field(RECORD).type)})


def _problem_inputs(problems: "pl.DataFrame") -> pa.Table:
    """Return the rows that can only be rejected: of those with the same part of the same row, the first."""
    import polars as pl

    part = pl.when(pl.col("part") == "").then(pl.lit("")).otherwise(":" + pl.col("part"))
    rows = problems.select(
        pl.format("{}#{}{}", FILE_COLUMN, LINE, part).alias("file"), pl.col("sentence").alias("problem"), "reason"
    )
    rows = rows.unique("file", keep="first", maintain_order=True)
    return pa.table({name: _plain(rows[name].to_arrow()) for name in rows.columns})


def _media_inputs(items: "pl.DataFrame", raw: RawFolders) -> "tuple[pa.Table, pa.Table, pl.DataFrame]":
    """Return the inputs of items whose file is there, those that cannot be used, and the items without a file.

    A file is one item, or has stretches that are items.
    """
    inputs: dict[str, dict[str, Any]] = {}
    problems: list[dict[str, Any]] = []
    without: list[int] = []
    records = _record_inputs(items)
    may_read = raw.boundary()
    rows = zip(*(items[name].to_list() for name in (MEDIA, FILE_COLUMN, *TIMES)), strict=True)
    for index, (paths, table, start_s, end_s) in enumerate(rows):
        item_name = records["file"][index].as_py()
        try:
            name = _present(paths or (), raw, may_read, table)
            if name is None:
                if start_s is not None:
                    raise _no_recording(paths or ())
                without.append(index)
                continue
            record = records[RECORD][index].as_py()
            if start_s is not None:
                add_cut(inputs, name, record, start_s, end_s, raw)
            elif name in inputs:
                raise InvalidRow(f"{name} is the file of {described(inputs[name])} already", reason="duplicate")
            else:
                inputs[name] = {**file_input(name, name, raw), RECORD: record}
        except InvalidRow as error:
            problems.append({"file": item_name, "problem": error.message, "reason": error.reason})
    tables = (pa.Table.from_pylist(rows, schema=INPUTS) for rows in (list(inputs.values()), problems))
    return (*tables, items[without])


def _no_recording(paths: Sequence[str | None]) -> InvalidRow:
    named = next((path for path in paths if path), None)
    state = f"{named[:60]} is not there" if named else "it names no recording"
    return InvalidRow(f"{state}: put it there, or leave out start_s and end_s", reason="unavailable")


def _present(paths: Sequence[str | None], raw: RawFolders, may_read: Callable[[str], bool], table: str) -> str | None:
    """Return the first of the paths at which there is a file. Raises ``InvalidRow`` if one leads outside."""
    for name in paths:
        if not name:
            continue
        pure = PurePosixPath(name)
        is_outside = pure.is_absolute() or ".." in pure.parts or "\0" in name
        if is_fetched(name):
            # No table may make curate download what another one holds.
            is_outside = is_outside or not name.startswith((f"{table}{MEMBER}", *LINK_STARTS))
        elif not is_outside:
            path = raw.on_disk(name)
            if not path.is_file():
                continue
            is_outside = not may_read(os.path.realpath(path))
        if is_outside:
            raise InvalidRow(f"the media path {name[:60]!r} leads out of the folders of raw files")
        if raw.join(name).is_file():
            return name
    return None


def _plain(array: Any) -> Any:
    """Return an array with the types of Arrow that tables have, instead of those of polars."""
    return array.cast(_plain_type(array.type))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain_type(field.type)) for field in kind])
    return kind


def sheet_notices(tables: Sequence[Table], tools: Tools) -> Iterator[str]:
    """Yield a sentence for each hidden sheet of an Excel file that is not read."""
    for table in tables:
        patterns = [(pattern, table.sheet) for pattern in table.table]
        for pattern, sheet in (*patterns, *((join.table, join.sheet) for join in table.join)):
            if not pattern.lower().endswith(SHEETS):
                continue
            with suppress(InvalidRow):  # `missing` says so
                for name, path in find_tables(pattern, tools.raw):
                    for hidden in hidden_sheets(path, sheet):
                        yield f"{name}: its hidden sheet {hidden} is not read"


def paths_of(tables: Sequence[Table], tools: Tools) -> Iterator[Path]:
    """Yield the files of tables and of those joined to them. Raises ``InvalidRow``."""
    find = partial(find_tables, raw=tools.raw, tools=tools)
    for table in tables:
        for location in (*table.places, *table.files, *(join.table for join in table.join)):
            for name, path in find(location):
                yield tools.raw.on_disk(name)
                if path.suffix.lower() in DATABASES:
                    yield from database_files(path)
