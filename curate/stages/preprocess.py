"""Preprocess: cut each source into items to annotate, with their sound, viewing copy, face and words."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from curate.errors import InvalidRow
from curate.media import units
from curate.media.container import AUDIO_RATE_HZ
from curate.media.crops import crop_picture
from curate.media.decode import Samples, Span, cut, read_audio, read_channels
from curate.media.duplicates import picture_hash, sound_hash
from curate.media.face_tracks import FaceTrack, Watched
from curate.media.faces import open_detector, pack_files
from curate.media.language import language_of
from curate.media.onnx_models import CENTERFACE, SILERO_VAD
from curate.media.pictures import encode_jpeg, load_rgb
from curate.media.probe import probe
from curate.media.render import render_audio, render_video
from curate.media.speakers import SUFFIXES as SPEAKER_SUFFIXES
from curate.media.speakers import Turn, find_turns, load_turns, speakers_of
from curate.media.subtitles import Cue
from curate.media.text import Passage, sentences, turns
from curate.media.tracks import Track
from curate.media.whisper import model_hash, model_problem
from curate.stage import BatchStage, Outcome, Rejection, Tools
from curate.stages.preprocess_rows import Part, face_rows, item_row, make_part, passed, repeated, shot_rows
from curate.stages.preprocess_settings import Faces, Filters, Transcript, Unit
from curate.stages.preprocess_sound import (
    Channel,
    Spoken,
    cues_of,
    listen,
    said_by_span,
    speaker_columns,
    transcribers,
    utterances_of,
)
from curate.stages.preprocess_video import face_columns, find_shots, show_faces, watch_faces

_POSTS_TOGETHER = 512
_LABELLED: dict[str, str] = {
    "speech": "utterance",
    "cue": "utterance",
    "window": "window",
    "shot": "clip",
    "clip": "clip",
}
"""What the label schema calls each way to cut."""
_SHORTEST_VIDEO_S = 0.5
_TOUCHING_S = 0.001


class Preprocess(BatchStage):
    """Sound becomes utterances or other units, pictures and posts stay whole; faces are found, in a video followed."""

    version: ClassVar[int] = 3
    reads: ClassVar[str] = "sources"
    writes: ClassVar[tuple[str, ...]] = ("items", "faces", "shots")
    uses: ClassVar[tuple[str, ...] | None] = (
        *("source_id", "file", "kind", "duration_s", "participant", "speaker", "text"),
        *("subtitles_file", "subtitles_sha256", "repeats"),
    )

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
    channels: Literal["mix", "separate"] = "mix"
    """``separate`` takes each channel for a voice track of its own."""
    speakers: str | None = None
    """RTTM or CSV file that tells who speaks when, or a folder with one for each source; relative to the recipe."""
    posts: Literal["whole", "sentences", "turns"] = "whole"
    transcript: Transcript = Transcript()
    faces: Faces = Faces()
    filters: Filters = Filters()

    def assets(self, tools: Tools) -> Iterable[str]:
        yield SILERO_VAD.sha256
        pack = self._path(tools.folder, self.faces.model_pack)
        whisper = self._path(tools.folder, self.transcript.whisper_model)
        told = self._path(tools.folder, self.speakers)
        yield from (CENTERFACE.sha256,) if pack is None else (_sha256(path) for path in pack_files(pack))
        if whisper is not None and whisper.is_dir():
            yield model_hash(whisper)
        for path in _told_files(told):
            yield f"{path.name}:{_sha256(path)}"

    def problems(self, folder: Path) -> Iterable[tuple[tuple[str, ...], str]]:
        pack, whisper = self._path(folder, self.faces.model_pack), self._path(folder, self.transcript.whisper_model)
        if pack is not None and not pack_files(pack):
            yield ("faces", "model_pack"), f"the face model pack {pack} holds no .onnx file"
        if whisper is not None and (problem := model_problem(whisper)):
            yield ("transcript", "whisper_model"), problem
        told = self._path(folder, self.speakers)
        if told is not None and not _told_files(told):
            yield ("speakers",), f"{told} is neither an RTTM or CSV file nor a folder with some"

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
        yield from (posts[at : at + _POSTS_TOGETHER] for at in range(0, len(posts), _POSTS_TOGETHER))

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        outcome = Outcome(rows={name: [] for name in self.writes})
        for row in batch.to_pylist():
            source_id, part = row["source_id"], make_part()
            try:
                self._source(row, tools, part)
            except InvalidRow as error:
                outcome.rejections.extend(part.rejections)
                outcome.rejections.append(Rejection(source_id, source_id, error.reason, error.message))
                continue
            for name in self.writes:
                outcome.rows[name].extend(getattr(part, name))
            outcome.rejections.extend(part.rejections)
        return outcome

    def _source(self, row: dict[str, Any], tools: Tools, part: Part) -> None:
        """Fill ``part``; raises ``InvalidRow`` where nothing of the source is kept."""
        if row["repeats"]:
            raise InvalidRow(f"{row['file']} repeats {row['repeats']}", reason="near_duplicate")
        way, unit = self._unit(row["kind"], tools.labels.units)
        if way == "post":
            self._post(row, unit, part)
        elif way == "image":
            self._picture(row, tools, part)
        else:
            self._sound(row, way, unit, tools, part)
        if not part.items:
            raise InvalidRow(f"nothing of {row['file']} passes the filters", reason="filtered")

    def _unit(self, kind: str, asked: Sequence[str]) -> tuple[str, str]:
        """How a source of some kind is cut, and what the label schema calls the result."""
        if kind in ("text", "image"):
            name = "post" if kind == "text" else "image"
            ways = {name: name}
        else:
            chosen = (self.unit,) if self.unit else ("speech", "window", "clip")
            ways = {way: _LABELLED[way] for way in chosen}
        found = next(((way, unit) for way, unit in ways.items() if unit in asked), None)
        if found is None:
            cut = f" cut by {self.unit}" if self.unit and kind in ("audio", "video") else ""
            message = f"the label schema asks for {' and '.join(asked)}, which {kind}{cut} cannot give"
            raise InvalidRow(message, reason="no_unit")
        return found

    def _post(self, row: dict[str, Any], unit: str, part: Part) -> None:
        text = row["text"]
        whole = [Passage(0, text)]
        cut = {"whole": lambda _: whole, "sentences": sentences, "turns": turns}[self.posts](text)
        items, whole_language = [], language_of(text)
        for passage in cut or whole:
            detail = None if self.posts == "whole" else str(passage.start)
            item = item_row(row, unit, "text", None, detail=detail)
            item |= {
                "text": passage.text,
                "text_source": "post",
                "language": language_of(passage.text) or whole_language,
            }
            item["speaker"] = passage.speaker or row["speaker"]
            item["speaker_source"] = "post" if item["speaker"] else None
            items.append(item)
        part.items.extend(passed(items, self.filters, part.rejections))

    def _picture(self, row: dict[str, Any], tools: Tools, part: Part) -> None:
        rgb = load_rgb(tools.folder / row["file"])
        pack = self._path(tools.folder, self.faces.model_pack)
        detector = open_detector(pack)
        seen = [face for face in detector.detect(rgb) if face.size_px >= self.faces.min_face_px]
        crops = [(face, crop_picture(rgb, face, size_px=self.faces.size_px)) for face in seen]
        found = [FaceTrack(Track([0.0], [face]), {0: crop}) for face, crop in crops if crop is not None]
        found.sort(key=lambda one: -one.size_px)
        whole = {"image": tools.blobs.put(encode_jpeg(rgb), "jpg"), "height_px": rgb.shape[0], "width_px": rgb.shape[1]}
        items = []
        for number, one in enumerate(found[:1] if self.faces.of_image == "largest" else found):
            item = item_row(row, "image", "image", None, detail=str(number) if number else None)
            items.append(item | whole | face_columns(row["source_id"], one, one.crop, tools))
        if not found:
            items.append(item_row(row, "image", "image", None) | whole)
            detail = f"no face of {self.faces.min_face_px} px is found in {row['file']}"
            part.rejections.append(Rejection(row["source_id"], f"{items[0]['item_id']}#face", "no_face", detail))
        items[0]["picture_hash"] = picture_hash(rgb)
        part.items.extend(passed(items, self.filters, part.rejections))
        shown = {item.get("face_id") for item in part.items}
        rows = face_rows(row["source_id"], found, detector.name, pack, tools)
        part.faces.extend(face for face in rows if face["face_id"] in shown)

    def _sound(self, row: dict[str, Any], way: str, unit: str, tools: Tools, part: Part) -> None:
        path, is_video = tools.folder / row["file"], row["kind"] == "video"
        channels = self._channels(path, is_optional=is_video and way in ("clip", "shot", "cue"))
        heard_s = max((len(one.samples) / AUDIO_RATE_HZ for one in channels if one.samples is not None), default=0.0)
        duration_s = round(max(heard_s, row["duration_s"] or 0.0), 3)
        speech = [self._utterances(channel) for channel in channels]
        whisper = self._path(tools.folder, self.transcript.whisper_model)
        asked = transcribers(row, self.transcript, tools.folder, whisper)
        spoken = cues_of(row, channels, speech, self.transcript, asked, part)
        spans = self._spans(way, row, path, duration_s, speech, spoken)
        told = self._turns(row, tools, part)
        found: list[tuple[dict[str, Any], Span]] = []
        watched = (
            self._watch(path, way, [span for mine in spans for span in mine], tools, row, part) if is_video else None
        )
        for channel, mine, cues, uttered in zip(channels, spans, spoken.cues, speech, strict=True):
            items = self._items(row, way, unit, channel, mine, cues, spoken, told)
            if watched is not None:
                show_faces(items, mine, uttered if way == "window" else mine, channel, watched, tools)
            found += zip(items, mine, strict=True)
        found.sort(key=lambda one: (one[1], one[0].get("channel") or 0))
        kept = {item["item_id"] for item in passed([item for item, _ in found], self.filters, part.rejections)}
        by_number = {channel.number: channel.samples for channel in channels}
        for item, span in found:
            if item["item_id"] in kept:
                self._store(item, span, path, by_number[item.get("channel")], tools, part, is_video=is_video)
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
        self, way: str, row: dict[str, Any], path: Path, duration_s: float, speech: list[list[Span]], spoken: Spoken
    ) -> list[list[Span]]:
        """The units of each channel."""
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
            shots = find_shots(path, duration_s) if row["kind"] == "video" else []
            if not shots:
                raise InvalidRow(f"{file} has no moving pictures to find shots in", reason="no_unit")
            return [shots] * everywhere
        if duration_s > self.max_clip_s:
            raise InvalidRow(f"{file} is longer than max_clip_s ({self.max_clip_s:g} s)", reason="too_long")
        return [[Span(0.0, duration_s)]] * everywhere

    def _items(
        self,
        row: dict[str, Any],
        way: str,
        unit: str,
        channel: Channel,
        spans: Sequence[Span],
        cues: Sequence[Cue],
        spoken: Spoken,
        told: Sequence[Turn],
    ) -> list[dict[str, Any]]:
        align = self.transcript.align and spoken.language == "en"
        said = said_by_span(channel, cues, spans, by_word=way in ("window", "shot"), align=align)
        named = speakers_of(told, spans)
        items = []
        for span, words, name in zip(spans, said, named, strict=True):
            detail = None if channel.number is None else f"channel {channel.number}"
            item = item_row(row, unit, "audio", span, detail=detail) | channel.columns(span)
            item |= {"text": words.text, "text_source": spoken.source if words.text else None}
            item |= {"language": spoken.language if words.text else None, "word_time_source": words.word_times}
            item["words"] = [{"word": one.text, "start_s": one.start_s, "end_s": one.end_s} for one in words.words]
            item["sound_hash"] = None if channel.samples is None else sound_hash(cut(channel.samples, span))
            items.append(item | speaker_columns(row["source_id"], name, words.speaker, channel))
        return items

    def _watch(
        self, path: Path, way: str, spans: Sequence[Span], tools: Tools, row: dict[str, Any], part: Part
    ) -> Watched | None:
        pack = self._path(tools.folder, self.faces.model_pack)
        detector = open_detector(pack)
        gap_s = _TOUCHING_S if way == "window" else 0.0
        try:
            watched = watch_faces(path, spans, self.faces, detector, tools, gap_s=gap_s)
        except InvalidRow as error:
            part.rejections.append(Rejection(row["source_id"], f"{row['file']}#video", error.reason, error.message))
            return None
        part.faces.extend(face_rows(row["source_id"], watched.tracks, detector.name, pack, tools))
        part.shots.extend(shot_rows(row["source_id"], watched.shots))
        return watched

    def _turns(self, row: dict[str, Any], tools: Tools, part: Part) -> list[Turn]:
        folder = self._path(tools.folder, self.speakers)
        file = None if folder is None else find_turns(folder, row["file"])
        if file is None:
            return []
        try:
            return load_turns(file, row["file"])
        except InvalidRow as error:
            part.rejections.append(Rejection(row["source_id"], file.name, error.reason, error.message))
            return []

    def _store(
        self,
        item: dict[str, Any],
        span: Span,
        path: Path,
        samples: Samples | None,
        tools: Tools,
        part: Part,
        *,
        is_video: bool,
    ) -> None:
        """The media of an item: its exact sound and, where it is long enough to be watched, a viewing copy."""
        if samples is not None:
            item["audio"] = tools.blobs.put(render_audio(samples, span), "flac")
        if is_video and span.end_s - span.start_s >= _SHORTEST_VIDEO_S:
            try:
                item |= _viewing_copy(render_video(path, span, samples), tools)
                item["layout"] = "video"
            except InvalidRow as error:
                if samples is None:
                    raise
                subject = f"{item['item_id']}#video"
                part.rejections.append(Rejection(item["source_id"], subject, error.reason, error.message))

    @staticmethod
    def _path(folder: Path, setting: str | None) -> Path | None:
        return folder / Path(setting).expanduser() if setting else None


def _viewing_copy(mp4: bytes, tools: Tools) -> dict[str, Any]:
    name = tools.blobs.put(mp4, "mp4")
    seen = probe(tools.blobs.path(name))
    return {"video": name, "frame_rate_hz": seen.frame_rate_hz, "width_px": seen.width, "height_px": seen.height}


def _told_files(path: Path | None) -> list[Path]:
    """The files that tell speakers."""
    if path is None:
        return []
    files = [path] if path.is_file() else sorted(path.glob("*")) if path.is_dir() else []
    return [file for file in files if file.suffix.lower() in SPEAKER_SUFFIXES and file.is_file()]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
