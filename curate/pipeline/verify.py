"""Verify what is stored: tables, media, model replies and releases, each damage with what to do about it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InvalidInput
from curate.pipeline.walk import ANSWERS
from curate.release.manifest import FILE
from curate.release.verify import release_damages
from curate.storage.delta import Table, TableSpec
from curate.storage.folder import DiskFolder, Folder
from curate.storage.sqlite import database_damages
from curate.storage.workspace import Workspace

_BLOB = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")
_MAX_USERS = 3


class Damage(NamedTuple):
    """Something stored that is not as it was written: its kind, place, what is wrong, and the next step."""

    kind: str
    place: str
    problem: str
    next_step: str


class Verification(NamedTuple):
    """What was verified, as counts by kind, and every damage."""

    location: str
    checked: dict[str, int]
    damages: list[Damage]


def verify(path: str | Path) -> Verification:
    """Verify a workspace, or the folder of a release by itself; changes nothing.

    Raises ``InvalidInput`` if ``path`` is neither, and ``WorkspaceUnusable`` for a workspace that cannot be opened.
    """
    if Workspace.is_at(path):
        return _verify_workspace(Workspace(path, create=False))
    folder = DiskFolder(Path(path).absolute())
    if not folder.exists(FILE):
        raise InvalidInput(
            f"{path} is neither a workspace nor a release",
            hint="name a workspace, or a folder of its `releases`, such as curate-workspace/releases/1.0.0",
        )
    return Verification(folder.location, {"releases": 1}, list(_verify_releases({folder.path.name: folder})))


def _verify_workspace(workspace: Workspace) -> Verification:
    tables = _tables(workspace)
    damages = [damage for table in tables.values() for damage in _verify_table(table)]
    whole = {name: table for name, table in tables.items() if not any(damage.place == name for damage in damages)}
    users = _users_of_blobs(whole)
    stored = workspace.blobs.stored()
    damages += _verify_blobs(workspace, sorted({*users, *stored}), users)
    damages += _verify_replies(workspace)
    names = {name.partition("/")[0] for name in workspace.releases.sizes()}
    releases = {name: workspace.releases.child(name) for name in sorted(names) if not name.startswith(".")}
    damages += _verify_releases(releases)
    checked = {"tables": len(tables), "blobs": len({*users, *stored}), "releases": len(releases)}
    return Verification(workspace.location, checked, damages)


def _tables(workspace: Workspace) -> dict[str, Table]:
    """Return every stored table by its place below ``tables``: ``items``, or ``labels/utterance_emotion.v1``."""
    folder = workspace.folder.child("tables")
    places = sorted({name.partition("/_delta_log/")[0] for name in folder.sizes() if "/_delta_log/" in name})
    tables = {}
    for place in places:
        child: Folder = folder
        for part in place.split("/"):
            child = child.child(part)
        tables[place] = Table(child, TableSpec(place, pa.schema([]), ""))
    return tables


def _verify_table(table: Table) -> Iterator[Damage]:
    place = table.spec.name
    redone = place.partition("/")[0] != "annotations"
    makes = "delete this table and run again" if redone else "pull the judgements again into a new workspace"
    for problem in table.damages():
        yield Damage("table", place, problem, f"restore tables/{place} from a copy, or {makes}")


def _users_of_blobs(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """Return the blobs that rows name, each with the keys of some of these rows."""
    users: dict[str, list[str]] = defaultdict(list)
    for place, table in tables.items():
        rows = table.read_stored()
        key = rows.column(0)
        for column in rows.columns:
            for row, name in _blob_names(column.combine_chunks()):
                if len(users[name]) < _MAX_USERS:
                    users[name].append(f"{place} {key[row].as_py()}")
    return dict(users)


def _blob_names(array: pa.Array) -> Iterator[tuple[int, str]]:
    """Yield the names of blobs in a column, however deep in lists and structs, each with the index of its row."""
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            yield from _blob_names(chunk)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        matches = pc.match_substring_regex(pc.fill_null(array, ""), f"^{_BLOB.pattern}$")
        for row in pc.indices_nonzero(matches).to_pylist():
            yield row, array[row].as_py()
    elif pa.types.is_list(array.type):
        parents = pc.list_parent_indices(array).to_pylist()
        for index, name in _blob_names(array.flatten()):
            yield parents[index], name
    elif pa.types.is_struct(array.type):
        for member in array.flatten():
            yield from _blob_names(member)


def _verify_blobs(workspace: Workspace, names: Iterable[str], users: Mapping[str, list[str]]) -> Iterator[Damage]:
    for name, error in workspace.blobs.damages(names):
        needed = f" (needed by {', '.join(users[name])})" if name in users else " (no row needs it)"
        step = error.hint or "" if name in users else "delete this file"
        yield Damage("blob", f"blobs/{name}", error.message + needed, step)


def _verify_replies(workspace: Workspace) -> Iterator[Damage]:
    for problem in database_damages(workspace.local / ANSWERS):
        step = f"restore {ANSWERS} from a copy, or move it away: replies that it holds are then paid for again"
        yield Damage("replies", ANSWERS, problem, step)


def _verify_releases(releases: Mapping[str, Folder]) -> Iterator[Damage]:
    for name, folder in releases.items():
        for problem in release_damages(folder):
            step = f"restore it from a copy, or delete {folder.location} and run again"
            yield Damage("release", f"releases/{name}", problem, step)
