"""Parquet shards: byte-identical for equal rows, and cut so that the Hub stores unchanged parts once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.files import sha256_of_file
from curate.labels import Feature
from curate.memory import drop_mapped_pages
from curate.release.features import MEDIA, arrow_schema
from curate.storage.blobs import BlobMissing, Blobs

SPLIT_COLUMN = "split"
"""What tables read from several shards call the split of a row."""
ROW_GROUP_BYTES = 32 * 2**20
ROW_GROUP_ROWS = 100_000
TEXT_GROUP_BYTES = 256 * 2**20

# Large row groups with content-defined chunks keep unchanged text in unchanged chunks after insertions.
_CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}


class ReleaseFile(NamedTuple):
    """A file of a release: its path there, hash, size and, for a shard, number of rows."""

    path: str
    sha256: str
    size_bytes: int
    rows: int | None = None

    @property
    def split(self) -> str | None:
        """The split that a shard of items is of; None for other files."""
        is_shard = self.rows is not None and self.path.startswith("data/")
        return PurePosixPath(self.path).name.rsplit("-", 3)[0] if is_shard else None


def cut_shards(sizes: Sequence[int], max_bytes: int) -> list[slice]:
    """Return consecutive slices of rows of at most ``max_bytes`` each; a single row may be larger."""
    return _cut(sizes, max_bytes, len(sizes))


def cut_row_groups(sizes: Sequence[int], *, has_media: bool) -> list[slice]:
    """Return consecutive slices of the rows of a shard that are written, and held in memory, at once.

    Without media they are large: small ones would undo content-defined chunking.
    """
    if not has_media:
        return _cut(sizes, TEXT_GROUP_BYTES, len(sizes))
    return _cut(sizes, ROW_GROUP_BYTES, ROW_GROUP_ROWS)


def _cut(sizes: Sequence[int], max_bytes: int, max_rows: int) -> list[slice]:
    cuts, filled = [0], 0
    for index, size in enumerate(sizes):
        if index > cuts[-1] and (filled + size > max_bytes or index - cuts[-1] == max_rows):
            cuts.append(index)
            filled = 0
        filled += size
    return [slice(start, end) for start, end in zip(cuts, [*cuts[1:], len(sizes)], strict=True) if start < end]


def shard_path(folder: str, split: str, number: int, total: int) -> str:
    """Return the path of a shard in its release."""
    return f"{folder}/{split}-{number:05d}-of-{total:05d}.parquet"


def write_shard(path: Path, groups: Iterable[pa.Table], features: Mapping[str, Feature], blobs: Blobs) -> int:
    """Write row groups, whose media are names of blobs, to ``path``; return the number of rows."""
    schema = arrow_schema(dict(features))
    written = 0
    with open_writer(path, schema) as writer:
        for group in groups:
            loaded = _with_media(group, schema, blobs)
            writer.write_table(loaded, row_group_size=loaded.num_rows)
            written += loaded.num_rows
            del group, loaded
            drop_mapped_pages()
    return written


def open_writer(path: Path, schema: pa.Schema) -> parquet.ParquetWriter:
    """Return a writer of a shard with this schema; close it."""
    media = [f"{name}.bytes" for name in MEDIA if name in schema.names]
    plain = [leaf for leaf in leaf_paths(schema) if leaf not in media]
    return parquet.ParquetWriter(
        path,
        schema,
        compression=dict.fromkeys(plain, "zstd") | dict.fromkeys(media, "none"),
        # By default the smallest and largest picture of every row group would be copied into the footer.
        write_statistics=plain,
        use_dictionary=plain,
        use_content_defined_chunking=_CHUNKING,
        write_page_index=True,
    )


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


def _with_media(rows: pa.Table, schema: pa.Schema, blobs: Blobs) -> pa.Table:
    names = {name: rows[name].to_pylist() for name in MEDIA if name in schema.names}
    if not names:
        return pa.Table.from_arrays([rows[name] for name in schema.names], schema=schema)
    bytes_of = _read_media(rows["item_id"], names, blobs)
    columns = {name: rows[name] for name in schema.names}
    for name, column in names.items():
        files = [{"bytes": bytes_of[blob], "path": PurePosixPath(blob).name} if blob else None for blob in column]
        columns[name] = pa.array(files, schema.field(name).type)
    return pa.Table.from_arrays(list(columns.values()), schema=schema)


def _read_media(item_ids: pa.ChunkedArray, names: Mapping[str, Sequence[str | None]], blobs: Blobs) -> dict[str, bytes]:
    """Read the media of rows. Raises ``BlobMissing`` with the items that need the blob."""
    try:
        return blobs.read_many(blob for column in names.values() for blob in column if blob)
    except BlobMissing as error:
        rows = zip(item_ids.to_pylist(), *names.values(), strict=True)
        items = [item_id for item_id, *media in rows if error.name in media]
        of = f" of item {', '.join(items[:3])}{f' and {len(items) - 3} more' if len(items) > 3 else ''}"
        raise BlobMissing(f"the media{of} cannot be released: {error.message}", hint=error.hint) from error
