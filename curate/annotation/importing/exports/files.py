"""Read the files of exports: JSON and JSON lines, strictly, and tables."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow

MAX_BYTES = 500_000_000
_MAX_LINE_BYTES = 64_000_000
_BOM = b"\xef\xbb\xbf"


def parse_json(text: bytes) -> Any:
    """Return what JSON says. Raises ``ValueError``, also for two members of one name, and ``RecursionError``."""
    return json.loads(text, object_pairs_hook=_unique_members)


def load_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises ``InvalidRow``."""
    check_size(path)
    content = path.read_bytes().removeprefix(_BOM)
    if not content.strip():
        raise InvalidRow("it is empty")
    try:
        return parse_json(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRow(f"it is not JSON: {error}") from error


def load_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line of JSON; a text instead if it cannot be read, saying why."""
    check_size(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
            if not text:
                continue
            try:
                yield number, parse_json(text) if len(text) <= _MAX_LINE_BYTES else "the line is longer than 64 MB"
            except (ValueError, RecursionError) as error:
                yield number, f"it is not JSON: {error}"


def load_table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the last line and the cells of each row of a CSV file. Raises ``InvalidRow``."""
    check_size(path)
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            names = next(reader, [])
            if len(set(names)) < len(names):
                raise InvalidRow("two of its columns have the same name")
            for cells in reader:
                if cells and len(cells) != len(names):
                    raise InvalidRow(f"line {reader.line_num} has {len(cells)} cells, the first line {len(names)}")
                if cells:
                    yield reader.line_num, dict(zip(names, cells, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidRow(f"it is not a table in UTF-8: {error}") from error
    finally:
        csv.field_size_limit(limit)


def check_size(path: Path) -> None:
    """Raise ``InvalidRow`` for a file that is too long to be read."""
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRow(f"it is longer than {MAX_BYTES // 10**6} MB: export it in parts")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"two members are named {next(name for name in names if names.count(name) > 1)[:60]}")
    return members
