"""What the last run found outside the workspace, kept so that other commands need no raw files."""

import io
from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.storage.workspace import Workspace

_FILE = "listing.parquet"
_SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("identity", pa.string()),
        ("input_ids", pa.list_(pa.string())),
        ("works", pa.list_(pa.string())),
    ]
)


class Listing(NamedTuple):
    """The inputs that one stage found, by the stage's name and identity."""

    stage: str
    identity: str
    input_ids: Sequence[str]
    works: Sequence[str]


def read_listing(workspace: Workspace) -> dict[str, list[str]]:
    """Return the work that the last run found, by the identity of the stage; empty before the first run."""
    return {row["identity"]: row["works"] for row in _read(workspace).to_pylist()}


def count_missing(workspace: Workspace, stage: str, input_ids: Collection[str]) -> int:
    """Return how many inputs the last run found for the stages of one name that are not among ``input_ids``."""
    listed = (row["input_ids"] for row in _read(workspace).to_pylist() if row["stage"] == stage)
    return len({input_id for ids in listed for input_id in ids} - set(input_ids))


def store_listing(workspace: Workspace, stage: str, listings: Sequence[Listing]) -> None:
    """Replace what is stored for all stages of one name. The caller holds the workspace's lock."""
    before = _read(workspace)
    rows = [row for row in before.to_pylist() if row["stage"] != stage]
    now = pa.Table.from_pylist([*rows, *(row._asdict() for row in listings)], schema=_SCHEMA)
    if now != before:
        stream = io.BytesIO()
        parquet.write_table(now, stream, compression="zstd")
        with workspace.folder.errors():
            workspace.folder.write(_FILE, stream.getvalue())


def _read(workspace: Workspace) -> pa.Table:
    try:
        return parquet.read_table(io.BytesIO(workspace.folder.read(_FILE)), schema=_SCHEMA)
    except (FileNotFoundError, pa.ArrowException):
        # A listing that cannot be read is one that the next run makes again.
        return _SCHEMA.empty_table()
