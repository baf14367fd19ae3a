"""The rows of a written release as plain values, one after the other."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from curate.corpus.rewritten import SUFFIX
from curate.errors import InvalidInput, WorkspaceUnusable
from curate.labels import Feature, LabelSchema
from curate.labels.columns import EVIDENCE_COLUMNS, ITEM_COLUMNS, PRELABEL_MEMBERS
from curate.release.features import MEDIA
from curate.release.manifest import Manifest
from curate.release.read import Shard, open_shard

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_MAX_KEY = 60


class MediaFile(NamedTuple):
    """A file of a row: its name, made of the row's key and its column, and its bytes."""

    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        """The ending of its name, such as ``.flac``."""
        return PurePosixPath(self.name).suffix


class ReleasedRows:
    """A release as rows: ``features`` by column, the names of the label ``fields``, and the files of each split.

    ``labels`` is the label schema that it was made with, None if that is not at hand.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, *, labels: LabelSchema | None = None, reviewed_only: bool = False
    ) -> None:
        self.manifest, self.labels, self.reviewed_only = manifest, labels, reviewed_only
        self._shards: dict[str, list[Shard]] = {}
        for file in manifest.files:
            if file.split is not None:
                shard = open_shard(folder / file.path, release=manifest.version)
                self._shards.setdefault(file.split, []).append(shard)
        self.features = self._check_features()
        self.fields = [name for name in self.features["prelabel"] if name not in PRELABEL_MEMBERS]
        names_of = {name: class_names(self.features[name]) for name in self.fields}
        self.soft = {
            f"{name}_soft": names for name, names in names_of.items() if f"{name}_soft" in self.features and names
        }
        """The labels of each column of shares, in the order of its numbers"""
        self.not_reviewed = 0
        """Rows of the splits read so far that ``reviewed_only`` left out"""
        self._keys: dict[str, str] = {}
        self._taken: set[str] = set()
        self._next_numbers: Counter[str] = Counter()

    def _check_features(self) -> dict[str, Feature]:
        """Return the features of all shards. Raises ``WorkspaceUnusable`` if they differ or lack a column."""
        shards = [shard for shards in self._shards.values() for shard in shards]
        fields = [name for shard in shards[:1] for name in shard.features.get("prelabel", ())]
        fields = [name for name in fields if name not in PRELABEL_MEMBERS]
        names = (*ITEM_COLUMNS, *EVIDENCE_COLUMNS, "judgements", "prelabel", *fields)
        lacking = [name for name in names if not shards or any(name not in shard.features for shard in shards)]
        if lacking or any(shard.features != shards[0].features for shard in shards):
            problem = f"lacks column {lacking[0]}" if lacking else "has shards with different columns"
            raise WorkspaceUnusable(
                f"release {self.manifest.version} {problem}", hint="make it again with this version of curate"
            )
        return shards[0].features

    @property
    def splits(self) -> list[str]:
        """The names of the splits."""
        return list(self._shards)

    def rows(self, split: str, *, with_media: bool = True) -> Iterator[dict[str, Any]]:
        """Yield the rows of a split as released; without media, only the names of their files are read."""
        columns = list(self.features)
        if not with_media:
            columns = [f"{name}.path" if name in MEDIA else name for name in columns]
        seen_ids: set[str | None] = {None}
        for shard in self._shards[split]:
            for table in shard.batches(columns):
                for row in table.to_pylist():
                    if row["item_id"] in seen_ids:
                        raise _damaged(self.manifest, f"item {row['item_id']} is not there once and with an id")
                    seen_ids.add(row["item_id"])
                    if self.reviewed_only and not row["reviewed"]:
                        self.not_reviewed += 1
                    else:
                        yield row

    def plain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row without its media, as JSON has it: labels by name, and times as text."""
        try:
            plain = {name: to_plain(self.features[name], value) for name, value in row.items() if name not in MEDIA}
            for name in self.soft.keys() & plain.keys():
                if plain[name] is not None and len(plain[name]) != len(self.soft[name]):
                    raise IndexError(name)
            return plain
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(
                self.manifest, f"item {row['item_id']} has a value that its column does not allow"
            ) from error

    def answers(self, row: Mapping[str, Any], labels: LabelSchema) -> dict[str, Any]:
        """Return the values of a row in the form of the label schema, of the fields that have one.

        A text that was written anew for the label stands in for the one that was written for another.
        """
        rewritten = {name: row[f"{name}{SUFFIX}"] for name in self.fields if row.get(f"{name}{SUFFIX}") is not None}
        row = {**row, **rewritten}
        self.plain({name: value for name, value in row.items() if name in ("item_id", *self.fields)})
        try:
            stored = {
                name: field.from_release(row[name]) for name, field in labels.fields.items() if row[name] is not None
            }
            return {name: labels.fields[name].check(value) for name, value in stored.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self.manifest, f"item {row['item_id']} does not fit label schema {labels.name}") from error

    def key(self, item_id: str) -> str:
        """Return a name for the files of an item: letters, digits, dashes and underscores, different for every item."""
        if item_id not in self._keys:
            name = _UNSAFE.sub("_", item_id)[:_MAX_KEY]
            for number in count(self._next_numbers[name]):
                key = f"{name}_{number}" if number else name
                if key not in self._taken:
                    break
            self._keys[item_id], self._next_numbers[name] = key, number + 1
            self._taken.add(key)
        return self._keys[item_id]

    def media(self, row: Mapping[str, Any]) -> dict[str, MediaFile]:
        """Return the files of a row by column."""
        key = self.key(row["item_id"])
        present = {name: row[name] for name in MEDIA if row.get(name) and row[name].get("bytes") is not None}
        return {
            name: MediaFile(f"{key}.{name}{_suffix(value['path'])}", value["bytes"]) for name, value in present.items()
        }

    def need_labels(self) -> LabelSchema:
        """Return the label schema. Raises ``InvalidInput`` if it is not at hand."""
        if self.labels is None:
            name = self.manifest.label_schema
            raise InvalidInput(
                f"this shape needs the questions of label schema {name}, and the one of the release is not at hand",
                hint="name the workspace that made the release with -w",
            )
        return self.labels


def class_names(feature: Feature) -> list[str]:
    """Return the labels of a column of labels, however deep, or none."""
    if feature.get("_type") == "ClassLabel":
        return list(feature["names"])
    if feature.get("_type") == "List":
        return class_names(feature["feature"])
    return [] if "_type" in feature else class_names(feature.get("label", {"_type": "Value"}))


def to_plain(feature: Feature, value: Any) -> Any:
    """Return a released value as JSON has it: class ids as names, times as text, and null for what is no number.

    Raises ``IndexError`` for a class id that has no name.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    match feature.get("_type"):
        case "ClassLabel":
            if value < 0:
                raise IndexError(value)
            return feature["names"][value]
        case "List":
            return [to_plain(feature["feature"], entry) for entry in value]
        case "Value":
            return value.isoformat() if isinstance(value, datetime) else value
        case _:
            return {name: to_plain(member, value[name]) for name, member in feature.items()}


def _suffix(path: str | None) -> str:
    suffix = PurePosixPath(path or "").suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _damaged(manifest: Manifest, problem: str) -> WorkspaceUnusable:
    return WorkspaceUnusable(f"release {manifest.version}: {problem}", hint="restore the release from a copy")
