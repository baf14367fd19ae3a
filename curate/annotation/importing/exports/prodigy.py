"""Prodigy: JSON lines of a dataset, with the answer of a person to each task."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, flatten, to_cell
from curate.annotation.importing.exports.files import load_lines
from curate.annotation.importing.exports.offsets import code_points
from curate.annotation.importing.provenance import CREATED, SKIPPED, Provenance, to_credible_time
from curate.errors import InvalidRow
from curate.labels.fields.marks import Link, Mark, Marks, unreadable
from curate.labels.fields.numbers import checked_number

_MARKED = ("spans", "audio_spans")
_WORDS = ("accept", "label", "user_input", "transcript")
_UNUSED = ("tokens", "options", "config", "relations", "versions", "_view_id", "_timestamp", *_MARKED)
_MAX_PX, _MAX_S = 1_000_000, 1e7


def read(path: Path, options: Options) -> Export:
    """Return a row for each answer. See ``Reader``."""
    left_out: Counter[str] = Counter()
    rows = [_row(number, task, options, left_out) for number, task in load_lines(path)]
    if not any(row.made for row in rows):
        raise InvalidRow("none of its lines has an `answer`: export the dataset with `prodigy db-out`")
    return Export(rows, left_out, frozenset((*_MARKED, *_WORDS)))


def _row(number: int, task: Any, options: Options, left_out: Counter[str]) -> ExportRow:
    place = f"line {number}"
    if not isinstance(task, dict):
        return ExportRow(place, problem=task if isinstance(task, str) else "it is not a JSON object")
    facts = flatten({name: value for name, value in task.items() if name not in (*_UNUSED, *_WORDS)})
    answer = task.get("answer")
    if answer is None:
        return ExportRow(place, facts)
    if answer not in ("accept", "reject", "ignore"):
        return ExportRow(place, facts, problem=f"its answer is {str(answer)[:40]!r}, none of accept, reject and ignore")
    left_out["earlier versions under review"] += len(task["versions"]) if isinstance(task.get("versions"), list) else 0
    rater = to_cell(task.get("_annotator_id")) or to_cell(task.get("_session_id")) or options.rater
    made = Provenance(SKIPPED if answer == "ignore" else CREATED, to_credible_time(task.get("_timestamp")))
    if answer == "ignore":
        return ExportRow(place, facts, {}, rater, made)
    if answer == "reject":
        # What was shown is wrong, so that nothing in the task is what this person says.
        left_out["rejected tasks (read them from `answer`)"] += 1
        return ExportRow(place, facts, {}, rater, made)
    cells = {name: cell for name in _WORDS if (cell := to_cell(task.get(name))) is not None}
    for name in _MARKED:
        if task.get(name):
            cells[name] = _marked(name, task, options, left_out)
    # An empty list is an answer: nothing was there to mark.
    is_empty = not cells and any(isinstance(task.get(name), list) for name in (*_MARKED, "accept"))
    return ExportRow(place, facts, cells, rater, made._replace(is_empty=is_empty))


def _marked(control: str, task: Mapping[str, Any], options: Options, left_out: Counter[str]) -> str:
    entries = task[control]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return unreadable(f"{control} is not a list of spans")
    marks: list[Mark] = []
    try:
        for number, entry in enumerate(entries):
            label = to_cell(entry.get("label"))
            if label is None:
                left_out[f"{control}: spans without a label"] += 1
            elif "points" in entry and entry.get("type", "rect") != "rect":
                left_out[f"{control} ({entry['type']})"] += 1
            else:
                marks.append(_mark(entry, task, control, options)._replace(label=label, name=f"s{number}"))
        links = _links(task.get("relations"), entries) if control == "spans" else []
    except ValueError as error:
        return unreadable(str(error))
    return Marks(tuple(marks), tuple(links)).to_json()


def _mark(entry: Mapping[str, Any], task: Mapping[str, Any], control: str, options: Options) -> Mark:
    if control == "audio_spans":
        start, end = (checked_number(entry.get(key), 0, _MAX_S) for key in ("start", "end"))
        return Mark("", start_s=start, end_s=end)
    if "points" in entry or "width" in entry:
        x, y, width, height = (checked_number(entry.get(side), -_MAX_PX, _MAX_PX) for side in _sides(entry))
        return Mark("", box=(x, y, width, height), size=_size(task))
    text = task["text"] if isinstance(task.get("text"), str) else None
    if text is None:
        raise ValueError("its spans are in a text that the task does not have")
    quoted = entry["text"] if isinstance(entry.get("text"), str) else None
    # Prodigy counts as Python does.
    begin, stop = code_points(text, entry.get("start"), entry.get("end"), options.offsets, quoted=quoted)
    return Mark("", start=begin, end=stop, text=text[begin:stop])


def _sides(entry: Mapping[str, Any]) -> tuple[str, ...]:
    sides = ("x", "y", "width", "height")
    if not set(sides) <= entry.keys():
        raise ValueError("a box without x, y, width and height")
    return sides


def _size(task: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the size of the picture in which boxes are counted; None if the task does not say."""
    if task.get("width") is None or task.get("height") is None:
        return None
    return checked_number(task["width"], 1, _MAX_PX), checked_number(task["height"], 1, _MAX_PX)


def _links(relations: Any, spans: list[dict[str, Any]]) -> list[Link]:
    """Return the lines between spans; raises ``ValueError`` for one between tokens that are in no span."""
    links = []
    for relation in relations if isinstance(relations, list) else ():
        entry = relation if isinstance(relation, dict) else {}
        begin, end = (_span_of(entry.get(key), spans) for key in ("head_span", "child_span"))
        links.append(Link(begin, end, to_cell(entry.get("label"))))
    return links


def _span_of(place: Any, spans: list[dict[str, Any]]) -> str:
    for number, span in enumerate(spans):
        if isinstance(place, dict) and all(span.get(key) == place.get(key) for key in ("start", "end")):
            return f"s{number}"
    raise ValueError("a relation is between words that are not spans")
