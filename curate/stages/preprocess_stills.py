"""Items of what has no time: posts, and pictures with the faces in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from curate.errors import InvalidRow
from curate.media.crops import crop_picture
from curate.media.duplicates import picture_hash
from curate.media.face_tracks import FaceTrack
from curate.media.faces import open_detector
from curate.media.language import language_of
from curate.media.pictures import encode_jpeg, load_rgb
from curate.media.text import Passage, sentences, turns
from curate.media.tracks import Track
from curate.stage import Rejection, Tools
from curate.stages.preprocess_rows import Part, face_rows, item_row, passed
from curate.stages.preprocess_settings import Faces, Filters
from curate.stages.preprocess_video import face_columns

POST_COLUMNS = ("text_b", "statement")
"""What a source of text holds besides its text."""


def post_items(
    row: dict[str, Any], asked: Sequence[str], way: Literal["whole", "sentences", "turns"]
) -> list[dict[str, Any]]:
    """The items of a post, whichever of these units are asked for: a pair, or its text or the sentences or turns of it.

    Raises ``InvalidRow`` where it gives none of them.
    """
    if "pair" in asked and row["text_b"]:
        language = language_of(f"{row['text']}\n{row['text_b']}")
        return [_post_item(row, "pair", row["text"], row["speaker"], language) | {"text_b": row["text_b"]}]
    if "post" not in asked:
        lacking = f": {row['file']} has no text_b" if "pair" in asked else ""
        message = f"the label schema asks for {' and '.join(asked)}, which text cannot give{lacking}"
        raise InvalidRow(message, reason="no_unit")
    text = row["text"]
    whole = [Passage(0, text)]
    cut = {"whole": lambda _: whole, "sentences": sentences, "turns": turns}[way](text)
    items, whole_language = [], language_of(text)
    for passage in cut or whole:
        detail = None if way == "whole" else str(passage.start)
        language = language_of(passage.text) or whole_language
        items.append(_post_item(row, "post", passage.text, passage.speaker or row["speaker"], language, detail=detail))
    return items


def _post_item(
    row: dict[str, Any], unit: str, text: str, speaker: str | None, language: str | None, *, detail: str | None = None
) -> dict[str, Any]:
    item = item_row(row, unit, "text", None, detail=detail)
    item |= {"text": text, "text_source": "post", "language": language}
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
