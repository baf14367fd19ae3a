"""VGG Image Annotator: projects and annotations of version 2 (JSON and CSV) and of version 3 (JSON)."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, to_cell
from curate.annotation.importing.exports.files import load_json, load_table
from curate.annotation.importing.exports.via_project import is_project, project_rows
from curate.annotation.importing.provenance import Provenance
from curate.errors import InvalidRow
from curate.labels.fields.marks import Mark, Marks, unreadable
from curate.labels.fields.numbers import checked_number

_SIDES = ("x", "y", "width", "height")
_MAX_PX = 1_000_000
_COLUMNS = ("filename", "file_attributes", "region_shape_attributes", "region_attributes")


def read(path: Path, options: Options) -> Export:
    """Return a row for each file that was annotated. See ``Reader``."""
    left_out: Counter[str] = Counter()
    if path.suffix.lower() == ".csv":
        rows = list(_rows(_from_table(path), left_out, options))
    else:
        content = load_json(path)
        if not isinstance(content, dict):
            raise InvalidRow("it is neither a project nor annotations of VIA")
        if is_project(content):
            rows = project_rows(content, left_out, options)
        else:
            rows = list(_rows(_images(content), left_out, options))
    return Export(rows, left_out, frozenset(name for row in rows for name in row.answers))


def _images(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    images = content.get("_via_img_metadata", content)
    entries = list(images.values()) if isinstance(images, dict) else []
    if not entries or not all(isinstance(entry, dict) and "filename" in entry for entry in entries):
        raise InvalidRow("it has no files with a `filename`: export it from VIA as a project, JSON or CSV")
    return entries


def _from_table(path: Path) -> list[Mapping[str, Any]]:
    """Return the files in a CSV export, which has a row for each region."""
    images: dict[str, dict[str, Any]] = {}
    for line, row in load_table(path):
        if missing := [name for name in _COLUMNS if name not in row]:
            version = " It is of version 3: export the project as JSON." if "CSV_HEADER" in "".join(row) else ""
            raise InvalidRow(f"it has no column {missing[0]}.{version}")
        try:
            shape, region, of_file = (json.loads(row[name] or "{}") for name in (*_COLUMNS[2:], _COLUMNS[1]))
        except (ValueError, RecursionError) as error:
            raise InvalidRow(f"line {line} holds attributes that are not JSON: {error}") from error
        entry = {"filename": row["filename"], "size": row.get("file_size"), "file_attributes": of_file, "regions": []}
        image = images.setdefault(row["filename"], entry)
        if shape:
            image["regions"].append({"shape_attributes": shape, "region_attributes": region})
    return list(images.values())


def _rows(images: Iterable[Mapping[str, Any]], left_out: Counter[str], options: Options) -> Iterator[ExportRow]:
    for image in images:
        name = to_cell(image.get("filename"))
        facts = {"filename": name, "size": to_cell(image.get("size"))}
        regions = image.get("regions") or []
        # Version 1 numbered regions.
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
            yield ExportRow(f"file {name}", facts, problem="its regions are not a list")
            continue
        cells = _words(image.get("file_attributes")) | _region_cells(regions, left_out)
        made = Provenance() if cells else None
        yield ExportRow(f"file {name}", facts, cells, options.rater if cells else None, made)


def _words(attributes: Any) -> dict[str, str]:
    """Return attributes with their values; of ticks, those that are set."""
    cells = {}
    for name, value in attributes.items() if isinstance(attributes, dict) else ():
        is_ticks = isinstance(value, dict)
        cell = to_cell([tick for tick, is_set in value.items() if is_set] if is_ticks else value)
        if cell is not None:
            cells[str(name)] = cell
    return cells


def _region_cells(regions: Sequence[Mapping[str, Any]], left_out: Counter[str]) -> dict[str, str]:
    """Return boxes by each of their attributes, whose values are their labels."""
    marks: dict[str, list[Mark]] = defaultdict(list)
    problems: dict[str, str] = {}
    for region in regions:
        shape = region.get("shape_attributes")
        shape = shape if isinstance(shape, dict) else {}
        labels = _words(region.get("region_attributes"))
        if shape.get("name") != "rect":
            for control in labels or ("regions",):
                left_out[f"{control} ({shape.get('name') or 'no shape'})"] += 1
            continue
        left_out["boxes without an attribute"] += not labels
        for control, label in labels.items():
            try:
                x, y, width, height = (checked_number(shape.get(side), -_MAX_PX, _MAX_PX) for side in _SIDES)
            except ValueError as error:
                problems.setdefault(control, str(error))
                continue
            # VIA does not say how large the picture is.
            marks[control].append(Mark(label, box=(x, y, width, height)))
    cells = {name: Marks(tuple(of_name)).to_json() for name, of_name in marks.items()}
    return cells | {name: unreadable(problem) for name, problem in problems.items()}
