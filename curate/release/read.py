"""Read the shards of a release that anyone may have made or changed: what is not a shard is refused in one sentence."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from curate.errors import WorkspaceUnusable
from curate.labels import Feature, arrow_type
from curate.labels.features import scalar

_UNREADABLE = (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError)
_MAX_SHOWN = 60
_KEY = "item_id"


class _Refused(ValueError):
    """What a footer says that no release of ours says; the message is for users."""


class Shard(NamedTuple):
    """A shard: its file, its release as users name it, its features by column, and its number of rows."""

    path: Path
    release: str
    features: dict[str, Feature]
    rows: int

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns; ``audio.path`` is a member of a column. Raises ``WorkspaceUnusable``."""
        try:
            with parquet.ParquetFile(self.path) as file:
                return file.read(columns=list(columns))
        except _UNREADABLE as error:
            raise _unreadable(self.release, self.path, error) from error

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns, a row group at a time. Raises ``WorkspaceUnusable``."""
        try:
            with parquet.ParquetFile(self.path) as file:
                for number in range(file.num_row_groups):
                    yield file.read_row_group(number, columns=list(columns))
        except _UNREADABLE as error:
            raise _unreadable(self.release, self.path, error) from error


def open_shard(path: Path, *, release: str, key: str = _KEY) -> Shard:
    """Return the shard at ``path`` of the release that users know as ``release``.

    Raises ``WorkspaceUnusable`` unless its footer can be read and names the feature of every column as it is stored.
    """
    try:
        metadata = parquet.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        _check_struct(features, pa.struct(list(schema)), "the footer")
    except _UNREADABLE as error:
        raise _unreadable(release, path, error) from error
    if features.get(key) != scalar("string"):
        raise _unreadable(release, path, _Refused(f"it has no column {key} of texts"))
    return Shard(path, release, features, metadata.num_rows)


def _check_struct(feature: Any, kind: pa.StructType, name: str) -> None:
    if not isinstance(feature, dict):
        raise _Refused(f"{name} lists no features")
    stored = [field.name for field in kind]
    if list(feature) != stored:
        differing = sorted(set(feature) ^ set(stored)) or ["the order"]
        raise _Refused(f"{name} does not describe its columns: {_shortened(differing[0])} differs")
    for field in kind:
        _check(feature[field.name], field.type, field.name)


def _check(feature: Any, kind: pa.DataType, name: str) -> None:
    """Raise ``_Refused`` unless the feature is one that we write, and ``kind`` the type that it is stored as."""
    if not isinstance(feature, dict):
        raise _Refused(f"column {_shortened(name)} has {_shortened(feature)} as its feature")
    type_name = feature.get("_type")
    if type_name is None or isinstance(type_name, dict):
        if not pa.types.is_struct(kind):
            raise _Refused(f"column {_shortened(name)} is not stored as its feature says")
        _check_struct(feature, kind, f"column {_shortened(name)}")
    elif type_name == "List":
        if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise _Refused(f"column {_shortened(name)} is not stored as its feature says")
        _check(feature.get("feature"), kind.value_type, name)
    elif type_name not in ("Value", "ClassLabel", "Audio", "Image", "Video"):
        raise _Refused(f"column {_shortened(name)} has the unknown feature type {_shortened(type_name)}")
    elif type_name == "ClassLabel" and not _are_texts(feature.get("names")):
        raise _Refused(f"column {_shortened(name)} has labels without names")
    elif type_name == "Value" and not isinstance(feature.get("dtype"), str):
        raise _Refused(f"column {_shortened(name)} has no type")
    elif not arrow_type(feature).equals(kind):
        raise _Refused(f"column {_shortened(name)} is not stored as its feature says")


def _are_texts(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _unreadable(release: str, path: Path, error: Exception) -> WorkspaceUnusable:
    reason = f": {error}" if isinstance(error, _Refused) else ""
    return WorkspaceUnusable(
        f"release {release}: {path.parent.name}/{path.name} cannot be read as a shard{reason}",
        hint="restore the release from a copy",
    )
