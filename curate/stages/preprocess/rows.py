"""Rows of preprocess: items, faces and shots with their ids, and the filters that items pass."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from curate.media.container.decode import Span
from curate.media.container.pictures import load_rgb
from curate.media.duplicates import NEAR_PICTURES, NEAR_SOUNDS, first_alike, is_near
from curate.media.faces.insightface import embed_faces
from curate.media.faces.watch import FaceTrack
from curate.media.words.sentences import likeness
from curate.stages.contract import Rejection, Tools
from curate.stages.preprocess.settings import Filters


class Part(NamedTuple):
    """What one source gives."""

    items: list[dict[str, Any]]
    faces: list[dict[str, Any]]
    shots: list[dict[str, Any]]
    rejections: list[Rejection]


def make_part() -> Part:
    return Part([], [], [], [])


def item_row(
    source: dict[str, Any], unit: str, layout: str, span: Span | None, *, detail: str | None = None
) -> dict[str, Any]:
    """An item without its media. ``detail`` tells items apart that have the same source, unit and times."""
    start_ms, end_ms = (round(span.start_s * 1000), round(span.end_s * 1000)) if span else (0, 0)
    identity = f"{source['source_id']}:{unit}:{start_ms}:{end_ms}" + (f":{detail}" if detail else "")
    item = {
        "item_id": short_hash(identity),
        "source_id": source["source_id"],
        "unit": unit,
        "layout": layout,
        "group": source["participant"] or source["source_id"],
    }
    return item | ({"start_s": start_ms / 1000, "end_s": end_ms / 1000} if span else {})


def face_rows(
    source_id: str, tracks: Sequence[FaceTrack], detector: str, pack: Path | None, tools: Tools
) -> list[dict[str, Any]]:
    """Rows of ``faces``, their best crops stored; with vectors where a model pack has a recognition network."""
    rows = [_face_row(source_id, track, detector, tools) for track in tracks]
    vectors = None if pack is None else embed_faces(pack, [load_rgb(tools.blobs.path(row["crop"])) for row in rows])
    for row, vector in zip(rows, vectors if vectors is not None else (), strict=False):
        row["embedding"] = vector.tolist()
    return rows


def _face_row(source_id: str, found: FaceTrack, detector: str, tools: Tools) -> dict[str, Any]:
    """A row of ``faces``; its best crop is stored."""
    track, crop = found.track, found.crop
    return {
        "face_id": face_id(source_id, found),
        "source_id": source_id,
        "start_s": track.times_s[0],
        "end_s": track.times_s[-1],
        "times_s": track.times_s,
        "boxes": [face.box.tolist() for face in track.faces],
        "landmarks": [face.landmarks.reshape(-1).tolist() for face in track.faces],
        "scores": [face.score for face in track.faces],
        "detector": detector,
        "best_time_s": crop.time_s,
        "crop": tools.blobs.put(crop.jpeg, "jpg"),
        "size_px": found.size_px,
        **crop.quality._asdict(),
        "visible_share": found.visible_share,
        "frames": [{"time_s": frame.time_s, "crop": frame.name} for frame in found.frames],
        "video": found.video,
    }


def face_id(source_id: str, found: FaceTrack) -> str:
    """The id of a face track: source, first time and first box."""
    box = ",".join(f"{side:.0f}" for side in found.track.faces[0].box)
    return short_hash(f"{source_id}:face:{round(found.track.times_s[0] * 1000)}:{box}")


def shot_rows(source_id: str, shots: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Rows of ``shots``, in order."""
    return [
        {
            "shot_id": short_hash(f"{source_id}:shot:{round(start_s * 1000)}"),
            "source_id": source_id,
            "number": number,
            "start_s": round(start_s, 3),
            "end_s": round(end_s, 3),
        }
        for number, (start_s, end_s) in enumerate(shots)
    ]


def passed(items: Sequence[dict[str, Any]], filters: Filters, rejections: list[Rejection]) -> list[dict[str, Any]]:
    """The items of one source that pass; each other one becomes a rejection with the reason and the value."""
    kept: list[dict[str, Any]] = []
    for item in items:
        failure = _failure(item, filters) or (_repeats(item, kept) if filters.drop_near_duplicates else None)
        if failure is None:
            kept.append(item)
        else:
            rejections.append(Rejection(item["source_id"], item["item_id"], *failure))
    return kept


def _failure(item: dict[str, Any], filters: Filters) -> tuple[str, str] | None:
    length_s = item.get("end_s", 0.0) - item.get("start_s", 0.0)
    share, text = item.get("speech_share"), item.get("text")
    speech_s = None if share is None else share * length_s
    chars = None if text is None else len(text)
    checks: tuple[tuple[str, str, float | None, float | None, float | None], ...] = (
        ("low_snr", "snr_db", item.get("snr_db"), filters.min_snr_db, None),
        ("too_quiet", "loudness_lufs", item.get("loudness_lufs"), filters.min_loudness_lufs, None),
        ("clipped", "clipping_share", item.get("clipping_share"), None, filters.max_clipping_share),
        ("silent", "silence_share", item.get("silence_share"), None, filters.max_silence_share),
        ("too_short", "seconds of speech", speech_s, filters.min_speech_s, None),
        ("low_mos", "dnsmos_sig", item.get("dnsmos_sig"), filters.min_dnsmos_sig, None),
        ("low_mos", "dnsmos_bak", item.get("dnsmos_bak"), filters.min_dnsmos_bak, None),
        ("low_mos", "dnsmos_ovr", item.get("dnsmos_ovr"), filters.min_dnsmos_ovr, None),
        ("small_face", "face_px", item.get("face_px"), filters.min_face_px, None),
        ("blurred", "sharpness", item.get("face_sharpness"), filters.min_sharpness, None),
        ("badly_lit", "brightness", item.get("face_brightness"), filters.min_brightness, filters.max_brightness),
        ("too_short", "characters", chars, filters.min_chars, None),
        ("too_long", "characters", chars, None, filters.max_chars),
    )
    for reason, name, value, low, high in checks:
        if value is not None and low is not None and value < low:
            return reason, f"{name} {value:.4g} is below {low:g}"
        if value is not None and high is not None and value > high:
            return reason, f"{name} {value:.4g} is above {high:g}"
    language = item.get("language")
    if filters.languages is not None and language not in filters.languages:
        return "other_language", f"its language is {language or 'unknown'}, not {' or '.join(filters.languages)}"
    if filters.need_face and (not item.get("face_id") or item.get("face_outcome") == "uncertain"):
        return "no_face", "no face is shown as the speaker's"
    if filters.need_text and not text and not item.get("dialogue"):
        return "no_text", "nothing of it is transcribed"
    return None


def _repeats(item: dict[str, Any], kept: Sequence[dict[str, Any]]) -> tuple[str, str] | None:
    for name, share in (("sound_hash", NEAR_SOUNDS), ("picture_hash", NEAR_PICTURES)):
        mine: str | None = item.get(name)
        for other in kept if mine else ():
            if mine and other.get(name) and is_near(mine, other[name], share):
                return "near_duplicate", f"{name} is that of item {other['item_id']}"
    return None


def repeated(sources: pa.Table) -> list[str | None]:
    """For each source the file of the first source, by name, that it repeats."""
    said_in = ("text", "text_b", "statement")
    columns = ["file", "kind", *said_in, "dialogue", "duration_s", "picture_hash", "sound_hash"]
    rows = sources.select(columns).to_pylist()
    order = sorted(range(len(rows)), key=lambda place: rows[place]["file"])
    found: list[str | None] = [None] * len(rows)
    said: dict[tuple[str, ...], str] = {}
    for place in order:
        row = rows[place]
        if row["kind"] == "text":
            told = [*(row[name] or "" for name in said_in), *(turn["text"] for turn in row["dialogue"] or ())]
            words = tuple(map(likeness, told))
            first = said.setdefault(words, row["file"])
            found[place] = None if first == row["file"] else first
    media = [place for place in order if rows[place]["kind"] != "text"]
    alike = first_alike(
        *([rows[place][name] for place in media] for name in ("picture_hash", "sound_hash", "duration_s"))
    )
    for place, match in zip(media, alike, strict=True):
        found[place] = None if match is None else rows[media[match]]["file"]
    return found


def short_hash(text: str) -> str:
    """The first 24 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]
