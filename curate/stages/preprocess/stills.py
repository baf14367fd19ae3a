"""Items of what has no time: posts, and pictures with the faces in them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InvalidRow
from curate.media.container.pictures import encode_jpeg, load_rgb
from curate.media.duplicates import picture_hash
from curate.media.faces.crops import crop_picture
from curate.media.faces.detector import open_detector
from curate.media.faces.tracks import Track
from curate.media.faces.watch import FaceTrack
from curate.media.words.language import language_of
from curate.media.words.sentences import Passage, sentences, turns
from curate.stages.contract import Rejection, Tools
from curate.stages.preprocess.rows import Part, face_rows, item_row, passed
from curate.stages.preprocess.settings import Faces, Filters
from curate.stages.preprocess.video import face_columns

POST_COLUMNS = ("text_b", "statement", "dialogue")
"""What a source of text holds besides its text."""
_NEEDED = {"pair": ("text", "text_b"), "dialogue": ("dialogue",), "utterance": ("dialogue",)}
_ITEMS_TOGETHER = 512
# A turn has what stands round it in its own row: bounded, or a long dialogue would grow with the square of its turns.
_MOST_TURNS_AROUND = 50
_MOST_CHARS_AROUND = 10_000


def cut_posts(places: Sequence[int], dialogues: pa.ChunkedArray) -> Iterator[Sequence[int]]:
    """The places of posts, as many at a time as give about so many items."""
    turns = pc.list_value_length(dialogues).to_pylist()
    batch: list[int] = []
    items = 0
    for place in places:
        batch.append(place)
        items += turns[place] or 1
        if items >= _ITEMS_TOGETHER:
            yield batch
            batch, items = [], 0
    if batch:
        yield batch


def post_items(
    row: dict[str, Any], asked: Sequence[str], way: Literal["whole", "sentences", "turns"]
) -> list[dict[str, Any]]:
    """The items of a post, whichever of these units are asked for: a pair, a dialogue, its text, or parts of either.

    A dialogue beside a text is what stands round that, which then stays whole. Raises ``InvalidRow`` where the post
    gives none of the units.
    """
    dialogue = [{"turn": number, **turn} for number, turn in enumerate(row["dialogue"] or ())]
    if "pair" in asked and row["text"] and row["text_b"]:
        language = language_of(f"{row['text']}\n{row['text_b']}")
        pair = _post_item(row, "pair", row["text"], row["speaker"], language)
        return [pair | {"text_b": row["text_b"]} | ({"dialogue": dialogue} if dialogue else {})]
    if "dialogue" in asked and dialogue:
        language = language_of("\n".join(turn["text"] for turn in dialogue))
        return [_post_item(row, "dialogue", row["text"], row["speaker"], language) | {"dialogue": dialogue}]
    # What is said in a dialogue is an utterance, whose screens show what stands round it, before it is a post.
    unit = next((unit for unit in (("utterance", "post") if dialogue else ("post",)) if unit in asked), None)
    if unit is None:
        lacking = next((name for one in asked for name in _NEEDED.get(one, ()) if not row[name]), None)
        message = f"the label schema asks for {' and '.join(asked)}, which text cannot give"
        message += f": {row['file']} has no {lacking}" if lacking else ""
        raise InvalidRow(message, reason="no_unit")
    if not dialogue:
        return _passages(row, unit, way)
    if row["text"]:
        item = _post_item(row, unit, row["text"], row["speaker"], language_of(row["text"]))
        return [item | {"dialogue": dialogue}]
    return _turn_items(row, unit, dialogue)


def _passages(row: dict[str, Any], unit: str, way: Literal["whole", "sentences", "turns"]) -> list[dict[str, Any]]:
    text = row["text"]
    whole = [Passage(0, text)]
    cut = {"whole": lambda _: whole, "sentences": sentences, "turns": turns}[way](text)
    items, whole_language = [], language_of(text)
    for passage in cut or whole:
        detail = None if way == "whole" else str(passage.start)
        language = language_of(passage.text) or whole_language
        items.append(_post_item(row, unit, passage.text, passage.speaker or row["speaker"], language, detail=detail))
    return items


def _turn_items(row: dict[str, Any], unit: str, dialogue: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    items, whole_language = [], language_of("\n".join(turn["text"] for turn in dialogue))
    for turn in dialogue:
        language = language_of(turn["text"]) or whole_language
        item = _post_item(row, unit, turn["text"], turn["speaker"], language, detail=f"turn {turn['turn']}")
        items.append(item | {"dialogue": _around(dialogue, turn["turn"]), "turn": turn["turn"]})
    return items


def _around(dialogue: Sequence[Mapping[str, Any]], own: int) -> Sequence[Mapping[str, Any]]:
    """A turn and those around it, the nearest first, as long as there is room."""
    first, last, room = own, own, _MOST_CHARS_AROUND
    near = range(max(0, own - _MOST_TURNS_AROUND), min(len(dialogue), own + _MOST_TURNS_AROUND + 1))
    for place in sorted(near, key=lambda place: abs(place - own))[1:]:
        room -= len(dialogue[place]["text"]) + len(dialogue[place]["speaker"] or "")
        if room < 0:
            break
        first, last = min(first, place), max(last, place)
    return dialogue[first : last + 1]


def _post_item(
    row: dict[str, Any],
    unit: str,
    text: str | None,
    speaker: str | None,
    language: str | None,
    *,
    detail: str | None = None,
) -> dict[str, Any]:
    item = item_row(row, unit, "text", None, detail=detail)
    item |= {"text": text, "text_source": "post" if text else None, "language": language}
    item |= {"statement": row["statement"]} if row["statement"] else {}
    return item | {"speaker": speaker, "speaker_source": "post" if speaker else None}


def picture_items(
    row: dict[str, Any], settings: Faces, filters: Filters, pack: Path | None, tools: Tools, part: Part
) -> None:
    """Fill ``part`` with the items of a picture, one or one a face, and the faces that they show."""
    rgb = load_rgb(tools.folder / row["file"])
    detector = open_detector(pack)
    seen = [face for face in detector.detect(rgb) if face.size_px >= settings.min_face_px]
    crops = [(face, crop_picture(rgb, face, size_px=settings.size_px)) for face in seen]
    found = [FaceTrack(Track([0.0], [face]), {0: crop}) for face, crop in crops if crop is not None]
    found.sort(key=lambda one: -one.size_px)
    whole = {"image": tools.blobs.put(encode_jpeg(rgb), "jpg"), "height_px": rgb.shape[0], "width_px": rgb.shape[1]}
    items = []
    for number, one in enumerate(found[:1] if settings.of_image == "largest" else found):
        item = item_row(row, "image", "image", None, detail=str(number) if number else None)
        items.append(item | whole | face_columns(row["source_id"], one, one.crop, tools))
    if not found:
        items.append(item_row(row, "image", "image", None) | whole)
        detail = f"no face of {settings.min_face_px} px is found in {row['file']}"
        part.rejections.append(Rejection(row["source_id"], f"{items[0]['item_id']}#face", "no_face", detail))
    items[0]["picture_hash"] = picture_hash(rgb)
    part.items.extend(passed(items, filters, part.rejections))
    shown = {item.get("face_id") for item in part.items}
    rows = face_rows(row["source_id"], found, detector.name, pack, tools)
    part.faces.extend(face for face in rows if face["face_id"] in shown)
