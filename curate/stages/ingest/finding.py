"""Find the raw files that a recipe names, and the inputs that each of them gives."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.annotation.importing.dialogues import DIALOGUE, ITEM_TURN
from curate.annotation.importing.items import CONTENT, KEPT_COLUMNS
from curate.corpus.sources import MEMBER, RawFolders, is_fetched
from curate.media.words.sidecars import SUFFIXES
from curate.stages.ingest.archived import match_members, refused_members
from curate.stages.ingest.exclusion import outside_workspaces
from curate.stages.ingest.files import file_input, share_sidecars, sidecar_paths
from curate.stages.ingest.matching import LeadsOutside, match_files
from curate.stages.ingest.post_files import POST_SUFFIXES, post_inputs
from curate.storage.columns import fill_columns

_SIDECAR = pa.struct(
    [
        ("file", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("language", pa.string()),
        ("beside", pa.binary()),
    ]
)
_SIGNAL = pa.struct(
    [
        *(("name", pa.string()), ("file", pa.string()), ("rows", pa.string())),
        *(("size_bytes", pa.int64()), ("mtime_ns", pa.int64())),
    ]
)
RECORD = "record"
_KEPT_TYPE = pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))
DIALOGUE_TYPE = pa.list_(pa.struct([("speaker", pa.string()), ("text", pa.string())]))
_RECORD = pa.struct(
    [
        *((name, pa.string()) for name in ("key", *CONTENT, "media", "absent")),
        (KEPT_COLUMNS, _KEPT_TYPE),
        (DIALOGUE, DIALOGUE_TYPE),
        (ITEM_TURN, pa.int32()),
    ]
)
_CUT = pa.struct(
    [
        ("key", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        *((name, pa.string()) for name in ("text", "speaker", "statement")),
    ]
)
CUTS = "cuts"
INPUTS = pa.schema(
    [
        ("file", pa.string()),
        ("path", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sidecars", pa.list_(_SIDECAR)),
        ("signals", pa.list_(_SIGNAL)),
        ("post", pa.binary()),
        (RECORD, _RECORD),
        (CUTS, pa.list_(_CUT)),
        ("problem", pa.string()),
        ("reason", pa.string()),
    ]
)
"""A row with ``path`` is a file, one with ``post`` a line of a file, one with only ``record`` an item of a table; one
with ``problem`` can only be rejected. ``record`` is what a table says of an item, a file or not; its ``media``
is a path that should show it, and ``absent`` the same if other items have their files and this one does not.
``cuts`` are the stretches of it that are items, each with what its row says.
``sidecars`` are subtitle files, each with the path of the media file that it is beside; ``signals`` the files with
values over time of a medium."""


def find_files(pattern: str, raw: RawFolders) -> list[str]:
    """Return the names of the files that a glob matches in the first folder where there are any, without subtitles.

    ``clips.zip!/*.mp4`` matches members of archives, which are unpacked. Workspaces are left out. Raises
    ``LeadsOutside`` if the pattern, or a link on its way, leads out of the folders.
    """
    files = _find(pattern, raw)
    if files or MEMBER not in pattern:
        return files
    members = pattern.partition(MEMBER)[2]
    names = chain.from_iterable(match_members(name, members, raw) for name in find_archives(pattern, raw))
    return [name for name in names if _suffix(name) not in SUFFIXES]


def find_archives(pattern: str, raw: RawFolders) -> list[str]:
    """Return the names of the archives in which a glob looks for members. Raises as ``find_files``."""
    archive, mark, _ = pattern.partition(MEMBER)
    return _find(archive, raw) if mark else []


def list_refused(patterns: Iterable[str], raw: RawFolders) -> list[dict[str, Any]]:
    """Return the inputs for archives, and members of archives, that globs match but that cannot be used."""
    rows: dict[str, dict[str, Any]] = {}
    for pattern in patterns:
        for name in find_archives(pattern, raw):
            for row in refused_members(name, pattern.partition(MEMBER)[2], raw):
                rows.setdefault(row["file"], row)
    return list(rows.values())


def _find(pattern: str, raw: RawFolders) -> list[str]:
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
    parts: list[pa.Table | list[dict[str, Any]]] = []
    for is_posts, group in groupby(sorted(names), lambda name: _suffix(name) in POST_SUFFIXES):
        if is_posts:
            parts += [post_inputs(raw.join(name), _file(name)) for name in group]
        else:
            parts.append([file_input(name, _file(name), raw) for name in group])
    share_sidecars([row for part in parts if isinstance(part, list) for row in part], raw)
    tables = (pa.Table.from_pylist(part, schema=INPUTS) if isinstance(part, list) else part for part in parts)
    return pa.concat_tables([INPUTS.empty_table(), *(fill_columns(table, INPUTS) for table in tables)])


def list_raw_files(names: Iterable[str], raw: RawFolders) -> Iterator[Path]:
    """Yield the files that ``list_inputs`` reads or names; for members, their archive."""
    for name in sorted(names):
        path = raw.on_disk(name)
        yield path
        if _suffix(name) not in POST_SUFFIXES and path == raw.join(name):
            yield from sidecar_paths(path)


def _files_in(folder: Path, pattern: str, may_read: Callable[[str], bool]) -> list[str]:
    names = (name for name in match_files(pattern, folder, may_enter=may_read) if _suffix(name) not in SUFFIXES)
    files = [name for name in names if os.path.isfile(os.path.join(folder, name))]  # noqa: PTH113, PTH118 (deep paths)
    return outside_workspaces(files, folder, may_read=may_read)


def _file(name: str) -> str:
    if is_fetched(name):
        return name
    return Path(name).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (the parts of a deep path are many)
