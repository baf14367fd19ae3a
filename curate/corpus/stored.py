"""Everything that a workspace stores in tables, current or not, and the blobs that its rows name."""

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from curate.storage.delta import Table, TableSpec
from curate.storage.folder import Folder
from curate.storage.workspace import Workspace

BLOB = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")
"""The name of a blob."""


def stored_tables(workspace: Workspace) -> dict[str, Table]:
    """Return every stored table by its path below ``tables``: ``items``, or ``labels/utterance_emotion.v1``."""
    folder = workspace.folder.child("tables")
    paths = sorted({name.partition("/_delta_log/")[0] for name in folder.sizes() if "/_delta_log/" in name})
    tables = {}
    for path in paths:
        child: Folder = folder
        for part in path.split("/"):
            child = child.child(part)
        tables[path] = Table(child, TableSpec(path, pa.schema([]), ""))
    return tables


def blob_names(array: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, str]]:
    """Yield the names of blobs in a column, however deep in lists and structs, each with the index of its row."""
    if isinstance(array, pa.ChunkedArray):
        start = 0
        for chunk in array.chunks:
            yield from ((start + row, name) for row, name in blob_names(chunk))
            start += len(chunk)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        matches = pc.match_substring_regex(pc.fill_null(array, ""), f"^{BLOB.pattern}$")
        for row in pc.indices_nonzero(matches).to_pylist():
            yield row, array[row].as_py()
    elif pa.types.is_list(array.type):
        parents = pc.list_parent_indices(array).to_pylist()
        for index, name in blob_names(array.flatten()):
            yield parents[index], name
    elif pa.types.is_struct(array.type):
        for member in array.flatten():
            yield from blob_names(member)


def all_blob_names(table: pa.Table) -> set[str]:
    """Return the names of the blobs that rows name in any column."""
    return {name for column in table.columns for _, name in blob_names(column)}


def remove_unused_blobs(workspace: Workspace, names: set[str]) -> set[str]:
    """Remove those of the blobs that no stored row names, and return their names."""
    if not names:
        return set()
    used = set().union(*(all_blob_names(table.read_stored()) for table in stored_tables(workspace).values()))
    unused = names - used
    for name in sorted(unused):
        workspace.blobs.remove(name)
    return unused
