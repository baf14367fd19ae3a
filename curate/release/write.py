"""Plan a release from released rows, and write it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.files import canonical_json
from curate.labels import LabelSchema, compile_features
from curate.release.columns import Indices
from curate.release.features import MEDIA
from curate.release.manifest import CARD, Manifest, content_hash
from curate.release.rows import ReleaseRows, to_lines
from curate.release.shards import cut_row_groups, cut_shards, describe_file, shard_path, write_shard
from curate.release.statistics import Statistics
from curate.release.versions import Releases
from curate.storage.blobs import Blobs

_ROWS = 20_000


@dataclass(frozen=True)
class Plan:
    """A release that could be written: the items of each split in order, their sizes in bytes, hash and statistics."""

    splits: dict[str, Indices]
    sizes: dict[str, list[int]]
    content_sha256: str
    statistics: Statistics


def plan_release(
    rows: ReleaseRows,
    items: Indices,
    splits: pa.Array,
    labels: LabelSchema,
    blobs: Blobs,
    *,
    names: Iterable[str],
) -> Plan:
    """Read every row once, without its media, and return what a release with the splits ``names`` would hold.

    ``splits`` holds the split of each of the items of ``rows``.
    """
    items_by_split: dict[str, Indices] = {}
    sizes: dict[str, list[int]] = {}
    statistics = Statistics(labels)

    def lines() -> Iterator[bytes]:
        for split in names:
            is_member = pc.fill_null(pc.equal(splits, split), False)
            members, prefix = items[is_member.to_numpy(False)[items]], f"[{canonical_json(split).decode()},"
            if len(members):
                items_by_split[split], sizes[split] = members, []
            for start in range(0, len(members), _ROWS):
                part = members[start : start + _ROWS]
                columns = rows.columns(part, with_json=True)
                statistics.add(split, columns, rows.source_numbers[part])
                encoded = [f"{prefix}{line}]".encode() for line in to_lines(columns)]
                media = _media_sizes([columns[name].values for name in MEDIA], blobs)
                sizes[split] += [len(line) + size for line, size in zip(encoded, media, strict=True)]
                yield from encoded

    header = {"features": compile_features(labels), "labels": labels.sha256}
    sha256 = content_hash(header, lines())
    return Plan(items_by_split, sizes, sha256, statistics)


def write_release(
    plan: Plan,
    rows: ReleaseRows,
    labels: LabelSchema,
    blobs: Blobs,
    *,
    releases: Releases,
    about: Mapping[str, Any],
    max_shard_bytes: int,
    card: Callable[[dict[str, int]], str],
) -> Manifest:
    """Write the planned release and return its manifest.

    ``about`` holds the manifest's version, recipe and tool; ``card`` makes the card from the bytes of each split.
    """
    features = compile_features(labels)
    with releases.building(about["version"]) as folder:
        files = []
        for split, items in plan.splits.items():
            cuts = cut_shards(plan.sizes[split], max_shard_bytes)
            for number, cut in enumerate(cuts):
                path, members = shard_path(split, number, len(cuts)), items[cut]
                groups = (rows.table(members[group]) for group in cut_row_groups(plan.sizes[split][cut]))
                files.append(describe_file(folder, path, rows=write_shard(folder / path, groups, features, blobs)))
        sizes = {split: sum(file.size_bytes for file in files if file.split == split) for split in plan.splits}
        (folder / CARD).write_text(card(sizes), encoding="utf-8")
        manifest = Manifest(
            **about,
            label_schema=labels.name,
            label_schema_sha256=labels.sha256,
            content_sha256=plan.content_sha256,
            splits={split: len(items) for split, items in plan.splits.items()},
            files=(describe_file(folder, CARD), *files),
        )
        manifest.write(folder)
    return manifest


def _media_sizes(columns: Iterable[pa.Array], blobs: Blobs) -> list[int]:
    """Return the size of the media of each row."""
    size = blobs.sizes()
    by_column = [[size(name) if name else 0 for name in names.to_pylist()] for names in columns]
    return [sum(sizes) for sizes in zip(*by_column, strict=True)]
