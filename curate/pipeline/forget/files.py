"""Files of a workspace other than tables and media that may mention something forgotten."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from curate.corpus.archives.unpack import discard
from curate.corpus.errata import FILE as ERRATA
from curate.corpus.sources import MEMBER, RawFolders, is_fetched
from curate.files import PARTIAL
from curate.pipeline.forget.rows import Traces
from curate.release.memo import FILE as MEMO
from curate.storage.folder import Folder
from curate.storage.workspace import Workspace

FORGOTTEN = "[forgotten]"
"""Stands in records of runs for what was forgotten."""
_TEXT_FILES = ("*/log.jsonl", "*/run.json", "*/recipe.yaml")
_PAGES = "*/report.html"
_MADE_AGAIN = (".settled.json", MEMO)
_PREVIEWS = "previews"
_ROW = re.compile(r"#\d+$")


def pages(workspace: Workspace) -> list[str]:
    """Return the pages that show items: every report and preview. They can be made again."""
    local = workspace.local
    paths = [*local.glob("*.html"), *(local / _PREVIEWS).glob("*.html")]
    names = [path.relative_to(local).as_posix() for path in paths if path.is_file()]
    return [*(f"runs/{name}" for name in workspace.runs.glob(_PAGES)), *names]


def remove_from_files(workspace: Workspace, traces: Traces) -> None:
    """Remove the pages, and what the records of runs and the server's log say of something forgotten.

    May be killed and repeated at any time.
    """
    for name in workspace.runs.glob(_PAGES):
        workspace.runs.remove(name)
    shutil.rmtree(workspace.local / _PREVIEWS, ignore_errors=True)
    for path in workspace.local.glob("*.html"):
        path.unlink(missing_ok=True)
    for name in _MADE_AGAIN:
        (workspace.local / name).unlink(missing_ok=True)
    pattern = _pattern(traces)
    for name in (name for kind in _TEXT_FILES for name in workspace.runs.glob(kind)):
        _redact(workspace.runs, name, pattern)
    if workspace.folder.exists(ERRATA):
        _redact(workspace.folder, ERRATA, pattern)
    _redact_log(workspace.local / "label_studio" / "server.log", pattern)


def remove_unpacked(workspace: Workspace, names: Iterable[str]) -> None:
    """Remove what this machine's cache holds of the archives and data sets that any of these raw files are from."""
    if workspace.recipe_file is None:
        return
    recipe = Path(workspace.recipe_file)
    raw = RawFolders(recipe.parent, workspace.raw_folders(recipe))
    for archive in {_ROW.sub("", name.partition(MEMBER)[0]) for name in names if MEMBER in name or is_fetched(name)}:
        path = raw.on_disk(archive)
        discard(path)
        if is_fetched(archive):
            path.unlink(missing_ok=True)


def remove_leftovers(workspace: Workspace) -> None:
    """Remove files that killed processes left half-written, and copies of databases that were set aside."""
    for path in (*workspace.local.rglob(f"*{PARTIAL}"), *workspace.local.glob("*.unsaved-*")):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
    shutil.rmtree(workspace.releases.path / ".building", ignore_errors=True)


def _pattern(traces: Traces) -> "re.Pattern[str] | None":
    forms = {form for word in (*traces.texts, *traces.names) if word for form in _forms(word)}
    words = (rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(forms, key=len, reverse=True))
    alternatives = "|".join(words)
    return re.compile(alternatives) if alternatives else None


def _forms(word: str) -> Iterator[str]:
    """Yield the ways in which a text may be written in JSON and YAML."""
    yield word
    for is_ascii in (True, False):
        yield json.dumps(word, ensure_ascii=is_ascii)[1:-1]


def _redact(folder: Folder, name: str, pattern: "re.Pattern[str] | None") -> None:
    text = folder.read(name).decode("utf-8", "replace")
    changed = pattern.sub(FORGOTTEN, text) if pattern else text
    if changed != text:
        folder.write(name, changed.encode())


def _redact_log(path: Path, pattern: "re.Pattern[str] | None") -> None:
    """Overwrite in place: a running server goes on writing at the end of the file."""
    with suppress(FileNotFoundError):
        text = path.read_text("utf-8", "surrogateescape")
        changed = (
            pattern.sub(lambda match: "x" * len(match[0].encode("utf-8", "surrogateescape")), text) if pattern else text
        )
        if changed != text:
            with path.open("r+b") as file:
                file.write(changed.encode("utf-8", "surrogateescape"))
