"""Exports of annotation tools as tables: rows with a cell for each control, and counts of what is not mapped."""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from curate.annotation.importing.exports import readers
from curate.annotation.importing.exports.contract import Export, ExportRow, Options
from curate.annotation.importing.provenance import ACT
from curate.annotation.importing.rows import LINE, PLACE, TableRows, no_problems
from curate.annotation.importing.settings import FILE_COLUMN, RATER_COLUMN, ExportFormat, Table
from curate.errors import InvalidRow
from curate.media.words.encodings import is_unicode
from curate.stages.tables.delimited import listed

if TYPE_CHECKING:
    pass

_SHARED, _NOBODY = "all", "unknown"
"""doccano writes one file of all annotators under the first name, and unlabelled texts under the second."""


def open_export(path: Path, table: Table) -> Export:
    """Return the rows of an export; the last few are kept until ``forget_exports``. Raises ``InvalidRow``."""
    if table.format is None:
        raise InvalidRow("it is no export of an annotation tool")
    state = path.stat()
    options = Options(table.frame_rate_hz, table.offsets, _rater(path, table.format))
    return _read(path, (state.st_mtime_ns, state.st_size), table.format, options)


def export_columns(path: Path, table: Table) -> list[str]:
    """Return the names of the columns of an export. Raises ``InvalidRow`` or ``OSError``."""
    return readers.columns_of(open_export(path, table))


def missing_answers(files: Sequence[tuple[str, Path]], table: Table, wanted: Sequence[str]) -> str | None:
    """Return a sentence if files cannot be read, or if none of them has a column: one alone may lack answers."""
    names: dict[str, None] = {}
    for file, path in files:
        try:
            names.update(dict.fromkeys(export_columns(path, table)))
        except OSError as error:
            return f"{file} cannot be read: {error.strerror}"
        except InvalidRow as error:
            return f"{file} cannot be read as an export of {table.format}: {error.message}"
    absent = [name for name in wanted if name not in names]
    if not absent:
        return None
    noun = "column" if len(absent) == 1 else "columns"
    exported = files[0][0] if len(files) == 1 else f"none of {len(files)} files"
    has = "has no" if len(files) == 1 else "has a"
    return f"{exported} {has} {noun} {listed(absent)}; the columns are {listed(list(names))}"


def forget_exports() -> None:
    """Keep no export in memory any longer."""
    _read.cache_clear()


@lru_cache(maxsize=4)
def _read(path: Path, state: tuple[int, int], tool: ExportFormat, options: Options) -> Export:
    return readers.read_export(path, tool, options)


def _rater(path: Path, tool: ExportFormat) -> str | None:
    """Return the user after whom doccano named a file; None if it is not one of several files of users."""
    if tool != "doccano":
        return None
    names = {sibling.stem for sibling in path.parent.glob("*.jsonl")}
    return path.stem if len(names) > 1 and _SHARED not in names and path.stem != _NOBODY else None


def read_export_rows(path: Path, file: str, table: Table, wanted: Sequence[str], left_out: Counter[str]) -> TableRows:
    """Return the columns ``wanted`` of an export and the rows that cannot be used; count in ``left_out`` what has none.

    Raises ``InvalidRow`` with a sentence if the file cannot be read.
    """
    import polars as pl

    export = open_export(path, table)
    columns = [name for name in wanted if name not in (FILE_COLUMN, ACT)]
    cells: dict[str, list[str | None]] = {name: [] for name in (*columns, ACT, PLACE)}
    lines: list[int] = []
    problems: list[tuple[str, int, str, str, str]] = []
    for line, row in enumerate(export.rows, start=1):
        values = {name: _cell(name, row) for name in columns}
        problem = row.problem or _text_problem(values.values())
        if problem is not None:
            place = row.place.encode("utf-8", "replace").decode()
            problems.append((file, line, "", "invalid", f"{place}: {problem}"))
            continue
        lines.append(line)
        for name, value in values.items():
            cells[name].append(value)
        cells[ACT].append(None if row.made is None else row.made.to_json())
        cells[PLACE].append(row.place.encode("utf-8", "replace").decode())
    left_out.update({name: count for name, count in export.left_out.items() if count})
    left_out.update(_unmapped(export, set(table.columns_used())))
    schema = {LINE: pl.Int64, **dict.fromkeys(cells, pl.String)}
    frame = pl.DataFrame({LINE: lines, **cells}, schema=schema).with_columns(pl.lit(file).alias(FILE_COLUMN))
    return TableRows(frame, pl.DataFrame(problems, schema=no_problems().schema, orient="row"))


def _cell(name: str, row: ExportRow) -> str | None:
    text = row.rater if name == RATER_COLUMN else row.answers.get(name, row.task.get(name))
    return text if text is not None and text.strip() else None


def _text_problem(cells: Collection[str | None]) -> str | None:
    if all(cell is None or cell.isascii() or is_unicode(cell) for cell in cells):
        return None
    return r"it is not Unicode text: it has half of a pair such as \ud83d\ude00"


def _unmapped(export: Export, used: Collection[str]) -> dict[str, int]:
    """Return how many answers there are in each control that the mapping does not read."""
    counts = Counter(
        name
        for row in export.rows
        if row.made is not None
        for name in {**row.task, **row.answers}
        if name in export.controls and name not in used and _cell(name, row) is not None
    )
    return {f"answers in {name}, which is not mapped": count for name, count in counts.items()}
