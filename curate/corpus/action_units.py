"""The action units of a face within an item, in words, from the signals that measured or coded them."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from curate.corpus.signals import Numbers, Signal, read_signals
from curate.corpus.view import Corpus
from curate.labels.taxonomy import load_taxonomy

Scale = Literal["intensity", "presence", "likelihood", "unknown"]
_UNIT = re.compile(r"AU0*(\d{1,2})(?:_([rc]))?", re.IGNORECASE)
_LETTERS = "ABCDE"
_PRESENT_FROM: dict[Scale, float] = {"intensity": 1.0, "presence": 0.5, "likelihood": 0.5}
_RULES: dict[Scale, str] = {
    "intensity": "Intensities are from 0 to 5; the letter is the nearest of A (1) to E (5).",
    "presence": "Units are there or not.",
    "likelihood": "Likelihoods are from 0 to 1; a unit counts as present from 0.5 on.",
    "unknown": "The scale of the values is not stated.",
}
_MAX_FACES = 3


class _Unit(NamedTuple):
    """What was measured of one unit: values on a scale, and whether it is there where that is given apart."""

    number: int
    scale: Scale
    values: Numbers
    is_present: Numbers | None
    """1, 0, or NaN where it is missing; None where it follows from the values or is not known"""


class _Face(NamedTuple):
    signal: Signal
    times_s: Numbers
    units: list[_Unit]
    measured: int
    """Times with any value"""


def action_unit_texts(items: pa.Table, corpus: Corpus) -> pa.Array:
    """Return what ``describe_action_units`` does for each of many items; null where nothing was measured."""
    with_units = {
        source_id
        for source_id, names in zip(*corpus.read("signals", ["source_id", "names"]).to_pydict().values(), strict=True)
        if any(_UNIT.fullmatch(name) for name in names)
    }
    signals = read_signals(corpus, with_units & set(items["source_id"].to_pylist()))
    rows = items.select(["source_id", "start_s", "end_s"]).to_pylist()
    texts = [
        describe_action_units(signals.get(row["source_id"], ()), row["start_s"], row["end_s"]) or None for row in rows
    ]
    return pa.array(texts, pa.string())


def describe_action_units(signals: Sequence[Signal], start_s: float | None, end_s: float | None) -> str:
    """Return which units a face shows from ``start_s`` up to ``end_s``, how strongly and when; empty if none is known.

    ``signals`` are those of one source. Missing values count as not measured, never as absent units.
    """
    parts = []
    for _, tracks in groupby(signals, key=lambda signal: signal.name):
        faces = sorted(_faces(tracks, start_s, end_s), key=lambda face: -face.measured)
        parts += ["\n".join(_lines(face, start_s or 0.0, len(faces))) for face in faces[:_MAX_FACES]]
        if len(faces) > _MAX_FACES:
            parts.append(f"{len(faces) - _MAX_FACES} more faces were measured for a shorter time.")
    return "\n\n".join(parts)


def _faces(tracks: Iterator[Signal], start_s: float | None, end_s: float | None) -> Iterator[_Face]:
    for signal in tracks:
        times_s, values = signal.part(start_s, end_s)
        units = list(_units(signal, values)) if times_s is not None else []
        if times_s is None or not units:
            continue
        measured = int((~np.isnan(np.stack([unit.values for unit in units])).all(axis=0)).sum())
        if measured:
            yield _Face(signal, times_s, units, measured)


def _units(signal: Signal, values: Numbers) -> Iterator[_Unit]:
    """Yield the units of a signal, in order of their numbers."""
    columns: dict[int, dict[str, Numbers]] = {}
    for name, column in zip(signal.columns, values, strict=True):
        if match := _UNIT.fullmatch(name):
            columns.setdefault(int(match[1]), {})[(match[2] or "").lower()] = column
    for number in sorted(columns):
        kinds = columns[number]
        if "r" in kinds:
            yield _Unit(number, "intensity", kinds["r"], kinds.get("c"))
        elif "c" in kinds:
            yield _Unit(number, "presence", kinds["c"], kinds["c"])
        else:
            yield _Unit(number, _scale(signal), kinds[""], None)


def _scale(signal: Signal) -> Scale:
    """Return the scale of columns whose names do not say it."""
    if signal.format == "py-feat":
        return "likelihood"
    if signal.format != "coded":
        return "unknown"
    coded = [column for name, column in zip(signal.columns, signal.values, strict=True) if _UNIT.fullmatch(name)]
    return "intensity" if np.nanmax(np.stack(coded), initial=0.0) > 1 else "presence"


def _lines(face: _Face, start_s: float, faces: int) -> Iterator[str]:
    signal, count = face.signal, len(face.times_s)
    tool = f"Measured by {signal.tool}" if signal.tool else f"From signal {signal.name}"
    rate = f" at {signal.rate_hz:.4g} Hz" if signal.rate_hz else ""
    face_name = f", face {signal.track}" if faces > 1 else ""
    yield f"{tool}{rate}{face_name}: {face.measured} of {count} frames; times in seconds from the start of the clip."
    yield " ".join(_RULES[scale] for scale in dict.fromkeys(unit.scale for unit in face.units))
    absent = []
    for unit in face.units:
        values = unit.values[~np.isnan(unit.values)]
        if not len(values):
            continue
        is_present = _presence(unit)
        if is_present is not None and not (is_present > 0).any():
            absent.append(_name(unit.number))
            continue
        share = "" if is_present is None else f"present in {np.nanmean(is_present):.0%} of the measured frames; "
        peak = int(np.nanargmax(unit.values))
        peak_s = face.times_s[peak] - start_s
        if unit.scale == "presence":
            first_s = face.times_s[int(np.flatnonzero(unit.values > 0)[0])] - start_s
            yield f"- {_name(unit.number)}: {share}first at {first_s:.2f} s"
        else:
            strength = _strength(float(unit.values[peak]), unit.scale)
            yield f"- {_name(unit.number)}: {share}highest {strength} at {peak_s:.2f} s, mean {values.mean():.2f}"
    if absent:
        yield f"- Not present: {', '.join(absent)}"


def _presence(unit: _Unit) -> Numbers | None:
    """Return where a unit is present: 1, 0, or NaN where it was not measured; None if the scale does not say."""
    if unit.is_present is not None:
        return unit.is_present
    if unit.scale not in _PRESENT_FROM:
        return None
    return np.where(np.isnan(unit.values), np.nan, (unit.values >= _PRESENT_FROM[unit.scale]).astype(np.float64))


def _strength(value: float, scale: Scale) -> str:
    if scale != "intensity":
        return f"{value:.2f}"
    nearest = int(value + 0.5)
    letter = f" ({_LETTERS[min(nearest, len(_LETTERS)) - 1]})" if nearest >= 1 else ""
    return f"{value:.1f} of 5{letter}"


def _name(number: int) -> str:
    name = _unit_names().get(number)
    return f"AU{number} ({name})" if name else f"AU{number}"


@cache
def _unit_names() -> dict[int, str]:
    labels = load_taxonomy("facs.v1").labels
    return {
        int(label.code): label.synonyms[0]
        for label in labels
        if label.code and label.code.isdecimal() and label.synonyms
    }
