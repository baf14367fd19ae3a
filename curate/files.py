"""Files that are written whole or not at all, SHA-256 hashes, and the canonical JSON behind identities."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from curate.errors import StorageFailed

PARTIAL = ".partial"
"""How the name of a file that is not complete ends."""
_WRITE_HINT = "free some space, fix the permissions, or choose another folder"
_serial = count()


@contextmanager
def replace_whole(
    path: Path, *, mode: int | None = None, sync: bool = False, hint: str = _WRITE_HINT
) -> Iterator[Path]:
    """Yield a new path to write to, which replaces ``path`` in one move when the block ends without an error.

    Missing folders are made. ``mode`` is that of the file from its first byte on. With ``sync``, the file survives a
    power cut once the block has ended. Raises ``StorageFailed`` for an ``OSError``, the block's own included.
    """
    if not path.name:
        raise StorageFailed(f"cannot write {path}: {os.strerror(errno.EISDIR)}", hint=hint)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode is not None:
            # A leftover of a killed process with the same id may have another mode.
            partial.unlink(missing_ok=True)
            partial.touch(mode=mode, exist_ok=False)
        yield partial
        if sync:
            sync_to_disk(partial)
        partial.replace(path)
        if sync:
            sync_to_disk(path.parent)
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}", hint=hint) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_whole(
    path: Path, data: bytes | str, *, mode: int | None = None, sync: bool = False, hint: str = _WRITE_HINT
) -> None:
    """Write a file in one step; text as UTF-8. Options and errors are those of ``replace_whole``."""
    content = data.encode() if isinstance(data, str) else data
    with replace_whole(path, mode=mode, sync=sync, hint=hint) as partial:
        partial.write_bytes(content)


def sync_to_disk(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if the file is missing, damaged or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def sha256_of(data: bytes | str) -> str:
    """Hexadecimal SHA-256 of bytes, or of text as UTF-8 (lone surrogates are encoded as they are)."""
    content = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content, read in pieces. Raises ``OSError``."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, hashlib.sha256).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, so that equal values give equal bytes; unknown types become ``str(value)``.

    Identities of rows and releases are hashes of these bytes: changing one byte would redo all work.
    """
    return _encode(value).encode("utf-8", "surrogatepass")


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return sha256_of(canonical_json(value))


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode
