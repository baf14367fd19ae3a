"""Preprocess: cut each source into items to annotate, with their sound, viewing copy, face and words."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curate.errors import InvalidRow
from curate.media import speech
from curate.media.container import AUDIO_RATE_HZ
from curate.media.decode import Samples, Span, read_audio
from curate.media.face_tracks import FaceTrack, follow_faces, take_shot
from curate.media.faces import open_detector, pack_files
from curate.media.onnx_models import CENTERFACE, SILERO_VAD
from curate.media.pictures import encode_jpeg, load_rgb
from curate.media.probe import probe
from curate.media.render import render_audio, render_video
from curate.media.speech import Speech
from curate.media.tracks import Track
from curate.media.transcript import Words, load_cues, words_of
from curate.stage import BatchStage, Outcome, Rejection, Tools

_POSTS_TOGETHER = 512


class Faces(BaseModel):
    """How faces are found and cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_pack: str | None = None
    """Folder of an InsightFace model pack, relative to the recipe; the embedded CenterFace where there is none."""
    min_face_px: int = Field(40, ge=8, le=4096)
    every: int = Field(5, ge=1, le=1000)
    """Looks at every so-many-th frame."""
    size_px: int = Field(256, ge=32, le=1024)


class Preprocess(BatchStage):
    """Sound becomes utterances, a picture and a post are taken whole; faces are found, in a video followed."""

    reads: ClassVar[str] = "sources"
    writes: ClassVar[tuple[str, ...]] = ("items", "faces")
    uses: ClassVar[tuple[str, ...] | None] = (
        *("source_id", "file", "kind", "duration_s", "participant", "speaker", "text"),
        *("subtitles_file", "subtitles_sha256"),
    )

    version: ClassVar[int] = 2

    stage: Literal["preprocess"] = "preprocess"
    max_pause_s: float = Field(0.3, gt=0, le=10)
    min_speech_s: float = Field(0.25, ge=0, le=60)
    max_utterance_s: float = Field(15.0, ge=1, le=120)
    pad_s: float = Field(0.1, ge=0, le=2)
    max_clip_s: float = Field(120.0, ge=1, le=600)
    faces: Faces = Faces()

    def assets(self, tools: Tools) -> Iterable[str]:
        pack = self._pack(tools.folder)
        if pack is None:
            return (SILERO_VAD.sha256, CENTERFACE.sha256)
        return (SILERO_VAD.sha256, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in pack_files(pack)))

    def problems(self, folder: Path) -> Iterable[tuple[tuple[str, ...], str]]:
        pack = self._pack(folder)
        if pack is not None and not pack_files(pack):
            yield ("faces", "model_pack"), f"the face model pack {pack} holds no .onnx file"

    def cut(self, inputs: pa.Table, todo: Sequence[int]) -> Iterator[Sequence[int]]:
        """Each media file alone; posts, which cost next to nothing, many at a time."""
        kinds = inputs["kind"].to_pylist() if todo else []
        yield from ([place] for place in todo if kinds[place] != "text")
        posts = [place for place in todo if kinds[place] == "text"]
        yield from (posts[at : at + _POSTS_TOGETHER] for at in range(0, len(posts), _POSTS_TOGETHER))

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        outcome = Outcome(rows={"items": [], "faces": []})
        for row in batch.to_pylist():
            source_id = row["source_id"]
            try:
                part = self._source(row, tools)
            except InvalidRow as error:
                outcome.rejections.append(Rejection(source_id, source_id, error.reason, error.message))
                continue
            outcome.rows["items"].extend(part.items)
            outcome.rows["faces"].extend(part.faces)
            outcome.rejections.extend(part.rejections)
        return outcome

    def _source(self, row: dict[str, Any], tools: Tools) -> "_Part":
        units: Sequence[str] = tools.labels.units
        wanted = {"text": ("post",), "image": ("image",)}.get(row["kind"], ("utterance", "clip"))
        unit = next((unit for unit in wanted if unit in units), None)
        if unit is None:
            asked = " and ".join(units)
            raise InvalidRow(f"the label schema asks for {asked}, which {row['kind']} cannot give", reason="no_unit")
        part = _Part([], [], [])
        if unit == "post":
            part.items.append(_item(row, unit, "text", None) | {"text": row["text"], "text_source": "post"})
            part.items[0]["speaker"] = row["speaker"]
        elif unit == "image":
            self._picture(row, tools, part)
        else:
            self._sound(row, unit, tools, part)
        return part

    def _picture(self, row: dict[str, Any], tools: Tools, part: "_Part") -> None:
        rgb = load_rgb(tools.folder / row["file"])
        detector = open_detector(self._pack(tools.folder))
        seen = [face for face in detector.detect(rgb) if face.size_px >= self.faces.min_face_px]
        face = max(seen, key=lambda face: face.size_px, default=None)
        shot = take_shot(rgb, face, size_px=self.faces.size_px) if face else None
        item = _item(row, "image", "image", None) | {"image": tools.blobs.put(encode_jpeg(rgb), "jpg")}
        item |= {"height_px": rgb.shape[0], "width_px": rgb.shape[1]}
        if face is not None and shot is not None:
            largest = FaceTrack(Track([0.0], [face]), {0: shot})
            part.faces.append(_face_row(row["source_id"], largest, detector.name, tools))
            item |= {"face": part.faces[0]["crop"], "face_id": part.faces[0]["face_id"]}
        else:
            detail = f"no face of {self.faces.min_face_px} px is found in {row['file']}"
            part.rejections.append(Rejection(row["source_id"], f"{item['item_id']}#face", "no_face", detail))
        part.items.append(item)

    def _sound(self, row: dict[str, Any], unit: str, tools: Tools, part: "_Part") -> None:
        path = tools.folder / row["file"]
        samples = _sound_of(path, optional=unit == "clip" and row["kind"] == "video")
        found = self._utterances(samples, row) if unit == "utterance" else self._clip(samples, row)
        spans = [one.span for one in found]
        words = _transcript(row, spans, tools, part)
        tracks = self._follow(path, spans, tools, row, part) if row["kind"] == "video" else []
        for place, (one, said) in enumerate(zip(found, words, strict=True)):
            item = _item(row, unit, "audio", one.span) | {"speech_share": one.share}
            item |= {"text": said.text, "speaker": said.speaker, "text_source": "subtitles" if said.text else None}
            if samples is not None:
                item["audio"] = tools.blobs.put(render_audio(samples, one.span), "flac")
            if row["kind"] == "video":
                try:
                    item |= _viewing_copy(render_video(path, one.span, samples), tools)
                    item["layout"] = "video"
                except InvalidRow as error:
                    if samples is None:
                        raise
                    subject = f"{item['item_id']}#video"
                    part.rejections.append(Rejection(row["source_id"], subject, error.reason, error.message))
            here = [track for track in tracks if place in track.best]
            if here:
                chosen = max(here, key=lambda track: (track.looks_in(one.span), track.size_px))
                item["face"] = tools.blobs.put(chosen.best[place].jpeg, "jpg")
                item["face_id"] = _face_id(row["source_id"], chosen)
            part.items.append(item)

    def _utterances(self, samples: Samples | None, row: dict[str, Any]) -> list[Speech]:
        if samples is None:
            raise InvalidRow(f"{row['file']} has no sound", reason="no_audio")
        found = speech.utterances(
            speech.speech_probabilities(samples),
            duration_s=len(samples) / AUDIO_RATE_HZ,
            max_pause_s=self.max_pause_s,
            min_speech_s=self.min_speech_s,
            max_utterance_s=self.max_utterance_s,
            pad_s=self.pad_s,
        )
        if not found:
            raise InvalidRow(f"no speech is found in {row['file']}", reason="no_speech")
        return found

    def _clip(self, samples: Samples | None, row: dict[str, Any]) -> list[Speech]:
        heard_s = 0.0 if samples is None else len(samples) / AUDIO_RATE_HZ
        duration_s = round(max(heard_s, row["duration_s"] or 0.0), 3)
        if duration_s > self.max_clip_s:
            raise InvalidRow(f"{row['file']} is longer than max_clip_s ({self.max_clip_s:g} s)", reason="invalid")
        share = 0.0 if samples is None else float((speech.speech_probabilities(samples) >= speech.ON).mean())
        return [Speech(Span(0.0, duration_s), share)]

    def _follow(
        self, path: Path, spans: Sequence[Span], tools: Tools, row: dict[str, Any], part: "_Part"
    ) -> list[FaceTrack]:
        detector = open_detector(self._pack(tools.folder))
        look = self.faces.model_dump(exclude={"model_pack"})
        try:
            tracks = follow_faces(path, spans, detector, **look)
        except InvalidRow as error:
            part.rejections.append(Rejection(row["source_id"], f"{row['file']}#video", error.reason, error.message))
            return []
        part.faces.extend(_face_row(row["source_id"], track, detector.name, tools) for track in tracks)
        return tracks

    def _pack(self, folder: Path) -> Path | None:
        return folder / Path(self.faces.model_pack).expanduser() if self.faces.model_pack else None


class _Part(NamedTuple):
    """What one source gives."""

    items: list[dict[str, Any]]
    faces: list[dict[str, Any]]
    rejections: list[Rejection]


def _sound_of(path: Path, *, optional: bool) -> Samples | None:
    try:
        return read_audio(path)
    except InvalidRow:
        if optional:
            return None
        raise


def _transcript(row: dict[str, Any], spans: Sequence[Span], tools: Tools, part: _Part) -> list[Words]:
    if row["subtitles_file"]:
        try:
            return words_of(load_cues(tools.folder / row["subtitles_file"]), spans)
        except InvalidRow as error:
            subject = row["subtitles_file"]
            part.rejections.append(Rejection(row["source_id"], subject, error.reason, error.message))
    return [Words(None, None)] * len(spans)


def _viewing_copy(mp4: bytes, tools: Tools) -> dict[str, Any]:
    name = tools.blobs.put(mp4, "mp4")
    seen = probe(tools.blobs.path(name))
    return {"video": name, "frame_rate_hz": seen.frame_rate_hz, "width_px": seen.width, "height_px": seen.height}


def _item(row: dict[str, Any], unit: str, layout: str, span: Span | None) -> dict[str, Any]:
    start_ms, end_ms = (round(span.start_s * 1000), round(span.end_s * 1000)) if span else (0, 0)
    item = {
        "item_id": _short_hash(f"{row['source_id']}:{unit}:{start_ms}:{end_ms}"),
        "source_id": row["source_id"],
        "unit": unit,
        "layout": layout,
        "group": row["participant"] or row["source_id"],
    }
    return item | ({"start_s": start_ms / 1000, "end_s": end_ms / 1000} if span else {})


def _face_row(source_id: str, found: FaceTrack, detector: str, tools: Tools) -> dict[str, Any]:
    track, shot = found.track, found.shot
    return {
        "face_id": _face_id(source_id, found),
        "source_id": source_id,
        "start_s": track.times_s[0],
        "end_s": track.times_s[-1],
        "times_s": track.times_s,
        "boxes": [face.box.tolist() for face in track.faces],
        "landmarks": [face.landmarks.reshape(-1).tolist() for face in track.faces],
        "scores": [face.score for face in track.faces],
        "detector": detector,
        "best_time_s": shot.time_s,
        "crop": tools.blobs.put(shot.jpeg, "jpg"),
        "size_px": found.size_px,
        **shot.quality._asdict(),
    }


def _face_id(source_id: str, found: FaceTrack) -> str:
    box = ",".join(f"{side:.0f}" for side in found.track.faces[0].box)
    return _short_hash(f"{source_id}:face:{round(found.track.times_s[0] * 1000)}:{box}")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
