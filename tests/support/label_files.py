"""Label schemas and taxonomies of a test's own."""

from pathlib import Path


def write_asset(folder: Path, kind: str, name: str, text: str) -> None:
    """Write a file of ``kind`` (labels or taxonomies) where a recipe in ``folder`` finds it."""
    path = folder / "schemas" / kind / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
