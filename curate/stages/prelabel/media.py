"""The pictures and sounds of an item that are sent to a model."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus.view import Corpus
from curate.errors import InvalidRow
from curate.llm.request import MediaPart
from curate.media.container.decode import Span, read_audio
from curate.media.container.render import render_video
from curate.media.faces.detector import Face
from curate.media.sampling import choose_frames, rate_crops, sample_faces, sample_frames, sample_sound
from curate.stages.contract import Tools
from curate.stages.prelabel.settings import PrelabelSettings

Row = dict[str, Any]
MediaByModality = Mapping[str, Sequence[MediaPart]]

_DECODED_COLUMN = {
    "faces": "video",
    "frames": "video",
    "video": "video",
    "frames_b": "video_b",
    "video_b": "video_b",
    "audio": "audio",
    "audio_b": "audio_b",
}
"""For each modality the column with media to decode."""
_COLUMNS = ("image", "face", "video", "audio", "video_b", "audio_b")
_CROP_PX = 256
_TRACK_COLUMNS = ("face_id", "times_s", "boxes", "landmarks", "scores", "frames")


class ItemMedia:
    """Chooses and prepares the media that prompts use; what is cut from a clip is stored as blobs."""

    def __init__(
        self, modalities: Iterable[str], settings: PrelabelSettings, corpus: Corpus | None, tools: Tools
    ) -> None:
        self._pictures, self._blobs, self._raw = settings.pictures, tools.blobs, tools.raw
        self._sound_format, self._max_sound_s = settings.sound, settings.max_sound_s
        self._max_video_s = settings.max_video_s
        makers: dict[str, Callable[[Row], list[MediaPart]]] = {
            "image": lambda item: self._picture(item["image"]),
            "faces": self._faces,
            "frames": lambda item: self._frames(item, "video"),
            "frames_b": lambda item: self._frames(item, "video_b"),
            "video": lambda item: self._clip(item, "video"),
            "video_b": lambda item: self._clip(item, "video_b"),
            "audio": lambda item: self._sound(item, "audio"),
            "audio_b": lambda item: self._sound(item, "audio_b"),
        }
        self._makers = {name: makers[name] for name in sorted(set(modalities))}
        self._tracks = _FaceTracks(corpus) if corpus and "faces" in self._makers else None
        self._files = _files(corpus) if corpus and {"frames", "faces", "video"} & set(self._makers) else {}
        self._decoded_columns = [_DECODED_COLUMN[name] for name in self._makers if name in _DECODED_COLUMN]

    async def prepare(self, item: Row) -> MediaByModality:
        """Return an item's media by modality, without those that it lacks or that cannot be decoded."""
        if not self._makers or not any(_has(item, column) for column in _COLUMNS):
            return {}
        return await asyncio.to_thread(self._make, item) if self.needs_decoding(item) else self._make(item)

    def needs_decoding(self, item: Row) -> bool:
        """Whether media of an item must be decoded to know what is sent."""
        return any(_has(item, column) for column in self._decoded_columns)

    def estimate(self, item: Row) -> MediaByModality:
        """Return media of about the same size and cost as those of ``prepare``, without decoding anything."""
        count = self._pictures.count
        seconds = _duration_s(item)
        media = {
            "image": self._picture(item["image"]),
            "faces": self._picture(item["face"]) * (count if _has(item, "video") else 1),
        }
        for suffix in ("", "_b"):
            is_shown = _has(item, f"video{suffix}")
            media[f"frames{suffix}"] = self._picture(item[f"video{suffix}"] or "source") * count if is_shown else []
            clip = is_shown and seconds <= self._max_video_s
            part = MediaPart(item[f"video{suffix}"] or "source.mp4", "video", seconds=seconds)
            media[f"video{suffix}"] = [part] if clip else []
            blob = item[f"audio{suffix}"]
            is_sent = blob and seconds <= self._max_sound_s
            media[f"audio{suffix}"] = [MediaPart(blob, "audio", seconds=seconds)] if is_sent else []
        return {name: parts for name, parts in media.items() if parts and name in self._makers}

    def _make(self, item: Row) -> MediaByModality:
        media = {}
        for name, make in self._makers.items():
            try:
                if parts := make(item):
                    media[name] = parts
            except InvalidRow:
                continue  # the blob is damaged: the item is judged by its other media
        return media

    def _faces(self, item: Row) -> list[MediaPart]:
        if item["face"] is None:
            return []
        track = self._tracks.find(item) if self._tracks else None
        if track is not None and _has(item, "video"):
            crops = self._stored_crops(item, track) or self._cut_crops(item, track)
            if crops:
                return [part for blob, time_s in crops for part in self._picture(blob, time_s)]
        return self._picture(item["face"])

    def _stored_crops(self, item: Row, track: Row) -> list[tuple[str, float]]:
        """Return the best of the stored crops of the track within the item, each with its second in the item."""
        frames = [frame for frame in track["frames"] or () if item["start_s"] <= frame["time_s"] <= item["end_s"]]
        landmarks = dict(zip(track["times_s"], track["landmarks"], strict=True))
        points = [_to_points(landmarks[frame["time_s"]]) if frame["time_s"] in landmarks else None for frame in frames]
        eye_distances = [float(np.linalg.norm(face[1] - face[0])) for face in points if face is not None]
        crops = [(frame["time_s"], self._blobs.path(frame["crop"])) for frame in frames]
        ratings = rate_crops(crops, points, largest_px=max(eye_distances, default=0.0))
        chosen = [frames[index] for index in choose_frames(ratings, self._pictures.count)]
        return [(frame["crop"], frame["time_s"] - item["start_s"]) for frame in chosen]

    def _cut_crops(self, item: Row, track: Row) -> list[tuple[str, float]]:
        """Cut crops from the source; return each with its second in the item."""
        columns = (track[name] for name in ("times_s", "boxes", "landmarks", "scores"))
        faces = [
            (time_s, Face(np.array(box, np.float32), _to_points(landmarks), score))
            for time_s, box, landmarks, score in zip(*columns, strict=True)
            if item["start_s"] <= time_s <= item["end_s"]
        ]
        size_px = min(_CROP_PX, self._pictures.side_px) // 2 * 2
        stills = sample_faces(self._source(item), faces, self._pictures.count, size_px=size_px)
        return [(self._blobs.put(still.jpeg, "jpg"), still.time_s - item["start_s"]) for still in stills]

    def _frames(self, item: Row, column: str) -> list[MediaPart]:
        if not _has(item, column):
            return []
        if item[column]:
            path, span = self._blobs.path(item[column]), Span(0.0, _duration_s(item))
        else:
            path, span = self._source(item), Span(item["start_s"], item["end_s"])
        stills = sample_frames(path, span, self._pictures.count, side_px=self._pictures.side_px)
        return [part for still in stills for part in self._picture(self._blobs.put(still.jpeg, "jpg"), still.time_s)]

    def _clip(self, item: Row, column: str) -> list[MediaPart]:
        """Return the clip of an item, cut from the source unless it is a file of its own."""
        seconds = _duration_s(item)
        if not _has(item, column) or seconds > self._max_video_s:
            return []
        blob = item[column]
        if not blob:
            sound = read_audio(self._blobs.path(item["audio"])) if item["audio"] else None
            clip = render_video(self._source(item), Span(item["start_s"], item["end_s"]), sound)
            blob = self._blobs.put(clip, "mp4")
        return [MediaPart(blob, "video", seconds=seconds)]

    def _source(self, item: Row) -> Path:
        """Return the raw file of an item. Raises ``SourceMissing``."""
        return self._raw.path(self._files.get(item["source_id"], str(item["source_id"])))

    def _sound(self, item: Row, column: str) -> list[MediaPart]:
        if item[column] is None:
            return []
        sound = sample_sound(self._blobs.path(item[column]), self._sound_format, max_s=self._max_sound_s)
        if sound is None:
            return []
        return [MediaPart(self._blobs.put(sound.data, self._sound_format), "audio", seconds=sound.duration_s)]

    def _picture(self, blob: str | None, time_s: float | None = None) -> list[MediaPart]:
        pictures = self._pictures
        part = MediaPart(blob or "", "image", detail=pictures.detail, side_px=pictures.side_px, time_s=time_s)
        return [part] if blob else []


class _FaceTracks:
    """The face tracks of a corpus; only those looked up become Python objects."""

    def __init__(self, corpus: Corpus) -> None:
        faces = corpus.read("faces", _TRACK_COLUMNS)
        self._faces = faces.combine_chunks()
        self._indices = {face_id: index for index, face_id in enumerate(faces["face_id"].to_pylist())}

    def find(self, item: Row) -> Row | None:
        """Return the track of an item's face, or None if it has none."""
        index = self._indices.get(item["face_id"] or "")
        if index is None:
            return None
        track: Row = self._faces.slice(index, 1).to_pylist()[0]
        return track


def _files(corpus: Corpus) -> dict[str, str]:
    sources = corpus.read("sources", ["source_id", "file"])
    return dict(zip(*map(pa.ChunkedArray.to_pylist, sources.columns), strict=True))


def _has(item: Row, column: str) -> bool:
    """Return whether an item has media; its pictures are those of the source unless it has a clip of its own."""
    return bool(item[column]) or (column == "video" and item["layout"] == "video" and item["start_s"] is not None)


def _duration_s(item: Row) -> float:
    return float((item["end_s"] or 0.0) - (item["start_s"] or 0.0))


def _to_points(landmarks: Sequence[float]) -> Any:
    """Return landmarks as an array of (x, y) rows."""
    return np.array(landmarks, np.float32).reshape(-1, 2)
