"""A page on the disk: whole or not there."""

import os
from contextlib import suppress
from pathlib import Path

from curate.errors import StorageFailed


def write_page(path: Path, page: str, *, what: str) -> Path:
    """Write ``page`` to ``path`` in one move, and give the path. Raises ``StorageFailed`` naming ``what`` it is."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StorageFailed(
            f"cannot write the {what} {path}: {error.strerror}",
            hint="free some space, mend the permissions, or choose another folder",
        ) from error
    return path
