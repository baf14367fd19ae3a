"""The releases of a workspace: each is complete or absent, and never changed."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from curate.errors import InvalidInput, StorageFailed, WorkspaceUnusable
from curate.files import sync_to_disk
from curate.release.manifest import FILE, Manifest, check_files, damaged_release, read_manifest
from curate.release.read import open_shard
from curate.release.schemes import SPLIT_PREFIX
from curate.release.semver import is_version, parse_version
from curate.storage.folder import Folder

_BUILDING = ".building"
_WITHDRAWN = ".withdrawn"


class Withdrawn(NamedTuple):
    """What stays of a release that was deleted because of a takedown, so that nothing gets its name or moves."""

    manifest: Manifest
    """Without its files"""
    splits: dict[str, dict[str, str]]
    """By scheme, the split of each item that was not forgotten"""


@dataclass
class Build:
    """A release that is being written into ``folder``; its ``version`` may follow from what is in it."""

    folder: Path
    version: str = ""


class Releases:
    """The releases in a folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def location(self, version: str) -> str:
        """Return the path or URL of a version as users write it."""
        return self.folder.child(version).location

    def fetch(self, manifest: Manifest) -> Path:
        """Return a folder on this disk with the files of a release."""
        folder = self.folder.child(manifest.version)
        folder.fetch([FILE, *(file.path for file in manifest.files)])
        return folder.path

    def check(self, manifest: Manifest) -> None:
        """Raise ``WorkspaceUnusable`` if a file of a release is missing or was changed.

        Files that are not on this disk are checked by their sizes, the others by their hashes.
        """
        folder = self.folder.child(manifest.version)
        sizes = folder.sizes()
        for file in manifest.files:
            if sizes.get(file.path) != file.size_bytes:
                damage = "is missing" if file.path not in sizes else "was changed"
                raise damaged_release(folder.location, file.path, damage)
        present = tuple(file for file in manifest.files if (folder.path / file.path).exists())
        check_files(folder.path, manifest.model_copy(update={"files": present}))

    def manifests(self, recipe: str | None = None) -> list[Manifest]:
        """Return the manifests of all releases, or of those of one recipe, oldest first."""
        versions = (name.removesuffix(f"/{FILE}") for name in self.folder.glob(f"*/{FILE}"))
        manifests = (self._manifest(version) for version in versions if is_version(version))
        selected = (manifest for manifest in manifests if recipe in (None, manifest.recipe))
        return sorted(selected, key=lambda manifest: parse_version(manifest.version))

    def _manifest(self, version: str) -> Manifest:
        folder = self.folder.child(version)
        folder.drop_stale_copies(FILE)
        folder.fetch([FILE])
        manifest = read_manifest(folder.path, location=folder.location)
        if manifest.version != version:
            raise WorkspaceUnusable(
                f"the manifest of release {folder.location} calls it {manifest.version!r}",
                hint="give the folder its own name again, or delete it, then run again",
            )
        return manifest

    def withdrawn(self) -> list[Withdrawn]:
        """Return what stays of the releases that were withdrawn, oldest first."""
        folder = self.folder.child(_WITHDRAWN)
        try:
            documents = [json.loads(folder.read(name)) for name in folder.glob("*.json")]
            entries = [Withdrawn(Manifest.model_validate(d["manifest"]), dict(d["splits"])) for d in documents]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise WorkspaceUnusable(
                f"{folder.location} cannot be read, and it says which versions were withdrawn",
                hint="restore it from a copy",
            ) from error
        return sorted(entries, key=lambda entry: parse_version(entry.manifest.version))

    def note_withdrawn(self, manifest: Manifest, splits: Mapping[str, Mapping[str, str]]) -> None:
        """Store what stays of a release before it is deleted."""
        document = {"manifest": {**manifest.model_dump(mode="json"), "files": []}, "splits": splits}
        self.folder.child(_WITHDRAWN).write(f"{manifest.version}.json", json.dumps(document).encode())

    def used(self) -> list[Manifest]:
        """Return the manifests of all releases, withdrawn ones included, oldest first: no version is used twice."""
        by_version = {entry.manifest.version: entry.manifest for entry in self.withdrawn()}
        by_version |= {manifest.version: manifest for manifest in self.manifests()}
        return sorted(by_version.values(), key=lambda manifest: parse_version(manifest.version))

    def check_new(self, version: str) -> None:
        """Raise ``InvalidInput`` unless ``version`` is greater than every version in use."""
        used = [manifest.version for manifest in self.used()]
        if used and parse_version(version) <= parse_version(used[-1]):
            newest = used[-1]
            problem = "exists already, with other content" if version in used else f"is not greater than {newest}"
            if version in {entry.manifest.version for entry in self.withdrawn()}:
                problem = "was withdrawn, because parts of it were forgotten"
            raise InvalidInput(
                f"release {version} {problem}",
                hint=f"releases never change: name one after {newest}, or leave `release` out of the recipe",
            )

    def splits(self, manifest: Manifest, scheme: str | None = None) -> dict[str, str]:
        """Return the split of every item of a release under a scheme, by default the one that divides its files."""
        column = None if scheme is None or manifest.schemes[scheme].primary else f"{SPLIT_PREFIX}{scheme}"
        splits: dict[str, str] = {}
        for file in manifest.files:
            if (split := file.split) is not None:
                (path,) = self.folder.child(manifest.version).fetch([file.path])
                shard = open_shard(path, release=self.location(manifest.version))
                rows = shard.read(["item_id", *([column] if column else [])])
                names = rows[column].to_pylist() if column else [split] * rows.num_rows
                pairs = zip(rows["item_id"].to_pylist(), names, strict=True)
                splits.update({item: name for item, name in pairs if name is not None})
        return splits

    def earlier_splits(self, recipe: str, identity: str) -> dict[str, str] | None:
        """Return the newest split of every item of the recipe's releases under a scheme, or None for a new scheme."""
        withdrawn = {entry.manifest.version: entry.splits for entry in self.withdrawn()}
        splits: dict[str, str] | None = None
        for manifest in self.used():
            name = next((name for name, facts in manifest.schemes.items() if facts.identity == identity), None)
            if name is not None and manifest.recipe == recipe:
                archived = withdrawn.get(manifest.version)
                splits = {
                    **(splits or {}),
                    **(self.splits(manifest, name) if archived is None else archived.get(name, {})),
                }
        return splits

    @contextmanager
    def building(self) -> Iterator["Build"]:
        """Yield a build whose folder becomes the release ``build.version`` when the block ends without an error.

        For a workspace behind a URL it is built on this disk and uploaded, the manifest last. A build that was killed
        leaves nothing that counts as a release, and the next one removes it. Raises ``InvalidInput`` if the version
        exists, or something else is in its place.
        """
        self.folder.remove_unfinished(FILE)
        work = self.folder.path / _BUILDING
        build = Build(work)
        try:
            if work.is_symlink():
                work.unlink()
            shutil.rmtree(work, ignore_errors=True)
            (work / "data").mkdir(parents=True)
            yield build
            if self.folder.exists(build.version):
                raise InvalidInput(
                    f"{self.location(build.version)} exists already, and is not a release",
                    hint="move it away: the name belongs to the next release",
                )
            folder = self.folder.child(build.version)
            paths = sorted(path for path in work.rglob("*") if path.name != FILE)
            files = [*(path for path in paths if path.is_file()), work / FILE]
            for path in [*paths, work / FILE, work]:
                sync_to_disk(path)
            folder.save([path.relative_to(work).as_posix() for path in files], source=work)
            work.rename(folder.path)
            sync_to_disk(self.folder.path)
        except OSError as error:
            raise StorageFailed(
                f"cannot write a release to {self.folder.location}: {error.strerror or error}",
                hint="free some space or fix the permissions, then run again",
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
