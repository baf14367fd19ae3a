"""Take what was forgotten out of a data set on the Hub: every tag is cut again, and nothing of the old ones stays."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from curate.corpus.tombstones import Tombstones
from curate.errors import ServiceConflict
from curate.files import read_json_object, write_whole
from curate.hub.takedown import ONLY_SUPPORT, Tag, Tags, fetch_tag, list_tags, replace_tags
from curate.hub.upload import MANIFEST
from curate.release.manifest import Manifest, read_manifest
from curate.release.recut import recut
from curate.release.semver import is_version, parse_version
from curate.release.takedown import HeldInRelease, held_in_release
from curate.storage.workspace import Workspace

_FOLDER = ".published-cuts"
_STATE = "state.json"
Say = Callable[[str], None]


class PublishedPlan(NamedTuple):
    """What is to be done on the Hub, tag by tag."""

    url: str
    tags: dict[str, HeldInRelease]
    """What each tag holds of what was forgotten, oldest first"""
    only_support: tuple[str, ...]
    """What the owner of the data set cannot remove"""

    @property
    def is_needed(self) -> bool:
        """Whether any tag holds something."""
        return any(held.items or held.raters for held in self.tags.values())

    def steps(self) -> list[str]:
        """Return every step in order, a sentence each."""
        if not self.is_needed:
            return []
        lines = [_step(tag, held) for tag, held in self.tags.items()]
        return [
            *lines,
            "main: its history is replaced by the newest of these cuts",
            "content that no cut has is deleted for good",
            "then each tag and the old commits are fetched, to prove it",
        ]


def plan_published(workspace: Workspace, repo: str, tombstones: Tombstones) -> PublishedPlan:
    """Return what the tags of a data set hold of what was forgotten; every tag is downloaded. Changes nothing."""
    published = list_tags(repo, workspace.recipe or "corpus", _order)
    held = {}
    for tag in published.tags:
        with TemporaryDirectory(prefix="curate-published-") as temporary:
            held[tag.name] = held_in_release(*_fetch(published, tag, Path(temporary)), tombstones)
    return PublishedPlan(published.url, held, _only_support(published))


def forget_published(
    workspace: Workspace, repo: str, tombstones: Tombstones, *, today: date, say: Say = lambda _: None
) -> list[str]:
    """Cut every tag again, and return what can still be fetched of the old ones, in sentences.

    A tag whose labels rest on a forgotten rater is removed: it cannot be computed again without the workspace. Killed
    at any moment, calling it again finishes it.
    """
    folder = workspace.local / _FOLDER
    state = read_json_object(folder / _STATE)
    if state.get("repo") != repo:
        state = _prepare(workspace, repo, tombstones, folder, today, say)
    cuts = {tag: folder / tag for tag in state["cuts"]}
    name = state["name"]
    retrievable = replace_tags(name, cuts, old_commits=state["commits"], old_hashes=state["hashes"], say=say)
    plan = plan_published(workspace, repo, tombstones)
    shutil.rmtree(folder)
    if plan.is_needed or list(plan.tags) != list(cuts):
        raise ServiceConflict(
            f"{plan.url} changed while it was cut again, or more was forgotten since", hint="run the same command again"
        )
    return retrievable


def is_begun(workspace: Workspace) -> bool:
    """Return whether cutting a data set again was interrupted."""
    return (workspace.local / _FOLDER / _STATE).is_file()


def _prepare(
    workspace: Workspace, repo: str, tombstones: Tombstones, folder: Path, today: date, say: Say
) -> dict[str, object]:
    """Make the cuts in ``folder``, and note what they replace."""
    shutil.rmtree(folder, ignore_errors=True)
    published = list_tags(repo, workspace.recipe or "corpus", _order)
    cuts = []
    for tag in published.tags:
        say(f"fetching {tag.name}")
        with TemporaryDirectory(prefix="curate-published-") as temporary:
            source, manifest = _fetch(published, tag, Path(temporary))
            if held_in_release(source, manifest, tombstones).raters:
                continue
            target = folder / tag.name
            if held_in_release(source, manifest, tombstones).items:
                recut(source, manifest, tombstones, target, day=today.isoformat())
            else:
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(".cache"))
            cuts.append(tag.name)
    hashes = sorted({content for tag in published.tags for content in tag.files.values()})
    commits = sorted({published.head, *(tag.commit for tag in published.tags)})
    state: dict[str, object] = {
        "repo": repo,
        "name": published.repo,
        "cuts": cuts,
        "commits": commits,
        "hashes": hashes,
    }
    folder.mkdir(exist_ok=True)
    write_whole(folder / _STATE, json.dumps(state), mode=0o600, sync=True)
    return state


def _fetch(published: Tags, tag: Tag, folder: Path) -> tuple[Path, Manifest]:
    if MANIFEST not in tag.files:
        raise ServiceConflict(
            f"tag {tag.name} of {published.url} holds no release, so that nobody can say what is in it",
            hint="look at it, delete it there if it is not needed, then run the same command again",
        )
    fetch_tag(published.repo, tag, folder, [MANIFEST])
    manifest = read_manifest(folder, location=f"{published.url} {tag.name}")
    fetch_tag(published.repo, tag, folder, [file.path for file in manifest.files])
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return folder, manifest


def _order(tag: str) -> tuple[bool, object]:
    return (True, parse_version(tag)) if is_version(tag) else (False, tag)


def _step(tag: str, held: HeldInRelease) -> str:
    if held.raters:
        return f"{tag}: removed, because its labels rest on {held}; publish the next release instead"
    if held.items:
        return f"{tag}: cut again without {held}"
    return f"{tag}: stays as it is, in a new commit"


def _only_support(published: Tags) -> tuple[str, ...]:
    converted = ", ".join(published.converted) or "refs/convert/parquet"
    return tuple(line.format(converted=converted) for line in ONLY_SUPPORT)
