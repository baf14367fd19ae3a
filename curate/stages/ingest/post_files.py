"""Files with many posts: the lines of ``.jsonl`` files and the rows of ``.csv`` files."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from curate.errors import InvalidRow
from curate.stages.ingest.posts import MAX_POST_BYTES, OPTIONAL_TEXTS, is_unicode

_TEXT_COLUMNS = ("text", "speaker", "author", "title")
_MAX_ROW_CHARS = 8 * MAX_POST_BYTES
"""A CSV row may be longer than a post, since it may have columns that are not used."""
_BEFORE_LAST_CHAR = re.compile(r'[^"\r\n]+(?=[^"\r\n])')

_Line = tuple[int, bytes, str | None]
"""The last line of the file that a post takes up, the post as JSON, and why it cannot be used."""


def post_inputs(path: Path, file: str) -> Iterator[dict[str, Any]]:
    """Yield an input of ingest for each post of a file; just one with a problem if the file holds no posts."""
    try:
        lines = list(_READERS[path.suffix.lower()](path))
    except (OSError, csv.Error, InvalidRow) as error:
        yield {"file": file, "problem": f"it cannot be read as posts: {error}"}
        return
    if not lines:
        yield {"file": file, "problem": "it holds no post"}
    for number, post, problem in lines:
        if len(post) > MAX_POST_BYTES:
            post, problem = b"", f"the line is longer than {MAX_POST_BYTES} bytes"
        yield {"file": f"{file}#{number}", "post": post, "problem": problem}


def _json_lines(path: Path) -> Iterator[_Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            post = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if post:
                yield number, post, None


def _csv_rows(path: Path) -> Iterator[_Line]:
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = _RowLines(file)
            rows = csv.DictReader(lines)
            if "text" not in (rows.fieldnames or ()):
                raise InvalidRow("its first line names no column `text`")
            lines.row_chars = 0
            for row in rows:
                yield _csv_post(row, rows.line_num, lines)
                lines.row_chars = 0
    finally:
        csv.field_size_limit(limit)


def _csv_post(row: dict[str, str | None], number: int, lines: "_RowLines") -> _Line:
    cells = {name: row[name] for name in _TEXT_COLUMNS if row.get(name) is not None}
    # A member of a JSON object can be left out; a cell can only be blank.
    cells |= {name: row[name] for name in OPTIONAL_TEXTS if (row.get(name) or "").strip()}
    content = "".join(text or "" for text in cells.values())
    problem = None
    if lines.is_exhausted:
        problem = "a quotation mark that begins in this row is never closed"
    elif lines.row_chars > _MAX_ROW_CHARS:
        problem = f"the row is longer than {_MAX_ROW_CHARS} characters"
    elif "\0" in content:
        problem = "the row contains a NUL byte"
    elif not is_unicode(content):
        problem = "the row is not UTF-8 text"
    post = b"" if problem else json.dumps(cells, ensure_ascii=False).encode()
    return number, post, problem


class _RowLines:
    """The lines of a CSV file, thinned out once a row is too long.

    An unclosed quotation mark makes one row of the rest of a file. Only what decides where the row ends is kept of
    it: quotation marks, and the last character before each.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.row_chars = 0
        """Characters since the row began; the reader of the rows sets it back to 0."""
        self.is_exhausted = False
        """Whether the file ended within a row."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._file, "")
        if not line:
            self.is_exhausted = True
            raise StopIteration
        self.row_chars += len(line)
        return line if self.row_chars <= _MAX_ROW_CHARS else _BEFORE_LAST_CHAR.sub("", line)


_READERS = {".jsonl": _json_lines, ".csv": _csv_rows}
POST_SUFFIXES = tuple(_READERS)
