"""Media in the cells of a Parquet file, as ``datasets`` stores pictures and sound, under names of files."""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.errors import InvalidRow

_BATCH_ROWS = 64
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_MAGIC = (
    *((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"fLaC", ".flac"), (b"OggS", ".ogg")),
    *((b"ID3", ".mp3"), (b"\xff\xfb", ".mp3"), (b"\x1aE\xdf\xa3", ".mkv")),
)


class Cell(NamedTuple):
    """A cell with media: its name within the file, and its bytes; None for both if it is empty."""

    name: str | None
    data: bytes | None


@contextmanager
def parquet_errors() -> Iterator[None]:
    """Raise ``InvalidRow`` for what pyarrow raises of a damaged file. An error of the system stays what it is."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        problem = f"it cannot be read as Parquet: {str(error).partition(chr(10))[0]}"
        raise InvalidRow(problem, reason="unreadable") from error


def is_media(kind: pa.DataType) -> bool:
    """Whether a column holds files: their bytes, and the names that they had."""
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return False
    return kind.field("bytes").type in (pa.binary(), pa.large_binary())


def media_columns(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that hold files."""
    return [field.name for field in schema if is_media(field.type)]


def read_cells(file: parquet.ParquetFile, column: str) -> Iterator[Cell]:
    """Yield the cells of a column in order. A cell with a name only keeps that: its file is elsewhere."""
    number = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=[column]):
        for value in batch[column]:
            number += 1
            content = value.as_py() or {}
            data, path = content.get("bytes"), content.get("path")
            path = path if isinstance(path, str) else None
            if data is None:
                yield Cell(path or None, None)
            else:
                yield Cell(f"{column}/{number}{_suffix(path, data)}", data)


def read_files(file: parquet.ParquetFile, columns: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and content of every file in some columns."""
    for column in columns:
        for name, data in read_cells(file, column):
            if name is not None and data is not None:
                yield name, io.BytesIO(data)


def _suffix(path: str | None, data: bytes) -> str:
    """Return how the name of a file ends: as it did, else as its first bytes say."""
    suffix = "." + path.rpartition(".")[2] if path and "." in path else ""
    if _SUFFIX.fullmatch(suffix):
        return suffix.lower()
    if data[:4] == b"RIFF":
        return ".webp" if data[8:12] == b"WEBP" else ".wav"
    if data[4:8] == b"ftyp":
        return ".mp4"
    return next((ending for start, ending in _MAGIC if data.startswith(start)), "")
