"""Projects of VIA 3: attributes of files, of stretches of time, and of boxes in pictures."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from curate.annotation.importing.exports.contract import ExportRow, Options, to_cell
from curate.annotation.importing.provenance import Provenance
from curate.errors import InvalidRow
from curate.labels.fields.marks import Mark, Marks, unreadable
from curate.labels.fields.numbers import checked_number

_RECTANGLES = (2, 8)
_SHAPES = {1: "point", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline", 7: "polygon", 9: "circle"}
_OPTIONS, _TICKS = (2, 3, 4), 2
_MAX_PX, _MAX_S = 1_000_000, 1e7


def is_project(content: Mapping[str, Any]) -> bool:
    """Return whether JSON is a project of VIA 3."""
    return {"attribute", "file", "view", "metadata"} <= content.keys()


def project_rows(content: Mapping[str, Any], left_out: Counter[str], options: Options) -> list[ExportRow]:
    """Return a row for each view of a project. Raises ``InvalidRow`` if it is damaged."""
    parts = [content[name] for name in ("attribute", "file", "view", "metadata")]
    if not all(isinstance(part, dict) and all(isinstance(e, dict) for e in part.values()) for part in parts):
        raise InvalidRow("its attributes, files, views and metadata are not objects: the project is damaged")
    attributes, files, views, metadata = parts
    by_view: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in metadata.values():
        by_view[str(entry.get("vid"))].append(entry)
    rows = []
    for view_id, view in views.items():
        file_ids = view.get("fid_list")
        names = [files.get(str(fid), {}) for fid in (file_ids if isinstance(file_ids, list) else [])]
        name = to_cell(names[0].get("fname")) if names else None
        facts = {"filename": name, "src": to_cell(names[0].get("src")) if names else None}
        entries = by_view.pop(str(view_id), [])
        if len(names) > 1:
            left_out["annotations of several files at once"] += len(entries)
            entries = []
        cells = _cells(entries, attributes, left_out)
        made = Provenance() if cells else None
        rows.append(ExportRow(f"file {name}", facts, cells, options.rater if cells else None, made))
    left_out["annotations of files that are not in the project"] += sum(map(len, by_view.values()))
    return rows


def _cells(
    entries: list[dict[str, Any]], attributes: Mapping[str, Mapping[str, Any]], left_out: Counter[str]
) -> dict[str, str]:
    """Return a file's attributes as words, and those of stretches and boxes as marks."""
    marks: dict[str, list[Mark]] = defaultdict(list)
    cells: dict[str, str] = {}
    for entry in entries:
        values: Mapping[str, Any] = entry["av"] if isinstance(entry.get("av"), dict) else {}
        left_out["regions and stretches without an attribute"] += not values
        for attribute_id, value in values.items():
            attribute = attributes.get(str(attribute_id), {})
            control = str(attribute.get("aname") or f"attribute {attribute_id}")
            label = to_cell(_meaning(attribute, value))
            if label is None:
                continue
            try:
                mark = _mark(entry)
            except _Unread as reason:
                left_out[f"{control} ({reason})"] += 1
                continue
            except ValueError as error:
                cells[control] = unreadable(str(error))
                continue
            if mark is None:
                cells.setdefault(control, label)
            else:
                marks[control].append(mark._replace(label=label))
    return {name: Marks(tuple(of_name)).to_json() for name, of_name in marks.items()} | cells


class _Unread(Exception):
    """A place that nothing here can hold."""


def _meaning(attribute: Mapping[str, Any], value: Any) -> Any:
    """Return what an option is called; of several that are ticked, all of them."""
    options = attribute.get("options") if isinstance(attribute.get("options"), dict) else {}
    if attribute.get("type") not in _OPTIONS or not options:
        return value
    chosen = [part.strip() for part in str(value).split(",")] if attribute.get("type") == _TICKS else [str(value)]
    return [str(options.get(option, option)) for option in chosen if option]


def _mark(entry: Mapping[str, Any]) -> Mark | None:
    """Return the place of an entry; None if it is about the whole file."""
    times: list[Any] = entry["z"] if isinstance(entry.get("z"), list) else []
    places: list[Any] = entry["xy"] if isinstance(entry.get("xy"), list) else []
    if not times and not places:
        return None
    if not places:
        if len(times) != 2:
            raise _Unread("one moment" if len(times) == 1 else "several times")
        start, end = (checked_number(time, 0, _MAX_S) for time in times)
        return Mark("", start_s=start, end_s=end)
    if times:
        raise _Unread("boxes at a time of a video")
    if places[0] not in _RECTANGLES:
        raise _Unread(_SHAPES.get(places[0], "unknown shape") if isinstance(places[0], int) else "unknown shape")
    if len(places) != 5:
        raise ValueError(f"{str(places)[:40]} is not a box of four numbers")
    x, y, width, height = (checked_number(side, -_MAX_PX, _MAX_PX) for side in places[1:])
    return Mark("", box=(x, y, width, height))
