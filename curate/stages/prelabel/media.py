"""The pictures and sounds of an item that a model is shown."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus.view import Corpus
from curate.errors import InvalidRow
from curate.llm.request import MediaPart
from curate.media.faces.detector import Face
from curate.media.sampling import choose_frames, rate_crops, sample_faces, sample_frames, sample_sound
from curate.stages.contract import Tools
from curate.stages.prelabel.settings import PictureSettings, SoundForm

Row = dict[str, Any]
Shown = Mapping[str, Sequence[MediaPart]]

_DECODED = {
    "faces": ("video",),
    "frames": ("video",),
    "frames_b": ("video_b",),
    "audio": ("audio",),
    "audio_b": ("audio_b",),
}
"""The media that are decoded to choose what is shown, by modality."""
_TRACK = ("face_id", "times_s", "boxes", "landmarks", "scores", "frames")


class ItemMedia:
    """Chooses and prepares what prompts ask for; what is cut from a clip is stored as blobs like everything else."""

    def __init__(
        self,
        wanted: Iterable[str],
        pictures: PictureSettings,
        corpus: Corpus | None,
        tools: Tools,
        *,
        sound: SoundForm,
        most_sound_s: float,
    ) -> None:
        self._pictures, self._blobs = pictures, tools.blobs
        self._form: SoundForm = sound
        self._most_sound_s = most_sound_s
        makers: dict[str, Callable[[Row], list[MediaPart]]] = {
            "image": lambda item: self._one(item["image"]),
            "faces": self._faces,
            "frames": lambda item: self._frames(item, "video"),
            "frames_b": lambda item: self._frames(item, "video_b"),
            "audio": lambda item: self._sound(item, "audio"),
            "audio_b": lambda item: self._sound(item, "audio_b"),
        }
        self._makers = {name: makers[name] for name in sorted(set(wanted))}
        self._tracks = _Tracks(corpus) if corpus and "faces" in self._makers else None
        self._decoded = [name for name in self._makers if name != "image"]

    async def of(self, item: Row) -> Shown:
        """By modality the pictures and sounds of an item, without those that it lacks or that cannot be decoded."""
        if not self._makers or not any(
            item[name] for name in ("image", "face", "video", "audio", "video_b", "audio_b")
        ):
            return {}
        return await asyncio.to_thread(self._make, item) if self.are_decoded(item) else self._make(item)

    def are_decoded(self, item: Row) -> bool:
        """Whether media of an item must be decoded to know what is shown of it."""
        return any(item[column] for name in self._decoded for column in _DECODED[name])

    def guessed(self, item: Row) -> Shown:
        """The same as far as an estimate of size and cost needs it, with nothing decoded."""
        count = self._pictures.count
        seconds = (item["end_s"] or 0.0) - (item["start_s"] or 0.0)
        found = {"image": self._one(item["image"]), "faces": self._one(item["face"]) * (count if item["video"] else 1)}
        for b in ("", "_b"):
            found[f"frames{b}"] = self._one(item[f"video{b}"]) * count
            is_sent = item[f"audio{b}"] and seconds <= self._most_sound_s
            found[f"audio{b}"] = [MediaPart(item[f"audio{b}"], "audio", seconds=seconds)] if is_sent else []
        return {name: media for name, media in found.items() if media and name in self._makers}

    def _make(self, item: Row) -> Shown:
        found = {}
        for name, make in self._makers.items():
            try:
                if media := make(item):
                    found[name] = media
            except InvalidRow:
                continue  # it was decodable when it was made; what is left is shown
        return found

    def _faces(self, item: Row) -> list[MediaPart]:
        if item["face"] is None:
            return []
        track = self._tracks.of(item) if self._tracks else None
        if track is not None and item["video"]:
            names = self._kept(item, track) or self._cut(item, track)
            if names:
                return [each for name in names for each in self._one(name)]
        return self._one(item["face"])

    def _kept(self, item: Row, track: Row) -> list[str]:
        """The best of the crops that were kept of the track while the item lasts."""
        frames = [each for each in track["frames"] or () if item["start_s"] <= each["time_s"] <= item["end_s"]]
        points = dict(zip(track["times_s"], track["landmarks"], strict=True))
        marks = [
            np.array(points[f["time_s"]], np.float32).reshape(-1, 2) if f["time_s"] in points else None for f in frames
        ]
        apart = [float(np.linalg.norm(mark[1] - mark[0])) for mark in marks if mark is not None]
        crops = [(frame["time_s"], self._blobs.path(frame["crop"])) for frame in frames]
        looks = rate_crops(crops, marks, largest_px=max(apart, default=0.0))
        return [frames[at]["crop"] for at in choose_frames(looks, self._pictures.count)]

    def _cut(self, item: Row, track: Row) -> list[str]:
        """Crops from the viewing copy, whose pixels may be fewer than the source's."""
        scale = item["width_px"] / track["width_px"] if track["width_px"] and item["width_px"] else 1.0
        seen = []
        for time_s, box, points, score in zip(
            *(track[name] for name in ("times_s", "boxes", "landmarks", "scores")), strict=True
        ):
            if item["start_s"] <= time_s <= item["end_s"]:
                mark = np.array(points, np.float32).reshape(-1, 2) * scale
                seen.append((time_s - item["start_s"], Face(np.array(box, np.float32) * scale, mark, score)))
        path = self._blobs.path(item["video"])
        stills = sample_faces(path, seen, self._pictures.count, size_px=self._side(256))
        return [self._blobs.put(still.jpeg, "jpg") for still in stills]

    def _frames(self, item: Row, column: str) -> list[MediaPart]:
        if item[column] is None:
            return []
        duration_s = (item["end_s"] or 0.0) - (item["start_s"] or 0.0)
        path = self._blobs.path(item[column])
        stills = sample_frames(path, duration_s, self._pictures.count, side_px=self._pictures.side_px)
        return [each for still in stills for each in self._one(self._blobs.put(still.jpeg, "jpg"))]

    def _sound(self, item: Row, column: str) -> list[MediaPart]:
        if item[column] is None:
            return []
        sound = sample_sound(self._blobs.path(item[column]), self._form, max_s=self._most_sound_s)
        if sound is None:
            return []
        return [MediaPart(self._blobs.put(sound.data, self._form), "audio", seconds=sound.duration_s)]

    def _one(self, name: str | None) -> list[MediaPart]:
        pictures = self._pictures
        return [MediaPart(name, "image", detail=pictures.detail, side_px=pictures.side_px)] if name else []

    def _side(self, most: int) -> int:
        return min(most, self._pictures.side_px) // 2 * 2


class _Tracks:
    """The face tracks of a corpus, of which only those asked for become Python objects."""

    def __init__(self, corpus: Corpus) -> None:
        faces = corpus.read("faces", [*_TRACK, "source_id"])
        sources = corpus.read("sources", ["source_id", "width_px"])
        self._widths = dict(zip(*map(pa.ChunkedArray.to_pylist, sources.columns), strict=True))
        self._faces = faces.combine_chunks()
        self._places = {name: at for at, name in enumerate(faces["face_id"].to_pylist())}

    def of(self, item: Row) -> Row | None:
        """The track of an item's face, with the width of the source's pictures; None where it has none."""
        at = self._places.get(item["face_id"] or "")
        if at is None:
            return None
        row: Row = self._faces.slice(at, 1).to_pylist()[0]
        return {**row, "width_px": self._widths.get(row["source_id"])}
