"""Find the data files that ship with curate, in a wheel and in a checkout alike; a user's own file wins."""

import difflib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from curate.errors import InvalidInput

FOLDERS = ("schemas", "recipes", "annotation_ui_configs", "data_cards")


def shipped(folder: str) -> Path:
    """The shipped copy of one of ``FOLDERS``: under ``curate/_assets`` in a wheel, beside ``curate/`` in a checkout."""
    package = Path(__file__).parent
    for root in (package / "_assets", package.parent):
        if (root / folder).is_dir():
            return root / folder
    raise PackageNotFoundError(f"curate's data folder {folder!r}")


def find_asset(folder: str, name: str, *, suffix: str, beside: Path | None = None) -> Path:
    """The file ``name`` + ``suffix``: beside the recipe first, then under ``<beside>/<folder>``, then the shipped one.

    Raises ``InvalidInput`` naming the nearest existing names when there is none.
    """
    for root in search_roots(folder, beside):
        candidate = root / f"{name}{suffix}"
        if candidate.is_file() and candidate.resolve().is_relative_to(root.resolve()):
            return candidate
    names = sorted(list_assets(folder, suffix=suffix, beside=beside))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"valid: {', '.join(names) or 'none'}"
    raise InvalidInput(f"there is no {folder} file named {name!r}", hint=hint)


def list_assets(folder: str, *, suffix: str, beside: Path | None = None) -> dict[str, Path]:
    """Every reachable file of a folder by name, the user's own before the shipped ones."""
    found: dict[str, Path] = {}
    for root in search_roots(folder, beside):
        if root == beside:  # a folder of recipes, whose files are not all assets
            continue
        for path in sorted(root.glob(f"*{suffix}")):
            found.setdefault(path.name.removesuffix(suffix), path)
    return found


def search_roots(folder: str, beside: Path | None) -> list[Path]:
    """The folders searched for an asset, in order of precedence."""
    own = [beside, beside / folder, beside / Path(folder).name] if beside else []
    top, _, rest = folder.partition("/")
    return [root for root in (*own, shipped(top) / rest) if root.is_dir()]
