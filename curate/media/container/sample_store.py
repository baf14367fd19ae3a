"""Keep 16 kHz sound on disk while it is decoded, so that memory does not grow with its length."""

import mmap
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import StorageFailed

_IN_MEMORY_BYTES = 1 << 25


class SampleStore:
    """Sound that is written in pieces, each at its place; what is never written is silence."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, prefix="curate-")  # noqa: SIM115
        self._size_bytes = 0

    def write(self, start: int, samples: NDArray[np.int16]) -> None:
        """Write samples from the sample ``start`` on. Raises ``StorageFailed`` if the disk is full."""
        if not len(samples):
            return
        try:
            self._file.seek(2 * start)
            self._file.write(np.ascontiguousarray(samples).data.cast("B"))
        except OSError as error:
            raise StorageFailed(
                f"decoded sound cannot be kept in {tempfile.gettempdir()}: {error.strerror}",
                hint="free space there, or name another folder in the environment variable TMPDIR",
            ) from error
        self._size_bytes = max(self._size_bytes, 2 * (start + len(samples)))

    def to_array(self) -> NDArray[np.int16]:
        """Return all samples: in memory if they are few, else mapped from the disk and read-only."""
        self._file.seek(0)
        if self._size_bytes <= _IN_MEMORY_BYTES:
            return np.frombuffer(bytearray(self._file.read()), np.int16)
        self._file.flush()
        return np.frombuffer(mmap.mmap(self._file.fileno(), self._size_bytes, access=mmap.ACCESS_READ), np.int16)


def release_pages(samples: NDArray[np.int16]) -> None:
    """Let go of the memory in which sound from the disk was read; it is read again when needed."""
    base: Any = samples
    while isinstance(base, np.ndarray):
        base = base.base
    base = getattr(base, "obj", base)
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
