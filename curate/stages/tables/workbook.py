"""What a workbook says of its cells besides their values: formulas without one, merged cells, leading zeros."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import ENOENT
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from curate.corpus.archives.members import DAMAGES
from curate.errors import InvalidRow

_MAX_BYTES = 500_000_000
_MAX_CELLS = 20_000_000
_MAX_COLUMNS = 16_384
_MAX_MERGED = 1_000_000
_OFFICE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_WIDE = re.compile(rb'\sr="([A-Z]{2,3})[0-9]{1,7}"')
_ROW = re.compile(rb'<(?:\w+:)?row\s[^>]*?\br="([0-9]{1,9})"')
_FORMULA = re.compile(rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*(?=</(?:\w+:)?c>)")
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?\bref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*>")
_REFERENCE = re.compile(rb'\sr="([A-Z]{1,3})([0-9]{1,7})"')
_STYLE, _TYPE = re.compile(rb'\ss="([0-9]+)"'), re.compile(rb'\st="([A-Za-z]+)"')
_LONG = re.compile(rb"<(?:\w+:)?v>-?(?:[0-9]{16,}|[0-9]\.[0-9]{15,}E\+?[0-9]+)</(?:\w+:)?v>")
_ZEROS = re.compile(r"0{2,50}")
_ODS_PART = re.compile(rb"<table:(table-row|table-cell)\b([^>]*)>")
_ODS_REPEATED = re.compile(rb'table:number-(?:rows|columns)-repeated="([0-9]{1,9})"')
_ODS_PADDED = re.compile(rb'office:value-type="float"[^>]*>\s*<text:p>(0[0-9]+)</text:p>')


class Layout(NamedTuple):
    """Cells by row and column, both from 0: what is wrong with them, and how many digits they are shown with."""

    problems: Mapping[tuple[int, int], str]
    digits: Mapping[tuple[int, int], int]


def sheet_states(path: Path) -> dict[str, bool] | None:
    """Return the names of the sheets of an .xlsx file, and whether each is visible; None for other files.

    Raises ``InvalidRow`` if the file is damaged.
    """
    if path.suffix.lower() != ".xlsx":
        return None
    with _archive(path) as archive:
        from defusedxml.ElementTree import fromstring

        elements = list(fromstring(archive.read("xl/workbook.xml")).iter())
        sheets = (element for element in elements if element.tag.endswith("}sheet"))
        return {sheet.get("name", ""): sheet.get("state", "visible") == "visible" for sheet in sheets}


def read_layout(path: Path, sheet: str) -> Layout:
    """Return what an .xlsx or .ods file says of the cells of a sheet; of other files nothing is known.

    Raises ``InvalidRow`` for a file that takes up too much when it is read, or that shows other digits than it holds.
    """
    suffix = path.suffix.lower()
    if suffix not in (".xlsx", ".ods"):
        return Layout({}, {})
    with _archive(path) as archive:
        if suffix == ".ods":
            _check_open_document(archive.read("content.xml"))
            return Layout({}, {})
        return _sheet_layout(archive, sheet)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise FileNotFoundError(ENOENT, "No such file or directory", str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MAX_BYTES:
                raise InvalidRow(f"it unpacks to more than {_MAX_BYTES // 10**6} MB: save the sheet as CSV")
            yield archive
    except (*DAMAGES, KeyError, SyntaxError) as error:
        raise InvalidRow(f"it is no workbook, or a damaged or protected one: {str(error)[:160]}") from error


def _sheet_layout(archive: zipfile.ZipFile, sheet: str) -> Layout:
    part = _part_of(archive, sheet)
    if part is None:
        return Layout({}, {})
    content = archive.read(part)
    rows = max((int(match[1]) for match in _ROW.finditer(content)), default=0)
    columns = max((_column(name) + 1 for name in set(_WIDE.findall(content))), default=26)
    if rows * min(columns, _MAX_COLUMNS) > _MAX_CELLS and rows > 1:
        raise InvalidRow(f"its cells reach to row {rows:,} and column {columns:,}: save the sheet as CSV")
    problems: dict[tuple[int, int], str] = {}
    for match in _FORMULA.finditer(content):
        reference, _ = _cell_before(content, match.start())
        if reference is not None:
            name = cell_name(*reference)
            problems[reference] = f"cell {name} is a formula without a value: open the file in Excel and save it"
    for match in _LONG.finditer(content):
        reference, kind = _cell_before(content, match.start())
        if reference is not None and kind == b"n":
            problems[reference] = (
                f"cell {cell_name(*reference)} is a number of more digits than Excel keeps: write the column as text"
            )
    for match in _MERGED.finditer(content):
        _add_merged(problems, match)
    padded = _padded_styles(archive)
    digits: dict[tuple[int, int], int] = {}
    for cell in _CELL.finditer(content) if padded else ():
        style, cell_type, reference_match = (pattern.search(cell[0]) for pattern in (_STYLE, _TYPE, _REFERENCE))
        is_number = cell_type is None or cell_type[1] == b"n"
        if style and reference_match and is_number and int(style[1]) in padded:
            digits[int(reference_match[2]) - 1, _column(reference_match[1])] = padded[int(style[1])]
    return Layout(problems, digits)


def _add_merged(problems: dict[tuple[int, int], str], match: re.Match[bytes]) -> None:
    first_column, last_column = _column(match[1]), _column(match[3])
    first_row, last_row = int(match[2]) - 1, int(match[4]) - 1
    first = cell_name(first_row, first_column)
    if (last_row - first_row + 1) * (last_column - first_column + 1) + len(problems) > _MAX_MERGED:
        raise InvalidRow(f"too many cells are merged, the last of them with {first}: unmerge them")
    for row in range(first_row, last_row + 1):
        for column in range(first_column, last_column + 1):
            if (row, column) != (first_row, first_column):
                problems[row, column] = (
                    f"cell {cell_name(row, column)} is merged with {first}: unmerge them, and write the value into each"
                )


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """Return the file within a workbook that holds a sheet; None if the workbook does not say."""
    from defusedxml.ElementTree import fromstring

    identity = None
    for element in fromstring(archive.read("xl/workbook.xml")).iter():
        if element.tag.endswith("}sheet") and element.get("name") == sheet:
            identity = element.get(f"{_OFFICE}id")
    for element in fromstring(archive.read("xl/_rels/workbook.xml.rels")).iter():
        if identity is not None and element.get("Id") == identity:
            target = unquote(element.get("Target", ""))
            part = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl", target))
            return part if part in archive.namelist() else None
    return None


def _padded_styles(archive: zipfile.ZipFile) -> dict[int, int]:
    """Return how many digits the styles of cells show whose format is nothing but zeros, such as 00000."""
    from defusedxml.ElementTree import fromstring

    if "xl/styles.xml" not in archive.namelist():
        return {}
    root = fromstring(archive.read("xl/styles.xml"))
    formats = {
        element.get("numFmtId"): len(element.get("formatCode", ""))
        for element in root.iter()
        if element.tag.endswith("}numFmt") and _ZEROS.fullmatch(element.get("formatCode", ""))
    }
    styles = next((element for element in root.iter() if element.tag.endswith("}cellXfs")), ())
    return {
        index: formats[style.get("numFmtId")] for index, style in enumerate(styles) if style.get("numFmtId") in formats
    }


def _check_open_document(content: bytes) -> None:
    """Raise ``InvalidRow`` for repeated cells that would fill the memory, and for numbers with leading zeros."""
    cells, rows = 0, 1
    for match in _ODS_PART.finditer(content):
        repeated = _ODS_REPEATED.search(match[2])
        count = int(repeated[1]) if repeated else 1
        if match[1] == b"table-row":
            rows = count
        elif match[1] == b"table-cell" and b"value-type" in match[2]:
            cells += rows * count
    if cells > _MAX_CELLS:
        raise InvalidRow(f"it has {cells:,} cells: save the sheet as CSV")
    if padded := _ODS_PADDED.search(content):
        shown = padded[1][:20].decode()
        raise InvalidRow(f"it shows a number with leading zeros, {shown}: make the column text, or save it as .xlsx")


def _cell_before(content: bytes, position: int) -> tuple[tuple[int, int] | None, bytes]:
    """Return row and column of the cell that begins before a position, and its type."""
    start = max(content.rfind(b"<c ", 0, position), content.rfind(b":c ", 0, position))
    match = _REFERENCE.search(content, start, position) if start >= 0 else None
    kind = _TYPE.search(content, start, content.find(b">", start)) if start >= 0 else None
    reference = None if match is None else (int(match[2]) - 1, _column(match[1]))
    return reference, kind[1] if kind else b"n"


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def cell_name(row: int, column: int) -> str:
    """Return what Excel calls a cell, such as B3, by row and column from 0."""
    letters, number = "", column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"
