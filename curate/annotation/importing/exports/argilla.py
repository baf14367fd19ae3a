"""Argilla 2: ``records.json`` of a dataset that was written to disk, and records as its API gives them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.annotation.importing.exports.contract import Export, ExportRow, Options, flatten, to_cell
from curate.annotation.importing.exports.files import load_json
from curate.annotation.importing.exports.offsets import code_points
from curate.annotation.importing.provenance import CREATED, SKIPPED, Provenance, to_credible_time
from curate.errors import InvalidRow
from curate.labels.fields.marks import Mark, Marks, unreadable

_SETTINGS = ".argilla/settings.json"
_NO_STATUS = "responses whose status is not in the file (taken as submitted, drafts among them)"
_TAKEN = ("submitted", "discarded")
# The name of a question, who answered, what they answered, and the status of that; empty if the file has none.
_Response = tuple[str, str | None, Any, str]


def read(path: Path, options: Options) -> Export:
    """Return a row for each user's responses to a record, and for each record without any. See ``Reader``."""
    records = load_json(path)
    if not isinstance(records, list) or not all(isinstance(record, dict) and "fields" in record for record in records):
        raise InvalidRow("it is no list of records with `fields`: name the records.json that Argilla wrote")
    span_fields = _span_fields(path.parent / _SETTINGS)
    left_out: Counter[str] = Counter()
    rows = [
        row for n, record in enumerate(records, start=1) for row in _rows(n, record, span_fields, options, left_out)
    ]
    return Export(rows, left_out, frozenset(name for row in rows for name in row.answers))


def _span_fields(path: Path) -> dict[str, str]:
    """Return the field that each span question is about, from the settings beside the records; empty without them."""
    if not path.is_file():
        return {}
    settings = load_json(path)
    questions = settings.get("questions") if isinstance(settings, dict) else None
    fields = {}
    for question in questions if isinstance(questions, list) else ():
        inner = question.get("settings") if isinstance(question, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("field"), str):
            fields[str(question.get("name"))] = inner["field"]
    return fields


def _rows(
    number: int, record: Mapping[str, Any], span_fields: Mapping[str, str], options: Options, left_out: Counter[str]
) -> Iterator[ExportRow]:
    place = f"record {record.get('id') or number}"
    fields = record["fields"]
    if not isinstance(fields, dict):
        yield ExportRow(place, problem="its fields are not an object")
        return
    task = {"id": to_cell(record.get("id")), "_server_id": to_cell(record.get("_server_id"))}
    task |= flatten(fields, "fields.")
    task |= flatten(record["metadata"], "metadata.") if isinstance(record.get("metadata"), dict) else {}
    suggestions = _suggestions(record.get("suggestions"))
    left_out["suggestions"] += len(suggestions)
    by_user: dict[str | None, list[_Response]] = defaultdict(list)
    for response in _responses(record.get("responses")):
        left_out[_NO_STATUS] += not response[3]
        left_out["draft responses"] += response[3] == "draft"
        left_out["responses of another status"] += bool(response[3]) and response[3] not in (*_TAKEN, "draft")
        if response[3] in (*_TAKEN, ""):
            by_user[response[1]].append(response)
    time = to_credible_time(record.get("updated_at")) if len(by_user) == 1 else None
    for user, responses in by_user.items():
        is_discarded = any(status == "discarded" for *_, status in responses)
        cells: dict[str, str] = {}
        origins: dict[str, str] = {}
        for question, _, value, _ in responses if not is_discarded else ():
            cell = _cell(question, value, fields, span_fields, options)
            if cell is not None:
                cells[question] = cell
                is_kept = question in suggestions and suggestions[question] == value
                changed = "prediction" if is_kept else "prediction-changed"
                origins[question] = changed if question in suggestions else "manual"
        action = SKIPPED if is_discarded else CREATED
        yield ExportRow(place, task, cells, user, Provenance(action, time, None, origins, not cells))
    if not by_user:
        yield ExportRow(place, task)


def _responses(value: Any) -> Iterator[_Response]:
    """Yield the responses of a record: by question, as it is written to disk, or by user, as the API gives them."""
    if isinstance(value, dict):
        for question, answers in value.items():
            for answer in answers if isinstance(answers, list) else ():
                if isinstance(answer, dict) and answer.get("value") is not None:
                    yield question, _user(answer), answer["value"], str(answer.get("status") or "")
    for response in value if isinstance(value, list) else ():
        if not isinstance(response, dict):
            continue
        status = str(response.get("status") or "")
        values = response.get("values") or {}
        for question, answer in values.items() if isinstance(values, dict) else ():
            yield question, _user(response), answer.get("value") if isinstance(answer, dict) else answer, status
        if status == "discarded" and not values:
            yield "", _user(response), None, status


def _user(answer: Mapping[str, Any]) -> str | None:
    user = answer.get("user_id")
    # It writes an unknown user as the text None.
    return None if user in (None, "", "None") else str(user)


def _suggestions(value: Any) -> dict[str, Any]:
    """Return what was suggested, by question."""
    if isinstance(value, dict):
        return {name: s["value"] for name, s in value.items() if isinstance(s, dict) and s.get("value") is not None}
    named = [s for s in value if isinstance(s, dict)] if isinstance(value, list) else []
    return {str(s["question_name"]): s.get("value") for s in named if s.get("question_name")}


def _cell(
    question: str, value: Any, fields: Mapping[str, Any], span_fields: Mapping[str, str], options: Options
) -> str | None:
    entries = value if isinstance(value, list) else []
    if entries and all(isinstance(entry, dict) for entry in entries):
        if all({"start", "end", "label"} <= entry.keys() for entry in entries):
            return _spans(question, entries, fields, span_fields, options)
        if all("rank" in entry and "value" in entry for entry in entries):
            return _ranking(entries)
    return to_cell(value)


def _spans(
    question: str, entries: Any, fields: Mapping[str, Any], span_fields: Mapping[str, str], options: Options
) -> str:
    texts = {name: text for name, text in fields.items() if isinstance(text, str)}
    name = span_fields.get(question) or (next(iter(texts)) if len(texts) == 1 else "")
    if name not in texts:
        return unreadable(
            f"it is not clear which field the spans of {question} are in: keep {_SETTINGS} beside the file"
        )
    marks = []
    try:
        for entry in entries:
            start, end = code_points(texts[name], entry["start"], entry["end"], options.offsets, tool="Argilla")
            marks.append(Mark(str(entry["label"]), start=start, end=end, text=texts[name][start:end]))
    except ValueError as error:
        return unreadable(str(error))
    return Marks(tuple(marks)).to_json()


def _ranking(entries: Any) -> str:
    """Return a ranking as ``a > b = c``."""
    by_rank: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        by_rank[str(entry["rank"])].append(str(entry["value"]))
    ranks = sorted(by_rank, key=lambda rank: (not rank.isdecimal(), int(rank) if rank.isdecimal() else 0, rank))
    return " > ".join(" = ".join(sorted(by_rank[rank])) for rank in ranks)
