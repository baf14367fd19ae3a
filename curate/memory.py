"""Give memory back to the system: what was freed, and pages of mapped files, which are read again when needed."""

import ctypes
import gc
import mmap
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO
from weakref import WeakSet

_mapped: WeakSet[mmap.mmap] = WeakSet()


class _WithoutPandas:
    """Finds no module of the name pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def keep_pandas_out() -> None:
    """Have Arrow never look whether it is given a pandas series: it would import pandas for that, which takes 55 MB.

    For processes of curate's own; pandas can still be imported, and tables still be converted to it.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow

    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pyarrow.array([0])  # It looks for pandas now, and never again.
    finally:
        sys.meta_path.remove(finder)


def map_file(file: IO[bytes]) -> mmap.mmap:
    """Return the content of a file, which must not change any more; ``release_memory`` drops its pages."""
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _mapped.add(mapped)
    return mapped


def drop_mapped_pages() -> None:
    """Drop the pages of mapped files from this process's memory."""
    for mapped in list(_mapped):
        with suppress(AttributeError, OSError, ValueError):  # not on every system
            mapped.madvise(mmap.MADV_DONTNEED)


def release_memory() -> None:
    """Return memory that was freed to the system, Arrow's too, and drop the pages of mapped files."""
    drop_mapped_pages()
    if (pyarrow := sys.modules.get("pyarrow")) is not None:
        pyarrow.default_memory_pool().release_unused()
    _trim()


def trim_memory() -> None:
    """Collect garbage, and return freed memory to the system."""
    gc.collect()
    _trim()


def _trim() -> None:
    with suppress(AttributeError, OSError, TypeError):
        # Only glibc has it, and only glibc needs it.
        ctypes.CDLL(None).malloc_trim(0)
