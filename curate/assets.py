"""Find the data files that ship with curate, in a wheel and in a checkout alike; a user's own file wins."""

import difflib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from curate.errors import InvalidInput


def shipped_folder(name: str) -> Path:
    """Return one of the data folders, such as ``schemas`` or ``recipes``.

    They are under ``curate/_assets`` in a wheel and next to ``curate/`` in a checkout.
    """
    package = Path(__file__).parent
    for root in (package / "_assets", package.parent):
        if (root / name).is_dir():
            return root / name
    raise PackageNotFoundError(f"curate's data folder {name!r}")


def find_asset(folder: str, name: str, *, suffix: str, user_folder: Path | None = None) -> Path:
    """Return the file ``name`` + ``suffix``: in ``user_folder``, in ``<user_folder>/<folder>``, or the shipped one.

    Raises ``InvalidInput`` with the most similar name if there is no such file.
    """
    for root in _search_folders(folder, user_folder):
        path = root / f"{name}{suffix}"
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return path
    names = sorted(list_assets(folder, suffix=suffix, user_folder=user_folder))
    similar = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {similar[0]}?" if similar else f"valid: {', '.join(names) or 'none'}"
    raise InvalidInput(f"there is no {folder} file named {name!r}", hint=hint)


def list_assets(folder: str, *, suffix: str, user_folder: Path | None = None) -> dict[str, Path]:
    """Return all files of a folder by name, the user's own before the shipped ones.

    Files directly in ``user_folder`` are left out: it may hold files of all kinds.
    """
    assets: dict[str, Path] = {}
    for root in _search_folders(folder, user_folder):
        if root != user_folder:
            for path in sorted(root.glob(f"*{suffix}")):
                assets.setdefault(path.name.removesuffix(suffix), path)
    return assets


def _search_folders(folder: str, user_folder: Path | None) -> list[Path]:
    """Return the folders searched for an asset, in order of precedence."""
    top, _, rest = folder.partition("/")
    user = [user_folder, user_folder / folder, user_folder / Path(folder).name] if user_folder else []
    return [root for root in (*user, shipped_folder(top) / rest) if root.is_dir()]
