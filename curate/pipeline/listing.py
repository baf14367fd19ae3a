"""What the last run found outside the workspace, kept so that other commands need no raw files."""

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import parquet

from curate.storage.workspace import Workspace

_FILE = "listing.parquet"
_SCHEMA = pa.schema([("stage", pa.string()), ("identity", pa.string()), ("works", pa.list_(pa.string()))])


def read_listing(workspace: Workspace) -> dict[str, pa.ChunkedArray]:
    """Return the work that the last run found, by the identity of the stage; empty before the first run."""
    return {identity: works for _, identity, works in _rows(_read(workspace))}


def listed_stages(workspace: Workspace) -> set[str]:
    """Return the identities of the stages whose work is listed."""
    return set(_read(workspace, ["identity"])["identity"].to_pylist())


def store_listing(workspace: Workspace, stage: str, works: Mapping[str, pa.ChunkedArray]) -> None:
    """Replace the work of all stages of one name, by identity. The caller holds the workspace's lock."""
    before = _read(workspace)
    rows = [row for row in _rows(before) if row[0] != stage]
    rows += [
        (stage, identity, pa.chunked_array([*work_ids.chunks], pa.string())) for identity, work_ids in works.items()
    ]
    offsets = [0]
    for _, _, work_ids in rows:
        offsets.append(offsets[-1] + len(work_ids))
    flat = pa.chunked_array(
        [chunk for _, _, work_ids in rows for chunk in work_ids.chunks], pa.string()
    ).combine_chunks()
    columns = [[name for name, *_ in rows], [identity for _, identity, _ in rows]]
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)
    now = pa.Table.from_arrays([*(pa.array(column, pa.string()) for column in columns), lists], schema=_SCHEMA)
    if now != before:
        stream = io.BytesIO()
        parquet.write_table(now, stream, compression="zstd", use_dictionary=["stage", "identity"])
        with workspace.folder.errors():
            workspace.folder.write(_FILE, stream.getvalue())


def _rows(table: pa.Table) -> list[tuple[str, str, pa.ChunkedArray]]:
    columns = (table[name].to_pylist() for name in ("stage", "identity"))
    works = (pa.chunked_array([scalar.values]) for scalar in table["works"])
    return list(zip(*columns, works, strict=True))


def _read(workspace: Workspace, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        return parquet.read_table(io.BytesIO(workspace.folder.read(_FILE)), schema=_SCHEMA, columns=columns)
    except (FileNotFoundError, pa.ArrowException):
        # A listing that cannot be read is one that the next run makes again.
        return _SCHEMA.empty_table()
