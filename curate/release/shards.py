"""Parquet shards: byte-identical for equal rows, and cut so that the Hub stores unchanged parts once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.files import sha256_of_file
from curate.labels import Feature
from curate.release.features import MEDIA, arrow_schema
from curate.storage.blobs import BlobMissing, Blobs

ROW_GROUP_BYTES = 32 * 2**20
ROW_GROUP_ROWS = 100_000

# Large row groups with content-defined chunks keep unchanged text in unchanged chunks after insertions.
_CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}


class SizedRow(NamedTuple):
    """A row whose media are names of blobs, and its approximate size with them."""

    row: Mapping[str, Any]
    size_bytes: int


class ReleaseFile(NamedTuple):
    """A file of a release: its path there, hash, size and, for a shard, number of rows."""

    path: str
    sha256: str
    size_bytes: int
    rows: int | None = None


def cut_shards(sizes: Sequence[int], max_bytes: int) -> list[slice]:
    """Return consecutive slices of rows of at most ``max_bytes`` each; a single row may be larger."""
    cuts, filled = [0], 0
    for index, size in enumerate(sizes):
        if filled and filled + size > max_bytes:
            cuts.append(index)
            filled = 0
        filled += size
    return [slice(start, end) for start, end in zip(cuts, [*cuts[1:], len(sizes)], strict=True) if start < end]


def shard_path(split: str, number: int, total: int) -> str:
    """Return the path of a shard in its release."""
    return f"data/{split}-{number:05d}-of-{total:05d}.parquet"


def write_shard(path: Path, rows: Iterable[SizedRow], features: Mapping[str, Feature], blobs: Blobs) -> int:
    """Write rows to ``path``, reading media one row group at a time, and return the number of rows."""
    schema = arrow_schema(dict(features))
    media = [f"{name}.bytes" for name in MEDIA]
    plain = [leaf for leaf in leaf_paths(schema) if leaf not in media]
    written = 0
    with parquet.ParquetWriter(
        path,
        schema,
        compression=dict.fromkeys(plain, "zstd") | dict.fromkeys(media, "none"),
        # By default the smallest and largest picture of every row group would be copied into the footer.
        write_statistics=plain,
        use_dictionary=plain,
        use_content_defined_chunking=_CHUNKING,
        write_page_index=True,
    ) as writer:
        for group in _row_groups(rows):
            bytes_of = _read_media(group, blobs)
            loaded = [_with_media(row, bytes_of) for row in group]
            writer.write_table(pa.Table.from_pylist(loaded, schema=schema), row_group_size=len(loaded))
            written += len(loaded)
    return written


def describe_file(folder: Path, path: str, *, rows: int | None = None) -> ReleaseFile:
    """Return the hash and size of a file of a release."""
    return ReleaseFile(path, sha256_of_file(folder / path), (folder / path).stat().st_size, rows)


def leaf_paths(schema: pa.Schema) -> list[str]:
    """Return the columns by their Parquet names, such as ``judgements.list.element.annotator``."""
    return [path for field in schema for path in _leaves(field.name, field.type)]


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for member in kind:
            yield from _leaves(f"{path}.{member.name}", member.type)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path


def _row_groups(rows: Iterable[SizedRow]) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    filled = 0
    for row, size in rows:
        if group and (filled + size > ROW_GROUP_BYTES or len(group) == ROW_GROUP_ROWS):
            yield group
            group, filled = [], 0
        group.append(row)
        filled += size
    if group:
        yield group


def _read_media(group: Sequence[Mapping[str, Any]], blobs: Blobs) -> dict[str, bytes]:
    """Read the media of rows. Raises ``BlobMissing`` with the items that need the blob."""
    try:
        return blobs.read_many(row[name] for row in group for name in MEDIA if row[name])
    except BlobMissing as error:
        items = [row["item_id"] for row in group if error.name in (row[name] for name in MEDIA)]
        of = f" of item {', '.join(items[:3])}{f' and {len(items) - 3} more' if len(items) > 3 else ''}"
        raise BlobMissing(f"the media{of} cannot be released: {error.message}", hint=error.hint) from error


def _with_media(row: Mapping[str, Any], bytes_of: Mapping[str, bytes]) -> dict[str, Any]:
    loaded = dict(row)
    for name in MEDIA:
        if blob := row[name]:
            loaded[name] = {"bytes": bytes_of[blob], "path": PurePosixPath(blob).name}
    return loaded
