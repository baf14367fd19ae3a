"""The configuration ``features``: a row for each signal of each item, its values exactly as they were read."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.signals import Numbers, Signal, present_values, read_signals
from curate.corpus.view import Corpus
from curate.files import canonical_json, sha256_of
from curate.labels import Feature, arrow_type
from curate.labels.features import list_of, scalar
from curate.release.columns import Indices

FOLDER = "features"
_NUMBERS = list_of(scalar("float64"))
FEATURES: dict[str, Feature] = {
    "item_id": scalar("string"),
    "source_id": scalar("string"),
    "signal": scalar("string"),
    "track": scalar("string"),
    "tool": scalar("string"),
    "rate_hz": scalar("float64"),
    "names": list_of(scalar("string")),
    "times_s": _NUMBERS,
    "values": list_of(_NUMBERS),
    "mean": _NUMBERS,
    "maximum": _NUMBERS,
    "present_share": _NUMBERS,
}
"""The columns of ``features``. ``names`` are the columns of the signal, ``values`` holds a list for each, with a value
for each of ``times_s`` (seconds from the start of the source); null where it is missing. ``times_s`` is null for
values that hold for all of the source. The last three have a number for each column, where the recipe asks for it."""
_TEXTS = tuple(name for name in FEATURES if name not in ("times_s", "values"))
_CHUNK_BYTES = 200_000_000


class SignalFacts(NamedTuple):
    """What a card says of a signal over all released items."""

    name: str
    tools: tuple[str, ...]
    rates_hz: tuple[float, ...]
    """The least and the greatest; empty if none is known"""
    columns: tuple[str, ...]
    items: int
    """Items with any value"""
    tracks: int
    """The most that an item has"""
    missing_share: float
    """Of all values of these items"""


@dataclass
class _Sums:
    tools: set[str] = field(default_factory=set)
    rates_hz: set[float] = field(default_factory=set)
    columns: dict[str, None] = field(default_factory=dict)
    tracks: Counter[str] = field(default_factory=Counter)
    values: int = 0
    missing: int = 0
    hashes: list[str] = field(default_factory=list)

    def facts(self, name: str) -> SignalFacts:
        rates = (min(self.rates_hz), max(self.rates_hz)) if self.rates_hz else ()
        share = self.missing / self.values if self.values else 0.0
        tracks = max(self.tracks.values(), default=0)
        return SignalFacts(name, tuple(sorted(self.tools)), rates, tuple(self.columns), len(self.tracks), tracks, share)


class ReleasedSignals:
    """The signals of the items that may be released."""

    def __init__(self, corpus: Corpus, items: pa.Table) -> None:
        self._corpus, self._items = corpus, items.select(["item_id", "source_id", "start_s", "end_s"])
        rows = corpus.read("signals", ["source_id", "rate_hz", "names", "times_s"])
        counts = pc.list_value_length(rows["times_s"]).to_pylist()
        described = zip(
            rows["source_id"].to_pylist(), rows["rate_hz"].to_pylist(), rows["names"].to_pylist(), counts, strict=True
        )
        self._weights: dict[str, _Weight] = {}
        for source_id, rate_hz, names, count in described:
            width = 8 * (len(names) + 1)
            weight = self._weights.get(source_id, _Weight(0.0, 0))
            if count is not None and rate_hz:
                self._weights[source_id] = weight._replace(a_second=weight.a_second + rate_hz * width)
            else:
                self._weights[source_id] = weight._replace(fixed=weight.fixed + (count or 1) * width)

    def __bool__(self) -> bool:
        return bool(self._weights)

    def has_any(self, items: Indices) -> bool:
        """Return whether the source of any of these items has a signal, so that these have rows."""
        sources = self._items["source_id"].take(pa.array(items)).unique().to_pylist()
        return not self._weights.keys().isdisjoint(sources)

    def sizes(self, items: Indices) -> list[int]:
        """Return about how many bytes the signals of each item are."""
        rows = self._items.take(pa.array(items)).to_pydict()
        sizes = []
        for source_id, start_s, end_s in zip(rows["source_id"], rows["start_s"], rows["end_s"], strict=True):
            weight = self._weights.get(source_id, _Weight(0.0, 0))
            sizes.append(int(weight.a_second * ((end_s or 0.0) - (start_s or 0.0))) + weight.fixed)
        return sizes

    def tables(self, items: Indices, cuts: Iterable[slice]) -> Iterator[pa.Table]:
        """Yield the rows of ``features`` of each slice of the items, in their order and by signal and track.

        Every item has a row for each signal of its source; where it shows several faces, one for each of those.
        """
        rows = self._items.take(pa.array(items)).to_pylist()
        by_source = read_signals(self._corpus, {row["source_id"] for row in rows})
        for cut in cuts:
            parts = _Parts()
            for row in rows[cut]:
                for _, tracks in groupby(by_source.get(row["source_id"], ()), key=lambda signal: signal.name):
                    parts.add(row, list(tracks))
            if parts:
                yield parts.table()

    def all_tables(self, items: Indices) -> Iterator[pa.Table]:
        """Yield the rows of ``features`` of all of these items, not in their order, some at a time."""
        sources = self._items["source_id"].take(pa.array(items)).to_pylist()
        order = sorted(range(len(items)), key=lambda index: (sources[index], index))
        sizes, filled = self.sizes(items), 0
        chunk: list[int] = []
        for index in order:
            if chunk and filled > _CHUNK_BYTES and sources[index] != sources[chunk[-1]]:
                yield from self.tables(items[np.array(chunk)], [slice(None)])
                chunk, filled = [], 0
            chunk.append(index)
            filled += sizes[index]
        if chunk:
            yield from self.tables(items[np.array(chunk)], [slice(None)])


class _Weight(NamedTuple):
    """The bytes of a source's signals in each second, and of those that have no such rate."""

    a_second: float
    fixed: int


class SignalSums:
    """What all rows of ``features`` amount to: a hash for each signal, and facts for a card."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Sums] = defaultdict(_Sums)

    def add(self, split: str, table: pa.Table) -> None:
        """Count the rows of some items."""
        for row, times, values in _rows(table):
            sums = self._by_name[row["signal"]]
            sums.hashes.append(_row_hash(split, row, times, values))
            sums.tools.update([row["tool"]] if row["tool"] else [])
            sums.rates_hz.update([row["rate_hz"]] if row["rate_hz"] else [])
            sums.columns.update(dict.fromkeys(row["names"]))
            sums.values += values.size
            sums.missing += int(np.isnan(values).sum())
            if not np.isnan(values).all():
                sums.tracks[row["item_id"]] += 1

    @property
    def hashes(self) -> dict[str, str]:
        """A hash of the rows of each signal, whatever their order."""
        return {name: sha256_of("\n".join(sorted(self._by_name[name].hashes))) for name in sorted(self._by_name)}

    @property
    def facts(self) -> list[SignalFacts]:
        """The facts of each signal, by name."""
        return [self._by_name[name].facts(name) for name in sorted(self._by_name)]


class _Parts:
    """Rows of ``features`` that are being collected."""

    def __init__(self) -> None:
        self._texts: list[dict[str, Any]] = []
        self._times: list[Numbers | None] = []
        self._values: list[Numbers] = []

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, item: Mapping[str, Any], tracks: Sequence[Signal]) -> None:
        """Add the part of each track of a signal in an item; where no face is there, an empty one without a track."""
        parts = [(signal, signal.part(item["start_s"], item["end_s"])) for signal in tracks]
        present = [(signal, part) for signal, part in parts if part.values.size]
        for signal, (times_s, values) in present or [(parts[0][0]._replace(track=None), parts[0][1])]:
            self._times.append(times_s)
            self._values.append(values)
            row = {"item_id": item["item_id"], "source_id": item["source_id"], "signal": signal.name}
            row |= {"track": signal.track, "tool": signal.tool, "rate_hz": signal.rate_hz, "names": signal.columns}
            self._texts.append(row | _summary(values, signal.summary))

    def table(self) -> pa.Table:
        """Return the rows."""
        kinds = {name: arrow_type(feature) for name, feature in FEATURES.items()}
        texts = pa.Table.from_pylist(self._texts, schema=pa.schema([(name, kinds[name]) for name in _TEXTS]))
        columns = [column for values in self._values for column in values]
        inner = _lists(columns, [False] * len(columns))
        ends = np.cumsum([0, *(len(values) for values in self._values)])
        arrays = {name: texts[name] for name in _TEXTS}
        is_null = [times is None for times in self._times]
        arrays["times_s"] = _lists([np.zeros(0) if times is None else times for times in self._times], is_null)
        arrays["values"] = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), inner)
        return pa.table({name: arrays[name].cast(kind) for name, kind in kinds.items()})


def _lists(arrays: Sequence[Numbers], is_null: Sequence[bool]) -> pa.ListArray:
    """Return a list for each array, with null for NaN."""
    flat = np.concatenate([np.zeros(0), *arrays])
    offsets = np.cumsum([0, *(len(array) for array in arrays)])
    values = pa.array(flat, pa.float64(), mask=np.isnan(flat))
    mask = pa.array(np.array(is_null, np.bool_)) if any(is_null) else None
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask)


def _summary(values: Numbers, wanted: Sequence[str]) -> dict[str, list[float | None]]:
    present, width = present_values(values), values.shape[1]
    figures: dict[str, list[float | None]] = {
        "mean": [float(column.mean()) if len(column) else None for column in present],
        "maximum": [float(column.max()) if len(column) else None for column in present],
        "present_share": [len(column) / width if width else None for column in present],
    }
    return {name: figures[name] for name in wanted}


def _rows(table: pa.Table) -> Iterator[tuple[dict[str, Any], Numbers | None, Numbers]]:
    """Yield each row of ``features`` with its times and values as arrays, NaN where a value is missing."""
    for batch in table.to_batches():
        texts = batch.select(list(_TEXTS)).to_pylist()
        for index, row in enumerate(texts):
            times, values = batch["times_s"][index], batch["values"][index]
            flat: Any = values.values.flatten().to_numpy(zero_copy_only=False)
            matrix = np.asarray(flat, np.float64).reshape(len(row["names"]), -1)
            yield row, np.asarray(times.values.to_numpy(), np.float64) if times.is_valid else None, matrix


def _row_hash(split: str, row: Mapping[str, Any], times: Numbers | None, values: Numbers) -> str:
    digest = hashlib.sha256(canonical_json([split, dict(row), None if times is None else len(times)]))
    for array in (*(() if times is None else (times,)), values):
        # One NaN for all that is missing, and one zero: bytes are compared.
        digest.update(np.where(np.isnan(array), np.nan, array + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()


def sum_signals(parts: Iterable[tuple[str, pa.Table]]) -> SignalSums:
    """Return what rows of ``features``, by split, amount to."""
    sums = SignalSums()
    for split, table in parts:
        sums.add(split, table)
    return sums
