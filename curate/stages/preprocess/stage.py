"""Preprocess: cut each source into items to annotate, with their sound, viewing copy, face and words."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.sources import RawFolders, SourceMissing, allowing, outside
from curate.corpus.spec import table_spec
from curate.corpus.view import Corpus
from curate.errors import InvalidInput, InvalidRow
from curate.files import sha256_of_file
from curate.labels import LabelSchema
from curate.media.container.decode import Span
from curate.media.faces.insightface import licence_note, pack_files, pack_name
from curate.media.onnx import CENTERFACE, SILERO_VAD
from curate.media.speech.dnsmos import DNSMOS
from curate.media.speech.speakers import turn_files
from curate.media.speech.voices import D_VECTORS
from curate.media.words.alignment import is_wanted
from curate.media.words.whisper import model_hash, model_problem
from curate.memory import trim_memory
from curate.stages.capabilities import Concluded, Divided, Parted, Parts
from curate.stages.contract import Outcome, Problem, Rejection, Tools
from curate.stages.preprocess.across_sources import compare_sources, namesakes, repeated_sources
from curate.stages.preprocess.chunks import Chunk, discard, join_shots, split_source
from curate.stages.preprocess.cut_points import find_cut_points
from curate.stages.preprocess.filters import filter_items
from curate.stages.preprocess.items import add_chunk
from curate.stages.preprocess.pictures import add_picture
from curate.stages.preprocess.planning import choose_cut, no_shots, no_unit, plan_source
from curate.stages.preprocess.posts import (
    COLUMNS_READ,
    batch_posts,
    derived_items,
    post_items,
    record_items,
    set_languages,
)
from curate.stages.preprocess.rows import SourceRows, shot_rows, tell_of_table, to_outcome
from curate.stages.preprocess.settings import Filters, PreprocessSettings, resolve, turns_path

_UNREAD = frozenset(
    (
        *("title", "collection", "licence", "consent", "consent_until", "size_bytes", "key", "columns", "work"),
        *("session", "session_offset_s", "parents"),
    )
)

_WITHOUT_FILE = frozenset({"text", "record", "derived"})
_CPU_S_PER_S = 200.0


class Preprocess(PreprocessSettings, Parted, Concluded, Divided):
    """Cuts sound into utterances or other units, keeps pictures and posts whole, and detects and tracks faces.

    The sound of a long file is analysed as a whole; then any worker may process a chunk of it. A face track ends with
    its chunk, which ends at a gap or a cut if there is one (see ``find_cut_points``).
    """

    version: ClassVar[int] = 5
    reads: ClassVar[str] = "sources"
    writes: ClassVar[tuple[str, ...]] = ("items", "faces", "shots")

    stage: Literal["preprocess"] = "preprocess"

    def assets(self, tools: Tools) -> Iterable[str]:
        yield SILERO_VAD.sha256
        pack = resolve(tools.folder, self.faces.model_pack)
        whisper = resolve(tools.folder, self.transcript.whisper_model)
        yield from (CENTERFACE.sha256,) if pack is None else (sha256_of_file(path) for path in pack_files(pack))
        if whisper is not None and whisper.is_dir():
            yield model_hash(whisper)
        if (refused := _refused_turns(tools.raw, self.speakers.file)) is not None:
            raise InvalidInput(outside(*refused), hint=allowing(refused[1]))
        turns = turn_files(turns_path(tools.raw, self.speakers.file))
        yield from (f"{path.name}:{sha256_of_file(path)}" for path in turns)
        if self.speakers.cluster:
            yield D_VECTORS.sha256
        if self.quality.dnsmos:
            yield DNSMOS.sha256
        if is_wanted(self.transcript.align):
            yield "pocketsphinx"

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        pack = resolve(folder, self.faces.model_pack)
        if pack is not None and not pack_files(pack):
            yield ("faces", "model_pack"), f"the face model pack {pack} contains no .onnx file"
        whisper = resolve(folder, self.transcript.whisper_model)
        if whisper is not None and (problem := model_problem(whisper)):
            yield ("transcript", "whisper_model"), problem
        dnsmos = [name for name, value in self.filters if name.startswith("min_dnsmos") and value is not None]
        if dnsmos and not self.quality.dnsmos:
            yield ("filters", dnsmos[0]), f"{dnsmos[0]} needs quality: {{dnsmos: true}}"

    def missing(self, raw: RawFolders) -> Iterable[Problem]:
        turns = turns_path(raw, self.speakers.file)
        if turns is not None and not turn_files(turns):
            yield ("speakers", "file"), f"{turns} is neither an RTTM or CSV file nor a folder with such files"
        elif (refused := _refused_turns(raw, self.speakers.file)) is not None:
            yield ("speakers", "file"), f"{outside(*refused)}; {allowing(refused[1])}"

    def notices(self, tools: Tools) -> Iterable[str]:
        pack = resolve(tools.folder, self.faces.model_pack)
        if pack is not None and (note := licence_note(pack_name(pack.resolve()))):
            yield note

    def max_cpu_s(self, batch: pa.Table) -> float:
        """See ``BatchStage.max_cpu_s``: more for long media, which a slow model may transcribe."""
        return super().max_cpu_s(batch) + _CPU_S_PER_S * (pc.sum(batch["duration_s"]).as_py() or 0.0)

    def columns_read(self, columns: Sequence[str]) -> Sequence[str]:
        """See ``BatchStage.columns_read``."""
        return [name for name in columns if name not in _UNREAD]

    def columns_used(self) -> tuple[str, ...] | None:
        """See ``BatchStage.columns_used``: ``source_id`` covers everything else that a post has."""
        media = ("source_id", "file", "kind", "duration_s", "participant", "subtitles_file", "subtitles", "cuts")
        return (*media, "speaker", "text", "statement", "repeats", "namesakes")

    def inputs(self, current: pa.Table, tools: Tools) -> pa.Table:
        """Return the sources, each with the others that matter for it.

        These are the earlier one that it repeats if near-duplicates are dropped, those with the same stem in other
        folders if a file names speakers, and the group of a derived one, which follows from all that are derived.
        """
        repeats = repeated_sources(current) if self.filters.drop_near_duplicates else [None] * current.num_rows
        named = namesakes(current) if self.speakers.file else [None] * current.num_rows
        named = [(row and [row["group"]]) or files for row, files in zip(_derived(current), named, strict=True)]
        current = current.append_column("repeats", pa.array(repeats, pa.string()))
        return current.append_column("namesakes", pa.array(named, pa.list_(pa.string())))

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield each media file alone; posts, which take next to no time, many at once."""
        kinds = inputs["kind"].to_pylist() if todo else []
        yield from ([index] for index in todo if kinds[index] not in _WITHOUT_FILE)
        posts = [index for index in todo if kinds[index] in _WITHOUT_FILE]
        if posts:
            yield from batch_posts(posts, inputs)

    def begin(self, batch: pa.Table, tools: Tools) -> Outcome | Parts:
        """Return the outcome; for a long file what cannot be used of its sound, and the chunks to process."""
        if _WITHOUT_FILE.issuperset(batch["kind"].unique().to_pylist()):
            return self._begin_posts(batch.select(COLUMNS_READ), tools)
        sources = []
        for row in batch.to_pylist():
            rows = SourceRows(row["source_id"])
            try:
                chunks = self._begin_source(row, tools, rows)
                if chunks:
                    return Parts(chunks, to_outcome([rows]))
                self._check_kept(row, rows)
            except InvalidRow as error:
                rows.reject_source(error)
            sources.append(rows)
        return to_outcome(sources)

    def _begin_posts(self, batch: pa.Table, tools: Tools) -> Outcome:
        sources = []
        for row in batch.to_pylist():
            rows = SourceRows(row["source_id"])
            try:
                _check_new(row)
                if row["kind"] == "record":
                    rows.items = record_items(row, tools.labels.units)
                elif row["kind"] == "derived":
                    rows.items = derived_items(row, tools.labels.units)
                else:
                    rows.items = post_items(row, tools.labels.units, self.posts)
            except InvalidRow as error:
                rows.reject_source(error)
            sources.append(rows)
        set_languages([item for rows in sources for item in rows.items])
        if self.filters != Filters():
            for rows, file in zip(sources, batch["file"].to_pylist(), strict=True):
                if rows.items:
                    rows.items = filter_items(rows.items, self.filters, rows.rejections)
                    if not rows.items:
                        rows.reject_source(_all_filtered(file))
        return to_outcome(sources).by_column("items", table_spec("items", tools.labels).schema)

    def _begin_source(self, row: dict[str, Any], tools: Tools, rows: SourceRows) -> Sequence[Chunk]:
        """Fill ``rows``, or return the chunks of a long source. Raises ``InvalidRow`` if nothing can be used."""
        units = tools.labels.units
        _check_new(row)
        path = _raw_file(row, tools)
        if row["cuts"] and row["kind"] == "image":
            raise InvalidRow(f"{row['file']} is a picture: tables cannot name stretches of time in it")
        if row["kind"] == "image":
            if "image" not in units:
                raise no_unit("image", units)
            add_picture(row, path, self, tools, rows)
            tell_of_table(row, rows.items)
        else:
            source = plan_source(row, path, self, tools, rows)
            points = find_cut_points(source, path, self.chunk_s)
            if points:
                chunks = split_source(source, points, tools.blobs)
                del source
                trim_memory()
                return chunks
            add_chunk(source, path, self, self.filters, tools, rows)
            tell_of_table(row, rows.items)
        return ()

    def unsuited(self, source: Mapping[str, Any], labels: LabelSchema) -> str:
        """See ``Divided.unsuited``."""
        try:
            if source["kind"] == "text":
                post_items({"source_id": "", "file": "it", **source}, labels.units, self.posts)
            elif source["kind"] == "image":
                if "image" not in labels.units:
                    raise no_unit("image", labels.units)
            else:
                choose_cut(source["kind"], self.unit, labels.units)
        except InvalidRow as error:
            return error.message
        return ""

    def apply_part(self, part: Chunk, tools: Tools) -> Outcome:
        """Return the items, face tracks and shots of a chunk; near-duplicates are only found by ``join``."""
        rows = SourceRows(part.row["source_id"])
        filters = self.filters.model_copy(update={"drop_near_duplicates": False})
        try:
            add_chunk(part, _raw_file(part.row, tools), self, filters, tools, rows)
        except InvalidRow as error:
            rows.items = []
            rows.reject(f"{part.row['file']}#video", error)
        tell_of_table(part.row, rows.items)
        return to_outcome([rows])

    def join(self, batch: pa.Table, parts: Parts, outcomes: Sequence[Outcome], tools: Tools) -> Outcome:
        row = batch.to_pylist()[0]
        rows = SourceRows(row["source_id"])
        rejections: dict[tuple[str, str], Rejection] = {}
        for rejection in (rejection for outcome in (parts.so_far, *outcomes) for rejection in outcome.rejections):
            rejections.setdefault((rejection.subject, rejection.reason), rejection)
        rows.rejections.extend(rejections.values())
        items = [item for outcome in outcomes for item in outcome.dicts("items")]
        items.sort(key=lambda item: (item["start_s"], item["end_s"], item.get("channel") or 0))
        rows.items.extend(filter_items(items, self.filters, rows.rejections))
        rows.faces.extend(face for outcome in outcomes for face in outcome.dicts("faces"))
        shots = [[Span(shot["start_s"], shot["end_s"]) for shot in outcome.dicts("shots")] for outcome in outcomes]
        rows.shots.extend(shot_rows(row["source_id"], join_shots(parts.parts, shots)))
        try:
            self._check_kept(row, rows)
        except InvalidRow as error:
            rows.reject_source(error)
        return to_outcome([rows])

    def discard(self, parts: Parts, tools: Tools) -> None:
        discard(parts.parts, tools.blobs)

    def conclude(self, corpus: Corpus, tools: Tools) -> bool:
        """Mark items that repeat those of other sources, and name the people that faces show."""
        repeats, people = self.filters.drop_near_duplicates, self.faces.model_pack is not None
        return compare_sources(corpus, self.stage, drop_repeats=repeats, name_people=people)

    def _check_kept(self, row: dict[str, Any], rows: SourceRows) -> None:
        """Raise ``InvalidRow`` if nothing of a source is kept, or if its file was out of reach at some time."""
        for rejection in rows.rejections:
            if rejection.reason == "unavailable":
                raise InvalidRow(rejection.detail, reason="unavailable")
        if not rows.items and self.unit == "shot" and row["kind"] == "video" and not rows.shots:
            raise no_shots(row["file"])
        if not rows.items:
            raise _all_filtered(row["file"])


def _derived(sources: pa.Table) -> list[dict[str, Any] | None]:
    return sources["derived"].to_pylist() if sources["derived"].null_count < len(sources) else [None] * len(sources)


def _check_new(row: dict[str, Any]) -> None:
    if row["repeats"]:
        raise InvalidRow(f"{row['file']} repeats {row['repeats']}", reason="near_duplicate")


def _all_filtered(file: str) -> InvalidRow:
    return InvalidRow(f"no item of {file} passes the filters", reason="filtered")


def _raw_file(row: dict[str, Any], tools: Tools) -> Path:
    """Return the path of a source's file. Raises ``InvalidRow``, which the next run tries again, if it is not there."""
    try:
        return tools.raw.path(row["file"])
    except SourceMissing as error:
        raise InvalidRow(error.message, reason="unavailable") from error


def _refused_turns(raw: RawFolders, setting: str | None) -> tuple[str, str] | None:
    """Return the first file of speaker turns outside the folders of raw files, and its path without links."""
    may_read = raw.boundary()
    reals = ((str(path), os.path.realpath(path)) for path in turn_files(turns_path(raw, setting)))
    return next(((path, real) for path, real in reals if not may_read(real)), None)
