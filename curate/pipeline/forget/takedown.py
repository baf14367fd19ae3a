"""Forget: plan what would go, and remove it from every part of a workspace."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.forget import forget_on_server
from curate.annotation.local_server import connection as connections
from curate.annotation.local_server.database import vacuum
from curate.annotation.local_server.media import remove_shared
from curate.corpus.errata import drop_errata, read_errata
from curate.corpus.stored import all_blob_names
from curate.corpus.tombstones import Tombstone, Tombstones
from curate.errors import InvalidInput, ServiceUnavailable
from curate.llm.unused_replies import UnusedReplies, count_unused, forget_unused
from curate.pipeline.forget.files import pages, remove_from_files, remove_leftovers, remove_unpacked
from curate.pipeline.forget.rows import TableChange, table_changes, traces_of
from curate.pipeline.forget.scope import Holdings, Scope, tombstones_for
from curate.pipeline.forget.words import spellings
from curate.pipeline.walk import ANSWERS
from curate.release.takedown import (
    HeldInRelease,
    forget_in_withdrawn,
    held_in_release,
    remove_unfinished_withdrawals,
    withdraw,
)
from curate.release.versions import Releases
from curate.storage.workspace import Workspace

Say = Callable[[str], None]


@dataclass(frozen=True)
class ForgetPlan:
    """What forgetting would remove."""

    scope: Scope
    stones: tuple[Tombstone, ...]
    rows: dict[str, int]
    """Rows to be removed by table"""
    masked: dict[str, int]
    """Rows that stay without what they quote, or under another name"""
    media: int
    """Files that only these rows use"""
    unused_media: int
    """Other files that no row uses: they may be of what is forgotten"""
    replies: UnusedReplies
    releases: tuple[HeldInRelease, ...]
    pages: tuple[str, ...]
    server: str
    """What is done on the annotation server, in a sentence; empty without one"""
    raw_files: tuple[str, ...] = field(default=())
    """Raw files of what is forgotten: they are not touched, and never ingested again"""

    @property
    def is_empty(self) -> bool:
        """Whether the workspace holds nothing of it."""
        return not (any(self.rows.values()) or any(self.masked.values()) or self.releases)


def plan_forgetting(
    workspace: Workspace, scope: Scope, reason: str, *, today: date, parents: Sequence[Tombstones] = ()
) -> ForgetPlan:
    """Return what forgetting would remove, without removing anything.

    ``parents`` are the tombstones of the corpora that items were derived from.
    Raises ``InvalidInput`` if the workspace holds nothing of that name.
    """
    before = Tombstones.read(workspace)
    stones = tombstones_for(scope, reason, Holdings.read(workspace), before, today=today, parents=parents)
    tombstones = before.changed(stones)
    changes = table_changes(workspace, tombstones)
    removed = set().union(*(all_blob_names(change.removed) for change in changes))
    remaining = set().union(*(all_blob_names(change.remaining) for change in changes))
    files = _files_of(changes)
    plan = ForgetPlan(
        scope=scope,
        stones=tuple(stones),
        rows={change.path: change.removed.num_rows for change in changes if change.removed.num_rows},
        masked={change.path: change.masked for change in changes if change.masked},
        media=len(removed - remaining),
        unused_media=len(workspace.blobs.stored() - removed - remaining),
        replies=count_unused(workspace.local / ANSWERS, _used_requests(changes), _quoted(changes, tombstones)),
        releases=tuple(_held(workspace, tombstones)),
        pages=tuple(pages(workspace)),
        server=_server_sentence(workspace, tombstones),
        raw_files=tuple(sorted({name.partition("#")[0] for name in files})),
    )
    if plan.is_empty and scope.kind not in ("expired", "derived"):
        raise InvalidInput(
            f"the workspace holds nothing of {scope}",
            hint="ids are in the columns source_id, item_id, participant and annotator of a release and of the tables",
        )
    return plan


def forget(workspace: Workspace, plan: ForgetPlan, *, say: Say = lambda _: None) -> Tombstones:
    """Remove what a plan names from tables, media, replies, records, releases and the annotation server.

    The tombstones are written first. Killed at any moment, ``resume`` finishes it, and until then nothing else runs.
    The caller holds the workspace's lock. Returns the tombstones, which say whether the server still waits.
    """
    versions = tuple(release.version for release in plan.releases)
    stones = [stone.model_copy(update={"releases": versions}) for stone in plan.stones]
    Tombstones.read(workspace).changed(stones, unfinished=True).write(workspace)
    return resume(workspace, say=say)


def resume(workspace: Workspace, *, say: Say = lambda _: None) -> Tombstones:
    """Finish what was interrupted, and what waited for the annotation server. The caller holds the lock."""
    tombstones = Tombstones.read(workspace)
    if tombstones.unfinished:
        with workspace.folder.errors():
            tombstones = _remove(workspace, tombstones, say)
    if tombstones.server_waits:
        tombstones = finish_on_server(workspace, tombstones, say=say)
    return tombstones


def _remove(workspace: Workspace, tombstones: Tombstones, say: Say) -> Tombstones:
    changes = table_changes(workspace, tombstones)
    say("removing it from records and pages")
    drop_errata(workspace, tombstones.holds("item", {erratum.item_id or "" for erratum in read_errata(workspace)}))
    remove_from_files(workspace, traces_of(changes, tombstones))
    releases = Releases(workspace.releases)
    forget_in_withdrawn(releases, tombstones)
    held = {release.version for release in _held(workspace, tombstones)}
    for manifest in releases.manifests():
        if manifest.version in held:
            say(f"withdrawing release {manifest.version}")
            withdraw(releases, manifest, tombstones)
    remove_unfinished_withdrawals(releases)
    remove_unpacked(workspace, _files_of(changes))
    say("removing replies")
    forget_unused(workspace.local_file(ANSWERS), _used_requests(changes), _quoted(changes, tombstones))
    for change in changes:
        say(f"removing it from table {change.path}")
        with workspace.folder.errors():
            if change.removed.num_rows or change.masked:
                change.table.rewrite(change.remaining)
            else:
                change.table.purge()
    say("removing media")
    remaining: set[str] = set().union(*(all_blob_names(change.remaining) for change in changes))
    for name in sorted(workspace.blobs.stored() - remaining):
        workspace.blobs.remove(name)
    remove_shared(workspace.blobs, remaining)
    remove_leftovers(workspace)
    done = [stone.model_copy(update={"alias": None}) for stone in tombstones.stones]
    waits = tombstones.server_waits or _has_server(workspace)
    tombstones = Tombstones(tombstones.secret, done, server_waits=waits)
    tombstones.write(workspace)
    return tombstones


def finish_on_server(workspace: Workspace, tombstones: Tombstones, *, say: Say = lambda _: None) -> Tombstones:
    """Delete on the annotation server what is forgotten; the returned tombstones say whether they still wait for it."""
    try:
        connection = connections.connection(workspace.local)
        counts = forget_on_server(workspace, LabelStudioServer(connection, say), connection.name, tombstones)
        vacuum(workspace.local)
    except ServiceUnavailable as error:
        say(f"the annotation server is out of reach: {error.message}")
        say("it is asked by the next `curate annotate push` or `pull`, or by `curate forget --resume`")
        return tombstones
    say(f"removed from the annotation server: {counts}")
    tombstones = tombstones.changed(server_waits=False)
    tombstones.write(workspace)
    return tombstones


def _files_of(changes: list[TableChange]) -> set[str]:
    """Return the names of the raw files of which all or a part is forgotten."""
    by_path = {change.path: change for change in changes}
    if "sources" not in by_path:
        return set()
    sources, items = by_path["sources"], by_path.get("items")
    parts = sources.remaining.slice(0, 0)
    if items is not None:
        parts = sources.remaining.filter(pc.is_in(sources.remaining["source_id"], value_set=items.removed["source_id"]))
    rows = pa.concat_tables([sources.removed, parts])
    # What was derived from another corpus has no raw file of its own.
    rows = rows.filter(pc.fill_null(pc.not_equal(rows["kind"], "derived"), True))
    return {name for name in rows["file"].drop_null().to_pylist() if name}


def _used_requests(changes: list[TableChange]) -> set[str]:
    """Return the requests that the proposals of all label schemas rest on."""
    tables = [change.remaining for change in changes if "request_key" in change.remaining.column_names]
    return {key for table in tables for key in table["request_key"].drop_null().unique().to_pylist()}


def _quoted(changes: list[TableChange], tombstones: Tombstones) -> set[str]:
    """Return the texts that replies to other requests may quote: items are shown as context and as examples."""
    return {form for text in traces_of(changes, tombstones).texts for form in spellings(text)}


def _held(workspace: Workspace, tombstones: Tombstones) -> list[HeldInRelease]:
    releases = Releases(workspace.releases)
    held = [held_in_release(releases.fetch(manifest), manifest, tombstones) for manifest in releases.manifests()]
    return [release for release in held if release.items or release.raters]


def _has_server(workspace: Workspace) -> bool:
    """Whether items were ever sent to an annotation server."""
    return any((workspace.local / "label_studio" / "projects").glob("*/*.json"))


def _server_sentence(workspace: Workspace, tombstones: Tombstones) -> str:
    if not _has_server(workspace):
        return ""
    try:
        connection = connections.connection(workspace.local)
        server = LabelStudioServer(connection)
        counts = forget_on_server(workspace, server, connection.name, tombstones, dry_run=True)
    except ServiceUnavailable as error:
        return f"out of reach ({error.message}): it is asked by the next `curate annotate push` or `pull`"
    return f"{counts} at {connection.shown_url}"
