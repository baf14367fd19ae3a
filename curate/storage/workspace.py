"""The folder that remembers what happened: tables, blobs, runs, releases, and the lock that one writer holds."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from curate.errors import InvalidInput, StorageFailed, WorkspaceBusy, WorkspaceUnusable
from curate.labels import LabelSchema
from curate.storage.blobs import Blobs
from curate.storage.spec import table_names, table_spec
from curate.storage.tables import Table, storage_errors

FORMAT = 1
_ABOUT = "curate.yaml"


class Workspace:
    """An opened workspace. Opening one that is not there makes it, unless ``create`` is false."""

    def __init__(self, root: Path, *, create: bool = True) -> None:
        if re.match(r"[a-z0-9]+:/", str(root)):
            raise InvalidInput(
                f"{root} is not a folder", hint="a workspace is a folder on this machine: name one with -w"
            )
        self.root = root.absolute()
        if not (self.root / _ABOUT).is_file():
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
        self.blobs = Blobs(self.root / "blobs")

    def table(self, name: str, labels: LabelSchema) -> Table:
        """The table ``name``; tables that carry labels have one folder for each label schema."""
        if name not in table_names():
            raise ValueError(f"there is no table {name!r}")
        spec = table_spec(name, labels)
        folder = self.root / "tables" / name
        return Table(folder / labels.name if spec.per_label_schema else folder, spec)

    @property
    def releases(self) -> Path:
        """The folder of the immutable releases."""
        return self.root / "releases"

    @property
    def runs(self) -> Path:
        """The folder with one folder for each run."""
        return self.root / "runs"

    def claim(self, recipe: str, file: Path) -> None:
        """Make this the workspace of ``recipe``; raises ``WorkspaceUnusable`` when it is another's."""
        if (self.recipe, self.recipe_file) == (recipe, str(file)):
            return
        if self.recipe not in (None, recipe):
            raise WorkspaceUnusable(
                f"workspace {self.root} belongs to recipe {self.recipe!r}, not {recipe!r}",
                hint=f"one workspace holds one corpus: choose another folder, e.g. -w {recipe}-workspace",
            )
        self.recipe, self.recipe_file = recipe, str(file)
        self._write_about({**self._about(), "recipe": recipe, "recipe_file": str(file)})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; raises ``WorkspaceBusy`` at once when another process does."""
        from filelock import FileLock, Timeout

        note = self.root / ".lock.json"
        guard = FileLock(self.root / ".lock", timeout=0)
        with storage_errors(self.root):
            try:
                guard.acquire()
            except Timeout as error:
                raise WorkspaceBusy(
                    f"workspace {self.root} is in use{_holder(note)}", hint="wait until it has ended, then run again"
                ) from error
        try:
            with storage_errors(self.root):
                note.write_text(json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat("T", "seconds")}))
            yield
        finally:
            note.unlink(missing_ok=True)
            guard.release()

    def _about(self) -> dict[str, Any]:
        try:
            about = yaml.safe_load((self.root / _ABOUT).read_text(encoding="utf-8"))
            bytes.fromhex(about["secret"])
            if not isinstance(about["format"], int):
                raise TypeError("format is not a number")
        except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise WorkspaceUnusable(
                f"{self.root / _ABOUT} cannot be read: {error}", hint="restore it from a copy, or use another workspace"
            ) from error
        return dict(about)

    def _make(self) -> None:
        if self.root.is_file():
            raise WorkspaceUnusable(f"{self.root} is a file, not a folder", hint="choose another folder with -w")
        if self.root.is_dir() and any(child.name not in {".lock", ".lock.json"} for child in self.root.iterdir()):
            raise WorkspaceUnusable(
                f"{self.root} is not empty and not a workspace", hint="choose an empty or new folder with -w"
            )
        created = datetime.now(UTC).isoformat("T", "seconds")
        self._write_about({"format": FORMAT, "created": created, "recipe": None, "secret": secrets.token_hex(16)})

    def _write_about(self, about: dict[str, Any]) -> None:
        path = self.root / _ABOUT
        partial = path.with_name(f".{_ABOUT}.{os.getpid()}")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            partial.touch(mode=0o600)
            partial.write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise StorageFailed(
                f"cannot write workspace {self.root}: {error.strerror}",
                hint="free some space, mend the permissions, or choose another folder with -w",
            ) from error


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_text(encoding="utf-8"))
        return f" by process {holder['pid']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
