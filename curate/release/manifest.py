"""The manifest of a release: what it holds and what it was made from, independent of time and machine."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from curate.errors import WorkspaceUnusable
from curate.files import canonical_json
from curate.release.history import Step
from curate.release.schemes import SchemeFacts
from curate.release.semver import VersionName
from curate.release.shards import ReleaseFile, describe_file

FILE = "manifest.json"
CARD = "README.md"
CHANGES = "CHANGELOG.md"
ERRATA = "errata.jsonl"
_NAMES = r"README\.md|CHANGELOG\.md|CITATION\.cff|croissant\.json|errata\.jsonl"
_PATH = re.compile(rf"{_NAMES}|(data|labels|judgements|raters|features)/\w+-\d{{5}}-of-\d{{5}}\.parquet")
FORMAT = 1
"""Raised if the same rows would be written as different files; part of every release's content."""


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(frozen=True)

    version: VersionName
    recipe: str
    label_schema: str
    label_schema_sha256: str
    content_sha256: str
    """Hash of all rows, of their split and of the columns: equal for equal inputs, whatever wrote the shards."""
    schemes: dict[str, SchemeFacts]
    """Split schemes by name; one of them is the primary one."""
    splits: dict[str, int]
    """Rows by split."""
    files: tuple[ReleaseFile, ...]
    history: tuple[Step, ...] = Field(min_length=1)
    """The versions up to this one, oldest first, each with what changed and why it has its number."""
    tool: str
    writer: str
    """The library that wrote the shards, with its version: under the same one, equal content gives equal bytes."""
    signals: dict[str, str] = {}
    """A hash of the rows of each signal in the configuration ``features``"""
    format: int = FORMAT

    @property
    def errata_sha256(self) -> str | None:
        """The hash of the errata; None if there are none."""
        return next((file.sha256 for file in self.files if file.path == ERRATA), None)

    def write(self, folder: Path) -> None:
        """Write the manifest into the folder of a release."""
        text = json.dumps(self.model_dump(mode="json") | {"files": [file._asdict() for file in self.files]}, indent=2)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path, *, location: str | None = None) -> Manifest:
    """Return the manifest of a release folder; users know the folder by its ``location``.

    Raises ``WorkspaceUnusable`` if there is no valid manifest.
    """
    try:
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        raw["files"] = [ReleaseFile(**file) for file in raw["files"]]
        if unexpected := [file.path for file in raw["files"] if not _PATH.fullmatch(file.path)]:
            raise ValueError(f"{unexpected[0]!r} is not a file of a release")
        return Manifest.model_validate(raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WorkspaceUnusable(
            f"release {location or folder} has no readable {FILE}", hint="delete that folder, then run again"
        ) from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise ``WorkspaceUnusable`` if a file of a release is missing or was changed."""
    for file in manifest.files:
        try:
            if (folder / file.path).is_symlink():
                raise damaged_release(folder, file.path, "was replaced by a link")
            current = describe_file(folder, file.path, rows=file.rows)
        except OSError as error:
            raise damaged_release(folder, file.path, "is missing") from error
        if current != file:
            raise damaged_release(folder, file.path, "was changed")


def content_hash(header: Mapping[str, Any], rows: Iterable[bytes]) -> str:
    """Return the hexadecimal SHA-256 of a header and of rows in canonical JSON."""
    digest = hashlib.sha256(canonical_json({"format": FORMAT, **header}))
    for row in rows:
        digest.update(b"\n" + row)
    return digest.hexdigest()


def damaged_release(location: Path | str, path: str, damage: str) -> WorkspaceUnusable:
    """Return the error for a release of which a file is no longer what its manifest says."""
    return WorkspaceUnusable(
        f"release {location}: {path} {damage} since the release was made",
        hint=f"restore it from a copy, or delete {location} and run again",
    )
