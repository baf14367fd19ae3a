"""The folder of a workspace's releases: each complete or not there, and never changed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import parquet

from curate.errors import InvalidInput, StorageFailed
from curate.release.manifest import CARD, FILE, Manifest, read_manifest

VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a version may look like: it names a folder, a git tag and a revision on the Hub."""

_BUILDING = ".building"


class Releases:
    """The releases below ``root``, oldest first."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, version: str) -> Path:
        """Where a version lies."""
        return self.root / version

    def manifests(self, recipe: str | None = None) -> list[Manifest]:
        """The manifests of all releases, or of those of one recipe, in the order in which they were made."""
        if not self.root.is_dir():
            return []
        folders = [path for path in self.root.iterdir() if (path / FILE).is_file() and re.fullmatch(VERSION, path.name)]
        found = sorted((read_manifest(folder) for folder in folders), key=lambda each: (each.number, each.version))
        return [each for each in found if recipe is None or each.recipe == recipe]

    def next_number(self) -> int:
        """One more than the greatest number in use."""
        return max((each.number for each in self.manifests()), default=0) + 1

    def next_version(self) -> str:
        """The first of v1, v2, … from the next number on that is free."""
        number = self.next_number()
        while self.folder(f"v{number}").exists():
            number += 1
        return f"v{number}"

    def splits(self, manifest: Manifest) -> dict[str, str]:
        """The split of every item of a release, read from its shards."""
        found: dict[str, str] = {}
        for file in manifest.files:
            if file.rows is not None:
                split = Path(file.path).name.rsplit("-", 3)[0]
                ids = parquet.read_table(self.folder(manifest.version) / file.path, columns=["item_id"])
                found.update(dict.fromkeys(ids["item_id"].to_pylist(), split))
        return found

    @contextmanager
    def building(self, version: str) -> Iterator[Path]:
        """An empty folder that becomes release ``version`` when the block ends without an error.

        A build that was killed leaves nothing that counts as a release, and is cleared away by the next one. Raises
        ``InvalidInput`` when the version is taken.
        """
        target = self.folder(version)
        if target.exists():
            raise InvalidInput(
                f"release {version} is already there, with other content",
                hint="releases never change: choose another version, or leave it out to get the next number",
            )
        work = self.root / _BUILDING
        try:
            shutil.rmtree(work, ignore_errors=True)
            (work / "data").mkdir(parents=True)
            yield work
            for path in [*sorted((work / "data").iterdir()), work / CARD, work / FILE, work / "data", work]:
                _sync(path)
            work.rename(target)
            _sync(self.root)
        except OSError as error:
            raise StorageFailed(
                f"cannot write release {version} to {self.root}: {error.strerror or error}",
                hint="free some space or mend the permissions, then run again",
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
