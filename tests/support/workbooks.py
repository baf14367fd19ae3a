"""Workbooks of cells as their XML has them: .xlsx and .ods."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
FORMATS = ("General", "00000", "yyyy-mm-dd", "yyyy-mm-dd hh:mm", "hh:mm:ss", "0.00")


class Cell(NamedTuple):
    """A cell that is more than a text or number."""

    value: Any = None
    format: str = "General"
    formula: str = ""
    kind: str = ""


def make_workbook(
    path: Path,
    sheets: Mapping[str, Sequence[Sequence[Any]]],
    *,
    merged: Sequence[str] = (),
    hidden: Sequence[str] = (),
    first: tuple[int, int] = (1, 1),
) -> Path:
    """Write an .xlsx file; ``merged`` are ranges of every sheet, ``first`` the row and column where cells begin."""
    numbers = range(1, len(sheets) + 1)
    formats = "".join(f'<numFmt numFmtId="{164 + i}" formatCode="{code}"/>' for i, code in enumerate(FORMATS))
    styles = "".join(f'<xf numFmtId="{164 + i}"/>' for i in range(len(FORMATS)))
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="s{n}"{" state=" + chr(34) + "hidden" + chr(34) if name in hidden else ""}/>'  # noqa: E501
        for n, name in zip(numbers, sheets, strict=True)
    )
    related = "".join(
        f'<Relationship Id="s{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    merges = "".join(f'<mergeCell ref="{cells}"/>' for cells in merged)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',  # noqa: E501
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="b" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',  # noqa: E501
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{related}<Relationship Id="t" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',  # noqa: E501
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><numFmts>{formats}</numFmts><cellXfs>{styles}</cellXfs></styleSheet>',  # noqa: E501
    }
    for number, rows in zip(numbers, sheets.values(), strict=True):
        body = "".join(_row(row, index, first[1]) for index, row in enumerate(rows, start=first[0]))
        tail = f"<mergeCells>{merges}</mergeCells>" if merges else ""
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData>{tail}</worksheet>'
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return path


def make_open_document(path: Path, rows: Sequence[Sequence[tuple[str, str] | str]], repeated: int = 1) -> Path:
    """Write an .ods file; a cell is a text, or the value of a number and how it is shown."""
    cells = ["".join(_open_cell(cell, repeated) for cell in row) for row in rows]
    body = "".join(f"<table:table-row>{row}</table:table-row>" for row in cells)
    spaces = {"office": "office", "table": "table", "text": "text"}
    names = " ".join(f'xmlns:{key}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for key, name in spaces.items())
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", kind)
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        archive.writestr("META-INF/manifest.xml", f'<?xml version="1.0"?><m:manifest xmlns:m="{manifest}"/>')
        archive.writestr(
            "content.xml",
            f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet>'
            f'<table:table table:name="Rows">{body}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def _row(cells: Sequence[Any], number: int, first: int) -> str:
    inner = "".join(_cell(cell, f"{_letters(first + i)}{number}") for i, cell in enumerate(cells) if cell is not None)
    return f'<row r="{number}">{inner}</row>'


def _cell(cell: Any, name: str) -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    style = f' s="{FORMATS.index(cell.format)}"' if cell.format != "General" else ""
    formula = f"<f>{escape(cell.formula)}</f>" if cell.formula else ""
    value = cell.value
    if value is None:
        return f'<c r="{name}"{style}>{formula}</c>'
    if isinstance(value, bool):
        return f'<c r="{name}"{style} t="b">{formula}<v>{int(value)}</v></c>'
    if isinstance(value, int | float) or cell.kind:
        kind = f' t="{cell.kind}"' if cell.kind else ""
        return f'<c r="{name}"{style}{kind}>{formula}<v>{value}</v></c>'
    return f'<c r="{name}"{style} t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def _open_cell(cell: tuple[str, str] | str, repeated: int) -> str:
    count = f' table:number-columns-repeated="{repeated}"' if repeated > 1 else ""
    if isinstance(cell, str):
        return f'<table:table-cell office:value-type="string"{count}><text:p>{escape(cell)}</text:p></table:table-cell>'
    value, shown = cell
    return (
        f'<table:table-cell office:value-type="float" office:value="{value}"{count}>'
        f"<text:p>{shown}</text:p></table:table-cell>"
    )


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
