"""Match files by glob, each once: links to folders that are matched anyway add nothing, however deep folders are."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_Identity = tuple[int, int]


def match_files(pattern: str, folder: str | Path) -> Iterator[str]:
    """Yield what a glob matches, relative to ``folder`` unless the pattern is absolute.

    ``**`` is any number of folders whose names do not begin with a dot. A folder that it reaches by several ways
    counts once, by a way without links if there is one.
    """
    parts = pattern.replace(os.sep, "/").split("/")
    if "**" not in parts:
        yield from glob.glob(pattern, root_dir=folder)  # noqa: PTH207 (Path.glob refuses absolute patterns)
        return
    index = parts.index("**")
    rest = parts[index + 1 :]
    while rest and rest[0] == "**":
        rest = rest[1:]
    head = "/".join(parts[:index]) or ("/" if index else "")
    starts = sorted(glob.glob(head, root_dir=folder)) if head else [""]  # noqa: PTH207
    seen: set[str] = set()
    for name in _folders(starts, folder):
        inside = match_files("/".join(rest) or "*", os.path.join(folder, name))  # noqa: PTH118
        for match in inside:
            path = os.path.join(name, match) if name else match  # noqa: PTH118
            if path not in seen:
                seen.add(path)
                yield path


def _folders(starts: Iterable[str], folder: str | Path) -> Iterator[str]:
    """Yield each folder at and under the starts once: first those without links, then what links lead to."""
    seen: set[_Identity] = set()
    queue = list(starts)
    links: list[str] = []
    while queue or links:
        name = queue.pop() if queue else links.pop(0)
        path = os.path.join(folder, name)  # noqa: PTH118 (pathlib takes its time with deep paths)
        try:
            state = os.stat(path)  # noqa: PTH116
            identity = state.st_dev, state.st_ino
            if identity in seen:
                continue
            with os.scandir(path) as entries:
                inside = [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
        except OSError:
            continue
        seen.add(identity)
        yield name
        for entry in sorted(inside, key=lambda entry: entry.name, reverse=True):
            below = f"{name.rstrip('/')}/{entry.name}" if name else entry.name
            if entry.is_symlink():
                links.append(below)
            else:
                queue.append(below)
