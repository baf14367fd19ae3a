"""Members of archives as inputs of ingest: those that a glob such as ``raw/*.zip!/**/*.mp4`` matches."""

import os
import re
from collections.abc import Iterator
from typing import Any

from curate.corpus.archives.members import open_members
from curate.corpus.archives.unpack import REST, Refusal, unpack
from curate.corpus.sources import MEMBER, RawFolders
from curate.errors import InvalidRow
from curate.stages.ingest.matching import match_files, matches_glob


def match_members(name: str, pattern: str, raw: RawFolders) -> list[str]:
    """Return the names of the members of an archive that a glob matches; none if the archive cannot be unpacked."""
    try:
        folder = unpack(raw.join(name)).folder
    except (InvalidRow, OSError):
        return []
    pattern = "/".join(part for part in pattern.split("/") if part not in ("", ".", ".."))
    members = match_files(pattern, folder)
    return [f"{name}{MEMBER}{member}" for member in members if os.path.isfile(folder / member)]  # noqa: PTH113


def refused_members(name: str, pattern: str, raw: RawFolders) -> Iterator[dict[str, Any]]:
    """Yield the inputs for members that a glob would match but that are left out, or for the archive as a whole."""
    try:
        refusals = unpack(raw.join(name)).refusals
    except InvalidRow as error:
        refusals = (Refusal(REST, error.message, error.reason),)
    except OSError as error:
        refusals = (Refusal(REST, f"it cannot be read: {error.strerror}", "unavailable"),)
    parts = [part for part in pattern.split("/") if part]
    for refusal in refusals:
        if refusal.name == REST:
            yield {"file": name, "problem": refusal.problem, "reason": refusal.reason}
        elif matches_glob(_inner(refusal.name).split("/"), parts):
            member = refusal.name.encode("utf-8", "backslashreplace").decode("utf-8")
            yield {"file": f"{name}{MEMBER}{member}", "problem": refusal.problem, "reason": refusal.reason}


def archive_problem(name: str, raw: RawFolders) -> str | None:
    """Return why a file cannot be read as an archive, without unpacking it; None if its beginning can be."""
    try:
        with open_members(raw.join(name)):
            return None
    except InvalidRow as error:
        return error.message
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _inner(name: str) -> str:
    """Return a member's name without what leads out of the archive."""
    return re.sub(r"^(?:[A-Za-z]:|\.\.?/|/)+", "", name.replace("\\", "/"))
