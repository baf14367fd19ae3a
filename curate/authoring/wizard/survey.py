"""What is in a folder: media, subtitles, texts and tables, as ingest would find them."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from curate.corpus.sources import RawFolders, outside
from curate.errors import InvalidInput
from curate.media.words.sidecars import SUFFIXES as SUBTITLES
from curate.sentences import count_of
from curate.stages.ingest.finding import find_files
from curate.stages.ingest.matching import LeadsOutside, match_files

_KINDS = {
    "film": ".mp4 .mkv .mov .avi .webm .flv .m4v .mpg .mpeg .wmv .3gp .mts .m2ts .ogv",
    "sound": ".wav .mp3 .flac .ogg .oga .m4a .opus .aac .aif .aiff .wma",
    "picture": ".jpg .jpeg .png .webp .bmp .tif .tiff",
    "text": ".txt",
    "tier file": ".eaf .textgrid .annotation",
    "table": ".csv .tsv .jsonl .ndjson .json .parquet .xlsx .xls .ods",
}
_KIND_OF = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes.split()}
_DOCUMENT_STEMS = frozenset({"readme", "license", "licence", "changelog", "notes", "requirements"})
_NOT_DATA = (".schema.json",)
TIERS = "tier file"
"""The kind of files with annotations along time, as ELAN, Praat and NOVA write them"""
DATABASE = "db.yaml"
"""The header of an audformat database, next to its tables ``db.*.csv`` or ``db.*.parquet``"""
MEDIA = ("film", "sound", "picture")


class Survey(NamedTuple):
    """The files of a folder by kind (names relative to it), and how many media files have subtitles."""

    folder: Path
    files: dict[str, tuple[str, ...]]
    with_subtitles: int = 0
    unread_by_suffix: Mapping[str, int] = MappingProxyType({})
    """Files that curate reads nothing from, by suffix"""
    named: str | None = None
    """The table that the user named; None if it was the folder"""

    def of(self, *kinds: str) -> tuple[str, ...]:
        """Return the names of the files of these kinds."""
        return tuple(name for kind in kinds for name in self.files.get(kind, ()))

    def described(self) -> list[str]:
        """Return a line for each kind of file that there is."""
        lines = [count_of(len(names), kind) for kind, names in self.files.items() if names]
        if self.with_subtitles:
            lines.append(f"subtitles of {count_of(self.with_subtitles, 'file')}")
        return lines


def survey(folder: Path) -> Survey:
    """Return what is in a folder and below, without workspaces and hidden files. Raises ``InvalidInput``."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is neither a folder nor a table", hint="check the path")
    raw = RawFolders(folder)
    try:
        names = find_files("**/*", raw)
        subtitles = [
            name for name in match_files("**/*", folder, may_enter=raw.boundary()) if _suffix(name) in SUBTITLES
        ]
    except LeadsOutside as error:
        raise InvalidInput(outside(error.path, error.real), hint="remove that link") from error
    files: dict[str, list[str]] = {kind: [] for kind in (*_KINDS, "database")}
    databases = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == DATABASE]
    unread_by_suffix: Counter[str] = Counter()
    for name in sorted(names):
        path = PurePosixPath(name)
        kind = kind_of(name)
        if kind == "table" and path.parent in databases and path.name.startswith("db."):
            continue
        if kind in ("text", "table") and (path.stem.casefold() in _DOCUMENT_STEMS or name.endswith(_NOT_DATA)):
            continue
        if path.suffix.endswith("~"):
            continue
        if kind:
            files[kind].append(name)
        else:
            unread_by_suffix[path.suffix.lower()] += 1
    stems = {name.split(".", 1)[0] if "/" not in name else _stem(name) for name in subtitles}
    titled = sum(_stem(name) in stems for kind in ("film", "sound") for name in files[kind])
    return Survey(folder, {kind: tuple(names_of) for kind, names_of in files.items()}, titled, dict(unread_by_suffix))


def kind_of(name: str) -> str | None:
    """Return what a file is by its name: film, sound, picture, text, table or database; None for anything else."""
    return "database" if PurePosixPath(name).name == DATABASE else _KIND_OF.get(_suffix(name))


def globs_for(names: Sequence[str]) -> list[str]:
    """Return globs for files, one for each suffix, that start at the deepest folder that holds all of them."""
    base = os.path.commonpath([os.path.dirname(f"/{name}") for name in names])[1:]  # noqa: PTH120
    prefix = f"{glob.escape(base)}/" if base else ""
    depth = base.count("/") + 1 if base else 0
    is_deep = any(name.count("/") > depth for name in names)
    return [f"{prefix}{'**/' if is_deep else ''}*{suffix}" for suffix in _suffixes(names)]


def _suffixes(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(PurePosixPath(name).suffix for name in names))


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return (path.parent / path.name.split(".", 1)[0]).as_posix()


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
