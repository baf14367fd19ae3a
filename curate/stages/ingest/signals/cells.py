"""The cells of signals' files as text, and as numbers."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.annotation.importing.rows import LINE
from curate.errors import InvalidRow
from curate.stages.ingest.signals.arff import read_arff
from curate.stages.ingest.signals.formats import TIMES
from curate.stages.ingest.signals.settings import Signal
from curate.stages.tables.delimited import Row, Rows, listed, open_rows
from curate.stages.tables.plain import read_plain

if TYPE_CHECKING:
    import polars as pl

Numbers = NDArray[np.float64]
MAX_VALUES = 100_000_000
_MISSING = ("", "na", "n/a", "null", "none", "?", "-", "nan", "+nan", "-nan", "-nan(ind)", "nan(ind)")
_ROWS = 20_000
_MAX_QUOTED = 40


class Cells(NamedTuple):
    """The wanted columns of a file as text, and the line of each row."""

    names: list[str]
    """All columns of the file"""
    frame: "pl.DataFrame"

    def numbers(self, column: str, letters: str = "") -> Numbers:
        """Return a column as numbers, NaN where a cell is missing; ``letters`` stand for 1, 2, 3 and so on.

        Raises ``InvalidRow`` with line and value of the first cell that is neither.
        """
        import polars as pl

        texts = self.frame[column].fill_null("").str.strip_chars()
        values = texts.cast(pl.Float64, strict=False)
        if letters:
            places = {letter: float(number) for number, letter in enumerate(letters, start=1)}
            values = values.fill_null(texts.replace_strict(places, default=None, return_dtype=pl.Float64))
        is_missing = texts.str.to_lowercase().is_in(_MISSING)
        wrong = (values.is_null() & ~is_missing).arg_true()
        if len(wrong):
            line, text = self.frame[LINE][wrong[0]], texts[wrong[0]]
            raise InvalidRow(f"line {line}: column {column!r} holds {text[:_MAX_QUOTED]!r}, which is no number")
        return values.fill_null(float("nan")).to_numpy().astype(np.float64)

    def texts(self, column: str) -> list[str]:
        """Return a column as texts; blank cells are empty."""
        texts: list[str] = self.frame[column].fill_null("").str.strip_chars().to_list()
        return texts

    def only(self, column: str, text: str) -> "Cells":
        """Return the rows with this text in a column."""
        import polars as pl

        return self._replace(frame=self.frame.filter(pl.col(column).str.strip_chars() == text))

    @property
    def lines(self) -> NDArray[np.int64]:
        """The line of each row."""
        return self.frame[LINE].to_numpy()


def read_cells(path: Path, signal: Signal, choose: Callable[[list[str]], Sequence[str]]) -> Cells:
    """Return the columns of a file that ``choose`` picks of all their names.

    Raises ``InvalidRow`` for a file that is empty or has a row that cannot be read, and ``OSError``.
    """
    if path.stat().st_size == 0:
        raise InvalidRow("it is empty", reason="empty_file")
    if path.suffix.lower() == ".arff":
        names, rows = read_arff(path)
        return _checked(Cells(names, _to_frame(rows, names, _chosen(names, choose))))
    delimiter = signal.delimiter or ("\t" if path.suffix.lower() == ".tsv" else None)
    with open_rows(path, wanted=TIMES, names=signal.columns, delimiter=delimiter) as opened:
        chosen = _chosen(opened.names, choose)
        frame = _read_plain(path, opened, chosen, has_header=not signal.columns)
        if frame is None:
            frame = _to_frame(opened.rows, opened.names, chosen)
        return _checked(Cells(opened.names, frame))


def _chosen(names: list[str], choose: Callable[[list[str]], Sequence[str]]) -> list[str]:
    if not any(names):
        raise InvalidRow("it is empty: its first line names no columns", reason="empty_file")
    chosen = list(dict.fromkeys(choose(names)))
    if twice := [name for name in chosen if names.count(name) > 1]:
        raise InvalidRow(f"it has {names.count(twice[0])} columns named {listed(twice[:1])}")
    return chosen


def _checked(cells: Cells) -> Cells:
    rows, columns = cells.frame.height, cells.frame.width - 1
    if not rows:
        raise InvalidRow("it has no rows below the names of its columns", reason="empty_file")
    if rows * columns > MAX_VALUES:
        raise InvalidRow(f"it has {rows:,} rows of {columns:,} columns, more than {MAX_VALUES:,} values: `keep` fewer")
    return cells


def _read_plain(path: Path, opened: Rows, chosen: Sequence[str], *, has_header: bool) -> "pl.DataFrame | None":
    if not opened.is_plain:
        return None
    indices = [opened.names.index(name) for name in chosen]
    frame = read_plain(
        path, indices, count=len(opened.names), delimiter=opened.delimiter, quotes=True, has_header=has_header
    )
    if frame is None:
        return None
    return frame.rename({str(index): name for index, name in zip(indices, chosen, strict=True)})


def _to_frame(rows: Iterator[Row], names: Sequence[str], chosen: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    indices = [names.index(name) for name in chosen]
    schema = {LINE: pl.Int64, **dict.fromkeys(chosen, pl.String)}
    parts = [pl.DataFrame(schema=schema)]
    while block := list(islice(rows, _ROWS)):
        if (bad := next((row for row in block if row.problem), None)) is not None:
            raise InvalidRow(f"line {bad.line}: {bad.problem}")
        cells = {name: [row.cells[index] for row in block] for name, index in zip(chosen, indices, strict=True)}
        parts.append(pl.DataFrame({LINE: [row.line for row in block], **cells}, schema=schema))
    return pl.concat(parts, rechunk=True)
