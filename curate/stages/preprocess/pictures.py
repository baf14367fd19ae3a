"""Items of pictures: a picture with its largest face, or each face in it."""

from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.media.container.pictures import encode_jpeg, load_picture
from curate.media.duplicates import picture_hash
from curate.media.faces.crops import crop_picture
from curate.media.faces.face_track import FaceTrack
from curate.media.faces.open import open_detector
from curate.media.faces.tracks import Track
from curate.stages.contract import Tools
from curate.stages.preprocess.filters import filter_items
from curate.stages.preprocess.rows import SourceRows, face_rows, item_row
from curate.stages.preprocess.settings import PreprocessSettings, resolve
from curate.stages.preprocess.video import face_columns


def add_picture(row: dict[str, Any], path: Path, settings: PreprocessSettings, tools: Tools, rows: SourceRows) -> None:
    """Add the items of a picture to ``rows``, and the faces that they show."""
    (rgb, notice), options = load_picture(path), settings.faces
    if notice:
        rows.reject(f"{row['file']}#picture", InvalidRow(notice, reason="partial"))
    pack = resolve(tools.folder, options.model_pack)
    detector = open_detector(pack)
    detections = [face for face in detector.detect(rgb) if face.size_px >= options.min_face_px]
    crops = [(face, crop_picture(rgb, face, size_px=options.size_px)) for face in detections]
    faces = [FaceTrack(Track([0.0], [face]), {0: crop}) for face, crop in crops if crop is not None]
    faces.sort(key=lambda face: -face.size_px)
    picture = {"image": tools.blobs.put(encode_jpeg(rgb), "jpg"), "height_px": rgb.shape[0], "width_px": rgb.shape[1]}
    items = []
    for number, face in enumerate(faces[:1] if options.of_image == "largest" else faces):
        item = item_row(row, "image", "image", None, detail=str(number) if number else None)
        items.append(item | picture | face_columns(row["source_id"], face, face.crop, tools))
    if not faces:
        items.append(item_row(row, "image", "image", None) | picture)
        message = f"{row['file']} shows no face of at least {options.min_face_px} px"
        rows.reject(f"{items[0]['item_id']}#face", InvalidRow(message, reason="no_face"))
    items[0]["picture_hash"] = picture_hash(rgb)
    rows.items.extend(filter_items(items, settings.filters, rows.rejections))
    face_ids = {item.get("face_id") for item in rows.items}
    stored = face_rows(row["source_id"], faces, detector.name, pack, tools)
    rows.faces.extend(face for face in stored if face["face_id"] in face_ids)
