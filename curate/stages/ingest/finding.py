"""Find the raw files that a recipe names, and the inputs that each of them gives."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.corpus.sources import RawFolders
from curate.media.words.sidecars import SUFFIXES
from curate.stages.ingest.exclusion import outside_workspaces
from curate.stages.ingest.files import file_input, share_sidecars
from curate.stages.ingest.matching import LeadsOutside, match_files
from curate.stages.ingest.post_files import POST_SUFFIXES, post_inputs

_SIDECAR = pa.struct(
    [
        ("file", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("language", pa.string()),
        ("beside", pa.binary()),
    ]
)
INPUTS = pa.schema(
    [
        ("file", pa.string()),
        ("path", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sidecars", pa.list_(_SIDECAR)),
        ("post", pa.binary()),
        ("problem", pa.string()),
    ]
)
"""A row with ``path`` is a file, one with ``post`` a line of a file; one with ``problem`` can only be rejected.
``sidecars`` are subtitle files, each with the path of the media file that it is beside."""


def find_files(pattern: str, raw: RawFolders) -> list[str]:
    """Return the names of the files that a glob matches in the first folder where there are any, without subtitles.

    Workspaces are left out. Raises ``LeadsOutside`` if the pattern, or a link on its way, leads out of the folders.
    """
    refusal: LeadsOutside | None = None
    for folder in raw if "\0" not in pattern else ():
        try:
            if files := _files_in(folder, pattern, raw.boundary()):
                return files
        except LeadsOutside as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    return []


def list_inputs(names: Iterable[str], raw: RawFolders) -> pa.Table:
    """Return the inputs of ingest, by file name: one row a file, and one a line of a file of posts.

    Raises ``LeadsOutside`` for subtitles that are links out of the folders.
    """
    rows = [row for name in sorted(names) for row in _inputs(name, raw)]
    share_sidecars(rows, raw)
    return pa.Table.from_pylist(rows, schema=INPUTS)


def _files_in(folder: Path, pattern: str, may_read: Callable[[str], bool]) -> list[str]:
    names = (name for name in match_files(pattern, folder, may_enter=may_read) if _suffix(name) not in SUFFIXES)
    files = [name for name in names if os.path.isfile(os.path.join(folder, name))]  # noqa: PTH113, PTH118 (deep paths)
    return outside_workspaces(files, folder, may_read=may_read)


def _inputs(name: str, raw: RawFolders) -> Iterator[dict[str, Any]]:
    file = Path(name).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")
    if _suffix(name) in POST_SUFFIXES:
        yield from post_inputs(raw.join(name), file)
    else:
        yield file_input(name, file, raw)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (the parts of a deep path are many)
