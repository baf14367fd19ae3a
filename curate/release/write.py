"""Plan a release from released rows, and write it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.errata import Erratum
from curate.corpus.errata import to_lines as to_lines_of
from curate.labels import LabelSchema
from curate.memory import drop_mapped_pages
from curate.release.columns import Indices
from curate.release.configurations import Configuration, Writer, raters_of
from curate.release.content import content_header, content_line
from curate.release.diff import Content, compare, open_shards, read_content
from curate.release.features import MEDIA
from curate.release.history import Step, change_log, first_step, step_after_withdrawal
from curate.release.manifest import CHANGES, ERRATA, Manifest, content_hash
from curate.release.propose import next_step
from curate.release.rows import ReleaseRows, to_lines
from curate.release.schemes import SchemeFacts
from curate.release.semver import parse_version
from curate.release.shards import ReleaseFile, describe_file
from curate.release.signals import ReleasedSignals, SignalSums
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
    hidden: Collection[str] = ()
    """The splits whose labels and judgements are left out"""
    signals: SignalSums = field(default_factory=SignalSums)
    """What the signals of the items amount to"""


class ManifestHeader(NamedTuple):
    """What a manifest says besides the content; ``version`` is the one that the user named, if any."""

    version: str | None
    recipe: str
    schemes: Mapping[str, SchemeFacts]
    tool: str


class Written(NamedTuple):
    """What documents can say of a release: the history with this version last, what it holds, and its Parquet files."""

    history: tuple[Step, ...]
    configurations: list[Configuration]
    files: tuple[ReleaseFile, ...] = ()


def plan_release(
    rows: ReleaseRows,
    items: Indices,
    splits: pa.Array,
    labels: LabelSchema,
    blobs: Blobs,
    *,
    names: Sequence[str],
    hidden: Collection[str] = (),
    raters: Mapping[str, Mapping[str, str]] | None = None,
    signals: ReleasedSignals | None = None,
) -> Plan:
    """Read every row once, without its media, and return what a release with the splits ``names`` would hold.

    ``splits`` holds the split of each of the items of ``rows``; nothing is said of the labels of ``hidden`` splits.
    """
    items_by_split: dict[str, Indices] = {}
    sums = SignalSums()
    sizes: dict[str, list[int]] = {}
    statistics = Statistics(labels, hidden)

    def lines() -> Iterator[bytes]:
        for split in names:
            is_member = pc.fill_null(pc.equal(splits, split), False)
            members = items[is_member.to_numpy(False)[items]]
            if len(members):
                items_by_split[split], sizes[split] = members, []
            for start in range(0, len(members), _ROWS):
                part = members[start : start + _ROWS]
                columns = rows.columns(part, with_json=True)
                statistics.add(split, columns, rows.source_numbers[part])
                encoded = [content_line(split, line) for line in to_lines(columns)]
                media = _media_sizes([columns[name].values for name in MEDIA], blobs)
                sizes[split] += [len(line) + size for line, size in zip(encoded, media, strict=True)]
                yield from encoded
                drop_mapped_pages()

    placed = items[splits.take(pa.array(items)).is_valid().to_numpy(False)]
    table = None if raters is None else raters_of(rows, placed, raters)
    if signals:
        for split in names:
            is_member = pc.fill_null(pc.equal(splits, split), False)
            for part in signals.all_tables(items[is_member.to_numpy(False)[items]]):
                sums.add(split, part)
    raters_table = table if table is not None and table.num_rows else None
    header = content_header(rows.features, labels.sha256, raters_table, sums.hashes)
    sha256 = content_hash(header, lines())
    return Plan(items_by_split, sizes, sha256, statistics, hidden, sums)


def write_release(
    plan: Plan,
    rows: ReleaseRows,
    labels: LabelSchema,
    blobs: Blobs,
    *,
    releases: Releases,
    header: ManifestHeader,
    max_shard_bytes: int,
    documents: Callable[[Written], Mapping[str, str]],
    errata: Sequence[Erratum] = (),
    raters: Mapping[str, Mapping[str, str]] | None = None,
    signals: ReleasedSignals | None = None,
) -> Manifest:
    """Write the planned release and return its manifest.

    Its version is proposed by what differs from the newest release of the recipe, unless ``header`` names one.
    ``documents`` makes the files beside the shards by name, the card among them. ``raters`` holds what raters, by
    pseudonym, say of themselves; None leaves them out. Raises ``InvalidInput`` if the version named is not greater than
    every version in use.
    """
    if header.version is not None:
        releases.check_new(header.version)
    with releases.building() as build:
        writer = Writer(folder := build.folder, blobs)
        writer.write_items(rows, plan.splits, plan.sizes, max_shard_bytes)
        writer.write_judgements(rows, plan.splits, labels)
        if raters is not None:
            writer.write_raters(rows, plan.splits, raters)
        if signals:
            writer.write_features(signals, rows, plan.splits, max_shard_bytes)
        files = writer.files
        content = Content("", labels.sha256, *open_shards(folder, files), plan.signals.hashes)
        history = next_history(releases, header.recipe, content, version=header.version, errata=len(errata))
        build.version = history[-1].version
        texts = {**documents(Written(history, writer.configurations, tuple(files))), CHANGES: change_log(history)}
        texts |= {ERRATA: to_lines_of(errata)} if errata else {}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        manifest = Manifest(
            version=build.version,
            recipe=header.recipe,
            label_schema=labels.name,
            label_schema_sha256=labels.sha256,
            content_sha256=plan.content_sha256,
            schemes=dict(header.schemes),
            splits={split: len(items) for split, items in plan.splits.items()},
            files=(*(describe_file(folder, name) for name in sorted(texts)), *files),
            history=history,
            tool=header.tool,
            signals=plan.signals.hashes,
            writer=f"pyarrow {pa.__version__}",
        )
        manifest.write(folder)
    return manifest


def next_history(
    releases: Releases, recipe: str, content: Content, *, version: str | None = None, errata: int = 0
) -> tuple[Step, ...]:
    """Return the history of a release with this content: that of the recipe's newest one, and one step more.

    ``errata`` counts all that are known; those of earlier releases are not new.
    """
    used = releases.used()
    newest = next((manifest for manifest in reversed(used) if manifest.recipe == recipe), None)
    if newest is None:
        version = version or (str(parse_version(used[-1].version).after("major")) if used else None)
        return (first_step(content.rows, version=version).model_copy(update={"errata": errata}),)
    new = max(0, errata - sum(step.errata for step in newest.history))
    if newest.version not in {manifest.version for manifest in releases.manifests(recipe)}:
        remaining = next(
            max(map(len, entry.splits.values()), default=0)
            for entry in releases.withdrawn()
            if entry.manifest.version == newest.version
        )
        rows = content.rows
        is_same_schema = newest.label_schema_sha256 == content.label_schema_sha256
        step = step_after_withdrawal(newest.version, used[-1].version, rows, is_same_schema=is_same_schema)
        gone = sum(newest.splits.values()) - remaining
        update = {"removed": gone, "errata": new} | ({"version": version} if version else {})
        return *newest.history, step.model_copy(update=update)
    difference = compare(read_content(releases.fetch(newest)), content)
    return *newest.history, next_step(difference, newest=used[-1].version, errata=new, version=version)


def _media_sizes(columns: Iterable[pa.Array], blobs: Blobs) -> list[int]:
    """Return the size of the media of each row."""
    size = blobs.sizes()
    by_column = [[size(name) if name else 0 for name in names.to_pylist()] for names in columns]
    return [sum(sizes) for sizes in zip(*by_column, strict=True)]
