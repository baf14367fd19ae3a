"""Lines of JSON, a file for each split that has any."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from curate.release.shapes.released import MediaFile, ReleasedRows
from curate.release.shapes.shape import Written


def write_lines(
    release: ReleasedRows,
    folder: Path,
    written: Written,
    lines_of: Callable[[dict[str, Any]], Iterable[Mapping[str, Any]]],
    *,
    guide: str,
) -> None:
    """Write ``<split>.jsonl`` with the lines of each row; ``guide`` says how to load ``{split}``."""
    for split in release.splits:
        path, count = folder / f"{split}.jsonl", 0
        with path.open("w", encoding="utf-8") as stream:
            for row in release.rows(split):
                for line in lines_of(row):
                    # Characters beyond ASCII are escaped only where UTF-8 has none for them.
                    text = json.dumps(line, ensure_ascii=False)
                    stream.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
                    count += 1
        if count:
            written.counts["lines"] += count
            written.files = {**written.files, split: path.name}
        else:
            path.unlink()
    written.guide = guide.format(split=next(iter(written.files), "train"))


def turns_of(row: Mapping[str, Any]) -> str:
    """Return the dialogue of a row, a line for each turn; empty if it has none."""
    return "\n".join(f"{turn['speaker'] or 'Somebody'}: {turn['text']}" for turn in row["dialogue"] or ())


def save_media(folder: Path, file: MediaFile) -> str:
    """Write a file below ``media``, if it is not there, and return its path in the folder."""
    path = folder / "media" / file.name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file.data)
    return f"media/{file.name}"
