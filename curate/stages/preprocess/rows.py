"""Rows of preprocess: items, faces and shots with their ids, and the rejections of a source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.files import sha256_of
from curate.media.container.decode import Span
from curate.media.container.pictures import load_rgb
from curate.media.faces.face_track import FaceTrack
from curate.media.faces.insightface import embed_faces
from curate.stages.contract import Outcome, Rejection, Tools


@dataclass
class SourceRows:
    """What becomes of one source: rows by table, and rejections."""

    source_id: str
    items: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    shots: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    def reject(self, subject: str, error: InvalidRow) -> None:
        """Record that a part of the source, such as an item or a stream, cannot be used."""
        self.rejections.append(Rejection(self.source_id, subject, error.reason, error.message))

    def reject_source(self, error: InvalidRow) -> None:
        """Record that nothing of the source can be used, and drop its rows."""
        self.items, self.faces, self.shots = [], [], []
        self.reject(self.source_id, error)


def to_outcome(sources: Sequence[SourceRows]) -> Outcome:
    """Return the rows and rejections of several sources as the outcome of a batch."""
    tables = ("items", "faces", "shots")
    rows = {table: [row for source in sources for row in getattr(source, table)] for table in tables}
    return Outcome(rows, [rejection for source in sources for rejection in source.rejections])


def item_row(
    source: dict[str, Any], unit: str, layout: str, span: Span | None, *, detail: str | None = None
) -> dict[str, Any]:
    """Return an item without its media. ``detail`` distinguishes items with the same source, unit and times."""
    start_ms, end_ms = (round(span.start_s * 1000), round(span.end_s * 1000)) if span else (0, 0)
    identity = f"{source['source_id']}:{unit}:{start_ms}:{end_ms}" + (f":{detail}" if detail else "")
    item = {
        "item_id": _short_hash(identity),
        "source_id": source["source_id"],
        "unit": unit,
        "layout": layout,
        "group": source["participant"] or source["source_id"],
    }
    return item | ({"start_s": start_ms / 1000, "end_s": end_ms / 1000} if span else {})


def tell_of_table(source: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    """Fill in what the table of a media file says of its items, and the file itself does not.

    The text is that of the whole file, so only an item that is all of it has it.
    """
    for item in items:
        if source["speaker"] and not item.get("speaker"):
            item |= {"speaker": source["speaker"], "speaker_source": "table"}
        if source["statement"]:
            item["statement"] = source["statement"]
        if source["text"] and not item.get("text") and len(items) == 1 and item["unit"] in ("clip", "image"):
            item |= {"text": source["text"], "text_source": "table"}


def face_rows(
    source_id: str, tracks: Sequence[FaceTrack], detector: str, pack: Path | None, tools: Tools
) -> list[dict[str, Any]]:
    """Store the best crop of each face track, and return rows of ``faces``.

    They have embeddings if the model pack contains a recognition network.
    """
    rows = [_face_row(source_id, track, detector, tools) for track in tracks]
    embeddings = None if pack is None else embed_faces(pack, [load_rgb(tools.blobs.path(row["crop"])) for row in rows])
    if embeddings is not None:
        for row, embedding in zip(rows, embeddings, strict=True):
            row["embedding"] = embedding.tolist()
    return rows


def _face_row(source_id: str, face: FaceTrack, detector: str, tools: Tools) -> dict[str, Any]:
    track, crop = face.track, face.crop
    return {
        "face_id": face_id(source_id, face),
        "source_id": source_id,
        "start_s": track.times_s[0],
        "end_s": track.times_s[-1],
        "times_s": track.times_s,
        "boxes": [detection.box.tolist() for detection in track.faces],
        "landmarks": [detection.landmarks.reshape(-1).tolist() for detection in track.faces],
        "scores": [detection.score for detection in track.faces],
        "detector": detector,
        "best_time_s": crop.time_s,
        "crop": tools.blobs.put(crop.jpeg, "jpg"),
        "size_px": face.size_px,
        **crop.quality._asdict(),
        "visible_share": face.visible_share,
        "frames": [{"time_s": frame.time_s, "crop": frame.name} for frame in face.frames],
        "video": face.video,
    }


def face_id(source_id: str, face: FaceTrack) -> str:
    """Return the id of a face track, which follows from its source, first time and first box."""
    box = ",".join(f"{side:.0f}" for side in face.track.faces[0].box)
    return _short_hash(f"{source_id}:face:{round(face.track.times_s[0] * 1000)}:{box}")


def shot_rows(source_id: str, shots: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Return rows of ``shots`` from start and end times in order."""
    return [
        {
            "shot_id": _short_hash(f"{source_id}:shot:{round(start_s * 1000)}"),
            "source_id": source_id,
            "number": number,
            "start_s": round(start_s, 3),
            "end_s": round(end_s, 3),
        }
        for number, (start_s, end_s) in enumerate(shots)
    ]


def _short_hash(text: str) -> str:
    return sha256_of(text)[:24]
