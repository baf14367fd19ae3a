"""Read a file of a signal: the values of its columns over the time of its medium, for each track."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curate.errors import InvalidRow
from curate.stages.ingest.signals.arrays import read_array
from curate.stages.ingest.signals.cells import Cells, Numbers, read_cells
from curate.stages.ingest.signals.clock import Clock, Times, check_length, check_order, read_times
from curate.stages.ingest.signals.formats import LAYOUTS, Layout, choose_columns, first_of, guess_format
from curate.stages.ingest.signals.settings import Format, Signal
from curate.stages.tables.delimited import listed

_UNCODED = 9.0
_LETTERS = "ABCDE"
_MAX_TRACKS, _MAX_NAME_CHARS = 1_000, 1_000


class Track(NamedTuple):
    """The values of one face, or of the whole file where it tells none apart."""

    track: str | None
    times_s: Numbers | None
    """In seconds of the medium; None for a file with one row that holds for all of the medium"""
    rate_hz: float | None
    values: Numbers
    """One row for each column; NaN where a value is missing"""


class Reading(NamedTuple):
    """What a file holds."""

    format: Format
    tool: str | None
    columns: list[str]
    tracks: list[Track]
    infinite: int
    """Values that are infinite, and count as missing"""


class _Roles(NamedTuple):
    """Which columns of a file are what."""

    layout: Layout
    format: Format
    time: str | None
    frame: str | None
    track: str | None
    confidence: str | None
    success: str | None
    medium: str | None
    values: list[str]

    @property
    def columns(self) -> list[str]:
        special = (self.time, self.frame, self.track, self.confidence, self.success, self.medium)
        return [*(name for name in special if name is not None), *self.values]


def read_signal(
    path: Path, signal: Signal, *, duration_s: float | None, frame_rate_hz: float | None, rows: str | None = None
) -> Reading:
    """Return what the file at ``path`` holds, for a medium of this length and frame rate; only ``rows`` that name it.

    Raises ``InvalidRow`` with a sentence about the file if any of it cannot be read rightly, and ``OSError``.
    """
    clock = Clock(signal, frame_rate_hz)
    is_array = path.suffix.lower() == ".npy"
    if signal.format is not None and is_array != (signal.format == "npy"):
        raise InvalidRow(f"its name ends in {path.suffix!r}, and `format` says {signal.format}")
    if is_array:
        return _read_array(path, signal, clock, duration_s)
    return _read_table(path, signal, clock, duration_s, rows)


def _read_array(path: Path, signal: Signal, clock: Clock, duration_s: float | None) -> Reading:
    array = read_array(path)
    names = list(signal.columns) or [f"c{number}" for number in range(array.shape[1])]
    if len(names) != array.shape[1]:
        raise InvalidRow(f"it has {array.shape[1]} columns, and `columns` names {len(names)}")
    chosen = choose_columns(names, signal.keep, LAYOUTS["npy"], ())
    times = clock.counted(len(array)) if len(array) > 1 or signal.rate_hz else None
    if times is not None:
        check_length(times, signal, duration_s)
    values = np.ascontiguousarray(array[:, [names.index(name) for name in chosen]].T)
    infinite = int(np.isinf(values).sum())
    values[~np.isfinite(values)] = np.nan
    track = Track(None, times and times.times_s, times and times.rate_hz, values)
    return Reading("npy", signal.tool, chosen, [track], infinite)


@lru_cache(maxsize=1)
def _cells(path: str, mtime_ns: int, size_bytes: int, settings: str) -> tuple[Cells, _Roles]:
    """Return the cells of a file and their meaning, remembered for the next medium of the same table."""
    signal, roles = Signal.model_validate_json(settings), list[_Roles]()

    def choose(names: list[str]) -> list[str]:
        roles.append(_roles(names, signal, is_arff=path.lower().endswith(".arff")))
        return roles[-1].columns

    return read_cells(Path(path), signal, choose), roles[-1]


def medium_names(path: Path, signal: Signal) -> list[str]:
    """Return the media that the rows of a table name, in order. Raises ``InvalidRow`` and ``OSError``."""
    column = signal.medium_column or ""

    def choose(names: list[str]) -> list[str]:
        if column not in names:
            columns = listed(names)
            raise InvalidRow(f"it has no column {column!r}, which `medium_column` names; its columns are {columns}")
        return [column]

    media = list(dict.fromkeys(read_cells(path, signal, choose).texts(column)))
    if any(len(name) > _MAX_NAME_CHARS for name in media):
        raise InvalidRow(
            f"column {column!r} holds a text of more than {_MAX_NAME_CHARS} characters: it names no medium"
        )
    return media


def _read_table(path: Path, signal: Signal, clock: Clock, duration_s: float | None, rows: str | None) -> Reading:
    state = path.stat()
    cells, role = _cells(str(path), state.st_mtime_ns, state.st_size, signal.model_dump_json())
    if signal.medium_column is not None and rows is not None:
        cells = cells.only(signal.medium_column, rows)
    times = read_times(cells, clock, role.time, role.frame, first_frame=role.layout.first_frame)
    if role.format == "opensmile" and cells.frame.height == 1:
        times = None  # functionals of the whole file
    if times is not None:
        check_length(times, signal, duration_s)
    letters = _LETTERS if role.format == "coded" else ""
    values = np.stack([cells.numbers(name, letters) for name in role.values])
    if role.format == "coded":
        values[values == _UNCODED] = np.nan
        role = role._replace(values=[f"AU{int(name):02d}" if name.isdecimal() else name for name in role.values])
    infinite = int(np.isinf(values).sum())
    values[~np.isfinite(values)] = np.nan
    values[:, _is_failed(cells, role, signal)] = np.nan
    tracks = _tracks(cells, role, times, values)
    return Reading(role.format, signal.tool or role.layout.tool, role.values, tracks, infinite)


def _roles(names: list[str], signal: Signal, *, is_arff: bool) -> _Roles:
    guessed: Format = "opensmile" if is_arff else guess_format(names)
    format_name = signal.format or guessed
    layout = LAYOUTS[format_name]
    time = first_of(signal.time, layout.times, names, "time")
    frame = None if time is not None else first_of(None, layout.frames, names, "time")
    track = first_of(signal.track, layout.tracks, names, "track")
    confidence = first_of(signal.confidence, layout.confidence, names, "confidence")
    success = first_of(None, layout.success, names, "confidence")
    if signal.min_confidence is not None and confidence is None:
        raise InvalidRow("it has no column of confidence: name it by `confidence`, or leave out `min_confidence`")
    medium = first_of(signal.medium_column, (), names, "medium_column")
    special = [name for name in (time, frame, track, confidence, success, medium) if name is not None]
    special += [name for name in (*layout.times, *layout.frames) if name in names]
    values = choose_columns(names, signal.keep, layout, special)
    return _Roles(layout, format_name, time, frame, track, confidence, success, medium, values)


def _is_failed(cells: Cells, role: _Roles, signal: Signal) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which rows the tool failed on, or was less sure of than is asked for."""
    is_failed = np.zeros(cells.frame.height, np.bool_)
    if role.success is not None:
        is_failed |= cells.numbers(role.success) != 1
    if role.confidence is not None and signal.min_confidence is not None:
        is_failed |= ~(cells.numbers(role.confidence) >= signal.min_confidence)
    return is_failed


def _tracks(cells: Cells, role: _Roles, times: Times | None, values: Numbers) -> list[Track]:
    """Return the values of each track, in order of their names; one without a name if no column tells any apart."""
    names = cells.texts(role.track) if role.track is not None else [""] * cells.frame.height
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        by_name.setdefault(name, []).append(index)
    if len(by_name) > _MAX_TRACKS:
        raise InvalidRow(f"column {role.track!r} has {len(by_name):,} different values: it tells no faces apart")
    tracks = []
    for name in sorted(by_name, key=lambda text: (len(text), text)):
        rows = np.array(by_name[name])
        times_s = None if times is None else times.times_s[rows]
        if times_s is not None:
            check_order(times_s, cells.lines[rows], role.track, name)
        elif len(rows) > 1:
            raise InvalidRow("it has several rows without times: set `rate_hz`, or name a column of seconds by `time`")
        tracks.append(Track(name or None, times_s, times and times.rate_hz, values[:, rows]))
    return tracks
