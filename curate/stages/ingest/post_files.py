"""Files with many posts: the lines of ``.jsonl`` files and the rows of ``.csv`` files."""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from curate.errors import InvalidRow
from curate.stages.ingest.posts import MAX_POST_BYTES, OPTIONAL_TEXTS
from curate.stages.tables.delimited import listed, open_rows

_TEXT_COLUMNS = ("text", "speaker", "author", "title")
_USED = frozenset((*_TEXT_COLUMNS, *OPTIONAL_TEXTS))
_ROWS = 20_000
_LIKELY = ("text", "post", "tweet", "comment", "sentence", "utterance", "content", "message", "body", "review")

_Line = tuple[int, bytes, str | None]
"""The last line of the file that a post takes up, the post as JSON, and why it cannot be used."""


def post_inputs(path: Path, file: str) -> pa.Table:
    """Return an input of ingest for each post of a file; just one with a problem if the file holds no posts."""
    parts = []
    try:
        lines = _READERS[path.suffix.lower()](path)
        while posts := list(islice(lines, _ROWS)):
            parts.append(_to_inputs(file, posts))
    except (OSError, csv.Error, InvalidRow) as error:
        return pa.table({"file": [file], "problem": [f"it cannot be read as posts: {error}"]})
    return pa.concat_tables(parts) if parts else pa.table({"file": [file], "problem": ["it holds no post"]})


def first_posts(path: Path, count: int) -> list[tuple[int, bytes, str | None]]:
    """Return the first posts of a file: the line of each, the post as JSON, and why it cannot be used.

    Raises ``InvalidRow`` with a sentence if the file holds no posts.
    """
    try:
        posts = list(islice(_READERS[path.suffix.lower()](path), count))
    except (OSError, csv.Error) as error:
        raise InvalidRow(f"it cannot be read as posts: {error}") from error
    if not posts:
        raise InvalidRow("it holds no post")
    return posts


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
    with open_rows(path, wanted=_USED) as (names, rows, *_):
        if "text" not in names:
            columns = listed(names) if any(names) else "without a name"
            raise InvalidRow(
                f"the file has columns {columns}; a column `text` is needed: rename it, or add a first line, "
                f"or map it with `tables: [{{table: {path.name}, item: {{text: {_likely(names)}}}}}]`"
            )
        for name in (*_TEXT_COLUMNS, *OPTIONAL_TEXTS):
            if names.count(name) > 1:
                raise InvalidRow(f"{names.count(name)} columns are named {name}: rename or remove all but one")
        for line, cells, problem in rows:
            yield line, b"" if problem else _csv_post(names, cells), problem


def _likely(names: list[str]) -> str:
    """Return the column that may be the text, or a word that stands for its name."""
    return next((name for name in names if name.strip().casefold() in _LIKELY), "COLUMN")


def _csv_post(names: list[str], cells: list[str]) -> bytes:
    row = dict(reversed(list(zip(names, cells, strict=False))))
    post = {name: row[name] for name in _TEXT_COLUMNS if name in row}
    # A member of a JSON object can be left out; a cell can only be blank.
    post |= {name: row[name] for name in OPTIONAL_TEXTS if row.get(name, "").strip()}
    return json.dumps(post, ensure_ascii=False).encode()


_READERS = {".jsonl": _json_lines, ".csv": _csv_rows}
POST_SUFFIXES = tuple(_READERS)
