"""Files of a workspace other than tables and media that may mention something forgotten."""

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from curate.corpus.archives.unpack import discard
from curate.corpus.errata import FILE as ERRATA
from curate.corpus.fetched import FETCHED, LINKS, FetchRecord, link_key
from curate.corpus.sources import LINK_STARTS, MEMBER, RawFolders, is_fetched
from curate.files import PARTIAL
from curate.pipeline.forget.rows import Traces
from curate.pipeline.forget.words import replace_words, spellings
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
    words = _words(traces)
    for name in (name for kind in _TEXT_FILES for name in workspace.runs.glob(kind)):
        _redact(workspace.runs, name, words)
    if workspace.folder.exists(ERRATA):
        _redact(workspace.folder, ERRATA, words)
    _redact_log(workspace.local / "label_studio" / "server.log", words)


def remove_unpacked(workspace: Workspace, names: Iterable[str]) -> None:
    """Remove what this machine's cache holds of the archives and data sets that any of these raw files are from."""
    if workspace.recipe_file is None:
        return
    recipe = Path(workspace.recipe_file)
    fetched = workspace.local / FETCHED
    raw = RawFolders(recipe.parent, workspace.raw_folders(recipe), fetched=fetched)
    if links := {_ROW.sub("", name) for name in names if name.startswith(LINK_STARTS)}:
        record = FetchRecord(workspace.local_file(FETCHED))
        record.put(LINKS, {link_key(url): {"outcome": "forgotten", "detail": "it was forgotten"} for url in links})
        record.forget_listed(links)
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


def _words(traces: Traces) -> tuple[str, ...]:
    """Return everything to look for, the longest first."""
    forms = {form for word in (*traces.texts, *traces.names) if word for form in spellings(word)}
    return tuple(sorted(forms, key=len, reverse=True))


def _redact(folder: Folder, name: str, words: tuple[str, ...]) -> None:
    text = folder.read(name).decode("utf-8", "replace")
    changed = replace_words(text, words, FORGOTTEN)
    if changed != text:
        folder.write(name, changed.encode())


def _redact_log(path: Path, words: tuple[str, ...]) -> None:
    """Overwrite in place: a running server goes on writing at the end of the file."""
    with suppress(FileNotFoundError):
        text = path.read_text("utf-8", "surrogateescape")
        changed = replace_words(text, words, lambda match: "x" * len(match[0].encode("utf-8", "surrogateescape")))
        if changed != text:
            with path.open("r+b") as file:
                file.write(changed.encode("utf-8", "surrogateescape"))
