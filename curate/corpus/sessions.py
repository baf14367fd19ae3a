"""Sessions: files that are recordings of one event, on a common clock."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.splitting.components import connect, numbered
from curate.corpus.view import Corpus

Row = dict[str, Any]
COLUMNS = ("session", "session_start_s", "other_files")
"""The columns that ``with_sessions`` adds"""
_OTHER_FILES = pa.list_(pa.struct([("source_id", pa.string()), ("file", pa.string()), ("start_s", pa.float64())]))


class SessionFile(NamedTuple):
    """A file of a session: the source that it is, when it starts on the common clock, and how long it is."""

    source_id: str
    file: str
    session: str
    offset_s: float
    duration_s: float | None


def read_sessions(corpus: Corpus) -> dict[str, SessionFile]:
    """Return the sources that are in a session, by their ids."""
    sessions = corpus.read("sources", ["session"])["session"]
    if sessions.null_count == len(sessions):
        return {}
    rows = corpus.read("sources", ["source_id", "file", "session", "session_offset_s", "duration_s"])
    rows = rows.filter(rows["session"].is_valid())
    return {
        row["source_id"]: SessionFile(
            row["source_id"], row["file"], row["session"], row["session_offset_s"] or 0.0, row["duration_s"]
        )
        for row in rows.to_pylist()
    }


def with_sessions(items: pa.Table, sessions: Mapping[str, SessionFile]) -> pa.Table:
    """Return the items with their session, when they start on its clock, and the session's other files at that time.

    A file is listed if it runs at that time, as far as its length is known. Without a start, none is listed.
    """
    if not sessions:
        for name, kind in zip(COLUMNS, (pa.string(), pa.float64(), _OTHER_FILES), strict=True):
            items = items.append_column(name, pa.nulls(items.num_rows, kind))
        return items
    by_session: dict[str, list[SessionFile]] = defaultdict(list)
    for session_file in sorted(sessions.values(), key=lambda entry: entry.file):
        by_session[session_file.session].append(session_file)
    names: list[str | None] = []
    starts: list[float | None] = []
    others: list[list[Row] | None] = []
    for source_id, start_s in zip(items["source_id"].to_pylist(), items["start_s"].to_pylist(), strict=True):
        own = sessions.get(source_id)
        on_clock = None if own is None or start_s is None else round(own.offset_s + start_s, 6)
        names.append(own and own.session)
        starts.append(on_clock)
        others.append(_others(own, by_session[own.session], on_clock) if own and on_clock is not None else None)
    columns = (pa.array(names, pa.string()), pa.array(starts, pa.float64()), pa.array(others, _OTHER_FILES))
    for name, column in zip(COLUMNS, columns, strict=True):
        items = items.append_column(name, column)
    return items


def _others(own: SessionFile, files: list[SessionFile], on_clock: float) -> list[Row]:
    rows = []
    for other in files:
        start_s = round(on_clock - other.offset_s, 6)
        if (
            other.source_id != own.source_id
            and start_s >= 0
            and (other.duration_s is None or start_s < other.duration_s)
        ):
            rows.append({"source_id": other.source_id, "file": other.file, "start_s": start_s})
    return rows


def join_groups(items: pa.Table, sessions: Mapping[str, SessionFile]) -> pa.Table:
    """Return the items with one ``group`` for all that share a session or a group, however indirectly."""
    if not sessions or not items.num_rows:
        return items
    names = pa.array([sessions[name].session if name in sessions else None for name in items["source_id"].to_pylist()])
    names = pa.chunked_array([names.cast(pa.string())])
    components = connect([numbered(items["group"]), numbered(names)])
    members = pa.table({"component": components, "group": items["group"]})
    smallest = members.group_by("component").aggregate([("group", "min")])
    rows = pc.index_in(pa.array(components), value_set=smallest["component"].combine_chunks())
    groups = smallest["group_min"].combine_chunks().take(rows)
    is_joined = np.asarray(pc.fill_null(pc.not_equal(groups, items["group"].combine_chunks()), False))
    if not is_joined.any():
        return items
    return items.set_column(items.column_names.index("group"), "group", groups)
