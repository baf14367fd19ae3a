"""Label Studio: JSON, JSON_MIN and CSV exports of any project, with every annotator's results."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, flatten, to_cell
from curate.annotation.importing.exports.files import load_json, load_table
from curate.annotation.importing.exports.label_studio.regions import is_region, to_mark_groups
from curate.annotation.importing.exports.label_studio.results import Answers, answers_of
from curate.annotation.importing.provenance import CREATED, SKIPPED, Provenance, to_credible_time
from curate.errors import InvalidRow

GROUND_TRUTH = "<ground truth>"
_MAX_S = 1e9
_FACTS = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def read(path: Path, options: Options) -> Export:
    """Return a row for each annotation, and for each task without one. See ``Reader``."""
    if path.suffix.lower() in (".csv", ".tsv"):
        return _read_flat(load_table(path), options)
    content = load_json(path)
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(task, dict) for task in tasks):
        raise InvalidRow("it is no list of tasks: export the project as JSON, JSON_MIN or CSV")
    if all("data" in task or "task" in task for task in tasks):
        return _read_tasks(tasks, options)
    if any("data" in task for task in tasks):
        raise InvalidRow("some of its tasks have `data` and some have not: it is no export of one project")
    return _read_flat(enumerate(tasks, start=1), options)


def _read_tasks(tasks: list[dict[str, Any]], options: Options) -> Export:
    left_out: Counter[str] = Counter()
    rows = [row for number, task in enumerate(tasks, start=1) for row in _rows_of(number, task, options, left_out)]
    return Export(rows, left_out, frozenset(name for row in rows for name in row.answers))


def _rows_of(number: int, task: dict[str, Any], options: Options, left_out: Counter[str]) -> Iterator[ExportRow]:
    if isinstance(task.get("task"), dict) and "data" not in task:
        # A storage that annotations are written to has a file for each, with its task in it.
        task = {**task["task"], "annotations": [task]}
    place = f"task {task.get('id', number)}"
    data = task.get("data")
    if not isinstance(data, dict):
        yield ExportRow(place, problem="its data are not an object")
        return
    facts = {"id": to_cell(task.get("id"))} | flatten(data, "data.")
    facts |= flatten(task["meta"], "meta.") if isinstance(task.get("meta"), dict) else {}
    left_out["predictions"] += _length(task.get("predictions"))
    left_out["drafts"] += _length(task.get("drafts"))
    annotations = task.get("annotations", task.get("completions")) or []
    if not isinstance(annotations, list):
        yield ExportRow(place, facts, problem="its annotations are not a list")
        return
    if not annotations:
        yield ExportRow(place, facts)
    # Of two annotations of one person, the newer counts.
    newest_first = sorted(annotations, key=_changed_at, reverse=True)
    for annotation in newest_first:
        yield _judged(place, facts, annotation, data, options, left_out)


def _judged(
    place: str,
    facts: Mapping[str, str | None],
    annotation: Any,
    data: Mapping[str, Any],
    options: Options,
    left_out: Counter[str],
) -> ExportRow:
    if not isinstance(annotation, dict):
        return ExportRow(place, facts, problem="one of its annotations is not an object")
    place = f"{place}, annotation {annotation.get('id', '?')}"
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        return ExportRow(place, facts, problem="its result is not a list of answers")
    facts = {**facts, GROUND_TRUTH: str(annotation.get("ground_truth") is True).lower()}
    left_out["annotations marked as ground truth (taken as judgements)"] += annotation.get("ground_truth") is True
    made = Provenance(
        SKIPPED if annotation.get("was_cancelled") else CREATED,
        to_credible_time(annotation.get("updated_at")) or to_credible_time(annotation.get("created_at")),
        _seconds(annotation.get("lead_time")),
    )
    rater = _rater(annotation.get("completed_by"))
    if made.action == SKIPPED:
        return ExportRow(place, facts, {}, rater, made)
    answers = answers_of(results, data, options)
    left_out.update(answers.left_out)
    made = made._replace(origins=answers.origins, is_empty=not results)
    return ExportRow(place, facts, answers.cells, rater, made)


def _changed_at(annotation: Any) -> str:
    time = to_credible_time(annotation.get("updated_at")) if isinstance(annotation, dict) else None
    return time.isoformat() if time else ""


def _rater(user: Any) -> str | None:
    """Return an annotator's e-mail address, or else their number; None if the export names nobody."""
    if isinstance(user, dict):
        user = user.get("email") or user.get("id")
    return to_cell(user) if isinstance(user, str | int) and not isinstance(user, bool) else None


def _seconds(value: Any) -> float | None:
    """Return the seconds that a rater took, a number or the text of one; None for anything else."""
    try:
        seconds = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds < _MAX_S else None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _read_flat(rows: Any, options: Options) -> Export:
    """Read JSON_MIN or CSV: a row for each annotation, in which the task and the controls are columns alike."""
    export_rows: list[ExportRow] = []
    for number, row in rows:
        place = f"task {row.get('id', number)}"
        members = {name: _parsed(value) for name, value in row.items()}
        facts: dict[str, str | None] = {}
        for name, value in members.items():
            if name in _FACTS:
                continue
            facts[name] = _flat_cell(name, value, row, options)
        time = to_credible_time(members.get("updated_at")) or to_credible_time(members.get("created_at"))
        made = Provenance(CREATED, time, _seconds(members.get("lead_time")))
        is_judged = any(members.get(name) not in (None, "") for name in ("annotation_id", "annotator"))
        rater = _rater(members.get("annotator"))
        export_rows.append(ExportRow(place, facts, {}, rater, made if is_judged else None))
    if not any(row.made for row in export_rows):
        raise InvalidRow("it has no column annotator or annotation_id: export the project as JSON, JSON_MIN or CSV")
    names = {name for row in export_rows for name in row.task if name != "id"}
    return Export(export_rows, Counter(), frozenset(names))


def _flat_cell(name: str, value: Any, row: Mapping[str, Any], options: Options) -> str | None:
    """Return the cell of a column: choices, regions and other results in their short form, or data as they are."""
    entries = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        return to_cell(value)
    results = [{"from_name": name, "type": _kind(entry), "value": entry} for entry in entries]
    if all(map(is_region, entries)):
        groups = to_mark_groups(results, row, options)
        return groups.cell(name) if name in groups.marks else to_cell(value)
    answers = Answers()
    if len(entries) == 1 and len(entries[0]) == 1:
        answers.add(results[0])
    return answers.cells.get(name) or to_cell(value)


def _kind(entry: Mapping[str, Any]) -> str:
    return str(next(iter(entry), ""))


def _parsed(value: Any) -> Any:
    """Return what a cell of a CSV file holds as JSON; other cells as they are."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
