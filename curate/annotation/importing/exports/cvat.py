"""CVAT for images and for video 1.1: boxes, tags, attributes, and tracks of boxes."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, to_cell
from curate.annotation.importing.exports.cvat_tracks import number_of, to_track
from curate.annotation.importing.exports.files import check_size
from curate.annotation.importing.provenance import Provenance
from curate.errors import InvalidRow
from curate.labels.fields.marks import Mark, Marks, unreadable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

BOX, TAG = "box", "tag"
_ORIGINS = {"manual": "manual", "auto": "prediction", "semi-auto": "prediction-changed"}
_FACTS = ("id", "name", "subset", "task_id")
_MARK_SEPARATOR = "."


def read(path: Path, options: Options) -> Export:
    """Return a row for each picture, or one for each video. See ``Reader``."""
    root = _parse(path)
    meta = root.find("meta")
    left_out: Counter[str] = Counter()
    images = root.findall("image")
    tracks = root.findall("track")
    if not images and not tracks and meta is None:
        raise InvalidRow(
            "it has neither images nor tracks: export the task as CVAT for images 1.1 or CVAT for video 1.1"
        )
    raters = _raters(meta)
    rows = [_image_row(image, raters, left_out) for image in images]
    if not images or tracks:
        rows.append(_video_row(tracks, meta, raters, options, left_out))
    return Export(rows, left_out, frozenset(name for row in rows for name in row.answers))


def _parse(path: Path) -> "Element":
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    check_size(path)
    try:
        root = parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise InvalidRow("it declares a document type or entities, which no export of CVAT has") from error
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidRow(f"it is not XML: {error}") from error
    if root is None or root.tag != "annotations":
        raise InvalidRow(f"it is not an export of CVAT: it begins with {root.tag if root is not None else 'nothing'!r}")
    return root


def _raters(meta: "Element | None") -> dict[str | None, str]:
    """Return who a task, or the only job, is assigned to: by the task's id, and as None if all are the same person's.

    CVAT does not say who drew a box.
    """
    raters: dict[str | None, str] = {}
    for task in [*meta.iter("task"), *meta.iter("job")] if meta is not None else ():
        name = (task.findtext("assignee/username") or task.findtext("assignee") or "").strip()
        if name:
            raters[task.findtext("id")] = name
    if len(set(raters.values())) == 1:
        raters[None] = next(iter(raters.values()))
    return raters


def _image_row(image: "Element", raters: dict[str | None, str], left_out: Counter[str]) -> ExportRow:
    place = f"image {image.get('name') or image.get('id')}"
    facts = {name: image.get(name) or None for name in _FACTS}
    marks: dict[str, list[Mark]] = defaultdict(list)
    words: dict[str, list[str]] = defaultdict(list)
    sources: dict[str, set[str]] = defaultdict(set)
    problem = None
    for shape in image:
        label = shape.get("label") or ""
        if shape.tag == TAG:
            words[TAG].append(label)
            for name, value in _attributes(shape):
                words[f"{label}{_MARK_SEPARATOR}{name}"].append(value)
                sources[f"{label}{_MARK_SEPARATOR}{name}"].add(shape.get("source") or "")
            sources[TAG].add(shape.get("source") or "")
        elif shape.tag == BOX:
            try:
                mark = _box(shape, image)
            except ValueError as error:
                problem = problem or str(error)
                continue
            _add(marks, sources, shape, mark)
        else:
            left_out[f"{shape.tag} {label}".strip()] += 1
    cells = {name: Marks(tuple(of_name)).to_json() for name, of_name in marks.items()}
    cells |= {name: cell for name, values in words.items() if (cell := to_cell(values)) is not None}
    cells |= {BOX: unreadable(problem)} if problem else {}
    rater = raters.get(image.get("task_id")) or raters.get(None)
    made = Provenance(origins=_origins(sources)) if cells else None
    return ExportRow(place, facts, cells, rater if cells else None, made)


def _box(shape: "Element", image: "Element") -> Mark:
    if number_of(shape, "rotation", 0) % 360:
        raise ValueError("a box is rotated, which boxes here cannot be")
    left, top, right, bottom = (number_of(shape, side) for side in ("xtl", "ytl", "xbr", "ybr"))
    size = (number_of(image, "width"), number_of(image, "height"))
    return Mark(shape.get("label") or "", box=(left, top, right - left, bottom - top), size=size)


def _add(marks: dict[str, list[Mark]], sources: dict[str, set[str]], shape: "Element", mark: Mark) -> None:
    """Add a box with its label as ``box``, and with each of its attributes as ``LABEL.NAME``."""
    marks[BOX].append(mark)
    sources[BOX].add(shape.get("source") or "")
    for name, value in _attributes(shape):
        control = f"{mark.label}{_MARK_SEPARATOR}{name}"
        marks[control].append(mark._replace(label=value))
        sources[control].add(shape.get("source") or "")


def _attributes(shape: "Element") -> Iterator[tuple[str, str]]:
    for attribute in shape.iter("attribute"):
        name, value = attribute.get("name"), (attribute.text or "").strip()
        if name and value and value != "__undefined__":
            yield name, value


def _origins(sources: dict[str, set[str]]) -> dict[str, str]:
    """Return what each control's shapes started from; shapes of several kinds mean that a proposal was changed."""
    origins = {}
    for name, kinds in sources.items():
        known = {_ORIGINS[kind] for kind in kinds if kind in _ORIGINS}
        if known:
            origins[name] = known.pop() if len(known) == 1 else "prediction-changed"
    return origins


def _video_row(
    tracks: "list[Element]",
    meta: "Element | None",
    raters: dict[str | None, str],
    options: Options,
    left_out: Counter[str],
) -> ExportRow:
    source = (meta.findtext("source") or meta.findtext("task/source") or "") if meta is not None else ""
    names = [meta.findtext(tag) for tag in ("task/name", "job/name")] if meta is not None else []
    number = meta.findtext("task/id") if meta is not None else None
    facts = {"name": source or next(filter(None, names), None), "id": number or None}
    marks: dict[str, list[Mark]] = defaultdict(list)
    sources: dict[str, set[str]] = defaultdict(set)
    problem = None
    for track in tracks:
        if track.find(BOX) is None:
            kind = next(iter(track), track).tag
            left_out[f"{kind} track {track.get('label') or ''}".strip()] += 1
            continue
        try:
            keyframes = to_track(track, options.frame_rate_hz)
            size = _video_size(meta)
        except ValueError as error:
            problem = problem or str(error)
            continue
        if keyframes:
            mark = Mark(track.get("label") or "", track=keyframes, size=size)
            marks[BOX].append(mark)
            sources[BOX].add(track.get("source") or "")
            left_out["attributes of tracks"] += sum(1 for _ in track.iter("attribute"))
    cells = {name: Marks(tuple(of_name)).to_json() for name, of_name in marks.items()}
    cells |= {BOX: unreadable(problem)} if problem else {}
    made = Provenance(origins=_origins(sources)) if cells else None
    return ExportRow(f"video {facts['name'] or ''}".strip(), facts, cells, raters.get(None) if cells else None, made)


def _video_size(meta: "Element | None") -> tuple[float, float] | None:
    size = next(iter(meta.iter("original_size")), None) if meta is not None else None
    if size is None:
        return None
    try:
        return float(size.findtext("width") or 0), float(size.findtext("height") or 0)
    except ValueError:
        raise ValueError("the size of the video is not a number") from None
