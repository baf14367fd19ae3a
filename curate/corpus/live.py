"""The work that a recipe now asks for: which rows are current, and which are left from earlier settings or files."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from curate.files import digest

_FEW = 8
_BLOCK = 250_000


class LiveWork:
    """The identities of the work of several stages that share their tables.

    They are found when they are first needed. ``hashes`` are those of the stages' work, as far as they are known.
    """

    def __init__(self, find: Callable[[], Iterable[pa.ChunkedArray]], hashes: Sequence[str] | None = None) -> None:
        self._find = find
        self._hashes = hashes

    @classmethod
    def of(cls, *works: Iterable[str]) -> "LiveWork":
        """Return these identities."""
        arrays = [pa.chunked_array([pa.array(part, pa.string())]) for part in works]
        return cls(lambda: arrays)

    @cached_property
    def works(self) -> pa.ChunkedArray:
        """All the identities; some may be there twice."""
        return pa.chunked_array([chunk for array in self._find() for chunk in array.chunks], pa.string())

    @cached_property
    def fingerprint(self) -> str:
        """A hash that changes whenever any identity does."""
        return digest(list(self._hashes or [hash_works(array) for array in self._find()]))

    def contains(self, works: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return for each of many identities whether it is asked for."""
        if len(works) * _FEW <= len(self.works):
            return pc.is_in(works, value_set=self.works.filter(pc.is_in(self.works, value_set=works)))
        # A hash table of some of them at a time: one of all would be twice as large as they are.
        is_live = pa.chunked_array([pa.repeat(False, len(works))])
        for start in range(0, len(self.works), _BLOCK):
            is_live = pc.or_(is_live, pc.is_in(works, value_set=self.works.slice(start, _BLOCK)))
        return is_live

    def among(self, works: Iterable[str]) -> set[str]:
        """Return those of a few identities that are asked for."""
        few = pa.array(list(works), pa.string())
        return set(self.works.filter(pc.is_in(self.works, value_set=few)).to_pylist()) if len(few) else set()


def hash_works(works: pa.ChunkedArray) -> str:
    """Return a hash of identities, which all have the same length, in their order."""
    hasher = hashlib.sha256()
    for chunk in works.chunks:
        lines = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk), "")
        hasher.update(lines[0].as_buffer())
    return hasher.hexdigest()
