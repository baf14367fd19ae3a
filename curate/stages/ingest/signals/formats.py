"""The formats of signals: how each is recognised, and where its time, tracks, confidence and values are."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.stages.ingest.signals.settings import Format
from curate.stages.tables.delimited import listed


class Layout(NamedTuple):
    """What the columns of a format mean; of several names, the first that a file has."""

    tool: str | None = None
    times: tuple[str, ...] = ()
    """Columns with seconds"""
    frames: tuple[str, ...] = ()
    """Columns with numbers of frames"""
    tracks: tuple[str, ...] = ()
    confidence: tuple[str, ...] = ()
    success: tuple[str, ...] = ()
    """Columns with 1 where the tool succeeded"""
    values: tuple[str, ...] = ("*",)
    """Patterns of the columns that are kept"""
    dropped: tuple[str, ...] = ()
    """Columns that are neither values nor any of these"""
    first_frame: int = 0


_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_HEAD = ("pose_*", "gaze_angle_*")
LAYOUTS: dict[Format, Layout] = {
    "openface": Layout(
        "OpenFace",
        times=("timestamp",),
        frames=("frame",),
        tracks=("face_id",),
        confidence=("confidence",),
        success=("success",),
        values=("AU*", *_HEAD),
        first_frame=1,
    ),
    "py-feat": Layout(
        "py-feat",
        frames=("frame",),
        tracks=("face_id", "Identity"),
        confidence=("FaceScore",),
        values=("AU*", "Pitch", "Roll", "Yaw", *_EMOTIONS),
        dropped=("approx_time", "input"),
    ),
    "opensmile": Layout("openSMILE", times=("frameTime", "start"), dropped=("name", "file", "end", "frameIndex")),
    "coded": Layout(frames=("frame", "Frame", "0"), first_frame=1),
    "csv": Layout(times=("timestamp", "time", "time_s", "seconds"), frames=("frame",), tracks=("face_id",)),
    "npy": Layout(),
}
TIMES = tuple(dict.fromkeys(name for layout in LAYOUTS.values() for name in (*layout.times, *layout.frames)))
"""Every column that may hold times"""


def guess_format(names: Sequence[str]) -> Format:
    """Return the format of a delimited file with these columns."""
    columns = set(names)
    if {"timestamp", "confidence", "success"} <= columns:
        return "openface"
    if "FaceScore" in columns:
        return "py-feat"
    if "frameTime" in columns or names[:3] == ["file", "start", "end"]:
        return "opensmile"
    if len(names) > 1 and names[0] in LAYOUTS["coded"].frames and all(map(str.isdecimal, names[1:])):
        return "coded"
    return "csv"


def first_of(wanted: str | None, candidates: Sequence[str], names: Sequence[str], setting: str) -> str | None:
    """Return the column that a setting names, else the first candidate that there is, or None.

    Raises ``InvalidRow`` if there is no such column.
    """
    if wanted is not None and wanted not in names:
        raise InvalidRow(f"it has no column {wanted!r}, which `{setting}` names; its columns are {listed(names)}")
    return wanted or next((name for name in candidates if name in names), None)


def choose_columns(names: Sequence[str], keep: Sequence[str], layout: Layout, special: Sequence[str]) -> list[str]:
    """Return the columns to keep, in order. Raises ``InvalidRow`` for a pattern that fits none."""
    values = [name for name in names if name not in (*layout.dropped, *special)]
    for pattern in keep:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InvalidRow(f"no column fits {pattern!r} of `keep`; its columns are {listed(names)}")
    if keep:
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in keep)]
    chosen = [name for name in values if any(fnmatchcase(name, pattern) for pattern in layout.values)]
    if not chosen:
        raise InvalidRow(f"it has no column with values; its columns are {listed(names)}")
    return chosen
