"""The export stage: labels become a release of Parquet shards, manifest and data card."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from curate import __version__
from curate.assets import find_asset
from curate.corpus.consent import Expired
from curate.corpus.errata import Erratum, read_errata, to_lines
from curate.corpus.pseudonyms import pseudonym
from curate.corpus.set_aside import set_aside
from curate.corpus.splitting.splits import SplitSettings
from curate.corpus.view import Corpus
from curate.document import nearest, read_text
from curate.files import digest, sha256_of
from curate.labels import LabelSchema
from curate.memory import release_memory
from curate.release.columns import combined
from curate.release.licences import check_licences, combine_licences
from curate.release.manifest import Manifest
from curate.release.memo import note, recall
from curate.release.rows import ReleaseRows, ReleaseTables
from curate.release.schemes import SPLIT_PREFIX
from curate.release.semver import FIRST, VersionName
from curate.release.signals import ReleasedSignals
from curate.release.versions import Releases
from curate.release.write import ManifestHeader, Plan, plan_release, write_release
from curate.sentences import count_of, verb_of
from curate.stages.capabilities import Discovered, Dividing
from curate.stages.contract import DriverStage, Forecast, Problem, Receipt, Tools
from curate.stages.released_card import card_facts, licence_notes, losses, media_left_out, withheld_items
from curate.stages.released_documents import licence_facts, people_facts, release_documents
from curate.stages.released_media import ReleasedMedia
from curate.stages.released_raters import read_raters
from curate.stages.released_rights import (
    LicenceOverride,
    days_of_ended_consent,
    expired_in,
    licence_sentences,
    licences_of,
    without_expired,
)
from curate.stages.released_splits import divide_release, prove
from curate.stages.released_tables import read_released_items, read_tables
from curate.stages.released_texts import released_texts, texts_state
from curate.stages.split_scheme import Scheme, is_split_name

Medium = Literal["audio", "audio_b", "video", "video_b", "image", "face"]
MEGABYTE = 2**20


class Export(DriverStage, Dividing):
    """Release every item with its labels, judgements and pre-label; the same content is never released twice."""

    stage: Literal["export"]
    split: Scheme = Scheme()
    """How items are divided, if in one way: the same as ``splits: {default: …}``"""
    splits: dict[str, Scheme] = Field(default_factory=dict)
    """Named ways to divide items. ``default``, or else the first, divides the files; the others are columns."""
    hidden: tuple[str, ...] = ()
    """Splits of the files whose labels, judgements and pre-labels are left out, for tests; the workspace keeps them"""
    release: VersionName | None = None
    """The version to make, such as 2.0.0, greater than those in use; by default the one that fits what changed."""
    reviewed_only: bool = False
    """Leave out items that nobody has judged."""
    media: tuple[Medium, ...] = get_args(Medium)
    """The media to release, of those that people are shown; viewing copies that are missing are made."""
    raters: bool | str = False
    """Whether a table of raters is released, with their consent: pseudonyms and counts, and what they say of themselves
    in a CSV file next to the recipe (with a column ``rater``), where five or more say the same"""
    signals: bool = True
    """Whether the values of signals within each item are released, as the configuration ``features``"""
    max_shard_mb: int = Field(default=500, ge=1, le=5_000)
    """The largest Parquet file, in megabytes."""
    licence_override: LicenceOverride | None = None
    """By default the most restrictive licence of the sources; licences that exclude each other stop the export."""
    card: str = "default"
    """The data card's template, by its name in ``data_cards``."""

    @field_validator("hidden", mode="before")
    @classmethod
    def _to_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_schemes(self) -> "Export":
        if self.splits and "split" in self.model_fields_set:
            raise ValueError("write either `split` or `splits`: `split` is the one called default")
        for name in self.splits:
            if not is_split_name(name):
                raise ValueError(f"{name!r} cannot name a split scheme: use letters, digits and underscores")
        primary = self.schemes[next(iter(self.schemes))]
        if primary.leave_one_out:
            raise ValueError("leave_one_out makes too many splits to divide files: name another scheme `default`")
        names = [*primary.shares, *primary.lists]
        if primary.column is None and (unknown := [name for name in self.hidden if name not in names]):
            raise ValueError(f"hidden: there is no split {unknown[0]}{nearest(unknown[0], names)}")
        return self

    @property
    def schemes(self) -> dict[str, Scheme]:
        """Every scheme by name; the first one divides the files."""
        schemes = self.splits or {"default": self.split}
        first = "default" if "default" in schemes else next(iter(schemes))
        return {first: schemes[first], **schemes}

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """See ``Stage.problems``."""
        for name, scheme in self.schemes.items():
            setting: tuple[str, ...] = ("splits", name) if self.splits else ("split",)
            if problem := scheme.problem(folder):
                yield setting, problem
        if isinstance(self.raters, str) and not (folder / self.raters).is_file():
            yield ("raters",), f"there is no file {self.raters}; name a CSV file with a column `rater`, or write true"

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Write a release, unless the newest one has the same content."""
        recipe = corpus.workspace.recipe or "corpus"
        releases = Releases(corpus.workspace.releases)
        schemes = self._schemes(tools)
        inputs = self._inputs(corpus, tools, schemes)
        expired = expired_in(corpus, tools)
        errata = read_errata(corpus.workspace)
        if (content := recall(corpus.workspace.local, inputs)) and (
            same := self._same(releases, recipe, content, errata)
        ):
            return _unchanged(same, expired)
        tables, lacking = self._tables(corpus, tools, schemes, expired)
        selected = self._selected(tables)
        if not pc.any(selected).as_py():
            reason = "no item has been reviewed yet" if self.reviewed_only and tables.items.num_rows else "no items"
            reason = "; ".join([reason, *expired.sentences()])
            return Receipt(False, {"items": 0}, f"nothing to release: {reason}")
        release_memory()
        combination = combine_licences(licences_of(tables, selected))
        if self.licence_override is None:
            check_licences(combination)
        divided = divide_release(corpus, tables, schemes, tools.labels, selected=selected)
        release_memory()
        facts, separated = prove(divided, tables, schemes, self._rules(), tools.labels, self.hidden)
        is_hidden = pc.is_in(divided.primary, value_set=pa.array(self.hidden, pa.string()))
        texts = released_texts(corpus, tools, tables, pc.or_(is_hidden, pc.is_null(divided.primary)))
        tables = tables._replace(items=texts.with_columns(divided.with_columns(tables.items)))
        further = [*(f"{SPLIT_PREFIX}{name}" for name in list(schemes)[1:]), *texts.columns]
        release_memory()
        workspace = corpus.workspace
        rows = ReleaseRows(tables, tools.labels, secret=workspace.secret, folder=workspace.local, columns=further)
        items = np.flatnonzero(divided.primary.is_valid().to_numpy(False))
        rows.hide(np.flatnonzero(is_hidden.to_numpy(False)))
        names = next(iter(schemes.values())).names or divided.names
        raters = self._raters(corpus, tools)
        signals = ReleasedSignals(corpus, tables.items) if self.signals else None
        plan = plan_release(
            rows,
            items,
            divided.primary,
            tools.labels,
            tools.blobs,
            names=names,
            hidden=self.hidden,
            raters=raters,
            signals=signals,
        )
        release_memory()
        if same := self._same(releases, recipe, plan.content_sha256, errata):
            self._note(corpus, tools, schemes, plan, lacking)
            return _unchanged(same, expired)
        header = ManifestHeader(self.release, recipe, facts, f"curate {__version__}")
        withheld = withheld_items(divided.withheld, next(iter(schemes.values())).column)
        licence = self.licence_override.licence if self.licence_override else combination.licence
        template, lost = _read_template(self.card, tools), losses(corpus)
        notices = [
            *licence_notes(corpus, tables, plan),
            *licence_sentences(combination, self.licence_override),
            *lost,
            *withheld,
            *set_aside(corpus).sentences(),
            *expired.sentences(),
            *(fact for stage in tools.stages if isinstance(stage, Discovered) for fact in stage.findings(tools)),
            *media_left_out(corpus, self.media, lacking),
            *texts.sentences(),
        ]
        people = people_facts(corpus, tables, plan, tools)
        release_memory()
        manifest = write_release(
            plan,
            rows,
            tools.labels,
            tools.blobs,
            releases=releases,
            header=header,
            errata=errata,
            raters=raters,
            signals=signals,
            max_shard_bytes=self.max_shard_mb * MEGABYTE,
            documents=lambda written: release_documents(
                template,
                card_facts(header, plan, tools.labels, tables, separated, written, notices, tools.credits)._replace(
                    **people, **licence_facts(licence), errata=[erratum._asdict() for erratum in errata]
                ),
                plan.statistics,
                written,
            ),
        )
        self._note(corpus, tools, schemes, plan, lacking)
        message = self._message(releases, manifest, withheld, lacking)
        return Receipt(True, _counts(manifest), "; ".join([message, *lost, *expired.sentences()]))

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``."""
        recipe, releases = corpus.workspace.recipe or "corpus", Releases(corpus.workspace.releases)
        content = recall(corpus.workspace.local, self._inputs(corpus, tools, self._schemes(tools)))
        expired = expired_in(corpus, tools)
        if content and (same := self._same(releases, recipe, content, read_errata(corpus.workspace))):
            return Forecast(False, _unchanged(same, expired).message)
        before = releases.manifests(recipe)[-1:]
        unless = f", unless it would equal {before[0].version}" if before else ""
        proposed = f"the release after {before[0].version}" if before else f"release {FIRST}"
        writes = f"writes {f'release {self.release}' if self.release else proposed}{unless}"
        return Forecast(True, "; ".join([writes, *expired.sentences()]))

    def _selected(self, tables: ReleaseTables) -> pa.Array:
        """Return for each item whether it may be released."""
        items = tables.items
        if not self.reviewed_only:
            return pa.repeat(True, items.num_rows)
        people = tables.labels.filter(pc.equal(tables.labels["label_source"], "human"))
        return combined(pc.is_in(items["item_id"], value_set=people["item_id"]))

    def _tables(
        self, corpus: Corpus, tools: Tools, schemes: Mapping[str, SplitSettings], expired: Expired
    ) -> tuple[ReleaseTables, list[str]]:
        """Return the tables with the media to release, and a sentence for each viewing copy that cannot be made."""
        needed = list(schemes.values())
        tables = read_tables(corpus, tools.labels, needed)
        tables = tables._replace(items=without_expired(tables.items, expired))
        media = ReleasedMedia(tables.items, tools, self.media)
        copies = media.make_copies(corpus, tables.items.filter(self._selected(tables)), tools)
        if copies.made:
            tables = tables._replace(items=without_expired(read_released_items(corpus, needed), expired))
        return tables._replace(items=media.select(tables.items)), copies.problems

    def _note(
        self, corpus: Corpus, tools: Tools, schemes: Mapping[str, SplitSettings], plan: Plan, lacking: Sequence[str]
    ) -> None:
        """Note that the next run has nothing to do, unless a raw file may come back."""
        if not lacking:
            note(corpus.workspace.local, self._inputs(corpus, tools, schemes), plan.content_sha256)

    @property
    def held_out(self) -> tuple[str, ...]:
        """See ``Dividing.held_out``."""
        return tuple(dict.fromkeys(("test", *self.hidden)))

    def split_settings(self, tools: Tools) -> SplitSettings:
        """See ``Dividing.split_settings``."""
        return next(iter(self.schemes.values())).settings(tools.seed, tools.raw)

    def current_release(self, corpus: Corpus, tools: Tools) -> str | None:
        """See ``Dividing.current_release``; it goes by the note of the last export, and opens no file of a release."""
        content = recall(corpus.workspace.local, self._inputs(corpus, tools, self._schemes(tools)))
        releases, recipe = Releases(corpus.workspace.releases), corpus.workspace.recipe or "corpus"
        same = self._equal(releases, recipe, content, read_errata(corpus.workspace)) if content else None
        return same.version if same else None

    def _schemes(self, tools: Tools) -> dict[str, SplitSettings]:
        return {name: scheme.settings(tools.seed, tools.raw) for name, scheme in self.schemes.items()}

    def _raters(self, corpus: Corpus, tools: Tools) -> dict[str, dict[str, str]] | None:
        """Return what raters say of themselves, by pseudonym; None if nothing of them is released."""
        if isinstance(self.raters, str):
            return read_raters(tools.raw.path(self.raters), corpus.workspace.secret)
        return {} if self.raters else None

    def _rules(self) -> dict[str, str]:
        return {name: scheme.rule() for name, scheme in self.schemes.items()}

    def _inputs(self, corpus: Corpus, tools: Tools, schemes: Mapping[str, SplitSettings]) -> str:
        """Return a hash of everything that decides a release's content, earlier releases included: they fix splits."""
        releases = Releases(corpus.workspace.releases)
        earlier = [manifest.content_sha256 for manifest in releases.manifests(corpus.workspace.recipe)]
        secret = [pseudonym("", corpus.workspace.secret), days_of_ended_consent(corpus, tools)]
        identities = {name: settings.identity for name, settings in schemes.items()}
        header = [
            __version__,
            identities,
            self.hidden,
            self._raters(corpus, tools),
            self.reviewed_only,
            self.media,
            self.signals,
            tools.labels.sha256,
            secret,
            earlier,
        ]
        states = [corpus.table(name).state() for name in (*ReleaseTables._fields, "signals")]
        return digest([header, states, corpus.fingerprint(), *texts_state(corpus, tools)])

    def _same(self, releases: Releases, recipe: str, content_sha256: str, errata: Sequence[Erratum]) -> Manifest | None:
        """Return what ``_equal`` does, once its files are checked."""
        same = self._equal(releases, recipe, content_sha256, errata)
        if same is not None:
            releases.check(same)
        return same

    def _equal(
        self, releases: Releases, recipe: str, content_sha256: str, errata: Sequence[Erratum]
    ) -> Manifest | None:
        """Return the release with this content and these errata, if it is the newest or the one that is named."""
        manifests = releases.manifests(recipe)
        candidates = [m for m in manifests if m.version == self.release] if self.release else manifests[-1:]
        noted = sha256_of(to_lines(errata)) if errata else None
        return next((m for m in candidates if (m.content_sha256, m.errata_sha256) == (content_sha256, noted)), None)

    def _message(self, releases: Releases, manifest: Manifest, withheld: Sequence[str], lacking: Sequence[str]) -> str:
        location = releases.location(manifest.version)
        wanted = [*(primary := next(iter(self.schemes.values()))).shares, *primary.lists]
        empty = [name for name in wanted if name not in manifest.splits]
        warning = f"; too few independent items for split {', '.join(empty)}" if empty else ""
        notices = "".join(f"; {notice.rstrip('.')}" for notice in withheld)
        verb = verb_of(len(lacking), "is", "are")
        without = f"; {count_of(len(lacking), 'item')} {verb} without video: {lacking[0]}" if lacking else ""
        return f"release {manifest.version} ({manifest.history[-1].reason}) is in {location}{warning}{notices}{without}"


def _read_template(name: str, tools: Tools) -> str:
    path = find_asset("data_cards", name, suffix=".md", user_folder=tools.folder)
    return read_text(path)


def _unchanged(same: Manifest, expired: Expired) -> Receipt:
    message = f"release {same.version} holds all of this already"
    return Receipt(False, _counts(same), "; ".join([message, *expired.sentences()]))


def _counts(manifest: Manifest) -> dict[str, int]:
    return {"items": sum(manifest.splits.values()), "shards": sum(file.rows is not None for file in manifest.files)}
