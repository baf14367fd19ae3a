"""The place that remembers what happened: tables, blobs, runs, releases, and the lock that one writer holds."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import yaml

from curate.corpus.spec import table_names, table_spec
from curate.errors import StorageFailed, WorkspaceUnusable
from curate.labels import LabelSchema
from curate.storage.blobs import Blobs
from curate.storage.cache import cache_folder, folder_name, private_folder
from curate.storage.delta import Table
from curate.storage.folder import LOCK_FILES, DiskFolder, Folder
from curate.storage.s3.blobs import RemoteBlobs
from curate.storage.s3.client import Remote, check_url, is_url
from curate.storage.s3.databases import Copies
from curate.storage.s3.errors import endpoint
from curate.storage.s3.folder import RemoteFolder

FORMAT = 1
_ABOUT = "curate.yaml"


class Workspace:
    """An opened workspace. Opening one that is not there makes it, unless ``create`` is false.

    ``root`` is a folder, or a URL such as ``s3://bucket/prefix``, whose keys and server come from the environment
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP) of every process that
    uses it: the driver's and each worker's. Nothing else need be shared, but for the raw files that a recipe names.
    ``place`` is what a user calls it. ``local`` is the folder of this machine's own things: the workspace itself,
    or one in the user's data folder.
    """

    def __init__(self, root: str | Path, *, create: bool = True) -> None:
        self.folder, self.local, self.blobs, self._copies = _open(root)
        self.place = self.folder.place
        if not self.folder.holds(_ABOUT):
            if not create:
                raise WorkspaceUnusable(
                    f"there is no workspace at {root}", hint="make one with `curate run RECIPE`, or name it with -w"
                )
            self._make()
        about = self._about()
        if about.get("format", 0) > FORMAT:
            raise WorkspaceUnusable(
                f"workspace {root} has format {about['format']}, and this curate knows up to {FORMAT}",
                hint="upgrade curate, or use another workspace with -w",
            )
        self.recipe: str | None = about.get("recipe")
        self.recipe_file: str | None = about.get("recipe_file")
        self.secret = bytes.fromhex(about["secret"])

    @staticmethod
    def is_there(root: str | Path) -> bool:
        """Whether there is anything at ``root``."""
        folder, local, *_ = _open(root)
        return folder.holds(_ABOUT) or bool(folder.children() - LOCK_FILES) or local.is_file()

    def table(self, name: str, labels: LabelSchema) -> Table:
        """The table ``name``; tables that carry labels have one folder for each label schema."""
        if name not in table_names():
            raise ValueError(f"there is no table {name!r}")
        spec = table_spec(name, labels)
        folder = self.folder.child("tables").child(name)
        return Table(folder.child(labels.name) if spec.per_label_schema else folder, spec)

    @property
    def releases(self) -> Folder:
        """The folder of the immutable releases."""
        return self.folder.child("releases")

    @property
    def runs(self) -> Folder:
        """The folder with one folder for each run."""
        return self.folder.child("runs")

    def claim(self, recipe: str, file: Path) -> None:
        """Make this the workspace of ``recipe``; raises ``WorkspaceUnusable`` when it is another's."""
        if (self.recipe, self.recipe_file) == (recipe, str(file)):
            return
        if self.recipe not in (None, recipe):
            raise WorkspaceUnusable(
                f"workspace {self.place} belongs to recipe {self.recipe!r}, not {recipe!r}",
                hint=f"one workspace holds one corpus: choose another folder, e.g. -w {recipe}-workspace",
            )
        self.recipe, self.recipe_file = recipe, str(file)
        self._write_about({**self._about(), "recipe": recipe, "recipe_file": str(file)}, put=self.folder.write)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; raises ``WorkspaceBusy`` at once when another process does."""
        with self.folder.lock():
            try:
                yield
            finally:
                if self._copies is not None:
                    self._copies.save(end=True)

    def local_file(self, name: str) -> Path:
        """The path on this disk of a SQLite database that is worked on in place; the caller holds the lock.

        In a folder it is the workspace's own file. Behind a URL it is a copy, brought up to date by the first call
        within a lock, and the workspace's again after ``save_local_files`` and when the lock is released. What a
        killed run added to the copy is still in it when the next run on this machine asks; where another machine has
        run since, it is kept beside it, as ``<name>.unsaved-<number>``.
        """
        if self._copies is None:
            return self.local / name
        return self._copies.open(name)

    def save_local_files(self) -> None:
        """Take over what was written to the files of ``local_file``; they may be open, between two transactions."""
        if self._copies is not None:
            self._copies.save(end=False)

    def unlock(self, *, certain: bool = False) -> str | None:
        """Remove the lock of a run that was killed; says whose it was, None where there is none.

        Raises ``WorkspaceBusy`` where nothing tells that the run is dead and the caller is not ``certain``.
        """
        return self.folder.unlock(certain=certain)

    def _about(self) -> dict[str, Any]:
        try:
            about = yaml.safe_load(self.folder.read(_ABOUT).decode("utf-8"))
            bytes.fromhex(about["secret"])
            if not isinstance(about["format"], int):
                raise TypeError("format is not a number")
        except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise WorkspaceUnusable(
                f"{self.place}/{_ABOUT} cannot be read: {error}",
                hint="restore it from a copy, or use another workspace",
            ) from error
        return dict(about)

    def _make(self) -> None:
        if self.local.is_file():
            raise WorkspaceUnusable(f"{self.place} is a file, not a folder", hint="choose another folder with -w")
        if self.folder.children() - LOCK_FILES:
            raise WorkspaceUnusable(
                f"{self.place} is not empty and not a workspace", hint="choose an empty or new folder with -w"
            )
        created = datetime.now(UTC).isoformat("T", "seconds")
        about = {"format": FORMAT, "created": created, "recipe": None, "secret": secrets.token_hex(16)}
        self._write_about(about, put=self.folder.create)

    def _write_about(self, about: dict[str, Any], *, put: Callable[[str, bytes], None]) -> None:
        try:
            put(_ABOUT, yaml.safe_dump(about, sort_keys=False).encode())
        except OSError as error:
            raise StorageFailed(
                f"cannot write workspace {self.place}: {error.strerror}",
                hint="free some space, mend the permissions, or choose another folder with -w",
            ) from error


class _Parts(NamedTuple):
    folder: Folder
    local: Path
    blobs: Blobs
    copies: Copies | None


def _open(root: str | Path) -> _Parts:
    root = str(root)
    if not is_url(root) or root.lower().startswith("file:"):
        path = Path(url2pathname(urlsplit(root).path) if is_url(root) else root).absolute()
        return _Parts(DiskFolder(path), path, Blobs(path / "blobs"), None)
    remote, server = Remote(check_url(root)), endpoint()
    folder = RemoteFolder(remote, cache_folder() / "workspaces" / folder_name(remote.url, server))
    local = private_folder(remote.url, server)
    return _Parts(folder, local, RemoteBlobs(local / "blobs", remote.child("blobs")), Copies(remote, local))
