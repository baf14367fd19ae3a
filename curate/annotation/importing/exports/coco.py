"""COCO: boxes, captions and attributes of pictures, by category; whoever an annotation names is its rater."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, flatten, to_cell
from curate.annotation.importing.exports.files import load_json
from curate.annotation.importing.provenance import Provenance
from curate.errors import InvalidRow
from curate.labels.fields.marks import Mark, Marks, unreadable
from curate.labels.fields.numbers import checked_number

_RATERS = ("annotator", "annotator_id", "rater", "rater_id", "created_by", "creator", "user", "user_id")
_MAX_PX = 1_000_000
_NO_BOX = "annotations without a box (segmentations and keypoints alone)"


def read(path: Path, options: Options) -> Export:
    """Return a row for each picture, or for each rater of it where annotations name one. See ``Reader``."""
    content = load_json(path)
    if isinstance(content, list):
        raise InvalidRow(
            "it is a list, as of a detector, without `images` and `categories`: it holds no judgements of people"
        )
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise InvalidRow("it has no list `images`: it is not in the format of COCO")
    names = {to_cell(entry.get("id")): str(entry.get("name")) for entry in _records(content.get("categories"))}
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for annotation in _records(content.get("annotations")):
        if annotation.get("score") is not None:
            left_out["boxes with a score, which a model gave"] += 1
        else:
            by_image[to_cell(annotation.get("image_id"))].append(annotation)
    rows: list[ExportRow] = []
    for number, image in enumerate(content["images"], start=1):
        if not isinstance(image, dict) or image.get("id") is None:
            rows.append(ExportRow(f"image {number}", problem="it is not an object with an id"))
            continue
        rows += _rows(image, by_image.pop(to_cell(image["id"]), []), names, left_out)
    left_out["annotations of pictures that are not in the file"] += sum(map(len, by_image.values()))
    return Export(rows, left_out, frozenset(name for row in rows for name in row.answers))


def _records(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _rows(
    image: Mapping[str, Any], annotations: Sequence[dict[str, Any]], names: Mapping[Any, str], left_out: Counter[str]
) -> Iterator[ExportRow]:
    place, facts = f"image {image['id']}", flatten(image)
    by_rater: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        by_rater[_rater(annotation)].append(annotation)
    for rater, own in by_rater.items():
        boxes = [annotation for annotation in own if annotation.get("bbox")]
        captions = [str(annotation["caption"]) for annotation in own if annotation.get("caption")]
        left_out[_NO_BOX] += len(own) - len(boxes) - len(captions)
        cells = _box_cells(boxes, _size(image), names) if boxes else {}
        cells |= {"caption": "\n".join(captions)} if captions else {}
        yield ExportRow(place, facts, cells, rater, Provenance() if cells else None)
    if not by_rater:
        yield ExportRow(place, facts)


def _rater(annotation: Mapping[str, Any]) -> str | None:
    attributes = annotation.get("attributes")
    for source in (annotation, attributes if isinstance(attributes, dict) else {}):
        for name in _RATERS:
            if isinstance(source.get(name), str | int) and to_cell(source[name]):
                return to_cell(source[name])
    return None


def _size(image: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the size of a picture in pixels; None if the file does not say."""
    sides = [image.get("width"), image.get("height")]
    if not all(isinstance(side, int | float) and 0 < side <= _MAX_PX for side in sides):
        return None
    return float(sides[0] or 0), float(sides[1] or 0)


def _box_cells(
    boxes: Iterable[Mapping[str, Any]], size: tuple[float, float] | None, names: Mapping[Any, str]
) -> dict[str, str]:
    """Return boxes with their categories as ``bbox``, and with each attribute as ``attributes.NAME``."""
    marks: dict[str, list[Mark]] = defaultdict(list)
    try:
        for box in boxes:
            category = to_cell(box.get("category_id"))
            if category not in names:
                raise ValueError(f"a box of category {str(box.get('category_id'))[:40]}, which the file does not name")
            attributes = box["attributes"] if isinstance(box.get("attributes"), dict) else {}
            if checked_number(attributes.get("rotation") or 0, -3_600, 3_600) % 360:
                raise ValueError("a box is rotated, which boxes here cannot be")
            sides = box["bbox"]
            if not isinstance(sides, list) or len(sides) != 4:
                raise ValueError(f"{str(sides)[:40]} is not a box of four numbers")
            x, y, width, height = (checked_number(side, -_MAX_PX, _MAX_PX) for side in sides)
            mark = Mark(names[category], box=(x, y, width, height), size=size)
            marks["bbox"].append(mark)
            for name, value in attributes.items():
                if name not in (*_RATERS, "rotation") and to_cell(value) is not None:
                    marks[f"attributes.{name}"].append(mark._replace(label=to_cell(value) or ""))
    except ValueError as error:
        return {"bbox": unreadable(str(error))}
    return {name: Marks(tuple(of_name)).to_json() for name, of_name in marks.items()}
