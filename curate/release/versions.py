"""The folder of a workspace's releases: each complete or not there, and never changed."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pyarrow import parquet
from pydantic import AfterValidator

from curate.errors import InvalidInput, StorageFailed
from curate.release.manifest import CARD, FILE, Manifest, read_manifest
from curate.storage.folder import Folder

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_BUILDING = ".building"


def check_version(name: str) -> str:
    """Return the name of a version. Raises ``ValueError`` unless it can name a folder, a git tag and a Hub revision."""
    if not _VERSION.fullmatch(name):
        raise ValueError("a version is letters, digits, dots, dashes and underscores, such as v2 or 2027-01")
    return name


VersionName = Annotated[str, AfterValidator(check_version)]


class Releases:
    """The releases in a folder, oldest first."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def place(self, version: str) -> str:
        """What a user calls the place of a version."""
        return self.folder.child(version).location

    def fetch(self, manifest: Manifest) -> Path:
        """The folder on this disk with the files of a release."""
        here = self.folder.child(manifest.version)
        here.fetch([FILE, *(file.path for file in manifest.files)])
        return here.path

    def manifests(self, recipe: str | None = None) -> list[Manifest]:
        """The manifests of all releases, or of those of one recipe, in the order in which they were made."""
        named = (name.removesuffix(f"/{FILE}") for name in self.folder.glob(f"*/{FILE}"))
        read = (self._manifest(version) for version in named if _VERSION.fullmatch(version))
        found = sorted(read, key=lambda each: (each.number, each.version))
        return [each for each in found if recipe is None or each.recipe == recipe]

    def _manifest(self, version: str) -> Manifest:
        here = self.folder.child(version)
        here.drop_stale_copies(FILE)
        here.fetch([FILE])
        return read_manifest(here.path, place=here.location)

    def next_number(self) -> int:
        """One more than the greatest number in use."""
        return max((each.number for each in self.manifests()), default=0) + 1

    def next_version(self) -> str:
        """The first of v1, v2, … from the next number on that is free."""
        self.folder.remove_unfinished(FILE)
        number = self.next_number()
        while self.folder.exists(f"v{number}"):
            number += 1
        return f"v{number}"

    def splits(self, manifest: Manifest) -> dict[str, str]:
        """The split of every item of a release, read from its shards."""
        found: dict[str, str] = {}
        for file in manifest.files:
            if file.rows is not None:
                split = Path(file.path).name.rsplit("-", 3)[0]
                (path,) = self.folder.child(manifest.version).fetch([file.path])
                ids = parquet.read_table(path, columns=["item_id"])
                found.update(dict.fromkeys(ids["item_id"].to_pylist(), split))
        return found

    def earlier_splits(self, recipe: str, split_settings: str) -> dict[str, str] | None:
        """The split of every item of the recipe's newest release with these split settings; None without one."""
        earlier = [each for each in self.manifests(recipe) if each.split_settings == split_settings]
        return self.splits(earlier[-1]) if earlier else None

    @contextmanager
    def building(self, version: str) -> Iterator[Path]:
        """An empty folder that becomes release ``version`` when the block ends without an error.

        Behind a URL it is built on this disk, and put there with its manifest last. A build that was killed leaves
        nothing that counts as a release, and is cleared away by the next one. Raises ``InvalidInput`` when the version
        is taken.
        """
        self.folder.remove_unfinished(FILE)
        if self.folder.exists(version):
            raise InvalidInput(
                f"release {version} is already there, with other content",
                hint="releases never change: choose another version, or leave it out to get the next number",
            )
        here = self.folder.child(version)
        work = self.folder.path / _BUILDING
        try:
            shutil.rmtree(work, ignore_errors=True)
            (work / "data").mkdir(parents=True)
            yield work
            files = [*sorted((work / "data").iterdir()), work / CARD, work / FILE]
            for path in [*files, work / "data", work]:
                _sync(path)
            here.save([path.relative_to(work).as_posix() for path in files], source=work)
            work.rename(here.path)
            _sync(self.folder.path)
        except OSError as error:
            raise StorageFailed(
                f"cannot write release {version} to {self.folder.location}: {error.strerror or error}",
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
