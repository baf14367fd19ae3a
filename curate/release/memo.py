"""A note of the content that given inputs lead to, so that a run with nothing new reads no rows."""

import json
from contextlib import suppress
from pathlib import Path

from curate.errors import StorageFailed
from curate.files import read_json_object, write_whole

FILE = ".release-memo.json"
"""The file of the note in a workspace."""


def recall(root: Path, inputs: str) -> str | None:
    """Return the content hash noted last for these inputs in the folder ``root``, or None."""
    memo = read_json_object(root / FILE)
    return memo.get("content") if memo.get("inputs") == inputs else None


def note(root: Path, inputs: str, content: str) -> None:
    """Note the content hash of these inputs; failing to write it only costs time."""
    with suppress(StorageFailed):
        write_whole(root / FILE, json.dumps({"inputs": inputs, "content": content}))
