"""Files with many posts: the lines of ``.jsonl`` files and the rows of ``.csv`` files."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from curate.errors import InvalidRow
from curate.media.words.encodings import SAMPLE_BYTES, guess_encoding, unicode_encoding
from curate.stages.ingest.posts import MAX_POST_BYTES, OPTIONAL_TEXTS, is_unicode

_TEXT_COLUMNS = ("text", "speaker", "author", "title")
_MAX_ROW_CHARS = 8 * MAX_POST_BYTES
"""A CSV row may be longer than a post, since it may have columns that are not used."""
_DELIMITERS = ",;\t|"
_EXCEL_DELIMITER = re.compile(r'"?sep=([,;\t|])"?$')
_BAD_QUOTES = (
    'text follows the quotation mark (") that closes a cell: within a cell in quotation marks, write "" for each one '
    "of its own, without a backslash"
)
_USED = frozenset((*_TEXT_COLUMNS, *OPTIONAL_TEXTS))
_MAX_NAMED, _MAX_QUOTED = 20, 60
_NOT_DECODED = re.compile(r"([^\n\udc80-\udcff]{0,12})([\udc80-\udcff])")
_ROWS = 20_000
_INNER_CHARS = re.compile(r'(?<=[^"\r\n])[^"\r\n]+(?=[^"\r\n])')

_Line = tuple[int, bytes, str | None]
"""The last line of the file that a post takes up, the post as JSON, and why it cannot be used."""


def post_inputs(path: Path, file: str) -> pa.Table:
    """Return an input of ingest for each post of a file; just one with a problem if the file holds no posts."""
    parts = []
    try:
        lines = _READERS[path.suffix.lower()](path)
        while some := list(islice(lines, _ROWS)):
            parts.append(_to_inputs(file, some))
    except (OSError, csv.Error, InvalidRow) as error:
        return pa.table({"file": [file], "problem": [f"it cannot be read as posts: {error}"]})
    return pa.concat_tables(parts) if parts else pa.table({"file": [file], "problem": ["it holds no post"]})


def _to_inputs(file: str, lines: Sequence[_Line]) -> pa.Table:
    fitting = [
        line if len(line[1]) <= MAX_POST_BYTES else (line[0], b"", f"the line is longer than {MAX_POST_BYTES} bytes")
        for line in lines
    ]
    columns = {
        "file": [f"{file}#{number}" for number, *_ in fitting],
        "post": [post for _, post, _ in fitting],
        "problem": pa.array([problem for *_, problem in fitting], pa.string()),
    }
    return pa.table(columns)


def _json_lines(path: Path) -> Iterator[_Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            post = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if post:
                yield number, post, None


def _csv_rows(path: Path) -> Iterator[_Line]:
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding=_encoding(path), errors="surrogateescape", newline="") as file:
            lines = _RowLines(file)
            names, delimiter = _header(lines)
            yield from _posts(names, csv.reader(lines, delimiter=delimiter, strict=True), lines)
    except UnicodeDecodeError as error:
        raise InvalidRow(f"it is damaged {error.encoding} text: save it as UTF-8") from error
    finally:
        csv.field_size_limit(limit)


def _encoding(path: Path) -> str:
    """Return the encoding of a file; UTF-8 if some line is that, or if it is not certain which other one it is."""
    sample = bytearray()
    with path.open("rb") as file:
        start = unicode_encoding(file.read(2)) or ""
        if start.startswith("utf-16"):
            return start
        file.seek(0)
        for line in file:
            if line.isascii():
                continue
            if unicode_encoding(line):
                return "utf-8-sig"
            if len(sample) < SAMPLE_BYTES:
                sample += line
    encoding, doubt = guess_encoding(bytes(sample))
    return "utf-8-sig" if doubt or not sample else encoding


def _header(lines: "_RowLines") -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter: the first that makes ``text`` one of them."""
    line = next((line.strip("\r\n") for line in lines if line.strip()), "")
    delimiters = _DELIMITERS
    if declared := _EXCEL_DELIMITER.match(line):
        delimiters, line = declared[1], next(lines, "").strip("\r\n")
    if "\0" in line or not is_unicode(line):
        raise InvalidRow("its first line is not UTF-8 text: save the file as UTF-8")
    headers = [([name.strip() for name in _cells(line, delimiter)], delimiter) for delimiter in delimiters]
    names, delimiter = next(
        (header for header in headers if "text" in header[0]), max(headers, key=lambda h: len(h[0]))
    )
    if "text" not in names:
        listed = ", ".join(name[:_MAX_QUOTED] for name in names[:_MAX_NAMED]) or "without a name"
        raise InvalidRow(f"the file has columns {listed}; a column `text` is needed: rename it, or add a first line")
    for name in (*_TEXT_COLUMNS, *OPTIONAL_TEXTS):
        if names.count(name) > 1:
            raise InvalidRow(f"{names.count(name)} columns are named {name}: rename or remove all but one")
    return names, delimiter


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [line]


def _posts(names: list[str], rows: Iterator[list[str]], lines: "_RowLines") -> Iterator[_Line]:
    """Yield the posts of the rows. After a row whose end is unclear nothing is read, since no later row is certain."""
    while True:
        lines.begin_row()
        first = lines.number + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            is_open = lines.is_exhausted
            what = "a quotation mark that begins in this row is never closed" if is_open else _BAD_QUOTES
            if is_open or lines.number > first:
                yield first, b"", f"{what}; lines {first} to {lines.count_rest()} are not read"
                return
            yield first, b"", what
            continue
        if cells:
            problem = _row_problem(names, cells, first, lines)
            yield lines.number, b"" if problem else _csv_post(names, cells), problem


def _row_problem(names: list[str], cells: list[str], first: int, lines: "_RowLines") -> str | None:
    content = "\n".join(cell for name, cell in zip(names, cells, strict=False) if name in _USED)
    if lines.row_chars > _MAX_ROW_CHARS:
        return f"the row is longer than {_MAX_ROW_CHARS} characters"
    if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
        return (
            f"the row has {len(cells)} cells, the first line names {len(names)}: a text with a delimiter or a line "
            'break needs quotation marks (") around it'
        )
    if "\0" in content:
        return "the row contains a NUL byte"
    if not is_unicode(content):
        found = _NOT_DECODED.search(content)
        where = f": byte {ord(found[2]) & 0xFF:#04x} after {found[1]!r}" if found else ""
        return f"the row is not UTF-8 text{where}; save the file as UTF-8"
    if swallowed := _swallowed_row(names, cells, lines):
        return f"the quoted text in lines {first} to {lines.number} contains what looks like a row: {swallowed!r}"
    return None


def _swallowed_row(names: list[str], cells: list[str], lines: "_RowLines") -> str | None:
    """Return the first line within the row that looks like a row, if all do: numbered, and with as many cells."""
    if len(lines.row) < 2 or len(names) < 2 or not cells[0].strip().isdecimal():
        return None
    delimiters = {delimiter for delimiter in _DELIMITERS if delimiter in lines.row[0]}
    for line in lines.row[1:]:
        if not any(
            line.count(delimiter) == len(names) - 1 and line.partition(delimiter)[0].strip().isdecimal()
            for delimiter in delimiters
        ):
            return None
    return lines.row[1].strip()[:_MAX_QUOTED]


def _csv_post(names: list[str], cells: list[str]) -> bytes:
    row = dict(reversed(list(zip(names, cells, strict=False))))
    post = {name: row[name] for name in _TEXT_COLUMNS if name in row}
    # A member of a JSON object can be left out; a cell can only be blank.
    post |= {name: row[name] for name in OPTIONAL_TEXTS if row.get(name, "").strip()}
    return json.dumps(post, ensure_ascii=False).encode()


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
        if self.row_chars <= _MAX_ROW_CHARS:
            self.row.append(line)
        return line if self.row_chars <= _MAX_ROW_CHARS else _INNER_CHARS.sub("", line)


_READERS = {".jsonl": _json_lines, ".csv": _csv_rows}
POST_SUFFIXES = tuple(_READERS)
