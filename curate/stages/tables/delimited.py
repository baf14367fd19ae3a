"""Files with delimited cells (CSV and the like), row by row, with what is wrong with each row."""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

from curate.errors import InvalidRow
from curate.media.words.encodings import SAMPLE_BYTES, guess_encoding, is_unicode, unicode_encoding

MAX_ROW_CHARS = 8_000_000
_BLOCK_BYTES = 1_000_000
DELIMITERS = ",;\t|"
_EXCEL_DELIMITER = re.compile(r'"?sep=([,;\t|])"?$')
_BAD_QUOTES = (
    'text follows the quotation mark (") that closes a cell: within a cell in quotation marks, write "" for each one '
    "of its own, without a backslash"
)
_MAX_NAMED, _MAX_QUOTED = 20, 60
_NOT_DECODED = re.compile(r"([^\n\udc80-\udcff]{0,12})([\udc80-\udcff])")
_INNER_CHARS = re.compile(r'(?<=[^"\r\n])[^"\r\n]+(?=[^"\r\n])')


class Row(NamedTuple):
    """The last line that a row takes up, its cells, and why it cannot be used."""

    line: int
    cells: list[str]
    problem: str | None = None


class Rows(NamedTuple):
    """The names of the columns, the rows below them, and what separates cells."""

    names: list[str]
    rows: Iterator[Row]
    delimiter: str
    is_plain: bool
    """Whether the file is in UTF-8 and begins with the names of its columns, if it has them, and nothing else"""


@contextmanager
def open_rows(
    path: Path,
    *,
    wanted: Collection[str],
    names: Sequence[str] = (),
    delimiter: str | None = None,
    quotes: bool = True,
    ragged: bool = False,
) -> Iterator[Rows]:
    """Yield the columns and rows of a file; only the columns ``wanted`` have to be readable.

    Without ``names``, the first line has them. Without ``delimiter``, it is the one that gives most of the columns
    ``wanted``. With ``quotes`` false, a quotation mark is a character like any other; with ``ragged``, rows are cut or
    filled up to the number of columns. After a row whose end is unclear
    nothing is read, since no later row is certain. Raises ``InvalidRow`` if the file as a whole cannot be read.
    """
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding=encoding_of(path), errors="surrogateescape", newline="") as file:
            lines = _RowLines(file)
            is_utf8 = file.encoding == "utf-8-sig"
            columns = list(names)
            if not names:
                columns, delimiter = _header(lines, wanted, delimiter, quotes=quotes)
            mark = delimiter or ","
            reader = csv.reader(lines, delimiter=mark, strict=True)
            if not quotes:
                reader = csv.reader(lines, delimiter=mark, strict=True, quoting=csv.QUOTE_NONE)
            is_plain = is_utf8 and lines.number == (0 if names else 1)
            # A generator would end at the first row that csv cannot read.
            cells = map(partial(_fitted, count=len(columns)), reader) if ragged else reader
            yield Rows(columns, _rows(columns, cells, lines, frozenset(wanted)), mark, is_plain)
    except UnicodeDecodeError as error:
        raise InvalidRow(f"it is damaged {error.encoding} text: save it as UTF-8") from error
    finally:
        csv.field_size_limit(limit)


def listed(names: Sequence[str]) -> str:
    """Return the names of columns in words; quoted if they are blank."""
    quoted = [name[:_MAX_QUOTED] if name.strip() else repr(name) for name in names[:_MAX_NAMED]]
    return ", ".join(quoted) + (f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")


def encoding_of(path: Path) -> str:
    """Return the encoding of a file; UTF-8 if some line is that, or if it is not certain which other one it is."""
    sample = bytearray()
    with path.open("rb") as file:
        start = unicode_encoding(file.read(2)) or ""
        if start.startswith("utf-16"):
            return start
        file.seek(0)
        while block := file.read(_BLOCK_BYTES):
            if not block.isascii():
                block += file.readline()
                for line in block.splitlines(keepends=True):
                    if line.isascii():
                        continue
                    if unicode_encoding(line):
                        return "utf-8-sig"
                    if len(sample) < SAMPLE_BYTES:
                        sample += line
    encoding, doubt = guess_encoding(bytes(sample))
    return "utf-8-sig" if doubt or not sample else encoding


def _header(
    lines: "_RowLines", wanted: Collection[str], delimiter: str | None, *, quotes: bool
) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter: the first that makes the most of the columns wanted."""
    line = next((line.strip("\r\n") for line in lines if line.strip()), "")
    delimiters = delimiter or DELIMITERS
    if declared := _EXCEL_DELIMITER.match(line):
        delimiters, line = declared[1], next(lines, "").strip("\r\n")
    if "\0" in line or not is_unicode(line):
        raise InvalidRow("its first line is not UTF-8 text: save the file as UTF-8")
    headers = [([name.strip() for name in _cells(line, mark, quotes=quotes)], mark) for mark in delimiters]
    return max(headers, key=lambda header: (len(set(wanted).intersection(header[0])), len(header[0])))


def _cells(line: str, delimiter: str, *, quotes: bool) -> list[str]:
    if not quotes:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [line]


def _rows(names: list[str], rows: Iterator[list[str]], lines: "_RowLines", used: frozenset[str]) -> Iterator[Row]:
    columns = [index for index, name in enumerate(names) if name in used]
    while True:
        lines.begin_row()
        first = lines.number + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            is_open = lines.is_exhausted
            problem = "a quotation mark that begins in this row is never closed" if is_open else _BAD_QUOTES
            if is_open or lines.number > first:
                yield Row(first, [], f"{problem}; lines {first} to {lines.count_rest()} are not read")
                return
            yield Row(first, [], problem)
            continue
        if cells:
            yield Row(lines.number, cells, _row_problem(names, cells, first, lines, columns))


def _fitted(cells: list[str], count: int) -> list[str]:
    """Return as many cells as there are columns; none of a blank line."""
    return [*cells, *[""] * (count - len(cells))][:count] if cells else cells


def _row_problem(
    names: list[str], cells: list[str], first: int, lines: "_RowLines", columns: Sequence[int]
) -> str | None:
    if lines.row_chars > MAX_ROW_CHARS:
        return f"the row is longer than {MAX_ROW_CHARS} characters"
    if len(cells) != len(names) and (len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :])):
        return (
            f"the row has {len(cells)} cells, the first line names {len(names)}: a text with a delimiter or a line "
            'break needs quotation marks (") around it'
        )
    content = "\n".join([cells[index] for index in columns])
    if "\0" in content:
        return "the row contains a NUL byte"
    if not content.isascii() and not is_unicode(content):
        match = _NOT_DECODED.search(content)
        position = f": byte {ord(match[2]) & 0xFF:#04x} after {match[1]!r}" if match else ""
        return f"the row is not UTF-8 text{position}; save the file as UTF-8"
    if len(lines.row) > 1 and (swallowed := _swallowed_row(names, cells, lines)):
        return f"the quoted text in lines {first} to {lines.number} contains what looks like a row: {swallowed!r}"
    return None


def _swallowed_row(names: list[str], cells: list[str], lines: "_RowLines") -> str | None:
    """Return the first line within the row that looks like a row, if all do: numbered, and with as many cells."""
    if len(names) < 2 or not cells[0].strip().isdecimal():
        return None
    delimiters = {delimiter for delimiter in DELIMITERS if delimiter in lines.row[0]}
    for line in lines.row[1:]:
        if not any(
            line.count(delimiter) == len(names) - 1 and line.partition(delimiter)[0].strip().isdecimal()
            for delimiter in delimiters
        ):
            return None
    return lines.row[1].strip()[:_MAX_QUOTED]


class _RowLines:
    """The lines of a CSV file, thinned out once a row is too long.

    An unclosed quotation mark makes one row of the rest of a file. Only what decides where the row ends is kept of
    it: quotation marks, and the characters next to them.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0
        """Lines that were read."""
        self.row_chars = 0
        self.row: list[str] = []
        """The lines of the row, up to a limit of characters."""
        self.is_exhausted = False
        """Whether the file ended within a row."""

    def __iter__(self) -> Iterator[str]:
        return self

    def begin_row(self) -> None:
        self.row_chars, self.row = 0, []

    def count_rest(self) -> int:
        """Read all lines that are left, and return the number of the last."""
        self.number += sum(1 for _ in self._file)
        return self.number

    def __next__(self) -> str:
        line = next(self._file, "")
        if not line:
            self.is_exhausted = True
            raise StopIteration
        self.number += 1
        self.row_chars += len(line)
        if self.row_chars <= MAX_ROW_CHARS:
            self.row.append(line)
        return line if self.row_chars <= MAX_ROW_CHARS else _INNER_CHARS.sub("", line)
