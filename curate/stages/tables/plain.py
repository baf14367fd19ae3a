"""Delimited files without any doubt about where cells and rows end, read many times as fast as row by row."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.annotation.importing.rows import LINE

if TYPE_CHECKING:
    import polars as pl

_BLOCK_BYTES = 16_000_000
_BOM = b"\xef\xbb\xbf"
_QUOTE, _NEWLINE, _RETURN = b'"\n\r'


def read_plain(
    path: Path, columns: Sequence[int], *, count: int, delimiter: str, quotes: bool, has_header: bool
) -> "pl.DataFrame | None":
    """Return some of the ``count`` columns of a file as text, named by their numbers, with the line of each row.

    Returns None for a file that only ``open_rows`` can judge: one that is not UTF-8 or has rows of other lengths, blank
    lines, line breaks within cells, or quotation marks that enclose no whole cell.
    """
    import polars as pl

    schema = {str(column): pl.String for column in range(count)}
    names = [str(column) for column in columns]
    parts = [pl.DataFrame(schema={LINE: pl.Int64, **dict.fromkeys(names, pl.String)})]
    line = 1
    for number, block in enumerate(_blocks(path)):
        rows = block.removeprefix(_BOM) if number == 0 else block
        if number == 0 and has_header:
            first, _, rows = rows.partition(b"\n")
            if first.count(b'"') % 2 or not first.strip():
                return None
            line += 1
        if not rows:
            continue
        if not _is_plain(np.frombuffer(rows, np.uint8), ord(delimiter), count, quotes=quotes):
            return None
        try:
            frame = pl.read_csv(
                rows,
                has_header=False,
                schema=schema,
                columns=sorted(columns),
                separator=delimiter,
                quote_char='"' if quotes else None,
                low_memory=True,
            )
        except pl.exceptions.PolarsError:
            return None
        parts.append(frame.select(pl.int_range(line, line + frame.height, dtype=pl.Int64).alias(LINE), *names))
        if frame.height != rows.count(b"\n") + (not rows.endswith(b"\n")):
            return None
        line += frame.height
    return pl.concat(parts)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, many at once."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block + (file.readline() if not block.endswith(b"\n") else b"")


def _is_plain(block: NDArray[np.uint8], delimiter: int, count: int, *, quotes: bool) -> bool:
    """Return whether each line of a block is a row of ``count`` cells, by the rules of RFC 4180."""
    returns = np.flatnonzero(block == _RETURN)
    if not block.all() or (len(returns) and (returns[-1] + 1 == len(block) or (block[returns + 1] != _NEWLINE).any())):
        return False
    ends = np.flatnonzero(block == _NEWLINE)
    if not len(ends) or ends[-1] != len(block) - 1:
        ends = np.append(ends, len(block))
    marks = np.flatnonzero(block == delimiter)
    if quotes:
        quote_positions = np.flatnonzero(block == _QUOTE)
        if len(quote_positions) % 2 or not _are_boundaries(block, quote_positions, delimiter):
            return False
        if (np.searchsorted(quote_positions, ends) % 2).any():
            return False
        marks = marks[np.searchsorted(quote_positions, marks) % 2 == 0]
    starts = np.append(0, ends[:-1] + 1)
    is_blank = (ends == starts) | ((ends == starts + 1) & (block[np.minimum(starts, len(block) - 1)] == _RETURN))
    per_line = np.diff(np.append(0, np.searchsorted(marks, ends)))
    return bool(not is_blank.any() and (per_line == count - 1).all())


def _are_boundaries(block: NDArray[np.uint8], quote_positions: NDArray[Any], delimiter: int) -> bool:
    """Return whether quotation marks, at these positions in pairs, enclose whole cells; two are one in the cell."""
    padded = np.concatenate([[_NEWLINE], block, [_NEWLINE]]).astype(np.uint8)
    opening, closing = quote_positions[0::2], quote_positions[1::2]
    before, after = padded[opening], padded[closing + 2]
    is_second = np.append(False, closing[:-1] + 1 == opening[1:])
    is_first = np.append(closing[:-1] + 1 == opening[1:], False)
    begins = (before == delimiter) | (before == _NEWLINE) | is_second
    finishes = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN) | is_first
    return bool(begins.all() and finishes.all())
