"""Find the files of signals, and give each to the medium that it belongs to."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from curate.annotation.importing.settings import FILE_COLUMN
from curate.corpus.sources import RawFolders
from curate.errors import InvalidRow
from curate.media.words.encodings import is_unicode
from curate.stages.ingest.finding import INPUTS, find_files
from curate.stages.ingest.patterns import named_groups
from curate.stages.ingest.signals.reading import medium_names
from curate.stages.ingest.signals.settings import Signal

COLUMN = "signals"
_MAX_NAMED = 3


class SignalFiles(NamedTuple):
    """The files of each signal, and the patterns that match none."""

    by_signal: dict[str, list[str]]
    missing: list[tuple[int, str]]
    """The number of the signal, and the pattern"""

    @property
    def names(self) -> set[str]:
        """All files."""
        return {name for names in self.by_signal.values() for name in names}


def find_signal_files(signals: Sequence[Signal], raw: RawFolders) -> SignalFiles:
    """Return the files of signals. Raises ``LeadsOutside``."""
    by_signal: dict[str, list[str]] = {}
    missing = []
    for number, signal in enumerate(signals):
        names: dict[str, None] = {}
        for pattern in signal.files:
            files = find_files(pattern, raw)
            names.update(dict.fromkeys(sorted(files)))
            missing += [] if files else [(number, pattern)]
        by_signal[signal.name] = list(names)
    return SignalFiles(by_signal, missing)


def list_paths(files: SignalFiles, raw: RawFolders) -> Iterator[Path]:
    """Yield the files on disk."""
    yield from (raw.on_disk(name) for name in sorted(files.names))


def with_signals(inputs: pa.Table, signals: Sequence[Signal], files: SignalFiles, raw: RawFolders) -> pa.Table:
    """Return the inputs with the files of their signals, and an input to be rejected for each file of no medium."""
    if not signals:
        return inputs
    media = inputs.filter(inputs["path"].is_valid())["file"].to_pylist()
    of_media: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    problems: list[dict[str, Any]] = []
    finder = _MediaFinder(media)
    for signal in signals:
        for part, medium in finder.find(signal, _parts(signal, files.by_signal[signal.name], raw)):
            if isinstance(medium, str) and signal.name in of_media[medium]:
                first = of_media[medium][signal.name]["file"]
                medium = InvalidRow(f"{first} is signal {signal.name} of {medium} already", reason="duplicate")
            if isinstance(medium, InvalidRow):
                problem = {"file": part.subject(signal), "problem": medium.message, "reason": medium.reason}
                problems.append(problem)
                continue
            state = raw.join(part.file).stat()
            entry = {"name": signal.name, **part._asdict(), "size_bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
            of_media[medium][signal.name] = {key: value for key, value in entry.items() if key != "problem"}
    values = [list(of_media[file].values()) if file in of_media else None for file in inputs["file"].to_pylist()]
    index = INPUTS.get_field_index(COLUMN)
    inputs = inputs.set_column(index, INPUTS.field(index), pa.array(values, INPUTS.field(index).type))
    return pa.concat_tables([inputs, pa.Table.from_pylist(problems, schema=INPUTS)])


class _Part(NamedTuple):
    """A file of a signal, or its rows of one medium."""

    file: str
    rows: str | None = None
    """The cell that names their medium"""
    problem: InvalidRow | None = None

    @property
    def named(self) -> str:
        """What says which medium it is of."""
        return self.file if self.rows is None else self.rows

    def subject(self, signal: Signal) -> str:
        """Return what rejections call it."""
        shown = self.file.encode("utf-8", "backslashreplace").decode("utf-8")
        return f"{shown}#{signal.name}" + (f":{self.rows}" if self.rows is not None else "")


def _parts(signal: Signal, names: Sequence[str], raw: RawFolders) -> list[_Part]:
    """Return the files of a signal; if a column names media, the rows of each medium."""
    if signal.medium_column is None:
        return [_Part(name) for name in names]
    parts = []
    for name in names:
        try:
            parts += [_Part(name, cell) for cell in medium_names(raw.join(name), signal)]
        except InvalidRow as error:
            parts.append(_Part(name, problem=error))
        except OSError as error:
            parts.append(_Part(name, problem=InvalidRow(f"it cannot be read: {error.strerror}", reason="unavailable")))
    return parts


class _MediaFinder:
    """Finds the media of signals' files among all media."""

    def __init__(self, media: Iterable[str]) -> None:
        self._media = set(media)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._media):
            self._by_stem[PurePosixPath(name).stem].append(name)

    def find(self, signal: Signal, parts: Sequence["_Part"]) -> Iterator[tuple["_Part", str | InvalidRow]]:
        """Yield each part with its medium, or why there is none."""
        pattern = signal.extract.get(FILE_COLUMN)
        names = [part.named if is_unicode(part.named) else "" for part in parts]
        groups = named_groups(names, pattern) if pattern is not None else [{}] * len(names)
        for part, name, matched in zip(parts, names, groups, strict=True):
            yield part, part.problem or self._find(signal, name, matched)

    def _find(self, signal: Signal, name: str, groups: Mapping[str, str] | None) -> str | InvalidRow:
        if not name:
            return InvalidRow("the name is blank or not valid UTF-8")
        if groups is None:
            return InvalidRow(f"{name!r} does not fit the pattern {signal.extract[FILE_COLUMN]} of `extract`")
        path = PurePosixPath(name)
        if signal.media is None:
            named, wanted = self._by_stem.get(path.stem, []), f"with the stem {path.stem!r}"
        else:
            parts = {"stem": path.stem, "name": path.name, "folder": str(path.parent), **groups}
            medium = re.sub(r"\{(\w+)\}", lambda brace: parts.get(brace[1], ""), signal.media.template or "")
            medium = posixpath.normpath(medium)
            named, wanted = [medium] if medium in self._media else [], f"called {medium!r}"
        if len(named) > 1:
            shown = ", ".join(named[:_MAX_NAMED])
            sentence = f"{len(named)} raw files are {wanted} ({shown}): say which one it is of by `media`"
            return InvalidRow(sentence, reason="unknown_item")
        if not named:
            sentence = f"there is no raw file {wanted}: correct `media` of signal {signal.name}, or add the file"
            return InvalidRow(sentence, reason="unknown_item")
        return named[0]
