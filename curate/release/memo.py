"""A note of the content that given inputs lead to, so that a run with nothing new reads no rows."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import StorageFailed
from curate.files import canonical_json, read_json_object, write_whole

_FILE = ".release-memo.json"


class _Digest:
    """A writable file that keeps only the hash of what is written."""

    closed = False

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""

    def close(self) -> None:
        self.closed = True


def inputs_hash(header: Mapping[str, Any], tables: Iterable[pa.Table]) -> str:
    """Return a hash of settings and tables. Different inputs never have equal hashes; equal inputs nearly always do.

    Arrow does not define the memory under a null, so this is not an identity: use it only to skip work.
    """
    digest = _Digest()
    digest.write(canonical_json(header))
    for table in tables:
        with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), table.schema) as stream:
            stream.write_table(table.combine_chunks(), max_chunksize=100_000)
    return digest.sha256.hexdigest()


def recall(root: Path, inputs: str) -> str | None:
    """Return the content hash noted last for these inputs in the folder ``root``, or None."""
    memo = read_json_object(root / _FILE)
    return memo.get("content") if memo.get("inputs") == inputs else None


def note(root: Path, inputs: str, content: str) -> None:
    """Note the content hash of these inputs; failing to write it only costs time."""
    with suppress(StorageFailed):
        write_whole(root / _FILE, json.dumps({"inputs": inputs, "content": content}))
