"""Keep the files of workspaces out of what globs match: curate never ingests what it wrote."""

import functools
from collections.abc import Iterable
from pathlib import Path

_SETTINGS = "curate.yaml"
_KEYS = (b"format:", b"secret:")
_FOLDERS = frozenset({"blobs", "releases", "runs", "tables"})


def outside_workspaces(names: Iterable[str], folder: Path) -> list[str]:
    """Return those of the files, given relative to the recipe's folder, that no workspace contains.

    A workspace that contains the recipe itself may contain its raw files as well, but not in its own folders.
    """
    recipe_folder = folder.resolve()

    @functools.cache
    def is_inside(path: Path) -> bool:
        if _is_workspace(path) and not recipe_folder.is_relative_to(path):
            return True
        if path.name in _FOLDERS and _is_workspace(path.parent):
            return True
        return path != path.parent and is_inside(path.parent)

    parents = {name: (folder / name).parent for name in names}
    inside = {parent: is_inside(parent.resolve()) for parent in set(parents.values())}
    return [name for name, parent in parents.items() if not inside[parent]]


def _is_workspace(folder: Path) -> bool:
    try:
        lines = (folder / _SETTINGS).read_bytes().splitlines()
    except OSError:
        return False
    return all(any(line.startswith(key) for line in lines) for key in _KEYS)
