"""doccano: JSON lines of texts, pictures and sounds with labels, entities and relations; one file, or one a user."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, flatten, to_cell
from curate.annotation.importing.exports.files import load_lines
from curate.annotation.importing.exports.offsets import code_points
from curate.annotation.importing.provenance import Provenance
from curate.errors import InvalidRow
from curate.labels.fields.marks import Link, Mark, Marks, unreadable
from curate.labels.fields.numbers import checked_number

_ANSWERS = ("label", "labels", "cats", "entities", "bbox")
_UNREAD = ("segmentation", "Comments", "comments")
_USERS = ("username", "annotator", "user")
_TEXTS = ("text", "data")
_SIDES = ("x", "y", "width", "height")
_MAX_PX = 1_000_000


def read(path: Path, options: Options) -> Export:
    """Return a row for each line, or for each user who labelled it where the file names users. See ``Reader``."""
    left_out: Counter[str] = Counter()
    rows = [row for number, record in load_lines(path) for row in _rows(number, record, options, left_out)]
    if not rows or all(row.problem for row in rows):
        reason = rows[0].problem if rows else "it is empty"
        raise InvalidRow(f"none of its lines can be read: {reason}")
    return Export(rows, left_out, frozenset(_ANSWERS))


def _rows(number: int, record: Any, options: Options, left_out: Counter[str]) -> Iterator[ExportRow]:
    place = f"line {number}"
    if not isinstance(record, dict):
        yield ExportRow(place, problem=record if isinstance(record, str) else "it is not a JSON object")
        return
    used = (*_ANSWERS, *_UNREAD, *_USERS, "relations", "annotations")
    facts = flatten({name: value for name, value in record.items() if name not in used})
    text = next((record[name] for name in _TEXTS if isinstance(record.get(name), str)), None)
    for name in _UNREAD:
        left_out[name.lower()] += len(record[name]) if isinstance(record.get(name), list) else 0
    rater = next((to_cell(record[name]) for name in _USERS if to_cell(record.get(name))), None) or options.rater
    annotations = record.get("annotations")
    if isinstance(annotations, list) and all(isinstance(entry, dict) for entry in annotations):
        # Its first versions had a list of labels by number, each with its user.
        by_user: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
        for entry in annotations:
            by_user[to_cell(entry.get("user"))].append(entry)
        for user, entries in by_user.items():
            yield ExportRow(place, facts, {"label": _cell("label", entries, (), text, options)}, user, Provenance())
        if by_user:
            return
    links: list[Any] = record["relations"] if isinstance(record.get("relations"), list) else []
    cells = {
        name: _cell(name, record[name], links if name == "entities" else (), text, options)
        for name in _ANSWERS
        if to_cell(record.get(name)) is not None
    }
    # A line without labels is one that nobody has labelled: doccano does not tell them from those where none fits.
    yield ExportRow(place, facts, cells, rater if cells else None, Provenance() if cells else None)


def _cell(name: str, value: Any, links: Sequence[Any], text: str | None, options: Options) -> str:
    entries = value if isinstance(value, list) else [value]
    if all(isinstance(entry, str | int | float) for entry in entries):
        return to_cell(entries) or ""
    try:
        if all(isinstance(entry, dict) and set(_SIDES) <= entry.keys() for entry in entries):
            return Marks(tuple(_box(entry) for entry in entries)).to_json()
        if all(isinstance(entry, dict) and "start_offset" not in entry and "label" in entry for entry in entries):
            return to_cell([to_cell(entry["label"]) for entry in entries]) or ""
        marks = tuple(_span(entry, text, options) for entry in entries)
        return Marks(marks, tuple(_link(link) for link in links)).to_json()
    except ValueError as error:
        return unreadable(f"{name}: {error}")


def _span(entry: Any, text: str | None, options: Options) -> Mark:
    if isinstance(entry, list) and len(entry) == 3:
        (start, end, label), name = entry, None
    elif isinstance(entry, dict) and {"start_offset", "end_offset", "label"} <= entry.keys():
        start, end, label, name = entry["start_offset"], entry["end_offset"], entry["label"], entry.get("id")
    else:
        raise ValueError("a label that is neither a word nor a stretch of the text")
    if text is None:
        raise ValueError("its stretches are of a text that the line does not have")
    start, end = code_points(text, start, end, options.offsets, tool="doccano")
    return Mark(str(label), to_cell(name) or "", start=start, end=end, text=text[start:end])


def _link(link: Any) -> Link:
    if not isinstance(link, dict) or not {"from_id", "to_id"} <= link.keys():
        raise ValueError("a relation without from_id and to_id")
    return Link(str(link["from_id"]), str(link["to_id"]), to_cell(link.get("type")))


def _box(entry: Mapping[str, Any]) -> Mark:
    x, y, width, height = (checked_number(entry[side], -_MAX_PX, _MAX_PX) for side in _SIDES)
    return Mark(str(entry.get("label")), box=(x, y, width, height))
