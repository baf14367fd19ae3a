"""The export stage: labels become a release of Parquet shards, manifest and data card."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate import __version__
from curate.assets import find_asset
from curate.corpus.consent import Expired, expired_consent
from curate.corpus.pseudonyms import pseudonym
from curate.corpus.set_aside import set_aside
from curate.corpus.splits import Separation, SplitSettings, separations, split_items, with_participants
from curate.corpus.view import Corpus
from curate.document import read_text
from curate.errors import InvalidInput
from curate.files import digest
from curate.release.columns import Indices
from curate.release.licences import Combination, check_licences, combine_licences
from curate.release.manifest import Manifest
from curate.release.memo import note, recall
from curate.release.rows import ITEM_COLUMNS, PRELABEL_COLUMNS, SOURCE_COLUMNS, ReleaseRows, ReleaseTables
from curate.release.semver import FIRST, VersionName
from curate.release.versions import Releases
from curate.release.write import About, Plan, plan_release, write_release
from curate.sentences import count_of, verb_of
from curate.stages.capabilities import Dividing
from curate.stages.contract import DriverStage, Forecast, Receipt, Tools
from curate.stages.released_card import card_facts, licence_notes, losses, media_left_out, withheld_items
from curate.stages.released_documents import licence_facts, people_facts, release_documents
from curate.stages.released_media import ReleasedMedia

Medium = Literal["audio", "audio_b", "video", "video_b", "image", "face"]
Key = Literal["source", "speaker", "participant", "identity", "group"]
MEGABYTE = 2**20
_MAX_PROBLEMS = 20
_SPLIT = re.compile(r"[A-Za-z]\w{0,39}")
_LABEL = ("item_id", "label_source", "raters", "agreement", "decisions", "soft", "evidence")
_ANNOTATION = (
    "annotation_id",
    "judgement_id",
    "item_id",
    "annotator",
    "arm",
    "action",
    "acted_at",
    "cannot_judge",
    "origins",
)


class Split(BaseModel):
    """The share of each split by name, and the properties that no two splits may have in common."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    disjoint_by: tuple[Key, ...] = ("source", "speaker")
    """``identity`` is the person whose face an item shows; it needs a model pack with a recognition network."""

    @model_validator(mode="after")
    def _check_ratios(self) -> "Split":
        for name, ratio in self.ratios.items():
            if not _SPLIT.fullmatch(name) or name == "all":
                raise ValueError(f"{name!r} cannot name a split: use letters, digits and underscores, and not 'all'")
            if not 0 < ratio <= 1:
                raise ValueError(f"the share of {name} is {ratio:g}, and must be above 0 and at most 1")
        if abs(sum(self.ratios.values()) - 1) > 1e-6:
            raise ValueError(f"the shares add up to {sum(self.ratios.values()):g} instead of 1")
        return self

    @property
    def ratios(self) -> Mapping[str, float]:
        """The share of each split."""
        return self.__pydantic_extra__ or {"train": 1.0}


class LicenceOverride(BaseModel):
    """The licence of the release where that of its sources does not follow by itself, and why it may have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: str = Field(min_length=1, max_length=200)
    """An SPDX name, or LicenseRef-<name>."""
    reason: str = Field(min_length=1, max_length=1_000)


class Export(DriverStage, Dividing):
    """Release every item with its labels, judgements and pre-label; the same content is never released twice."""

    stage: Literal["export"]
    split: Split = Split()
    release: VersionName | None = None
    """The version to make, such as 2.0.0, greater than those in use; by default the one that fits what changed."""
    reviewed_only: bool = False
    """Leave out items that nobody has judged."""
    media: tuple[Medium, ...] = get_args(Medium)
    """The media to release, of those that people are shown; viewing copies that are missing are made."""
    max_shard_mb: int = Field(default=500, ge=1, le=5_000)
    licence_override: LicenceOverride | None = None
    """By default the most restrictive licence of the sources; licences that exclude each other stop the export."""
    card: str = "default"
    """The data card's template, by its name in ``data_cards``."""

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Write a release, unless the newest one has the same content."""
        recipe = corpus.workspace.recipe or "corpus"
        releases = Releases(corpus.workspace.releases)
        settings = self.split_settings(tools.seed)
        inputs = self._inputs(corpus, tools, settings)
        expired = _expired(corpus, tools)
        if (content := recall(corpus.workspace.local, inputs)) and (same := self._same(releases, recipe, content)):
            return _unchanged(same, expired)
        tables, lacking = self._tables(corpus, tools, expired)
        rows = ReleaseRows(tables, tools.labels, secret=corpus.workspace.secret)
        items = rows.select(reviewed_only=self.reviewed_only)
        if not len(items):
            reason = "no item has been reviewed yet" if self.reviewed_only and tables.items.num_rows else "no items"
            reason = "; ".join([reason, *expired.sentences()])
            return Receipt(False, {"items": 0}, f"nothing to release: {reason}")
        combination = combine_licences(_licences(tables, items))
        if self.licence_override is None:
            check_licences(combination)
        earlier = releases.earlier_splits(recipe, settings.identity)
        splits = split_items(tables.items, tables.sources, settings, earlier)
        withheld = splits.take(pa.array(items)).null_count
        plan = plan_release(rows, items, splits, tools.labels, tools.blobs, names=self.split.ratios)
        separated = _separated(tables, plan, settings)
        if same := self._same(releases, recipe, plan.content_sha256):
            self._note(corpus, tools, settings, plan, lacking)
            return _unchanged(same, expired)
        about = About(self.release, recipe, settings.identity, f"curate {__version__}")
        licence = self.licence_override.licence if self.licence_override else combination.licence
        template, lost = _read_template(self.card, tools), losses(corpus)
        notices = [
            *licence_notes(corpus, tables, plan),
            *_licence_sentences(combination, self.licence_override),
            *lost,
            *withheld_items(withheld),
            *set_aside(corpus).sentences(),
            *expired.sentences(),
            *media_left_out(corpus, self.media, lacking),
        ]
        people = people_facts(corpus, tables, plan, tools)
        manifest = write_release(
            plan,
            rows,
            tools.labels,
            tools.blobs,
            releases=releases,
            about=about,
            max_shard_bytes=self.max_shard_mb * MEGABYTE,
            documents=lambda written: release_documents(
                template,
                card_facts(about, plan, tools.labels, tables, separated, written, notices, tools.credits)._replace(
                    **people, **licence_facts(licence)
                ),
                plan.statistics,
                written,
                tools.labels,
            ),
        )
        self._note(corpus, tools, settings, plan, lacking)
        message = self._message(releases, manifest, withheld, lacking)
        return Receipt(True, _counts(manifest), "; ".join([message, *lost, *expired.sentences()]))

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``."""
        recipe, releases = corpus.workspace.recipe or "corpus", Releases(corpus.workspace.releases)
        content = recall(corpus.workspace.local, self._inputs(corpus, tools, self.split_settings(tools.seed)))
        expired = _expired(corpus, tools)
        if content and (same := self._same(releases, recipe, content)):
            return Forecast(False, _unchanged(same, expired).message)
        before = releases.manifests(recipe)[-1:]
        unless = f", unless it would equal {before[0].version}" if before else ""
        proposed = f"the release after {before[0].version}" if before else f"release {FIRST}"
        writes = f"writes {f'release {self.release}' if self.release else proposed}{unless}"
        return Forecast(True, "; ".join([writes, *expired.sentences()]))

    def _tables(self, corpus: Corpus, tools: Tools, expired: Expired) -> tuple[ReleaseTables, list[str]]:
        """Return the tables with the media to release, and a sentence for each viewing copy that cannot be made."""
        tables = read_tables(corpus, tools)
        tables = tables._replace(items=_without(tables.items, expired))
        media = ReleasedMedia(tables.items, tools, self.media)
        wanted = tables.items
        if self.reviewed_only:
            people = tables.labels.filter(pc.equal(tables.labels["label_source"], "human"))
            wanted = wanted.filter(pc.is_in(wanted["item_id"], value_set=people["item_id"]))
        copies = media.make_copies(corpus, wanted, tools)
        if copies.made:
            tables = tables._replace(items=_without(read_items(corpus), expired))
        return tables._replace(items=media.select(tables.items)), copies.problems

    def _note(self, corpus: Corpus, tools: Tools, settings: SplitSettings, plan: Plan, lacking: Sequence[str]) -> None:
        """Note that the next run has nothing to do, unless a raw file may come back."""
        if not lacking:
            note(corpus.workspace.local, self._inputs(corpus, tools, settings), plan.content_sha256)

    def split_settings(self, seed: int) -> SplitSettings:
        """Return how items are divided in a recipe with this seed."""
        return SplitSettings(self.split.ratios, self.split.disjoint_by, seed)

    def _inputs(self, corpus: Corpus, tools: Tools, settings: SplitSettings) -> str:
        """Return a hash of everything that decides a release's content, earlier releases included: they fix splits."""
        releases = Releases(corpus.workspace.releases)
        earlier = [
            manifest.content_sha256
            for manifest in releases.manifests(corpus.workspace.recipe)
            if manifest.split_settings == settings.identity
        ]
        secret = [pseudonym("", corpus.workspace.secret), _expired(corpus, tools).source_ids]
        header = [__version__, settings.identity, self.reviewed_only, self.media, tools.labels.sha256, secret, earlier]
        states = [corpus.table(name).state() for name in ReleaseTables._fields]
        return digest([header, states, corpus.fingerprint()])

    def _same(self, releases: Releases, recipe: str, content_sha256: str) -> Manifest | None:
        manifests = releases.manifests(recipe)
        candidates = [m for m in manifests if m.version == self.release] if self.release else manifests[-1:]
        same = next((manifest for manifest in candidates if manifest.content_sha256 == content_sha256), None)
        if same is not None:
            releases.check(same)
        return same

    def _message(self, releases: Releases, manifest: Manifest, withheld: int, lacking: Sequence[str]) -> str:
        location = releases.location(manifest.version)
        empty = [name for name in self.split.ratios if name not in manifest.splits]
        warning = f"; too few independent items for split {', '.join(empty)}" if empty else ""
        notices = "".join(f"; {notice.rstrip('.')}" for notice in withheld_items(withheld))
        verb = verb_of(len(lacking), "is", "are")
        without = f"; {count_of(len(lacking), 'item')} {verb} without video: {lacking[0]}" if lacking else ""
        return f"release {manifest.version} ({manifest.history[-1].reason}) is in {location}{warning}{notices}{without}"


def read_tables(corpus: Corpus, tools: Tools) -> ReleaseTables:
    """Return the current tables that a release is joined from."""
    fields = tools.labels.fields
    return ReleaseTables(
        items=read_items(corpus),
        sources=corpus.read("sources", ["source_id", *SOURCE_COLUMNS, "participant"]),
        prelabels=corpus.read("prelabels", ["item_id", *PRELABEL_COLUMNS, *fields]),
        annotations=corpus.read("annotations", [*_ANNOTATION, *fields]),
        labels=corpus.read("labels", [*_LABEL, *fields]),
    )


def read_items(corpus: Corpus) -> pa.Table:
    """Return the current items with what decides their release."""
    return corpus.read("items", [*ITEM_COLUMNS, "layout", "language", "group", "face_id"])


def _separated(tables: ReleaseTables, plan: Plan, settings: SplitSettings) -> list[Separation]:
    """Return how far the planned splits are apart. Raises ``InvalidInput`` if they share what they must not."""
    splits = np.full(tables.items.num_rows, "", object)
    for name, members in plan.splits.items():
        splits[members] = name
    placed = pa.array(splits, pa.string(), mask=splits == "")
    separated = separations(with_participants(tables.items, tables.sources), placed, settings)
    problems = [
        f"{separation.key} {value} occurs in {' and '.join(names)}"
        for separation in separated
        for value, names in separation.leaks.items()
    ]
    if problems:
        raise InvalidInput(
            "earlier releases put items apart that now belong together, and items never move between splits",
            problems=tuple(problems[:_MAX_PROBLEMS]),
            hint="correct what they share, or change the recipe's `seed` to divide all items anew",
        )
    return separated


def _read_template(name: str, tools: Tools) -> str:
    path = find_asset("data_cards", name, suffix=".md", user_folder=tools.folder)
    return read_text(path)


def _licences(tables: ReleaseTables, items: Indices) -> list[str | None]:
    """Return the licences of the sources of these items."""
    sources = tables.items["source_id"].take(pa.array(items)).unique()
    licences: list[str | None] = (
        tables.sources.filter(pc.is_in(tables.sources["source_id"], value_set=sources))["licence"].unique().to_pylist()
    )
    return licences


def _licence_sentences(combination: Combination, override: LicenceOverride | None) -> list[str]:
    if override is None:
        return combination.sentences()
    stated = f"{override.licence} by decision of those who made this release, because {override.reason.rstrip('.')}."
    against = [f"Otherwise: {problem}." for problem in combination.problems]
    return [f"Licence: {stated}", *against, *combination.sentences()]


def _expired(corpus: Corpus, tools: Tools) -> Expired:
    sources = corpus.read("sources", ["source_id", "consent_until"])
    return expired_consent(corpus.read("items", ["source_id"]), sources, tools.today)


def _without(items: pa.Table, expired: Expired) -> pa.Table:
    is_expired = pc.is_in(items["source_id"], value_set=pa.array(expired.source_ids, pa.string()))
    return items.filter(pc.invert(is_expired)) if expired.items else items


def _unchanged(same: Manifest, expired: Expired) -> Receipt:
    message = f"release {same.version} holds all of this already"
    return Receipt(False, _counts(same), "; ".join([message, *expired.sentences()]))


def _counts(manifest: Manifest) -> dict[str, int]:
    return {"items": sum(manifest.splits.values()), "shards": sum(file.rows is not None for file in manifest.files)}
