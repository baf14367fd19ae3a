"""The hash of a content: of columns and rows, whatever wrote their bytes, and read back from the shards."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curate.corpus.identity import join_objects, json_rows, json_values
from curate.files import canonical_json
from curate.labels import Feature
from curate.release.diff import open_shards, read_rows
from curate.release.features import MEDIA
from curate.release.manifest import Manifest, content_hash
from curate.release.read import Shard, open_shard
from curate.release.signals import FEATURES, FOLDER, sum_signals

_ROWS = 20_000


def content_header(
    features: Mapping[str, Feature],
    label_schema_sha256: str,
    raters: pa.Table | None,
    signals: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what the hash of a content covers besides the rows of items; ``signals`` holds a hash for each."""
    header: dict[str, Any] = {"features": dict(features), "labels": label_schema_sha256}
    header |= {"signals": dict(signals)} if signals else {}
    return header if raters is None else header | {"raters": list(json_rows(raters))}


def content_line(split: str, row: str) -> bytes:
    """Return the bytes that are hashed for a row in canonical JSON."""
    return f"[{canonical_json(split).decode()},{row}]".encode("utf-8", "surrogatepass")


def read_content_hash(folder: Path, manifest: Manifest) -> str:
    """Return the hash of the content that the shards in a folder have now.

    Raises ``WorkspaceUnusable`` for a shard that cannot be read.
    """
    shards, features = open_shards(folder, manifest.files)
    raters = [parquet.read_table(folder / file.path) for file in manifest.files if file.path.startswith("raters/")]
    table_of_raters = pa.concat_tables(raters) if raters else None
    signals = read_signal_hashes(folder, manifest)
    header = content_header(features, manifest.label_schema_sha256, table_of_raters, signals)
    return content_hash(header, _lines(shards, sorted(features), manifest))


def read_signal_hashes(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Return the hash of each signal that the files in a folder have now. Raises ``WorkspaceUnusable``."""
    files = [file for file in manifest.files if file.path.startswith(f"{FOLDER}/")]
    parts = (
        (PurePosixPath(file.path).name.rsplit("-", 3)[0], table)
        for file in files
        for table in open_shard(folder / file.path, release=str(folder)).batches(list(FEATURES))
    )
    return sum_signals(parts).hashes


def _lines(shards: Sequence[tuple[str, Shard]], names: Sequence[str], manifest: Manifest) -> Iterator[bytes]:
    for split in manifest.splits:
        members = [shard for shard in shards if shard[0] == split]
        if not members:
            continue
        table = read_rows(members, names)
        order = pc.sort_indices(table["item_id"])
        for start in range(0, len(order), _ROWS):
            rows = table.take(order.slice(start, _ROWS))
            columns = [json_values(_blob_names(rows[name]) if name in MEDIA else rows[name]) for name in names]
            yield from (content_line(split, row) for row in join_objects(rows.num_rows, names, columns))


def _blob_names(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the names of blobs, which begin with a folder, of released files."""
    names = pc.struct_field(paths, "path")
    return pc.binary_join_element_wise(pc.utf8_slice_codeunits(names, 0, 2), names, "/")
