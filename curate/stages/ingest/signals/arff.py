"""Tables in ARFF, the format of Weka that openSMILE writes."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from curate.errors import InvalidRow
from curate.stages.tables.delimited import Row

_ATTRIBUTE = re.compile(r"@attribute\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))\s+\S.*", re.IGNORECASE)
_MAX_LINE_CHARS = 8_000_000
_MAX_QUOTED = 60


def read_arff(path: Path) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the attributes, and the rows. Raises ``InvalidRow`` if it is no such file."""
    lines = _lines(path)
    names: list[str] = []
    for number, line in lines:
        if line.lower().startswith("@data"):
            if not names:
                raise InvalidRow(f"line {number}: @data comes before any @attribute")
            return names, _rows(lines, len(names))
        if line.lower().startswith("@attribute"):
            match = _ATTRIBUTE.fullmatch(line)
            if match is None:
                raise InvalidRow(f"line {number}: {line[:_MAX_QUOTED]!r} does not name an attribute and its type")
            names.append(next(name for name in match.groups() if name is not None))
        elif not line.lower().startswith("@relation"):
            raise InvalidRow(f"line {number}: {line[:_MAX_QUOTED]!r} is not ARFF, which begins with @relation")
    raise InvalidRow("it has no @data: it is not ARFF, or was cut off")


def _rows(lines: Iterator[tuple[int, str]], count: int) -> Iterator[Row]:
    for number, line in lines:
        if line.startswith("{"):
            yield Row(number, [], "rows in braces (sparse ARFF) cannot be read: write it in full")
            return
        try:
            cells = next(csv.reader([line], quotechar="'", skipinitialspace=True, strict=True))
        except csv.Error as error:
            yield Row(number, [], f"it is not a row of cells: {error}")
            return
        problem = f"the row has {len(cells)} cells, and there are {count} attributes" if len(cells) != count else None
        yield Row(number, cells, problem)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments, with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            number = 0
            while text := file.readline(_MAX_LINE_CHARS):
                number += 1
                if len(text) == _MAX_LINE_CHARS:
                    raise InvalidRow(f"line {number} is longer than {_MAX_LINE_CHARS} characters")
                if (line := text.strip()) and not line.startswith("%"):
                    yield number, line
    except UnicodeDecodeError as error:
        raise InvalidRow("it is not UTF-8 text: save it as UTF-8") from error
