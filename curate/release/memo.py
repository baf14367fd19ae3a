"""Remember what content given inputs amount to, so that a run with nothing new looks at no single row."""

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
    """A file to write to that keeps only the hash."""

    closed = False

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


def inputs_hash(header: Mapping[str, Any], tables: Iterable[pa.Table]) -> str:
    """A hash of settings and tables. Equal inputs nearly always have equal hashes, and different ones never do.

    Arrow does not say what lies in memory under a null, so it is no identity: use it to skip work, nothing else.
    """
    digest = _Digest()
    digest.write(canonical_json(header))
    for table in tables:
        with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), table.schema) as stream:
            stream.write_table(table.combine_chunks(), max_chunksize=100_000)
    return digest.sha256.hexdigest()


def recall(root: Path, inputs: str) -> str | None:
    """The content hash last noted for these inputs in the folder ``root``."""
    noted = read_json_object(root / _FILE)
    return noted.get("content") if noted.get("inputs") == inputs else None


def note(root: Path, inputs: str, content: str) -> None:
    """Note what these inputs amount to; a note that cannot be written only costs time."""
    with suppress(StorageFailed):
        write_whole(root / _FILE, json.dumps({"inputs": inputs, "content": content}))
