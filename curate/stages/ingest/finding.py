"""Find the raw files that a recipe names, and the inputs that each of them gives."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.media.words.subtitles import SUFFIXES
from curate.stages.ingest.exclusion import outside_workspaces
from curate.stages.ingest.files import file_input, sidecar_of
from curate.stages.ingest.post_files import POST_SUFFIXES, post_inputs

INPUTS = pa.schema(
    [
        ("file", pa.string()),
        ("path", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sidecar", pa.string()),
        ("sidecar_size_bytes", pa.int64()),
        ("sidecar_mtime_ns", pa.int64()),
        ("post", pa.binary()),
        ("problem", pa.string()),
    ]
)
"""A row with ``path`` is a file, one with ``post`` a line of a file; one with ``problem`` can only be rejected."""


def find_files(pattern: str, folder: Path) -> list[str]:
    """Return the files that match a glob, relative to ``folder`` unless it is absolute; no subtitles and workspaces."""
    if "\0" in pattern:
        return []
    names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (Path.glob refuses absolute patterns)
    files = (name for name in names if Path(name).suffix.lower() not in SUFFIXES and (folder / name).is_file())
    return outside_workspaces(files, folder)


def list_inputs(names: Iterable[str], folder: Path) -> pa.Table:
    """Return the inputs of ingest, by file name: one row a file, and one a line of a file of posts."""
    rows = [row for name in sorted(names) for row in _inputs(name, folder)]
    return pa.Table.from_pylist(rows, schema=INPUTS)


def list_raw_files(names: Iterable[str], folder: Path) -> Iterator[Path]:
    """Yield the files that ``list_inputs`` reads or names."""
    for name in sorted(names):
        yield folder / name
        if Path(name).suffix.lower() not in POST_SUFFIXES and (sidecar := sidecar_of(folder / name)) is not None:
            yield sidecar


def _inputs(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    file = Path(name).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")
    if Path(name).suffix.lower() in POST_SUFFIXES:
        yield from post_inputs(folder / name, file)
    else:
        yield file_input(name, file, folder)
