"""Preprocess: cut each source into items to annotate, with their sound, viewing copy, face and words."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from curate.corpus.view import Corpus
from curate.errors import InvalidRow
from curate.labels import LabelSchema
from curate.media import units
from curate.media.container.decode import Span, cut, read_audio, read_channels
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.container.release_memory import make_room
from curate.media.duplicates import sound_hash
from curate.media.faces.detector import licence_note, open_detector, pack_files, pack_name
from curate.media.faces.watch import Watched
from curate.media.onnx import CENTERFACE, SILERO_VAD
from curate.media.speech.dnsmos import DNSMOS
from curate.media.speech.speakers import Turn, find_turns, load_turns, speakers_of, told_files
from curate.media.speech.voices import D_VECTORS
from curate.media.words import alignment
from curate.media.words.transcript import said_in
from curate.media.words.whisper import model_hash, model_problem
from curate.stages.capabilities import Concluded, Parted, Parts
from curate.stages.contract import Outcome, Problem, Rejection, Tools
from curate.stages.preprocess.across_sources import mark_repeats, name_faces
from curate.stages.preprocess.chunks import Chunk, Voice, cut_up, discard, join_shots, load_sound, points
from curate.stages.preprocess.rows import Part, face_rows, item_row, make_part, passed, repeated, shot_rows
from curate.stages.preprocess.settings import Faces, Filters, Quality, Speakers, Transcript, Unit
from curate.stages.preprocess.sound import (
    Channel,
    Spoken,
    cues_of,
    listen,
    speaker_columns,
    timed_by_span,
    timed_by_word,
    transcribers,
    utterances_of,
    voice_turns,
)
from curate.stages.preprocess.stills import cut_posts, picture_items, post_items
from curate.stages.preprocess.video import shot_spans, show_faces, store_media, watch_faces

_LABELLED: dict[str, str] = {
    "speech": "utterance",
    "cue": "utterance",
    "window": "window",
    "shot": "clip",
    "clip": "clip",
}
"""What the label schema calls each way to cut."""
_TOUCHING_S = 0.001
_MUCH_SOUND_S = 1200.0
_NO_SHOTS = "{} has no moving pictures to find shots in"


class Preprocess(Parted, Concluded):
    """Sound becomes utterances or other units, pictures and posts stay whole; faces are found, in a video followed.

    The sound of a long file is listened to as a whole, then chunks of it are worked on by any worker; ``points`` tells
    where they end. A face track ends with its chunk, which is at a gap or a cut where there is one.
    """

    version: ClassVar[int] = 3
    reads: ClassVar[str] = "sources"
    writes: ClassVar[tuple[str, ...]] = ("items", "faces", "shots")

    stage: Literal["preprocess"] = "preprocess"
    unit: Unit | None = None
    """How sound and video are cut; by default speech, windows or the whole clip, whichever the label schema judges."""
    max_pause_s: float = Field(0.3, gt=0, le=10)
    min_speech_s: float = Field(0.25, ge=0, le=60)
    max_utterance_s: float = Field(15.0, ge=1, le=120)
    pad_s: float = Field(0.1, ge=0, le=2)
    speech_threshold: float = Field(0.5, ge=0.2, le=0.95)
    """Lower values also take in laughter, crying and whispers."""
    window_s: float = Field(0.2, ge=0.02, le=600)
    hop_s: float | None = Field(None, ge=0.02, le=600)
    """From the start of one window to the next; as long as a window by default."""
    max_clip_s: float = Field(120.0, ge=1, le=600)
    chunk_s: float = Field(300.0, ge=2, le=7200)
    """Longer files are worked on in chunks with about so many seconds of items, by several workers at once."""
    channels: Literal["mix", "separate"] = "mix"
    """``separate`` takes each channel for a voice track of its own."""
    speakers: Speakers = Speakers()
    posts: Literal["whole", "sentences", "turns"] = "whole"
    transcript: Transcript = Transcript()
    faces: Faces = Faces()
    quality: Quality = Quality()
    filters: Filters = Filters()

    def assets(self, tools: Tools) -> Iterable[str]:
        yield SILERO_VAD.sha256
        pack = self._path(tools.folder, self.faces.model_pack)
        whisper = self._path(tools.folder, self.transcript.whisper_model)
        told = self._path(tools.folder, self.speakers.file)
        yield from (CENTERFACE.sha256,) if pack is None else (_sha256(path) for path in pack_files(pack))
        if whisper is not None and whisper.is_dir():
            yield model_hash(whisper)
        yield from (f"{path.name}:{_sha256(path)}" for path in told_files(told))
        optional = {D_VECTORS.sha256: self.speakers.cluster, DNSMOS.sha256: self.quality.dnsmos}
        optional["pocketsphinx"] = alignment.is_wanted(self.transcript.align)
        yield from (asset for asset, is_used in optional.items() if is_used)

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        pack, whisper = self._path(folder, self.faces.model_pack), self._path(folder, self.transcript.whisper_model)
        if pack is not None and not pack_files(pack):
            yield ("faces", "model_pack"), f"the face model pack {pack} holds no .onnx file"
        if whisper is not None and (problem := model_problem(whisper)):
            yield ("transcript", "whisper_model"), problem
        told = self._path(folder, self.speakers.file)
        if told is not None and not told_files(told):
            yield ("speakers", "file"), f"{told} is neither an RTTM or CSV file nor a folder with some"
        asked = [name for name, value in self.filters if name.startswith("min_dnsmos") and value is not None]
        if asked and not self.quality.dnsmos:
            yield ("filters", asked[0]), f"{asked[0]} needs quality: {{dnsmos: true}}"

    def columns_used(self) -> tuple[str, ...] | None:
        """See ``BatchStage.columns_used``: what else a post holds decides its ``source_id``."""
        return (
            *("source_id", "file", "kind", "duration_s", "participant", "speaker", "text"),
            *("subtitles_file", "subtitles_sha256", "repeats"),
        )

    def inputs(self, current: pa.Table, tools: Tools) -> pa.Table:
        """The sources, each with the earlier source that it repeats where near-duplicates are to be dropped."""
        if not current.num_columns:
            return current
        repeats: list[str | None] = [None] * current.num_rows
        if self.filters.drop_near_duplicates:
            repeats = repeated(current)
        return current.append_column("repeats", pa.array(repeats, pa.string()))

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Each media file alone; posts, which cost next to nothing, many at a time."""
        kinds = inputs["kind"].to_pylist() if todo else []
        yield from ([place] for place in todo if kinds[place] != "text")
        posts = [place for place in todo if kinds[place] == "text"]
        if posts:
            yield from cut_posts(posts, inputs["dialogue"])

    def begin(self, batch: pa.Table, tools: Tools) -> Outcome | Parts:
        """The outcome; of a long file only what its sound tells, and the chunks that are left to do."""
        parts = []
        for row in batch.to_pylist():
            part = make_part()
            try:
                chunks = self._source(row, tools, part)
                if chunks:
                    return Parts(chunks, _outcome([part]))
                self._check_kept(row, part)
            except InvalidRow as error:
                part = _dropped(row, part, error)
            parts.append(part)
        return _outcome(parts)

    def apply_part(self, part: Chunk, tools: Tools) -> Outcome:
        """The items, face tracks and shots of a chunk, not yet compared with those of the others."""
        found = make_part()
        alone = self.filters.model_copy(update={"drop_near_duplicates": False})
        try:
            self._chunk(part, alone, tools, found)
        except InvalidRow as error:
            row = part.row
            rejection = Rejection(row["source_id"], f"{row['file']}#video", error.reason, error.message)
            found = found._replace(items=[], rejections=[*found.rejections, rejection])
        return _outcome([found])

    def join(self, batch: pa.Table, parts: Parts, outcomes: Sequence[Outcome], tools: Tools) -> Outcome:
        row, part = batch.to_pylist()[0], make_part()
        told: dict[tuple[str, str], Rejection] = {}
        for one in (one for found in (parts.so_far, *outcomes) for one in found.rejections):
            told.setdefault((one.subject, one.reason), one)
        part.rejections.extend(told.values())
        items = [item for found in outcomes for item in found.rows["items"]]
        items.sort(key=lambda item: (item["start_s"], item["end_s"], item.get("channel") or 0))
        part.items.extend(passed(items, self.filters, part.rejections))
        part.faces.extend(face for found in outcomes for face in found.rows["faces"])
        shots = [[Span(shot["start_s"], shot["end_s"]) for shot in found.rows["shots"]] for found in outcomes]
        part.shots.extend(shot_rows(row["source_id"], join_shots(parts.parts, shots)))
        try:
            self._check_kept(row, part)
        except InvalidRow as error:
            part = _dropped(row, part, error)
        return _outcome([part])

    def discard(self, parts: Parts, tools: Tools) -> None:
        discard(parts.parts, tools.blobs)

    def notices(self, tools: Tools) -> Iterable[str]:
        pack = self._path(tools.folder, self.faces.model_pack)
        if pack is not None and (note := licence_note(pack_name(pack.resolve()))):
            yield note

    def conclude(self, corpus: Corpus, tools: Tools) -> bool:
        """Tell which items repeat those of other sources, and which faces are of one person wherever they are seen."""
        is_changed = self.filters.drop_near_duplicates and mark_repeats(corpus, self.stage)
        return (self.faces.model_pack is not None and name_faces(corpus)) or is_changed

    def _check_kept(self, row: dict[str, Any], part: Part) -> None:
        """Raises ``InvalidRow`` where nothing of a source is kept."""
        if not part.items and self.unit == "shot" and row["kind"] == "video" and not part.shots:
            raise InvalidRow(_NO_SHOTS.format(row["file"]), reason="no_unit")
        if not part.items:
            raise InvalidRow(f"nothing of {row['file']} passes the filters", reason="filtered")

    def _source(self, row: dict[str, Any], tools: Tools, part: Part) -> list[Chunk]:
        """Fill ``part``, or give the chunks of a long source; raises ``InvalidRow`` where nothing of it is kept."""
        if row["repeats"]:
            raise InvalidRow(f"{row['file']} repeats {row['repeats']}", reason="near_duplicate")
        if row["kind"] == "text":
            found = post_items(row, tools.labels.units, self.posts)
            part.items.extend(passed(found, self.filters, part.rejections))
            return []
        way, unit = self._unit(row["kind"], tools.labels.units)
        if way == "image":
            pack = self._path(tools.folder, self.faces.model_pack)
            picture_items(row, self.faces, self.filters, pack, tools, part)
        else:
            whole = self._hear(row, way, unit, tools, part)
            at = points(whole, tools.folder / row["file"], self.chunk_s)
            if at:
                return cut_up(whole, at, tools.blobs)
            self._chunk(whole, self.filters, tools, part)
        return []

    def _unit(self, kind: str, asked: Sequence[str]) -> tuple[str, str]:
        """How a source of some kind is cut, and what the label schema calls the result."""
        chosen = (self.unit,) if self.unit else ("speech", "window", "clip")
        ways = {"image": "image"} if kind == "image" else {way: _LABELLED[way] for way in chosen}
        found = next(((way, unit) for way, unit in ways.items() if unit in asked), None)
        if found is None:
            cut = f" cut by {self.unit}" if self.unit and kind != "image" else ""
            message = f"the label schema asks for {' and '.join(asked)}, which {kind}{cut} cannot give"
            raise InvalidRow(message, reason="no_unit")
        return found

    def _hear(self, row: dict[str, Any], way: str, unit: str, tools: Tools, part: Part) -> Chunk:
        """What the sound of a whole source tells: where its items are, and what is said by whom."""
        path, is_video = tools.folder / row["file"], row["kind"] == "video"
        if (row["duration_s"] or 0.0) > _MUCH_SOUND_S:
            make_room()
        channels = self._channels(path, is_optional=is_video and way in ("clip", "shot", "cue"))
        heard_s = max((len(one.samples) / AUDIO_RATE_HZ for one in channels if one.samples is not None), default=0.0)
        duration_s = round(max(heard_s, row["duration_s"] or 0.0), 3)
        speech = [self._utterances(channel) for channel in channels]
        whisper = self._path(tools.folder, self.transcript.whisper_model)
        asked = transcribers(row, self.transcript, tools.folder, whisper, tools.answers)
        spoken = cues_of(row, channels, speech, self.transcript, asked, part)
        spans = self._spans(way, row, duration_s, speech, spoken)
        by_word = way in ("window", "shot")
        voices = [
            Voice(
                channel,
                mine,
                None if by_word else said_in(cues, mine),
                cues,
                uttered,
                voice_turns(row["source_id"], channel, uttered, self.speakers),
            )
            for channel, mine, cues, uttered in zip(channels, spans, spoken.cues, speech, strict=True)
        ]
        seen = [Span(0.0, duration_s)] if way == "shot" else [span for mine in spans for span in mine]
        told = self._turns(row, tools, part)
        everywhere = Span(0.0, math.inf)
        return Chunk(row, way, unit, duration_s, everywhere, "gap", seen, spoken.source, spoken.language, told, voices)

    def _chunk(self, chunk: Chunk, filters: Filters, tools: Tools, part: Part) -> None:
        """The items of a chunk with their media, and its faces and shots."""
        path, is_video = tools.folder / chunk.row["file"], chunk.row["kind"] == "video"
        channels = [load_sound(voice.sound, chunk.row["source_id"], tools.blobs) for voice in chunk.voices]
        watched = self._watch(path, chunk, tools, part) if is_video else None
        shots = None
        if chunk.way == "shot":
            shots = shot_spans(watched, min(chunk.span.end_s, chunk.duration_s)) if watched is not None else []
        found: list[tuple[dict[str, Any], Span]] = []
        for channel, voice in zip(channels, chunk.voices, strict=True):
            mine = voice.spans if shots is None else shots
            items = self._items(chunk, channel, voice, mine)
            if watched is not None:
                show_faces(items, mine, voice.uttered if chunk.way == "window" else mine, channel, watched, tools)
            found += zip(items, mine, strict=True)
        found.sort(key=lambda one: (one[1], one[0].get("channel") or 0))
        kept = {item["item_id"] for item in passed([item for item, _ in found], filters, part.rejections)}
        by_number = {channel.number: channel.samples for channel in channels}
        for item, span in found:
            if item["item_id"] in kept:
                store_media(item, span, path, by_number[item.get("channel")], tools, part, is_video=is_video)
                part.items.append(item)

    def _channels(self, path: Path, *, is_optional: bool) -> list[Channel]:
        try:
            if self.channels == "separate":
                apart = read_channels(path)
                return [listen(samples, number) for number, samples in enumerate(apart, start=1)]
            return [listen(read_audio(path), None)]
        except InvalidRow:
            if not is_optional:
                raise
            return [listen(None, None)]

    def _utterances(self, channel: Channel) -> list[Span]:
        how = {"max_pause_s": self.max_pause_s, "min_speech_s": self.min_speech_s, "pad_s": self.pad_s}
        how |= {"max_utterance_s": self.max_utterance_s, "threshold": self.speech_threshold}
        return utterances_of(channel, how)

    def _spans(
        self, way: str, row: dict[str, Any], duration_s: float, speech: list[list[Span]], spoken: Spoken
    ) -> list[list[Span]]:
        """The units of each channel; none yet where they are shots."""
        file, everywhere = row["file"], len(speech)
        if way == "speech":
            if not any(speech):
                raise InvalidRow(f"no speech is found in {file}", reason="no_speech")
            return speech
        if way == "cue":
            spans = [units.cue_spans([cue.span for cue in cues], duration_s) for cues in spoken.cues]
            if not any(spans):
                raise InvalidRow(f"there is no subtitle to cut {file} by", reason="no_subtitles")
            return spans
        if way == "window":
            windows = units.windows(duration_s, window_s=self.window_s, hop_s=self.hop_s or self.window_s)
            if not windows:
                raise InvalidRow(f"{file} is shorter than window_s ({self.window_s:g} s)", reason="too_short")
            return [windows] * everywhere
        if way == "shot":
            if row["kind"] != "video":
                raise InvalidRow(_NO_SHOTS.format(file), reason="no_unit")
            return [[]] * everywhere
        if duration_s > self.max_clip_s:
            raise InvalidRow(f"{file} is longer than max_clip_s ({self.max_clip_s:g} s)", reason="too_long")
        return [[Span(0.0, duration_s)]] * everywhere

    def _items(self, chunk: Chunk, channel: Channel, voice: Voice, spans: Sequence[Span]) -> list[dict[str, Any]]:
        align = alignment.is_wanted(self.transcript.align) and chunk.language == "en"
        if voice.said is None:
            said = timed_by_word(channel, voice.cues, spans, align=align)
        else:
            said = timed_by_span(channel, voice.said, spans, align=align)
        named, voiced = (speakers_of(some, spans) for some in (chunk.told, voice.named))
        items = []
        for span, words, name, heard in zip(spans, said, named, voiced, strict=True):
            detail = None if channel.number is None else f"channel {channel.number}"
            item = item_row(chunk.row, chunk.unit, "audio", span, detail=detail) | channel.columns(span, self.quality)
            item |= {"text": words.text, "text_source": chunk.text_source if words.text else None}
            item |= {"language": chunk.language if words.text else None, "word_time_source": words.word_times}
            item["words"] = [{"word": one.text, "start_s": one.start_s, "end_s": one.end_s} for one in words.words]
            item["sound_hash"] = None if channel.samples is None else sound_hash(cut(channel.samples, span))
            items.append(item | speaker_columns(chunk.row["source_id"], name, words.speaker, heard, channel))
        return items

    def _watch(self, path: Path, chunk: Chunk, tools: Tools, part: Part) -> Watched | None:
        pack, source_id = self._path(tools.folder, self.faces.model_pack), chunk.row["source_id"]
        detector = open_detector(pack)
        gap_s = _TOUCHING_S if chunk.way == "window" else 0.0
        try:
            watched = watch_faces(path, chunk.seen, self.faces, detector, tools, gap_s=gap_s)
        except InvalidRow as error:
            if chunk.way == "shot":
                raise
            part.rejections.append(Rejection(source_id, f"{chunk.row['file']}#video", error.reason, error.message))
            return None
        part.faces.extend(face_rows(source_id, watched.tracks, detector.name, pack, tools))
        part.shots.extend(shot_rows(source_id, watched.shots))
        return watched

    def _turns(self, row: dict[str, Any], tools: Tools, part: Part) -> list[Turn]:
        folder = self._path(tools.folder, self.speakers.file)
        file = None if folder is None else find_turns(folder, row["file"])
        if file is None:
            return []
        try:
            return load_turns(file, row["file"])
        except InvalidRow as error:
            part.rejections.append(Rejection(row["source_id"], file.name, error.reason, error.message))
            return []

    @staticmethod
    def _path(folder: Path, setting: str | None) -> Path | None:
        return folder / Path(setting).expanduser() if setting else None


def _outcome(parts: Sequence[Part]) -> Outcome:
    rows = {name: [row for part in parts for row in getattr(part, name)] for name in Preprocess.writes}
    return Outcome(rows, [rejection for part in parts for rejection in part.rejections])


def _dropped(row: dict[str, Any], part: Part, error: InvalidRow) -> Part:
    """What is left of a source of which nothing is kept."""
    why = Rejection(row["source_id"], row["source_id"], error.reason, error.message)
    return make_part()._replace(rejections=[*part.rejections, why])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
