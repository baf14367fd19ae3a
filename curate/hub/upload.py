"""Upload a release to the Hugging Face Hub as one commit with a tag, and read it back."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pyarrow import parquet

from curate.errors import ServiceConflict
from curate.files import read_json_object, sha256_of_file
from curate.hub.client import Gated, Hub, RepoState, StoredFile

_SHARD = re.compile(r"(?:data|labels|judgements|raters)/\w+-\d{5}-of-\d{5}\.parquet")
MANIFEST = "manifest.json"
"""The file that says what a release is, and whose."""
_RELEASE = frozenset({MANIFEST, "README.md", "CHANGELOG.md", "CITATION.cff", "croissant.json", "errata.jsonl"})
"""The files of a release besides its shards."""
_OF_A_NEW_REPOSITORY = {".gitattributes": 10_000, "README.md": 500}
"""Files that the Hub puts into a new repository, and how large they may be: a longer card is somebody's work."""


class Target(NamedTuple):
    """Where a release goes: ``repo`` may hold releases of ``recipe`` only."""

    repo: str
    recipe: str
    tag: str
    private: bool = True
    gated: Gated = False


class Published(NamedTuple):
    """The place of a published release, and whether this upload changed anything there."""

    url: str
    commit: str
    changed: bool


class UploadPlan(NamedTuple):
    """What an upload would do."""

    url: str
    exists: bool
    added: dict[str, int]
    """New and changed files, with their sizes in bytes"""
    deleted: tuple[str, ...]
    tagged: bool
    """Whether the tag is there already, with these files"""


def plan_upload(folder: Path, paths: Sequence[str], target: Target) -> UploadPlan:
    """Return what ``upload_release`` would do, and change nothing. Raises the same errors."""
    hub = Hub()
    with hub.errors(target.repo):
        name, state = hub.find_repo(target.repo)
        sizes = {path: (folder / path).stat().st_size for path in paths}
        if state is None:
            return UploadPlan(hub.url(name), False, sizes, (), False)
        _check_privacy(name, state, target)
        wanted = {path: hashes_of(folder / path) for path in paths}
        if _find_tag(hub, name, target.tag, wanted) is not None:
            return UploadPlan(hub.url(name), True, {}, (), True)
        current = hub.files(name, state.head)
        if is_same(current, wanted):
            return UploadPlan(hub.url(name), True, {}, (), False)
        _check_ours(hub, name, state.head, current, target.recipe)
        changed = {path: sizes[path] for path in paths if path not in current or current[path].hash not in wanted[path]}
        return UploadPlan(hub.url(name), True, changed, tuple(_stale(current, wanted)), False)


def upload_release(folder: Path, paths: Sequence[str], target: Target) -> Published:
    """Upload the release's ``paths`` to a dataset repository in one commit, and tag it.

    The repository must be empty or hold an earlier release of the recipe, whose other shards are deleted in the same
    commit; files that are not part of a release are left alone. A commit whose reply was lost is recognised and not
    repeated. Raises ``MissingDependency`` without a key, ``ServiceRefused``, ``ServiceUnavailable``, and
    ``ServiceConflict`` if the repository holds something else, the tag exists with other files, others keep changing
    the repository, or it is public and should be private.
    """
    hub = Hub()
    with hub.errors(target.repo):
        name = hub.open_repo(target.repo, private=target.private)
        state = hub.state(name)
        _check_privacy(name, state, target)
        if target.gated and state.gated != target.gated:
            hub.gate(name, target.gated)
        wanted = {path: hashes_of(folder / path) for path in paths}
        tagged = _find_tag(hub, name, target.tag, wanted)
        if tagged is not None:
            return Published(hub.url(name), tagged, False)
        commit = _commit(hub, name, folder, wanted, target)
        set_tag(hub, name, target.tag, commit)
        return Published(hub.url(name), commit, True)


def read_back(target: Target, sha256: Mapping[str, str], rows: Mapping[str, int | None]) -> None:
    """Download every file of the tag into a fresh folder, and compare hashes and rows with those that were uploaded.

    Raises ``ServiceConflict`` naming the first file that differs.
    """
    hub = Hub()
    with hub.errors(target.repo), TemporaryDirectory(prefix="curate-read-back-") as temporary:
        name, _ = hub.find_repo(target.repo)
        for path, expected in sha256.items():
            copy = hub.download(name, path, target.tag, Path(temporary))
            problem = "" if sha256_of_file(copy) == expected else "has other bytes"
            if not problem and rows.get(path) is not None and parquet.read_metadata(copy).num_rows != rows[path]:
                problem = "has another number of rows"
            copy.unlink()
            if problem:
                raise ServiceConflict(
                    f"{path} of tag {target.tag} at {hub.url(name)} {problem} than were uploaded",
                    hint="delete the tag there and publish again; if it happens again, report it to the Hub",
                )


def fetch_files(repo: str, tag: str, folder: Path, choose: Callable[[Path], Iterable[str]]) -> list[str]:
    """Download the release of a tag into ``folder``, and return all names of files that the tag has.

    ``choose`` is given the path of the manifest and returns which other files to download: names from elsewhere could
    lead out of the folder. Needs no key for public data. Raises ``ServiceConflict`` if the tag holds no release.
    """
    hub = Hub(is_reader=True)
    with hub.errors(repo):
        name, state = hub.find_repo(repo)
        files = hub.files(name, tag) if state is not None and hub.can_read(name, tag) else {}
        if MANIFEST not in files:
            raise ServiceConflict(
                f"{hub.url(name)} has no release at {tag}", hint="name a data set and one of its tags: hf://NAME@TAG"
            )
        for path in choose(hub.download(name, MANIFEST, tag, folder)):
            if path in files:
                hub.download(name, path, tag, folder)
        return sorted(files)


def set_tag(hub: Hub, name: str, tag: str, commit: str) -> None:
    """Set a tag. Raises ``ServiceConflict`` if it points elsewhere."""

    def attempt() -> None:
        current = hub.tags(name).get(tag)
        if current is None:
            hub.create_tag(name, tag, commit)
        elif current != commit:
            raise ServiceConflict(
                f"tag {tag} of {name} points to another commit", hint="publish under another tag (stages.publish.tag)"
            )

    hub.retry(attempt, also=(409,))
    if hub.tags(name).get(tag) != commit:
        raise ServiceConflict(
            f"tag {tag} of {name} does not point to the commit that was made for it",
            hint=f"delete the tag at {hub.url(name)}, then publish again",
        )


def check_owner(hub: Hub, name: str, head: str, recipe: str) -> None:
    """Raise ``ServiceConflict`` unless a commit is of an empty repository or holds a release of the recipe."""
    _check_ours(hub, name, head, hub.files(name, head), recipe)


def _check_privacy(name: str, state: RepoState, target: Target) -> None:
    if target.private and state.private is False:
        raise ServiceConflict(
            f"{name} is public, and this recipe publishes privately",
            hint="make it private on the Hub, choose another repository, or set private: false",
        )


def _find_tag(hub: Hub, name: str, tag: str, wanted: Mapping[str, "Hashes"]) -> str | None:
    """Return the commit of the tag if it holds these files; None if there is no such tag."""
    tagged = hub.tags(name).get(tag)
    if tagged is not None and not is_same(hub.files(name, tagged), wanted):
        raise ServiceConflict(
            f"tag {tag} of {name} holds other files than this release",
            hint=f"publish under another tag (stages.publish.tag), or delete the tag at {hub.url(name)}",
        )
    return tagged


def _commit(hub: Hub, name: str, folder: Path, wanted: Mapping[str, "Hashes"], target: Target) -> str:
    """Commit the release to the main branch, unless its head holds it already, and return the commit."""

    def attempt() -> str:
        # Only the head shows whether a commit whose reply was lost was applied.
        head = hub.state(name).head
        current = hub.files(name, head)
        if is_same(current, wanted):
            return head
        _check_ours(hub, name, head, current, target.recipe)
        files = {path: folder / path for path in wanted}
        return hub.commit(name, files, delete=_stale(current, wanted), message=f"Release {target.tag}", parent=head)

    return hub.retry(attempt, also=(409, 412))


def _check_ours(hub: Hub, name: str, head: str, current: Mapping[str, StoredFile], recipe: str) -> None:
    """Raise ``ServiceConflict`` unless the repository is empty or holds a release of the recipe.

    Other tools name their shards as releases do, so that names say nothing about whose they are.
    """
    if MANIFEST in current:
        with TemporaryDirectory() as folder:
            owner = read_json_object(hub.download(name, MANIFEST, head, Path(folder))).get("recipe")
        if owner == recipe:
            return
        contents = f"a release of recipe {owner}" if isinstance(owner, str) else "files of another tool"
    else:
        files = sorted(path for path, file in current.items() if file.size > _OF_A_NEW_REPOSITORY.get(path, -1))
        if not files:
            return
        contents = f"files that are not of a release, such as {files[0]}"
    raise ServiceConflict(
        f"{name} holds {contents}; publishing would replace its card and its shards",
        hint="choose a new repository (stages.publish.repo), or empty that one",
    )


class Hashes(NamedTuple):
    """The hashes of a file: as a git blob, and as LFS or Xet content."""

    git_sha1: str
    sha256: str


def hashes_of(path: Path) -> Hashes:
    """Return the hashes by which the Hub may list a file."""
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    sha256 = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(2**20):
            git.update(part)
            sha256.update(part)
    return Hashes(git.hexdigest(), sha256.hexdigest())


def is_of_release(path: str) -> bool:
    """Return whether a file of a repository is one that a release has."""
    return path in _RELEASE or bool(_SHARD.fullmatch(path))


def _stale(current: Mapping[str, StoredFile], wanted: Iterable[str]) -> list[str]:
    """Return the shards of an earlier release that this one does not have."""
    current_paths = set(wanted)
    return sorted(path for path in current if _SHARD.fullmatch(path) and path not in current_paths)


def is_same(current: Mapping[str, StoredFile], wanted: Mapping[str, Hashes]) -> bool:
    """Return whether the files are there with these hashes, and no shard of another release is."""
    is_there = all(path in current and current[path].hash in hashes for path, hashes in wanted.items())
    return is_there and not _stale(current, wanted)
