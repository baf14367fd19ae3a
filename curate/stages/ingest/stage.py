"""Ingest: find the raw files, say what each is, and record where it comes from."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, model_validator

from curate.annotation.importing.check import mapping_problems
from curate.annotation.importing.settings import Table
from curate.corpus.sources import MEMBER, RawFolders, allowing, outside
from curate.corpus.spec import table_spec
from curate.errors import InvalidInput, InvalidRow
from curate.labels import LabelSchema
from curate.stages.capabilities import Discovered, FirstFile, Judged, JudgementRows
from curate.stages.contract import Outcome, Problem, Rejection, Tools, cut_by_size
from curate.stages.ingest.archived import archive_problem
from curate.stages.ingest.files import read_source
from curate.stages.ingest.finding import (
    INPUTS,
    find_archives,
    find_files,
    list_inputs,
    list_raw_files,
    list_refused,
)
from curate.stages.ingest.first_files import first_files
from curate.stages.ingest.hub import hub_notices, unread_datasets
from curate.stages.ingest.licences import licence_notice
from curate.stages.ingest.matching import LeadsOutside
from curate.stages.ingest.objects import is_remote, object_inputs, object_problem, unread_objects
from curate.stages.ingest.participants import check_participant_pattern, participants_of
from curate.stages.ingest.posts import parse_post
from curate.stages.ingest.sessions import Session, check_sessions, with_sessions
from curate.stages.ingest.signals.discovering import find_signal_files, list_paths, with_signals
from curate.stages.ingest.signals.rows import signal_rows
from curate.stages.ingest.signals.settings import Signal
from curate.stages.ingest.tables import (
    absent_media,
    find_tables,
    paths_of,
    read_tables,
    record_sources,
    sheet_notices,
    table_inputs,
)
from curate.stages.ingest.tier_notices import tier_notices
from curate.stages.ingest.urls.listing import LinkInputs, link_findings, link_inputs, unread_links, url_problems
from curate.stages.ingest.urls.settings import Urls
from curate.stages.tables.mapped import table_problems
from curate.storage.columns import fill_columns

_BYTES_PER_CPU_S = 1_000_000
_BATCH_FILES, _BATCH_POSTS, _BATCH_RECORDS, _BATCH_BYTES = 8, 2_048, 25_000, 1_000_000


class Ingest(Discovered, Judged):
    """Turns files (media by its content, posts from .txt, .jsonl and .csv) and items of tables into sources."""

    version: ClassVar[int] = 5
    reads: ClassVar[str] = ""
    writes: ClassVar[tuple[str, ...]] = ("sources", "signals")
    repeatable: ClassVar[bool] = True

    stage: Literal["ingest"] = "ingest"
    files: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Globs relative to the recipe's folder, or to one that ``--raw`` names; nothing outside these is read. ``**``
    reaches into folders, never into workspaces; ``raw/*.zip!/**/*.mp4`` into archives (.zip, .tar, .tar.gz, .bz2, .xz
    and .zst). Workers elsewhere read the same paths. ``s3://bucket/raw/**/*.mp4`` matches files on an object store: a
    run lists them, and copies them into the workspace, on this machine, if they are new or have changed."""
    tables: tuple[Table, ...] = ()
    """Tables of items and of judgements that others made, and what their columns mean."""
    urls: Urls | None = None
    """Links to files, which are fetched."""
    session: Session | None = None
    """Which files are recordings of one event: no release divides them between splits, and items name the others."""
    signals: tuple[Signal, ...] = ()
    """Values over time that belong to the media, such as action units by OpenFace: releases have them by item."""
    licence: str | None = None
    """The SPDX name of the licence, such as CC-BY-4.0; terms of one's own as LicenseRef-<name>."""
    collection: str | None = None
    """What the files belong to, such as the name of a series; releases name it."""
    consent: str | None = None
    """What was agreed to, such as the name of the form."""
    consent_until: date | None = None
    """The last day of consent, such as 2027-01-31: after it, no release holds these items."""
    participant: Annotated[str, AfterValidator(check_participant_pattern)] | None = None
    """A regular expression whose only group is the person's id in a file's name, such as ``raw/(P\\d+)_``."""

    @model_validator(mode="after")
    def _check_sources(self) -> "Ingest":
        patterns = (self.files,) if isinstance(self.files, str) else self.files or ()
        if problem := next(filter(None, map(object_problem, patterns)), None):
            raise ValueError(problem)
        if self.files is None and not self.tables and self.urls is None:
            raise ValueError("name `files`, `tables`, `urls` or several of them")
        names = [signal.name for signal in self.signals]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two signals are called {repeated[0]}: give each a name of its own")
        return self

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """See ``Stage.problems``: fields that the label schema does not have."""
        for number, table in enumerate(self.tables):
            for location, sentence in mapping_problems(table, labels):
                yield ("tables", number, *location), sentence

    def notices(self, tools: Tools) -> Iterable[str]:
        """See ``Stage.notices``: a licence that is missing, or that nobody can look up."""
        if notice := licence_notice(self.licence):
            yield notice
        if self.consent_until is not None and self.consent_until < tools.today:
            yield f"consent ended on {self.consent_until}: these items are left out of releases"
        yield from hub_notices(self.tables, tools)
        yield from sheet_notices(self.tables, tools)
        yield from tier_notices(self.tables, tools.raw)

    def missing(self, raw: RawFolders) -> Iterable[Problem]:
        """Yield the patterns that match no file or only broken archives, or lead out of the folders of raw files."""
        for pattern in self._patterns():
            try:
                archives = find_archives(pattern, raw)
                broken = [f"{name}: {problem}" for name in archives if (problem := archive_problem(name, raw))]
                # One broken archive among others is rejected, as broken media are.
                yield from ((("files",), sentence) for sentence in broken if len(broken) == len(archives))
                if not archives and not find_files(pattern, raw):
                    yield ("files",), _no_match(pattern, raw)
            except LeadsOutside as error:
                yield ("files",), _refusal(pattern, error)
        yield from self._missing_signals(raw)
        find = partial(find_tables, raw=raw)
        for number, sentence in table_problems(self.tables, find):
            yield ("tables", number), sentence
        for sentence in url_problems(self.urls, find) if self.urls is not None else ():
            yield ("urls",), sentence

    def first_files(self, raw: RawFolders) -> Iterator[FirstFile]:
        """See ``Discovered.first_files``; members of archives are left for the run."""
        names = {name for pattern in self._patterns() if MEMBER not in pattern for name in find_files(pattern, raw)}
        yield from first_files(names, raw)

    def discover(self, tools: Tools) -> pa.Table:
        """Return one row a file, a line of a file of posts and an item of a table, in order of their names.

        Raises ``InvalidInput`` naming each pattern that matches nothing, the first that leads outside, and each table
        that cannot be read.
        """
        names: set[str] = set()
        problems = []
        try:
            signal_files = find_signal_files(self.signals, tools.raw)
            problems += [_no_match(pattern, tools.raw) for _, pattern in signal_files.missing]
            for pattern in self._patterns():
                files = find_files(pattern, tools.raw)
                names.update(files)
                problems += [] if files or list_refused([pattern], tools.raw) else [_no_match(pattern, tools.raw)]
            refused = list_refused(self._patterns(), tools.raw)
            if not problems:
                links = LinkInputs([], []) if self.urls is None else link_inputs(self.urls, tools)
                objects = object_inputs(self._remote_patterns(), tools)
                names.update(links.names, objects.names)
                refused += links.problems + objects.problems
                in_tables = self._table_inputs(tools)
                media_files = set(in_tables.filter(in_tables["path"].is_valid())["file"].to_pylist())
                inputs = list_inputs(names - media_files - signal_files.names, tools.raw)
                inputs = pa.concat_tables([inputs, pa.Table.from_pylist(refused, schema=INPUTS), in_tables])
                if self.session is not None:
                    check_sessions(self.session, inputs.filter(inputs["problem"].is_null())["file"].to_pylist())
                return with_signals(inputs, self.signals, signal_files, tools.raw)
        except LeadsOutside as error:
            raise InvalidInput(outside(error.path, error.real), hint=allowing(error.real)) from error
        hint = "the pattern is relative to the recipe's folder; --raw FOLDER names another where raw files are"
        raise InvalidInput(problems[0], problems=tuple(dict.fromkeys(problems)), hint=hint)

    def max_cpu_s(self, batch: pa.Table) -> float:
        """See ``BatchStage.max_cpu_s``: more for large files, which are read whole."""
        size_bytes = pc.sum(batch["size_bytes"]).as_py() or 0
        return super().max_cpu_s(batch) + size_bytes / _BYTES_PER_CPU_S

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield a few files, many posts, or very many items of tables, at once."""
        is_record = np.asarray(_is_record(inputs))
        records = [index for index in todo if is_record[index]]
        yield from (records[start : start + _BATCH_RECORDS] for start in range(0, len(records), _BATCH_RECORDS))
        files_and_posts = [index for index in todo if not is_record[index]] if records else todo
        if files_and_posts:
            post_bytes = pc.fill_null(pc.binary_length(inputs["post"]), 0)
            sizes = pc.if_else(inputs["path"].is_valid(), _BATCH_BYTES // _BATCH_FILES, post_bytes).to_pylist()
            yield from cut_by_size(files_and_posts, sizes, rows=_BATCH_POSTS, size=_BATCH_BYTES)

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        """See ``BatchStage.apply``."""
        outcome = self._apply(batch, tools)
        if self.session is None:
            return outcome
        schema = table_spec("sources", tools.labels).schema
        sources = outcome.by_column("sources", schema).rows["sources"]
        sources, wrong = with_sessions(self.session, fill_columns(sources, schema))
        rows = {**outcome.rows, "sources": sources}
        if wrong and "signals" in rows:
            files = pa.array([rejection.subject for rejection in wrong], pa.string())
            rows["signals"] = rows["signals"].filter(pc.invert(pc.is_in(rows["signals"]["file"], value_set=files)))
        return Outcome(rows, [*outcome.rejections, *wrong])

    def _apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        until = None if self.consent_until is None else self.consent_until.isoformat()
        origin = {"licence": self.licence, "collection": self.collection, "consent": self.consent}
        origin |= {"consent_until": until}
        is_record = _is_record(batch)
        if pc.all(is_record).as_py():
            return Outcome({"sources": record_sources(batch, origin)}, absent_media(batch))
        if pc.any(is_record).as_py():
            media_outcome = self.apply(batch.filter(pc.invert(is_record)), tools)
            records = record_sources(batch.filter(is_record), origin)
            schema = table_spec("sources", tools.labels).schema
            rows = [fill_columns(table, schema) for table in (media_outcome.rows["sources"], records)]
            tables = {**media_outcome.rows, "sources": pa.concat_tables(rows)}
            return Outcome(tables, [*media_outcome.rejections, *absent_media(batch)])
        sources: list[dict[str, Any]] = []
        rejections: list[Rejection] = []
        signals = [(schema := table_spec("signals", tools.labels).schema).empty_table()]
        people = participants_of(batch["file"].to_pylist(), self.participant)
        for row, person in zip(batch.to_pylist(), people, strict=True):
            shared_columns = {"file": row["file"], **origin, **({"participant": person} if person else {})}
            try:
                source = {**shared_columns, **_source(row, tools.raw), **_recorded(row)}
                its_signals = signal_rows(row, source, self.signals, tools.raw, schema)
            except InvalidRow as error:
                rejections.append(Rejection(row["file"], row["file"], error.reason, error.message))
                continue
            sources.append(source)
            rejections += its_signals.rejections
            signals += [fill_columns(table, schema) for table in its_signals.tables]
        tables = {"sources": sources, **({"signals": pa.concat_tables(signals)} if self.signals else {})}
        return Outcome(tables, rejections).by_column("sources", table_spec("sources", tools.labels).schema)

    def raw_files(self, tools: Tools) -> Iterable[Path] | None:
        """See ``Discovered.raw_files``."""
        if (
            self.urls is not None
            or self._remote_patterns()
            or any(table.item is not None and table.item.media for table in self.tables)
        ):
            return None
        try:
            names = {name for pattern in self._patterns() for name in find_files(pattern, tools.raw)}
            signals = find_signal_files(self.signals, tools.raw)
            in_tables = list(paths_of(self.tables, tools))
        except (LeadsOutside, InvalidRow):
            return None
        return chain(list_raw_files(names - signals.names, tools.raw), list_paths(signals, tools.raw), in_tables)

    def unlisted(self, tools: Tools) -> Iterable[str]:
        """See ``Discovered.unlisted``: data sets and links that no run has read yet."""
        yield from unread_datasets(self.tables, tools)
        yield from unread_objects(self._remote_patterns(), tools)
        if self.urls is not None:
            yield from unread_links(self.urls, tools)

    def findings(self, tools: Tools) -> Iterable[str]:
        """See ``Discovered.findings``: what became of links."""
        return link_findings(self.urls, tools) if self.urls is not None else ()

    @property
    def has_judgements(self) -> bool:
        return any(table.has_judgements for table in self.tables)

    def judgement_files(self, tools: Tools) -> Iterable[Path] | None:
        """See ``Judged.judgement_files``."""
        try:
            return list(paths_of(self.tables, tools))
        except InvalidRow:
            return None

    def judgements(self, tools: Tools) -> JudgementRows | None:
        """See ``Judged.judgements``."""
        if not self.has_judgements:
            return None
        mapped = read_tables(self.tables, tools.raw, tools.labels, tools=tools)
        return JudgementRows(mapped.judgements, mapped.left_out)

    def _missing_signals(self, raw: RawFolders) -> Iterable[Problem]:
        """Yield the patterns of signals that match no file, or lead out of the folders of raw files."""
        for number, signal in enumerate(self.signals):
            try:
                for _, pattern in find_signal_files([signal], raw).missing:
                    yield ("signals", number, "files"), _no_match(pattern, raw)
            except LeadsOutside as error:
                yield ("signals", number, "files"), _refusal(str(signal.files[0]), error)

    def _table_inputs(self, tools: Tools) -> pa.Table:
        if not self.tables:
            return INPUTS.empty_table()
        return table_inputs(read_tables(self.tables, tools.raw, tools.labels, tools=tools), tools.raw)

    def _patterns(self) -> tuple[str, ...]:
        """Return the globs of files in folders."""
        patterns = (self.files,) if isinstance(self.files, str) else self.files or ()
        return tuple(pattern for pattern in patterns if not is_remote(pattern))

    def _remote_patterns(self) -> tuple[str, ...]:
        patterns = (self.files,) if isinstance(self.files, str) else self.files or ()
        return tuple(pattern for pattern in patterns if is_remote(pattern))


def _no_match(pattern: str, raw: RawFolders) -> str:
    return f"no file matches {pattern!r} in {' or '.join(str(folder.resolve()) for folder in raw)}"


def _refusal(pattern: str, error: LeadsOutside) -> str:
    return f"{pattern!r}: {outside(error.path, error.real)}; {allowing(error.real)}"


def _is_record(inputs: pa.Table) -> pa.ChunkedArray:
    """Return which inputs are items of tables without a file."""
    return pc.and_(inputs["record"].is_valid(), pc.and_(inputs["path"].is_null(), inputs["problem"].is_null()))


def _recorded(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a table says of a file that shows one of its items."""
    record = {**(row["record"] or {}), "cuts": row["cuts"]}
    return {name: value for name, value in record.items() if value is not None and name not in ("media", "absent")}


def _source(row: dict[str, Any], raw: RawFolders) -> dict[str, Any]:
    if row["problem"]:
        raise InvalidRow(f"{row['file']}: {row['problem']}", reason=row["reason"] or "invalid")
    return parse_post(row["file"], row["post"]) if row["post"] is not None else read_source(row, raw)
