"""The configurations of a release: what ``datasets.load_dataset(release, NAME)`` knows by name.

``default`` has one row an item with its media and everything else, so that one call gives what a model is trained on.
``labels`` has the same rows without media, in one row group, quick to load and to compare; both are joined by
``item_id``. So label columns are stored twice where there are media, which they are small beside; in exchange nobody
must join anything, and a change of labels leaves the bytes of media alone: they are stored without compression, in
files of their own columns' pages, which the Hub's storage recognises. Where there are no media, ``labels`` names the
files of ``default``. ``judgements`` has one row an answer, ``raters`` one row a rater, ``features`` one row for each
signal of an
item.

The files of ``default`` are cut by participant, or else source, so that forgetting one rewrites one of them: all
rows of an owner are in the file that a hash of its name selects. The number of files is a power of two: while it stays,
growth changes only the files that get rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curate.files import sha256_of
from curate.labels import Feature, LabelSchema
from curate.memory import release_memory
from curate.release.columns import Indices, combined
from curate.release.features import MEDIA, card_features
from curate.release.long import JUDGEMENT_FEATURES, judgement_rows, rater_features, rater_rows
from curate.release.rows import ReleaseRows
from curate.release.shards import ReleaseFile, cut_row_groups, cut_shards, describe_file, shard_path, write_shard
from curate.release.signals import FEATURES, FOLDER, ReleasedSignals
from curate.storage.blobs import Blobs

_MAX_FILES = 4_096


class Configuration(NamedTuple):
    """A configuration: its files by split, and what a card says of them."""

    name: str
    folder: str
    """Where its files are; ``labels`` may be the files of ``default``"""
    features: dict[str, Feature]
    rows: dict[str, int]
    """By split"""
    row_bytes: dict[str, int]
    """The size of the rows, not compressed"""
    file_bytes: dict[str, int]

    @property
    def card_features(self) -> list[dict[str, Any]]:
        """The columns in the form of ``dataset_info``."""
        return card_features(self.features)


class Writer:
    """Writes the files of configurations into the folder of a release."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self.folder, self._blobs = folder, blobs
        self.files: list[ReleaseFile] = []
        self.configurations: list[Configuration] = []

    def write_items(
        self, rows: ReleaseRows, splits: Mapping[str, Indices], sizes: Mapping[str, Sequence[int]], max_bytes: int
    ) -> None:
        """Write ``default``, and ``labels`` if that is something else."""
        has_media = rows.has_media(np.concatenate(list(splits.values())))
        for split, items in splits.items():
            parts = list(_cut_by_owner(items, sizes[split], rows.owners(items), max_bytes))
            release_memory()
            for number, (members, member_sizes) in enumerate(parts):
                groups = cut_row_groups(member_sizes, has_media=has_media)
                tables = (rows.table(members[group]) for group in groups)
                self._write(shard_path("data", split, number, len(parts)), tables, rows.features)
        size = {split: sum(sizes[split]) for split in splits}
        self._add("default", "data", rows.features, {split: len(items) for split, items in splits.items()}, size)
        if not has_media:
            self._add("labels", "data", rows.features, self.configurations[0].rows, size)
            return
        features = {name: feature for name, feature in rows.features.items() if name not in MEDIA}
        without_media = ((split, rows.table(items).drop_columns(list(MEDIA))) for split, items in splits.items())
        self._write_whole("labels", without_media, features)

    def write_judgements(self, rows: ReleaseRows, splits: Mapping[str, Indices], labels: LabelSchema) -> None:
        """Write ``judgements`` unless there are none."""
        tables = (
            (split, judgement_rows(*rows.acts(items), labels.fields, labels.name)) for split, items in splits.items()
        )
        self._write_whole(
            "judgements", ((split, table) for split, table in tables if table.num_rows), JUDGEMENT_FEATURES
        )

    def write_raters(
        self, rows: ReleaseRows, splits: Mapping[str, Indices], attributes: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Write ``raters`` unless nobody who judged has a name."""
        table = raters_of(rows, np.concatenate(list(splits.values())), attributes)
        if table.num_rows:
            self._write_whole("raters", [("train", table)], rater_features(table))

    def write_features(
        self, signals: ReleasedSignals, rows: ReleaseRows, splits: Mapping[str, Indices], max_bytes: int
    ) -> None:
        """Write ``features`` unless no item has a signal; files are cut by owner, as those of ``default`` are."""
        counts: dict[str, int] = {}
        row_bytes: dict[str, int] = {}
        for split, items in splits.items():
            parts = list(_cut_by_owner(items, signals.sizes(items), rows.owners(items), max_bytes))
            tables = [(members, sizes) for members, sizes in parts if signals.has_any(members)]
            for number, (members, sizes) in enumerate(tables):
                groups = signals.tables(members, cut_row_groups(sizes, has_media=True))
                written = self._write(shard_path(FOLDER, split, number, len(tables)), groups, FEATURES)
                counts[split] = counts.get(split, 0) + written
                row_bytes[split] = row_bytes.get(split, 0) + sum(sizes)
        if counts:
            self._add(FOLDER, FOLDER, FEATURES, counts, row_bytes)

    def _write_whole(self, name: str, tables: Iterable[tuple[str, pa.Table]], features: dict[str, Feature]) -> None:
        """Write a configuration without media as one row group for each split."""
        rows, row_bytes = {}, {}
        for split, table in tables:
            self._write(shard_path(name, split, 0, 1), [table], features)
            rows[split], row_bytes[split] = table.num_rows, table.nbytes
        if rows:
            self._add(name, name, features, rows, row_bytes)

    def _write(self, path: str, tables: Iterable[pa.Table], features: Mapping[str, Feature]) -> int:
        (self.folder / path).parent.mkdir(exist_ok=True)
        written = write_shard(self.folder / path, tables, features, self._blobs)
        self.files.append(describe_file(self.folder, path, rows=written))
        return written

    def _add(
        self, name: str, folder: str, features: dict[str, Feature], rows: dict[str, int], row_bytes: dict[str, int]
    ) -> None:
        sizes = {
            split: sum(file.size_bytes for file in self.files if file.path.startswith(f"{folder}/{split}-"))
            for split in rows
        }
        self.configurations.append(Configuration(name, folder, features, rows, row_bytes, sizes))


def raters_of(rows: ReleaseRows, items: Indices, attributes: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """Return the table of the raters of these items: see ``rater_rows``."""
    _, owners, raters, _ = rows.acts(items)
    return rater_rows(owners, raters, attributes)


def _cut_by_owner(
    items: Indices, sizes: Sequence[int], owners: pa.ChunkedArray, max_bytes: int
) -> Iterator[tuple[Indices, list[int]]]:
    """Yield the items of each file with their sizes: all rows of an owner in one, unless that is too large."""
    by_item = np.asarray(sizes, np.int64)
    encoded = combined(owners.dictionary_encode())
    owner_of = encoded.indices.to_numpy()
    hashes = np.array([int(sha256_of(name)[:8], 16) for name in encoded.dictionary.to_pylist()], np.int64)
    count = 1
    while count < _MAX_FILES and _is_overfull(hashes % count, owner_of, by_item, max_bytes):
        count *= 2
    file_of = (hashes % count)[owner_of]
    for number in range(count):
        members = np.flatnonzero(file_of == number)
        if len(members):
            for cut in cut_shards(by_item[members].tolist(), max_bytes):
                yield items[members[cut]], by_item[members[cut]].tolist()


def _is_overfull(file_of: Indices, owner_of: Indices, sizes: Indices, max_bytes: int) -> bool:
    """Return whether a file with rows of several owners is too large."""
    several = np.bincount(file_of)[file_of] > 1
    filled = np.bincount(file_of[owner_of], weights=sizes, minlength=int(file_of.max()) + 1)
    return bool((several & (filled[file_of] > max_bytes)).any())
