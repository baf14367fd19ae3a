"""Sheets of Excel and OpenDocument workbooks as rows of text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import InvalidRow
from curate.stages.tables.delimited import Row, listed
from curate.stages.tables.workbook import Layout, cell_name, read_layout, sheet_states

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".xlsx", ".xls", ".ods")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d) 00:00:00")
_TIME_OF_DAY = re.compile(r"1899-12-3[01] (\d\d:\d\d:\d\d)")


class _Sheet(NamedTuple):
    """The cells of a sheet from its first row on, the column they begin with, and what is wrong with some."""

    frame: "pl.DataFrame"
    first_column: int
    errors: Mapping[tuple[int, int], str]
    layout: Layout


def sheet_columns(path: Path, sheet: str | None) -> list[str]:
    """Return the cells of the first row of a sheet that is not blank.

    Raises ``InvalidRow`` if the file is no workbook, has no such sheet, or has several and none is named.
    """
    return _header(_load(path, sheet))[1]


def sheet_rows(path: Path, sheet: str | None, columns: Sequence[str], names: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows below the names of a sheet's columns, by their number in it, without blank ones.

    With ``names``, the columns are called that, and every row counts. Numbers are as Excel shows them in its general
    format or with leading zeros, dates are ISO 8601, and formulas are the values that were stored with them. A row with
    a cell of ``columns`` that has no certain value has a problem.
    """
    loaded = _load(path, sheet)
    start, header = (-1, list(names)) if names else _header(loaded)
    if names and loaded.frame.width != len(names):
        raise InvalidRow(f"the sheet has {loaded.frame.width} columns, `columns` names {len(names)}")
    indices = [header.index(name) for name in columns]
    for number, cells in enumerate(loaded.frame.slice(start + 1).iter_rows(), start=start + 1):
        if not any(cell and cell.strip() for cell in cells):
            if problem := _problem(number, indices, loaded):
                yield Row(number + 1, [], problem)
            continue
        problem = _problem(number, indices, loaded)
        digits = [loaded.layout.digits.get((number, loaded.first_column + index)) for index in indices]
        texts: list[Any] = [_shown(cells[index], count) for index, count in zip(indices, digits, strict=True)]
        yield Row(number + 1, [], problem) if problem else Row(number + 1, texts)


def hidden_sheets(path: Path, sheet: str | None) -> list[str]:
    """Return the hidden sheets of a workbook that are not read; none if the file cannot be read."""
    try:
        states = _states(path)
    except (InvalidRow, OSError):
        return []
    return [name for name, is_visible in states.items() if not is_visible and name != sheet]


def _problem(row: int, indices: Sequence[int], sheet: _Sheet) -> str | None:
    positions = [(row, sheet.first_column + index) for index in indices]
    problems = (sheet.layout.problems.get(position) or sheet.errors.get(position) for position in positions)
    return next(filter(None, problems), None)


def _states(path: Path) -> dict[str, bool]:
    """Return the names of the sheets of a workbook, and whether each is visible."""
    if (states := sheet_states(path)) is not None:
        return states
    import fastexcel

    book = _open(path)
    states = {}
    for name in book.sheet_names:
        try:
            states[name] = book.load_sheet(name, header_row=None, n_rows=0).visible == "visible"
        except fastexcel.FastExcelError:  # such as a sheet that is a chart
            states[name] = False
    return states


def _open(path: Path) -> Any:
    import fastexcel

    try:
        return fastexcel.read_excel(path)
    except fastexcel.FastExcelError as error:
        if not path.is_file():
            raise FileNotFoundError(ENOENT, "No such file or directory", str(path)) from error
        raise InvalidRow(f"it is no workbook, or a damaged or protected one: {_first_line(error)}") from error


def _load(path: Path, sheet: str | None) -> _Sheet:
    import fastexcel
    import polars as pl

    if path.suffix.lower() == ".ods":  # refuse first what would fill the memory
        read_layout(path, "")
    name = _choose(_states(path), sheet)
    layout = read_layout(path, name)
    try:
        loaded = _open(path).load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        batch, cell_errors = loaded.to_arrow_with_errors()
    except fastexcel.FastExcelError as error:
        raise InvalidRow(f"its sheet {name} cannot be read: {_first_line(error)}") from error
    columns = loaded.available_columns()
    first = columns[0].absolute_index if columns else 0
    errors = {}
    for cell in cell_errors.errors if cell_errors is not None else ():
        row, column = cell.position
        value = cell.detail.partition(" but got ")[2].strip("'") or cell.detail
        errors[row, column + first] = f"cell {cell_name(row, column + first)} has no value, but {value[:60]}"
    return _Sheet(pl.DataFrame(batch), first, errors, layout)


def _choose(states: Mapping[str, bool], sheet: str | None) -> str:
    described = [name if is_visible else f"{name} (hidden)" for name, is_visible in states.items()]
    if sheet is not None:
        if sheet not in states:
            raise InvalidRow(f"it has no sheet {sheet!r}; its sheets are {listed(described)}")
        return sheet
    visible = [name for name, is_visible in states.items() if is_visible]
    if len(visible) == 1:
        return visible[0]
    raise InvalidRow(f"it has the sheets {listed(described)}: name one of them in `sheet`")


def _header(sheet: _Sheet) -> tuple[int, list[str]]:
    """Return the number of the row that names the columns, and the names."""
    for number, cells in enumerate(sheet.frame.iter_rows()):
        if any(cell and cell.strip() for cell in cells):
            return number, [(cell or "").strip() for cell in cells]
    return 0, []


def _shown(text: str | None, digits: int | None) -> str | None:
    """Return a cell as a person sees it: with leading zeros, dates without midnight, times without a date."""
    if text is None or not text[:1].isdecimal():
        return text
    if digits is not None and text.isdecimal():
        return text.zfill(digits)
    match = _MIDNIGHT.fullmatch(text) or _TIME_OF_DAY.fullmatch(text)
    return match[1] if match else text


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160]
