"""The columns and cells of a table, as far as a proposal looks at them."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.importing.settings import Join
from curate.authoring.wizard.nesting import holder_of, nested_cells, nested_key, rows_within
from curate.errors import InvalidInput, InvalidRow
from curate.media.tiers.open import is_tier_file
from curate.stages.tables.delimited import open_rows
from curate.stages.tables.documents import read_parquet
from curate.stages.tables.read import DELIMITED, columns_of, read_rows

_MAX_ROWS = 200_000
_MAX_COLUMNS = 2_000
_MAX_NAME_CHARS = 60
_JSON = (".json", ".jsonl", ".ndjson")


class Sample(NamedTuple):
    """A table: its name, its columns that have a name of their own, and their cells (blank ones as an empty text)."""

    file: str
    cells: dict[str, list[str]]
    is_whole: bool = True
    rows: str | None = None
    """Where the rows are within the objects of a JSON file; see ``rows`` of tables"""
    key: str | None = None
    """With ``rows``: what names each row"""
    holder: str | None = None
    """With ``rows``: the column that names what holds them, such as a dialogue"""

    @property
    def height(self) -> int:
        """The number of rows that were read."""
        return len(next(iter(self.cells.values()), ()))

    def values(self, column: str) -> list[str]:
        """Return the cells of a column that are not blank."""
        return [cell for cell in self.cells[column] if cell]


def read_samples(folder: Path, files: Sequence[str]) -> tuple[list[Sample], list[str]]:
    """Return the tables that can be read, and a sentence for each of the others."""
    samples, problems = [], []
    for file in files:
        try:
            samples.append(read_sample(folder, file))
        except InvalidInput as error:
            problems.append(f"{error.message}: {error.hint}")
    return samples, problems


def read_sample(folder: Path, file: str) -> Sample:
    """Return the first 200,000 rows of a table. Raises ``InvalidInput`` with a sentence if it cannot be read."""
    path = folder / file
    try:
        table = Join(table=file, by={})
        if is_tier_file(path):
            hint = "map it by hand: `stretches: {FIELD: {value: text}}` makes a trace of it"
            raise InvalidInput(f"{file} has ratings of CARMA over time", hint=hint)
        if path.suffix.lower() in _JSON and (nested := _nested(path, file)) is not None:
            return nested
        names = columns_of(path, table, ())
        columns = [name for name in names if name.strip() and names.count(name) == 1][:_MAX_COLUMNS]
        rows, is_whole = _rows(path, table, columns)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", hint="check the path") from error
    except InvalidRow as error:
        raise InvalidInput(f"{file} cannot be read as a table: {error.message}", hint="correct the table") from error
    if unlike := next((name for name in names if len(name) > _MAX_NAME_CHARS or _is_number(name)), None):
        raise InvalidInput(
            f"the first line of {file} has no names of columns, but {unlike[:_MAX_NAME_CHARS]!r}",
            hint="add a first line with names, or write the recipe by hand with `columns: [...]`",
        )
    cells = {name: [(row[index] or "").strip() for row in rows] for index, name in enumerate(columns)}
    return Sample(file, cells, is_whole)


def _nested(path: Path, file: str) -> Sample | None:
    """Return the rows within the objects of a JSON file; None if there are none, or if it holds posts as ingest reads.

    The latter have their turns in a member ``dialogue``.
    """
    rows = rows_within(path)
    if rows is None or (rows == "dialogue[]" and path.suffix.lower() == ".jsonl"):
        return None
    cells, is_whole = nested_cells(path, rows, _MAX_ROWS)
    columns = {name: cells[name] for name in list(cells)[:_MAX_COLUMNS]}
    return Sample(file, columns, is_whole, rows, nested_key(cells), holder_of(cells))


def parsed(cell: str) -> Any:
    """Return a cell that holds JSON as what it is; None if it holds none."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None


def _rows(path: Path, table: Join, columns: list[str]) -> tuple[list[list[str | None]], bool]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        whole = read_parquet(path, path.name, columns).slice(0, _MAX_ROWS + 1)
        cells = [whole[name].to_pylist() for name in columns]
        rows: list[list[str | None]] = [list(row) for row in zip(*cells, strict=True)]
    elif suffix not in DELIMITED:
        read = islice(read_rows(path, path.name, table, columns), _MAX_ROWS + 1)
        rows = [list(row.cells) for row in read if row.problem is None]
    else:
        delimiter = "\t" if suffix == ".tsv" else None
        with open_rows(path, wanted=columns, delimiter=delimiter) as lines:
            indices = [lines.names.index(name) for name in columns]
            usable = (row for row in islice(lines.rows, _MAX_ROWS + 1) if row.problem is None)
            rows = [[row.cells[index] for index in indices] for row in usable]
    return rows[:_MAX_ROWS], len(rows) <= _MAX_ROWS


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
