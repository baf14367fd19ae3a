"""Match files by glob, each once: links to folders that are matched anyway add nothing, however deep folders are."""

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

_Identity = tuple[int, int]


class LeadsOutside(Exception):
    """A glob or a link leads to a path, without links, that must not be read."""

    def __init__(self, path: str, real: str) -> None:
        super().__init__(path)
        self.path, self.real = path, real


def match_files(pattern: str, folder: str | Path, *, may_enter: Callable[[str], bool] = lambda _: True) -> list[str]:
    """Return the names that a glob matches, relative to ``folder`` unless the pattern is absolute.

    ``**`` is any number of folders whose names do not begin with a dot. A folder that is reached by several ways counts
    once, by a way without links if there is one. Raises ``LeadsOutside`` before it lists a folder which, given without
    links, ``may_enter`` refuses.
    """
    *parts, last = pattern.replace(os.sep, "/").split("/")
    starts = [""]
    if parts and not parts[0]:
        starts, parts = ["/"], parts[1:]
    walk = _Walk(folder, may_enter)
    for part in (part for part in parts if part):
        starts = walk.below(starts) if part == "**" else walk.step(starts, part)
    # "**" alone matches whatever is in the folders, as it does elsewhere.
    files = walk.below(starts) if last == "**" else starts
    names = (_join(start, name) for start in files for name in walk.names(start, "*" if last == "**" else last))
    return list(dict.fromkeys(names))


class _Walk:
    """Lists folders under one of them, none twice at a level."""

    def __init__(self, folder: str | Path, may_enter: Callable[[str], bool]) -> None:
        self._folder, self._may_enter = folder, may_enter
        self._entered: set[str] = set()

    def step(self, starts: Iterable[str], part: str) -> list[str]:
        """Return the folders one level below that match a part of a pattern, each once."""
        names = [_join(start, name) for start in starts for name in self.names(start, part)]
        plain = [name for name in names if not os.path.islink(self._path(name))]  # noqa: PTH114 (deep paths)
        chosen, visited, linked = [], set[_Identity](), set(names) - set(plain)
        for name in (*plain, *(name for name in names if name in linked)):
            identity = self._identity(name)
            if identity is not None and identity not in visited:
                visited.add(identity)
                chosen.append(name)
        return chosen

    def below(self, starts: Iterable[str]) -> list[str]:
        """Return each folder at and under the starts once: first those without links, then what links lead to."""
        chosen, visited = [], set[_Identity]()
        queue = list(starts)
        links: list[str] = []
        while queue or links:
            name = queue.pop() if queue else links.pop(0)
            identity = self._identity(name)
            if identity is None or identity in visited:
                continue
            visited.add(identity)
            chosen.append(name)
            for entry in self._entries(name, reverse=True):
                if not entry.name.startswith(".") and entry.is_dir():
                    (links if entry.is_symlink() else queue).append(_join(name, entry.name))
        return chosen

    def names(self, start: str, part: str) -> list[str]:
        """Return the names in a folder that match a part of a pattern; one without wildcards, if it exists."""
        if not glob.has_magic(part):
            return [part] if os.path.lexists(self._path(_join(start, part))) else []
        matches = re.compile(fnmatch.translate(part)).match
        is_hidden = part.startswith(".")
        names = (entry.name for entry in self._entries(start))
        return [name for name in names if matches(name) and (is_hidden or not name.startswith("."))]

    def _entries(self, name: str, *, reverse: bool = False) -> "list[os.DirEntry[str]]":
        self._enter(name)
        try:
            with os.scandir(self._path(name) or ".") as entries:
                return sorted(entries, key=lambda entry: entry.name, reverse=reverse)
        except OSError:
            return []

    def _enter(self, name: str) -> None:
        path = self._path(name)
        # What is below a folder that may be entered may be entered, unless it is a link.
        is_below = name and os.path.dirname(name) in self._entered and os.path.basename(name) != ".."  # noqa: PTH119, PTH120
        if not is_below or os.path.islink(path):  # noqa: PTH114
            real = os.path.realpath(path)
            if not self._may_enter(real):
                raise LeadsOutside(path, real)
        self._entered.add(name)

    def _identity(self, name: str) -> _Identity | None:
        try:
            state = os.stat(self._path(name) or ".")  # noqa: PTH116 (pathlib takes its time with deep paths)
        except OSError:
            return None
        return state.st_dev, state.st_ino

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)  # noqa: PTH118


def _join(start: str, name: str) -> str:
    return f"{start.rstrip('/')}/{name}" if start and start != "/" else f"{start}{name}"


def matches_glob(path: list[str], pattern: list[str]) -> bool:
    """Whether the parts of a path match those of a glob, where ``**`` is any number of folders."""
    steps = [*pattern, "*"] if pattern and pattern[-1] == "**" else pattern
    positions = _skipping({0}, steps)
    for part in path:
        inner = {i for i in positions if i < len(steps) and steps[i] == "**"}
        passed = {i + 1 for i in positions - inner if i < len(steps) and fnmatch.fnmatchcase(part, steps[i])}
        positions = _skipping(inner | passed, steps)
    return len(steps) in positions


def _skipping(positions: set[int], steps: list[str]) -> set[int]:
    reached = set(positions)
    for index, step in enumerate(steps):
        if index in reached and step == "**":
            reached.add(index + 1)
    return reached
