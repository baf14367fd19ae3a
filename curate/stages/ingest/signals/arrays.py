"""Arrays in NumPy's format: read without ever loading Python objects, and never more than the file holds."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import InvalidRow
from curate.stages.ingest.signals.cells import MAX_VALUES, Numbers

_MAX_HEADER_CHARS = 10_000


def read_array(path: Path) -> Numbers:
    """Return an array as float64 of shape (rows, columns). Raises ``InvalidRow`` and ``OSError``."""
    size = path.stat().st_size
    if size == 0:
        raise InvalidRow("it is empty", reason="empty_file")
    headers: Any = np.lib.format
    with path.open("rb") as file:
        try:
            version = headers.read_magic(file)
            read = headers.read_array_header_1_0 if version == (1, 0) else headers.read_array_header_2_0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shape, _, dtype = read(file, max_header_size=_MAX_HEADER_CHARS)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError) as error:
            cause = str(error).partition("\n")[0][:200]
            raise InvalidRow(f"its header cannot be read as that of an .npy file: {cause}") from error
        start = file.tell()
    if dtype.hasobject:
        raise InvalidRow("it holds Python objects (pickle), which are never loaded: save it as an array of numbers")
    if dtype.kind not in "fiub":
        raise InvalidRow(f"it holds values of type {dtype}: save it as an array of numbers")
    if len(shape) not in (1, 2):
        raise InvalidRow(f"its shape is {shape}: rows and columns are needed")
    count = math.prod(shape)
    if count == 0:
        raise InvalidRow(f"it holds no values: its shape is {shape}", reason="empty_file")
    if count > MAX_VALUES:
        raise InvalidRow(f"it has {count:,} values, more than {MAX_VALUES:,}: save fewer columns")
    if size - start != count * dtype.itemsize:
        expected = count * dtype.itemsize
        raise InvalidRow(
            f"its header asks for {expected:,} bytes of values, and it has {size - start:,}: it is damaged"
        )
    array = np.load(path, allow_pickle=False, max_header_size=_MAX_HEADER_CHARS)
    rows: Numbers = array.reshape(len(array), -1).astype(np.float64)
    return rows
