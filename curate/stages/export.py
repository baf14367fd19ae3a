"""The export stage: labels become a release of Parquet shards, manifest and data card."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate import __version__
from curate.assets import find_asset
from curate.corpus.splits import SplitSettings, split_items
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.files import digest
from curate.hub.card import CardFacts, render_card
from curate.labels import compile_features
from curate.media.faces.insightface import licence_note
from curate.release.features import card_features
from curate.release.manifest import Manifest, VersionName
from curate.release.memo import note, recall
from curate.release.rows import ITEM_COLUMNS, PRELABEL_COLUMNS, SOURCE_COLUMNS, ReleaseRows, ReleaseTables, pseudonym
from curate.release.versions import Releases
from curate.release.write import Plan, plan_release, write_release
from curate.stages.capabilities import Dividing
from curate.stages.contract import DriverStage, Receipt, Tools

Key = Literal["source", "speaker", "participant", "identity", "group"]
MEGABYTE = 2**20
_MAX_NAMED = 3
_SPLIT = re.compile(r"[A-Za-z]\w{0,39}")
_LABEL = ("item_id", "label_source", "raters", "agreement", "soft", "evidence")
_ANNOTATION = ("annotation_id", "judgement_id", "item_id", "annotator", "action", "acted_at", "origins")


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


class Export(DriverStage, Dividing):
    """Release every item with its labels, judgements and pre-label; the same content is never released twice."""

    stage: Literal["export"]
    split: Split = Split()
    release: VersionName | None = None
    """The version to make; by default the next of v1, v2, …"""
    reviewed_only: bool = False
    """Leave out items that nobody has judged."""
    max_shard_mb: int = Field(default=500, ge=1, le=5_000)
    card: str = "default"
    """The data card's template, by its name in ``data_cards``."""

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Write a release, unless the newest one has the same content."""
        recipe = corpus.workspace.recipe or "corpus"
        releases = Releases(corpus.workspace.releases)
        settings = self.split_settings(tools.seed)
        inputs = self._inputs(corpus, tools, settings)
        if (content := recall(corpus.workspace.local, inputs)) and (same := self._same(releases, recipe, content)):
            return _unchanged(same)
        tables = read_tables(corpus, tools)
        rows = ReleaseRows(tables, tools.labels, secret=corpus.workspace.secret)
        items = rows.select(reviewed_only=self.reviewed_only)
        if not len(items):
            reason = "no item has been reviewed yet" if self.reviewed_only and tables.items.num_rows else "no items"
            return Receipt(False, {"items": 0}, f"nothing to release: {reason}")
        earlier = releases.earlier_splits(recipe, settings.identity)
        splits = split_items(tables.items, tables.sources, settings, earlier)
        plan = plan_release(rows, items, splits, tools.labels, tools.blobs, names=self.split.ratios)
        if same := self._same(releases, recipe, plan.content_sha256):
            note(corpus.workspace.local, inputs, plan.content_sha256)
            return _unchanged(same)
        about = {
            "version": self.release or releases.next_version(),
            "number": releases.next_number(),
            "recipe": recipe,
            "split_settings": settings.identity,
            "tool": f"curate {__version__}",
        }
        template = _read_template(self.card, tools)
        notices = [*_notices(corpus, tables, rows, plan), *_losses(corpus)]
        manifest = write_release(
            plan,
            rows,
            tools.labels,
            tools.blobs,
            releases=releases,
            about=about,
            max_shard_bytes=self.max_shard_mb * MEGABYTE,
            card=lambda: render_card(template, self._facts(about, plan, tools, notices), plan.statistics),
        )
        note(corpus.workspace.local, self._inputs(corpus, tools, settings), plan.content_sha256)
        return Receipt(True, _counts(manifest), self._message(releases, manifest))

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
        secret = pseudonym("", corpus.workspace.secret)
        header = [__version__, settings.identity, self.reviewed_only, tools.labels.sha256, secret, earlier[-1:]]
        states = [corpus.table(name).state() for name in ReleaseTables._fields]
        return digest([header, states, corpus.fingerprint()])

    def _same(self, releases: Releases, recipe: str, content_sha256: str) -> Manifest | None:
        manifests = releases.manifests(recipe)
        candidates = [m for m in manifests if m.version == self.release] if self.release else manifests[-1:]
        same = next((manifest for manifest in candidates if manifest.content_sha256 == content_sha256), None)
        if same is not None:
            releases.check(same)
        return same

    def _facts(self, about: Mapping[str, Any], plan: Plan, tools: Tools, notices: Sequence[str]) -> CardFacts:
        return CardFacts(
            name=about["recipe"].replace("_", " "),
            version=about["version"],
            content_sha256=plan.content_sha256,
            recipe=about["recipe"],
            label_schema=tools.labels.name,
            fields={name: field.describe() for name, field in tools.labels.fields.items()},
            features=card_features(compile_features(tools.labels)),
            disjoint_by=self.split.disjoint_by,
            tool=about["tool"],
            notices=notices,
        )

    def _message(self, releases: Releases, manifest: Manifest) -> str:
        location = releases.location(manifest.version)
        empty = [name for name in self.split.ratios if name not in manifest.splits]
        warning = f"; too few independent items for split {', '.join(empty)}" if empty else ""
        return f"release {manifest.version} is in {location}{warning}"


def read_tables(corpus: Corpus, tools: Tools) -> ReleaseTables:
    """Return the current tables that a release is joined from."""
    fields = tools.labels.fields
    return ReleaseTables(
        items=corpus.read("items", [*ITEM_COLUMNS, "group", "face_id"]),
        sources=corpus.read("sources", ["source_id", *SOURCE_COLUMNS, "participant"]),
        prelabels=corpus.read("prelabels", ["item_id", *PRELABEL_COLUMNS, *fields]),
        annotations=corpus.read("annotations", [*_ANNOTATION, *fields]),
        labels=corpus.read("labels", [*_LABEL, *fields]),
    )


def _notices(corpus: Corpus, tables: ReleaseTables, rows: ReleaseRows, plan: Plan) -> list[str]:
    """Return the licence notes of the detectors that found the released faces."""
    released = rows.item_ids.take(pa.array(np.concatenate(list(plan.splits.values()))))
    items = tables.items.filter(pc.is_in(tables.items["item_id"], value_set=released))
    tracks = corpus.read("faces", ["face_id", "detector"])
    tracks = tracks.filter(pc.is_in(tracks["face_id"], value_set=items["face_id"].drop_null()))
    detectors = sorted(tracks["detector"].unique().to_pylist())
    return [note for detector in detectors if (note := licence_note(detector))]


def _losses(corpus: Corpus) -> list[str]:
    """Return what a release lacks because the workers that tried it were killed."""
    rows = corpus.read("rejections", ["stage", "parent_id", "subject", "reason"]).to_pylist()
    lost = [row for row in rows if row["reason"] == "crashed" and row["subject"] == row["parent_id"]]
    if not lost:
        return []
    sources = corpus.read("sources", ["source_id", "file"]).to_pydict()
    files = dict(zip(sources["source_id"], sources["file"], strict=True))
    names = sorted({f"{files.get(row['parent_id']) or row['parent_id']} ({row['stage']})" for row in lost})
    shown = ", ".join(names[:_MAX_NAMED]) + (f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")
    return [f"Incomplete: {len(names)} inputs are missing (crashed), because their worker was killed: {shown}."]


def _read_template(name: str, tools: Tools) -> str:
    path = find_asset("data_cards", name, suffix=".md", user_folder=tools.folder)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"data card template {path} cannot be read as UTF-8 text", hint="save it as UTF-8"
        ) from error


def _unchanged(same: Manifest) -> Receipt:
    return Receipt(False, _counts(same), f"release {same.version} holds all of this already")


def _counts(manifest: Manifest) -> dict[str, int]:
    return {"items": sum(manifest.splits.values()), "shards": sum(file.rows is not None for file in manifest.files)}
