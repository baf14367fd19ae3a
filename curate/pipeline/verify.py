"""Verify what is stored: tables, media, model replies and releases, each damage with what to do about it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from curate.corpus.fetched import FETCHED
from curate.corpus.stored import blob_names, stored_tables
from curate.corpus.tombstones import FILE as TOMBSTONES
from curate.corpus.tombstones import Tombstones
from curate.errors import InvalidInput
from curate.pipeline.verify_hub import SCHEME, fetched_release
from curate.pipeline.walk import ANSWERS
from curate.release.manifest import FILE, read_manifest
from curate.release.takedown import held_in_release
from curate.release.verify import release_damages
from curate.storage.delta import Table
from curate.storage.folder import DiskFolder, Folder
from curate.storage.sqlite import database_damages
from curate.storage.workspace import Workspace

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


def verify(path: str | Path, *, workspace: str | Path | None = None) -> Verification:
    """Verify a workspace, the folder of a release by itself, or one on the Hub (``hf://NAME@TAG``); changes nothing.

    A release may hold nothing that its workspace has forgotten: that is the one that it lies in, else ``workspace``.

    Raises ``InvalidInput`` if ``path`` is neither, and ``WorkspaceUnusable`` for a workspace that cannot be opened.
    """
    if str(path).startswith(SCHEME):
        return _verify_on_hub(str(path), workspace)
    if Workspace.is_at(path):
        return _verify_workspace(Workspace(path, create=False))
    folder = DiskFolder(Path(path).absolute())
    if not folder.exists(FILE):
        raise InvalidInput(
            f"{path} is neither a workspace nor a release",
            hint="name a workspace, a folder of its `releases`, such as curate-workspace/releases/1.0.0, or hf://NAME@TAG",
        )
    tombstones = _tombstones_for(folder.path, workspace)
    return Verification(
        folder.location, {"releases": 1}, list(_verify_releases({folder.path.name: folder}, tombstones))
    )


def _verify_on_hub(address: str, workspace: str | Path | None) -> Verification:
    with fetched_release(address) as (path, unlisted):
        damages = list(_verify_releases({path.name: DiskFolder(path)}, _tombstones_for(path, workspace)))
    step = "publish the release again under another tag, and delete this one"
    steps = {"takedown": "`curate forget --published` removes it there"}
    damages = [damage._replace(place=address, next_step=steps.get(damage.kind, step)) for damage in damages]
    damages += [Damage("release", address, f"{name} is not part of the release", step) for name in unlisted]
    return Verification(address, {"releases": 1}, damages)


def _verify_workspace(workspace: Workspace) -> Verification:
    tables = stored_tables(workspace)
    damages = [damage for table in tables.values() for damage in _verify_table(table)]
    intact = {name: table for name, table in tables.items() if not any(damage.place == name for damage in damages)}
    users = _users_of_blobs(intact)
    stored = workspace.blobs.stored()
    damages += _verify_blobs(workspace, sorted({*users, *stored}), users)
    damages += _verify_replies(workspace)
    names = {name.partition("/")[0] for name in workspace.releases.sizes()}
    releases = {name: workspace.releases.child(name) for name in sorted(names) if not name.startswith(".")}
    tombstones = Tombstones.read(workspace)
    damages += _verify_releases(releases, tombstones)
    if tombstones.unfinished:
        step = "finish it with `curate forget --resume`"
        damages.append(Damage("takedown", TOMBSTONES, "forgetting was interrupted: parts of it are still here", step))
    checked = {"tables": len(tables), "blobs": len({*users, *stored}), "releases": len(releases)}
    return Verification(workspace.location, checked, damages)


def _verify_table(table: Table) -> Iterator[Damage]:
    table_name = table.spec.name
    redone = table_name.partition("/")[0] != "annotations"
    makes = "delete this table and run again" if redone else "pull the judgements again into a new workspace"
    for problem in table.damages():
        yield Damage("table", table_name, problem, f"restore tables/{table_name} from a copy, or {makes}")


def _users_of_blobs(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """Return the blobs that rows name, each with the keys of some of these rows."""
    users: dict[str, list[str]] = defaultdict(list)
    for path, table in tables.items():
        rows = table.read_stored()
        key = rows.column(0)
        for column in rows.columns:
            for row, name in blob_names(column):
                if len(users[name]) < _MAX_USERS:
                    users[name].append(f"{path} {key[row].as_py()}")
    return dict(users)


def _verify_blobs(workspace: Workspace, names: Iterable[str], users: Mapping[str, list[str]]) -> Iterator[Damage]:
    for name, error in workspace.blobs.damages(names):
        needed = f" (needed by {', '.join(users[name])})" if name in users else " (no row needs it)"
        step = error.hint or "" if name in users else "delete this file"
        yield Damage("blob", f"blobs/{name}", error.message + needed, step)


def _verify_replies(workspace: Workspace) -> Iterator[Damage]:
    for problem in database_damages(workspace.local / ANSWERS):
        step = f"restore {ANSWERS} from a copy, or move it away: replies that it holds are then paid for again"
        yield Damage("replies", ANSWERS, problem, step)
    for problem in database_damages(workspace.local / FETCHED):
        step = f"restore {FETCHED} from a copy, or move it away: what it names is then read again, as it is now"
        yield Damage("replies", FETCHED, problem, step)


def _verify_releases(releases: Mapping[str, Folder], tombstones: Tombstones | None) -> Iterator[Damage]:
    for name, folder in releases.items():
        problems = release_damages(folder, with_rows=True)
        for problem in problems:
            step = f"restore it from a copy, or delete {folder.location} and run again"
            yield Damage("release", f"releases/{name}", problem, step)
        if tombstones and not problems:
            manifest = read_manifest(folder.path, location=folder.location)
            folder.fetch([file.path for file in manifest.files])
            held = held_in_release(folder.path, manifest, tombstones)
            if held.items or held.raters:
                step = f"delete {folder.location} and every copy of it, and run again to make one without them"
                yield Damage("takedown", f"releases/{name}", f"it holds {held}", step)


def _tombstones_for(release: Path, workspace: str | Path | None) -> Tombstones | None:
    """Return what the workspace of a release has forgotten; None if no workspace is known."""
    around = release.parent.parent
    root = around if Workspace.is_at(around) else workspace
    return Tombstones.read(Workspace(root, create=False)) if root is not None and Workspace.is_at(root) else None
