"""Read CARMA's exports: CSV files with lines about the rating first, then ``Second,Rating``."""

import csv
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from curate.errors import InvalidRow
from curate.media.tiers.contents import QUOTED, Annotation, Fault, Tier, TierFile, checked_seconds, time_problem
from curate.media.tiers.lines import load_lines

_HEADER = ("second", "rating")
_MAX_ABOUT = 20
_SNIFFED_BYTES = 8_192
_MEDIA = ("multimedia file", "filename:", "filename")
_BY_SECOND = "axis range:"
"""What only exports of the first versions have: their rating of second n is the mean from n - 1 to n."""
TIER = "rating"


def is_carma(path: Path) -> bool:
    """Return whether a CSV file is an export of CARMA: whether lines about the rating stand above its columns."""
    with path.open("rb") as file:
        text = file.read(_SNIFFED_BYTES).decode("utf-8-sig", "replace")
    return _header_row(list(csv.reader(text.splitlines()))) is not None


def read_carma(path: Path) -> TierFile:
    """Return the ratings: each holds until the next, the last as long as the one before; NaN is no rating.

    Raises ``InvalidRow`` if the file as a whole cannot be read, and ``OSError``.
    """
    lines = load_lines(path)
    reader = csv.reader(lines)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise InvalidRow(f"it cannot be read as CSV: {error}") from error
    header = _header_row([row for _, row in rows])
    if header is None:
        raise InvalidRow("it has no line Second,Rating")
    about = {row[0].casefold(): row[1] for _, row in rows[:header] if len(row) > 1}
    media = next((PureWindowsPath(about[name]).name for name in _MEDIA if about.get(name)), "")
    scores: list[tuple[int, float, str]] = []
    faults: list[Fault] = []
    for line, row in rows[header + 1 :]:
        if not any(row) or row[0].startswith("%"):
            continue
        try:
            scores.append((line, *_score(row)))
        except ValueError as error:
            faults.append(Fault(line, f"line {line}: {error}"))
    annotations = []
    shift_s = 1.0 if _BY_SECOND in about else 0.0
    times = [time_s - shift_s for _, time_s, _ in scores]
    for index, (line, _, text) in enumerate(scores):
        start_s, end_s = times[index], _next_time(times, index)
        if problem := time_problem(start_s, end_s):
            faults.append(Fault(line, f"line {line}: {problem}"))
        elif text.casefold() != "nan":
            annotations.append(Annotation(line, TIER, start_s, end_s, text))
    return TierFile({TIER: Tier(TIER)}, annotations, sorted(faults), [media] if media else [])


def _score(row: Sequence[str]) -> tuple[float, str]:
    if len(row) < 2:
        raise ValueError("it has a second without a rating")
    second = checked_seconds(row[0])
    if row[1].casefold() != "nan":
        try:
            checked_seconds(row[1])
        except ValueError:
            raise ValueError(f"{row[1][:QUOTED]!r} is not a rating") from None
    return second, row[1]


def _next_time(times: Sequence[float], index: int) -> float:
    if index + 1 < len(times):
        return times[index + 1]
    return round(times[index] + (times[index] - times[index - 1] if index else 1.0), 6)


def _header_row(rows: Sequence[Sequence[str]]) -> int | None:
    """Return which row names the columns, if rows about the rating are above it."""
    for index, row in enumerate(rows[: _MAX_ABOUT + 1]):
        if tuple(cell.strip().casefold() for cell in row[:2]) == _HEADER:
            return index if index else None
        if len([cell for cell in row if cell.strip()]) > 2:
            return None
    return None
