"""Find the raw files that a recipe names, and the inputs that each of them gives."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.media.words.subtitles import SUFFIXES
from curate.stages.ingest.files import file_input
from curate.stages.ingest.post_files import POST_SUFFIXES, post_inputs

_WORKSPACE_FILE = "curate.yaml"
_WORKSPACE_FOLDERS = frozenset({"blobs", "releases", "runs", "tables"})
"""Each run adds media and logs to them; as raw files, they would grow without end."""
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
    """Return the raw files that match a glob, relative to ``folder`` unless the glob is absolute.

    Subtitles and the files of workspaces are left out.
    """
    if "\0" in pattern:
        return []
    names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (Path.glob refuses absolute patterns)
    return [name for name in names if _is_raw(folder / name)]


def _is_raw(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES or not path.is_file():
        return False
    folders = (parent for parent in path.parents if parent.name in _WORKSPACE_FOLDERS)
    return not any((parent.parent / _WORKSPACE_FILE).is_file() for parent in folders)


def list_inputs(names: Iterable[str], folder: Path) -> pa.Table:
    """Return the inputs of ingest, by file name: one row a file, and one a line of a file of posts."""
    rows = [row for name in sorted(names) for row in _inputs(name, folder)]
    return pa.Table.from_pylist(rows, schema=INPUTS)


def _inputs(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    file = Path(name).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")
    if Path(name).suffix.lower() in POST_SUFFIXES:
        yield from post_inputs(folder / name, file)
    else:
        yield file_input(name, file, folder)
