"""Keep the files of workspaces out of what globs match: curate never ingests what it wrote."""

from collections.abc import Iterable
from pathlib import Path

_SETTINGS = "curate.yaml"
_KEYS = (b"format:", b"secret:")


def outside_workspaces(names: Iterable[str], folder: Path) -> list[str]:
    """Return those of the files, given relative to ``folder``, that lie in no workspace, however deep."""
    known: dict[Path, bool] = {}

    def is_inside(path: Path) -> bool:
        if path not in known:
            known[path] = _is_workspace(path) or (path != path.parent and is_inside(path.parent))
        return known[path]

    parents = {name: (folder / name).parent for name in names}
    inside = {parent: is_inside(parent.resolve()) for parent in set(parents.values())}
    return [name for name, parent in parents.items() if not inside[parent]]


def _is_workspace(folder: Path) -> bool:
    try:
        lines = (folder / _SETTINGS).read_bytes().splitlines()
    except OSError:
        return False
    return all(any(line.startswith(key) for line in lines) for key in _KEYS)
