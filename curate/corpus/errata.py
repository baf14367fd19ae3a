"""Errata: what turned out to be wrong in a released item, a release or the whole corpus, kept in the workspace."""

import json
from collections.abc import Collection, Iterable
from typing import NamedTuple

from curate.errors import InvalidInput, WorkspaceUnusable
from curate.files import digest
from curate.storage.workspace import Workspace

FILE = "errata.jsonl"
MAX_CHARS = 2_000


class Erratum(NamedTuple):
    """One erratum: about an item, a release, or an item as of a release."""

    erratum_id: str
    item_id: str | None
    release: str | None
    """The version that it is about; None for every version"""
    text: str
    added_on: str
    """Day, in UTC"""


def read_errata(workspace: Workspace) -> list[Erratum]:
    """Return the errata of a workspace, oldest first. Raises ``WorkspaceUnusable`` if their file is damaged."""
    if not workspace.folder.exists(FILE):
        return []
    try:
        lines = workspace.folder.read(FILE).decode("utf-8").splitlines()
        errata = [Erratum(**json.loads(line)) for line in lines if line.strip()]
        if not all(isinstance(value, str | None) for erratum in errata for value in erratum):
            raise TypeError("a value is not a text")
    except (ValueError, TypeError, RecursionError) as error:
        raise WorkspaceUnusable(
            f"{workspace.location}/{FILE} cannot be read",
            hint="restore it from a copy",
        ) from error
    return errata


def add_erratum(workspace: Workspace, text: str, *, item_id: str | None, release: str | None, day: str) -> Erratum:
    """Store an erratum, unless the same one is there already. The caller holds the workspace's lock.

    Raises ``InvalidInput`` for a text that is empty or too long.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if not line or len(line) > MAX_CHARS:
        problem = f"has {len(line):,} characters" if line else "has no text"
        raise InvalidInput(f"the erratum {problem}", hint=f"say in at most {MAX_CHARS:,} characters what is wrong")
    erratum = Erratum(digest([item_id, release, line])[:12], item_id, release, line, day)
    errata = read_errata(workspace)
    same = next((earlier for earlier in errata if earlier.erratum_id == erratum.erratum_id), None)
    if same is None:
        _write(workspace, [*errata, erratum])
    return same or erratum


def drop_errata(workspace: Workspace, item_ids: Collection[str]) -> None:
    """Remove the errata of items that are forgotten. The caller holds the workspace's lock."""
    errata = read_errata(workspace)
    remaining = [erratum for erratum in errata if erratum.item_id not in item_ids]
    if len(remaining) < len(errata):
        _write(workspace, remaining)


def to_lines(errata: Iterable[Erratum]) -> str:
    """Return the text of a file of errata: a JSON object in each line."""
    return "".join(json.dumps(erratum._asdict(), ensure_ascii=False) + "\n" for erratum in errata)


def _write(workspace: Workspace, errata: Iterable[Erratum]) -> None:
    with workspace.folder.errors():
        workspace.folder.write(FILE, to_lines(errata).encode())
