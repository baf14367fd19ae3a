"""Rows of ``signals``: what the files of a medium hold, and what is wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.corpus.sources import RawFolders
from curate.errors import InvalidRow
from curate.files import sha256_of, sha256_of_file
from curate.sentences import count_of
from curate.stages.contract import Rejection
from curate.stages.ingest.signals.cells import Numbers
from curate.stages.ingest.signals.reading import Reading, Track, read_signal
from curate.stages.ingest.signals.settings import Signal

_ID_DIGITS = 24


class SignalRows(NamedTuple):
    """Rows of ``signals`` as tables, and rejections of files and values."""

    tables: list[pa.Table]
    rejections: list[Rejection]


def signal_rows(
    row: Mapping[str, Any], source: Mapping[str, Any], signals: Sequence[Signal], raw: RawFolders, schema: pa.Schema
) -> SignalRows:
    """Return what the signals of an input hold, which became the row ``source`` of ``sources``.

    Raises ``InvalidRow`` with reason ``unavailable`` if a file is out of reach.
    """
    by_name = {signal.name: signal for signal in signals}
    tables: list[pa.Table] = []
    rejections: list[Rejection] = []
    file = row["file"]
    for entry in row["signals"] or ():
        name, signal = entry["file"], by_name[entry["name"]]
        subject = f"{name}#{signal.name}" + (f":{entry['rows']}" if entry["rows"] is not None else "")
        try:
            path = raw.join(name)
            sha256 = sha256_of_file(path)
            duration_s, frame_rate_hz = source.get("duration_s"), source.get("frame_rate_hz")
            reading = read_signal(path, signal, duration_s=duration_s, frame_rate_hz=frame_rate_hz, rows=entry["rows"])
        except OSError as error:
            raise InvalidRow(f"{name} cannot be read: {error.strerror}", reason="unavailable") from error
        except InvalidRow as error:
            rejections.append(Rejection(file, subject, error.reason, f"{name}: {error.message}"))
            continue
        if reading.infinite:
            detail = f"{name}: {count_of(reading.infinite, 'infinite value')} marked as missing"
            rejections.append(Rejection(file, f"{subject}:infinite", "partial", detail))
        shared = {"source_id": source["source_id"], "file": file, "signal": signal.name}
        shared |= {"signal_file": name, "signal_sha256": sha256}
        shared |= {"format": reading.format, "tool": reading.tool}
        tables += [_table(track, reading, signal, shared, schema) for track in reading.tracks]
    if signals and not row["signals"] and source.get("kind") in ("video", "audio"):
        names = ", ".join(signal.name for signal in signals)
        detail = f"{file} has no signal: no file of {names} belongs to it; check `files` and `media` of the signals"
        rejections.append(Rejection(file, f"{file}:signals", "no_signal", detail))
    return SignalRows(tables, rejections)


def _table(track: Track, reading: Reading, signal: Signal, shared: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    identity = f"{shared['source_id']}:signal:{signal.name}:{track.track or ''}"
    columns = {
        **shared,
        "signal_id": sha256_of(identity)[:_ID_DIGITS],
        "track": track.track,
        "rate_hz": track.rate_hz,
        "names": reading.columns,
        "summary": list(signal.summary),
    }
    arrays = {name: pa.array([value], schema.field(name).type) for name, value in columns.items()}
    times = None if track.times_s is None else pa.array(track.times_s)
    arrays["times_s"] = pa.array([None], schema.field("times_s").type) if times is None else _listed(times)
    arrays["values"] = _listed(_lists(track.values))
    return pa.table({name: arrays[name].cast(schema.field(name).type) for name in schema.names if name in arrays})


def _listed(values: pa.Array) -> pa.ListArray:
    """Return a column of one row with these values."""
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _lists(values: Numbers) -> pa.ListArray:
    """Return a list for each row of a matrix, with null for NaN."""
    rows, width = values.shape
    flat = np.ascontiguousarray(values).reshape(-1)
    offsets = pa.array(np.arange(rows + 1) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(flat, mask=np.isnan(flat)))
