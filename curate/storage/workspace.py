"""The workspace: tables, blobs, runs, releases, and the lock that one writer holds."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import yaml

from curate.errors import WorkspaceUnusable
from curate.files import PARTIAL
from curate.storage.blobs import Blobs
from curate.storage.cache import cache_folder, folder_name, private_folder
from curate.storage.delta import Table, TableSpec
from curate.storage.folder import DiskFolder, Folder, refuse_links
from curate.storage.lock import LOCK_FILES
from curate.storage.s3.blobs import S3Blobs
from curate.storage.s3.client import S3Prefix, check_url, is_url
from curate.storage.s3.databases import DatabaseCopies
from curate.storage.s3.errors import endpoint
from curate.storage.s3.folder import S3Folder

FORMAT = 1
_SETTINGS = "curate.yaml"
_MAX_SETTINGS_BYTES = 100_000
_MAX_RAW_FOLDERS = 20
_PRIVATE = ("blobs", "tables", "releases", "runs", "label_studio")


class Workspace:
    """An opened workspace, which is made if it does not exist, unless ``create`` is false.

    ``root`` is a folder, or a URL such as ``s3://bucket/prefix``, whose keys and server come from the environment
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP) of every process that
    uses it: the driver's and each worker's. Processes share nothing else but the raw files that a recipe names.
    ``location`` is the path or URL that users know. ``local`` is the folder for files of this machine: the workspace
    itself, or one in the user's data folder.
    """

    def __init__(self, root: str | Path, *, create: bool = True) -> None:
        self.folder, self.local, self.blobs, self._databases = _open(root)
        self.location = self.folder.location
        refuse_links(self.local)
        if not self.folder.exists(_SETTINGS):
            if not create:
                raise WorkspaceUnusable(
                    f"there is no workspace at {root}", hint="make one with `curate run RECIPE`, or name it with -w"
                )
            self._make()
        settings = self._read_settings()
        if settings["format"] > FORMAT:
            raise WorkspaceUnusable(
                f"workspace {root} has format {settings['format']}, and this curate knows up to {FORMAT}",
                hint="upgrade curate, or use another workspace with -w",
            )
        self.recipe: str | None = settings.get("recipe")
        self.recipe_file: str | None = settings.get("recipe_file")
        self._raw: list[str] = settings.get("raw", [])
        self.secret = bytes.fromhex(settings["secret"])

    @staticmethod
    def exists(root: str | Path) -> bool:
        """Whether there is anything at ``root``."""
        folder, local, *_ = _open(root)
        return folder.exists(_SETTINGS) or _has_files(folder) or local.is_file()

    @staticmethod
    def is_at(root: str | Path) -> bool:
        """Whether there is a workspace at ``root``."""
        folder, *_ = _open(root)
        return folder.exists(_SETTINGS)

    def table(self, spec: TableSpec) -> Table:
        """Open a table, which need not have been committed to yet."""
        folder = self.folder.child("tables").child(spec.name)
        return Table(folder if spec.variant is None else folder.child(spec.variant), spec)

    @property
    def releases(self) -> Folder:
        """The folder of the immutable releases."""
        return self.folder.child("releases")

    @property
    def runs(self) -> Folder:
        """The folder with one folder for each run."""
        return self.folder.child("runs")

    def raw_folders(self, recipe_file: Path) -> tuple[Path, ...]:
        """Return the folders that the user let this recipe file read raw files in, the newest first."""
        return tuple(Path(folder) for folder in self._raw) if str(recipe_file) == self.recipe_file else ()

    def claim(self, recipe: str, file: Path, raw: Sequence[Path] = ()) -> None:
        """Make this the workspace of ``recipe``, and remember the folders in which it may read raw files.

        Raises ``WorkspaceUnusable`` if it belongs to another one.
        """
        folders = list(dict.fromkeys(str(folder) for folder in (*raw, *self.raw_folders(file))))[:_MAX_RAW_FOLDERS]
        if (self.recipe, self.recipe_file, self._raw) == (recipe, str(file), folders):
            return
        self.check_recipe(recipe)
        self.recipe, self.recipe_file, self._raw = recipe, str(file), folders
        settings = {**self._read_settings(), "recipe": recipe, "recipe_file": str(file), "raw": folders}
        self._write_settings(settings, self.folder.write)

    def check_recipe(self, recipe: str) -> None:
        """Raise ``WorkspaceUnusable`` if this is the workspace of another recipe."""
        if self.recipe not in (None, recipe):
            raise WorkspaceUnusable(
                f"workspace {self.location} belongs to recipe {self.recipe!r}, not {recipe!r}",
                hint=f"one workspace holds one corpus: choose another folder, e.g. -w {recipe}-workspace",
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing. Raises ``WorkspaceBusy`` at once if another process does."""
        with self.folder.lock():
            try:
                yield
            finally:
                if self._databases is not None:
                    self._databases.save(end=True)

    def local_file(self, name: str) -> Path:
        """Return the path on this disk of an SQLite database; the caller holds the lock.

        In a folder it is the workspace's own file. On an object store it is a copy, brought up to date by the first
        call within a lock, and stored by ``save_local_files`` and when the lock is released. Rows that a killed run
        added to the copy are still there for the next run on this machine; if another machine has run since, the copy
        is kept next to it as ``<name>.unsaved-<number>``.
        """
        return self.local / name if self._databases is None else self._databases.open(name)

    def save_local_files(self) -> None:
        """Store the databases of ``local_file``, which may be open, as of their last transactions."""
        if self._databases is not None:
            self._databases.save(end=False)

    def unlock(self, *, certain: bool = False) -> str | None:
        """Remove the lock of a run that was killed; returns its description, or None if nothing was locked.

        Raises ``WorkspaceBusy`` unless that run is known to be dead or the caller is ``certain``.
        """
        return self.folder.unlock(certain=certain)

    def _read_settings(self) -> dict[str, Any]:
        try:
            data = self.folder.read(_SETTINGS)
            if len(data) > _MAX_SETTINGS_BYTES:
                raise ValueError(f"it has {len(data):,} bytes")
            settings = yaml.safe_load(data.decode("utf-8"))
            bytes.fromhex(settings["secret"])
            if not isinstance(settings["format"], int):
                raise TypeError("format is not a number")
            raw = settings.get("raw", [])
            if not isinstance(raw, list) or not all(isinstance(folder, str) for folder in raw):
                raise TypeError("raw is not a list of folders")
        except (
            OSError,
            yaml.YAMLError,
            UnicodeDecodeError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise WorkspaceUnusable(
                f"{self.location}/{_SETTINGS} cannot be read: {error}",
                hint="restore it from a copy, or use another workspace",
            ) from error
        return dict(settings)

    def _make(self) -> None:
        if self.local.is_file():
            raise WorkspaceUnusable(f"{self.location} is a file, not a folder", hint="choose another folder with -w")
        if _has_files(self.folder):
            raise WorkspaceUnusable(
                f"{self.location} is not empty and not a workspace", hint="choose an empty or new folder with -w"
            )
        if isinstance(self.folder, DiskFolder):
            # Faces, voices and what people said of them are for their owner alone.
            with self.folder.errors():
                self.local.parent.mkdir(parents=True, exist_ok=True)
                for folder in (self.local, *(self.local / name for name in _PRIVATE)):
                    folder.mkdir(mode=0o700, exist_ok=True)
        created = datetime.now(UTC).isoformat("T", "seconds")
        settings = {"format": FORMAT, "created": created, "recipe": None, "secret": secrets.token_hex(16)}
        self._write_settings(settings, self.folder.create)

    def _write_settings(self, settings: dict[str, Any], write: Callable[[str, bytes], None]) -> None:
        write(_SETTINGS, yaml.safe_dump(settings, sort_keys=False).encode())


class _Parts(NamedTuple):
    folder: Folder
    local: Path
    blobs: Blobs
    databases: DatabaseCopies | None


def _open(root: str | Path) -> _Parts:
    root = str(root)
    if not is_url(root) or root.lower().startswith("file:"):
        path = Path(url2pathname(urlsplit(root).path) if is_url(root) else root).absolute()
        return _Parts(DiskFolder(path), path, Blobs(path / "blobs"), None)
    prefix, server = S3Prefix(check_url(root)), endpoint()
    folder = S3Folder(prefix, cache_folder() / "workspaces" / folder_name(prefix.url, server))
    local = private_folder(prefix.url, server)
    return _Parts(folder, local, S3Blobs(local / "blobs", prefix.child("blobs")), DatabaseCopies(prefix, local))


def _has_files(folder: Folder) -> bool:
    """Whether a folder holds anything but what an interrupted start leaves behind."""
    return any(name not in LOCK_FILES and not name.endswith(PARTIAL) for name in folder.children())
