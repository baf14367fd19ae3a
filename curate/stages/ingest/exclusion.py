"""Keep the files of workspaces out of what globs match: curate never ingests what it wrote."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from curate.stages.ingest.matching import LeadsOutside

_SETTINGS = "curate.yaml"
_KEYS = (b"format:", b"secret:")


def outside_workspaces(names: Iterable[str], folder: Path, *, may_read: Callable[[str], bool]) -> list[str]:
    """Return those of the files, given relative to ``folder``, that lie in no workspace, however deep.

    Raises ``LeadsOutside`` for the first of them whose path without links ``may_read`` refuses.
    """
    # Paths are texts and nothing recurses here: folders may be thousands deep.
    real: dict[str, str] = {}
    inside: dict[str, bool] = {}
    outside = []
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118
        if ".." in name or os.path.islink(path):  # noqa: PTH114
            target = os.path.realpath(path)
        else:
            parent = _resolve(os.path.abspath(os.path.dirname(path)), real)  # noqa: PTH100, PTH120
            target = os.path.join(parent, os.path.basename(path))  # noqa: PTH118, PTH119
        if not may_read(target):
            raise LeadsOutside(path, target)
        if not _is_inside(os.path.dirname(target), inside):  # noqa: PTH120
            outside.append(name)
    return outside


def _resolve(path: str, real: dict[str, str]) -> str:
    """Return the path without links. Prefixes are resolved once, and only then what follows them."""
    pending = []
    while path not in real:
        parent = os.path.dirname(path)  # noqa: PTH120
        if parent == path:
            real[path] = path
            break
        pending.append(path)
        path = parent
    for path in reversed(pending):
        joined = os.path.join(real[os.path.dirname(path)], os.path.basename(path))  # noqa: PTH118, PTH119, PTH120
        real[path] = os.path.realpath(joined) if os.path.islink(joined) else joined  # noqa: PTH114
    return real[pending[0] if pending else path]


def _is_inside(path: str, inside: dict[str, bool]) -> bool:
    pending = []
    while path not in inside:
        pending.append(path)
        parent = os.path.dirname(path)  # noqa: PTH120
        if parent == path:
            break
        path = parent
    answer = inside.get(path, False)
    for folder in reversed(pending):
        answer = answer or _is_workspace(folder)
        inside[folder] = answer
    return answer


def _is_workspace(folder: str) -> bool:
    try:
        with open(os.path.join(folder, _SETTINGS), "rb") as file:  # noqa: PTH118, PTH123
            lines = file.read().splitlines()
    except OSError:
        return False
    return all(any(line.startswith(key) for line in lines) for key in _KEYS)
