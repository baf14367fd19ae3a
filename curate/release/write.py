"""Plan a release from released rows, and write it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.files import canonical_json
from curate.labels import LabelSchema, compile_features
from curate.release.features import MEDIA
from curate.release.manifest import CARD, Manifest, content_hash
from curate.release.rows import ReleaseRows
from curate.release.shards import SizedRow, cut_shards, describe_file, shard_path, write_shard
from curate.release.statistics import Statistics
from curate.release.versions import Releases
from curate.storage.blobs import Blobs


@dataclass(frozen=True)
class Plan:
    """A release that could be written: the items of each split in order, their sizes in bytes, hash and statistics."""

    splits: dict[str, list[str]]
    sizes: dict[str, int]
    content_sha256: str
    statistics: Statistics


def plan_release(
    rows: ReleaseRows,
    item_ids: Sequence[str],
    splits: Mapping[str, str],
    labels: LabelSchema,
    blobs: Blobs,
    *,
    names: Iterable[str],
) -> Plan:
    """Read every row once, without its media, and return what a release with the splits ``names`` would hold."""
    items_by_split: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    statistics = Statistics(labels)
    size = blobs.sizes()

    def lines() -> Iterator[bytes]:
        for split in names:
            members = [item for item in item_ids if splits[item] == split]
            if members:
                items_by_split[split] = members
            for item_id, row in zip(members, rows.rows(members), strict=True):
                line = canonical_json([split, row])
                sizes[item_id] = len(line) + sum(size(row[name]) for name in MEDIA if row[name])
                statistics.add(split, row)
                yield line

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
    card: Callable[[], str],
) -> Manifest:
    """Write the planned release and return its manifest; ``about`` holds the manifest's version, recipe and tool."""
    features = compile_features(labels)
    with releases.building(about["version"]) as folder:
        files = []
        for split, item_ids in plan.splits.items():
            cuts = cut_shards([plan.sizes[item] for item in item_ids], max_shard_bytes)
            for number, cut in enumerate(cuts):
                path = shard_path(split, number, len(cuts))
                sizes = (plan.sizes[item] for item in item_ids[cut])
                sized = map(SizedRow, rows.rows(item_ids[cut]), sizes)
                written = write_shard(folder / path, sized, features, blobs)
                files.append(describe_file(folder, path, rows=written))
        (folder / CARD).write_text(card(), encoding="utf-8")
        manifest = Manifest(
            **about,
            label_schema=labels.name,
            label_schema_sha256=labels.sha256,
            content_sha256=plan.content_sha256,
            splits={split: len(item_ids) for split, item_ids in plan.splits.items()},
            files=(describe_file(folder, CARD), *files),
        )
        manifest.write(folder)
    return manifest
