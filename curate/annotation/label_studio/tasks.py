"""Items and pre-labels as Label Studio tasks, and its annotations as rows of ``annotations``. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from curate.errors import InvalidInput
from curate.labels import DEFAULT_FPS, ItemContext, LabelSchema, Layout

MEDIA = ("video", "audio", "image", "face", "video_b", "audio_b")
"""The columns of ``items`` that name blobs; a layout shows one by ``$`` and its name."""
_NEEDED = (*MEDIA, "text_b", "statement")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_OWN_TURN = "▶"
# Of a dialogue without turns, Label Studio's page stays blank.
_NO_DIALOGUE = [{"speaker": "", "text": ""}]


class Origin(NamedTuple):
    """Where a judgement was made: the server's lasting name, and who its users are."""

    server: str
    project_id: int
    users: Mapping[int, str]


def shown_in(layout: str) -> frozenset[str]:
    """What a layout shows of an item: the names behind ``$`` in it.

    Raises ``InvalidInput`` for one that no item has.
    """
    names = frozenset(_VARIABLE.findall(layout))
    known = (*MEDIA, *_told({}))
    if strange := sorted(names.difference(known)):
        valid = ", ".join(f"${name}" for name in known)
        raise InvalidInput(f"the layout shows ${strange[0]}, which no item has", hint=f"valid: {valid}")
    return names


def has_all(item: Mapping[str, Any], shown: Iterable[str]) -> bool:
    """Whether an item has the media, and what else cannot be left blank, that its layout shows."""
    needed = {*_NEEDED, "dialogue"} if item["unit"] == "dialogue" else _NEEDED
    return all(item.get(name) for name in shown if name in needed)


def to_task(
    item: Mapping[str, Any], shown: Iterable[str], urls: Mapping[str, str], prediction: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A task for an item of ``items``: what its layout shows of it; ``urls`` tells from where each blob is shown."""
    told = _told(item)
    data = {name: urls[item[name]] if name in MEDIA else told[name] for name in sorted(shown)}
    about = {"item_id": item["item_id"], "text": told["text"], "speaker": told["speaker"]}
    return {"data": {**about, **data}, "predictions": [prediction] if prediction else []}


def _told(item: Mapping[str, Any]) -> dict[str, Any]:
    """What can be shown of an item besides its media; blank where the item does not tell."""
    start_s, end_s = item.get("start_s"), item.get("end_s")
    return {
        "text": item.get("text") or "",
        "text_b": item.get("text_b") or "",
        "speaker": item.get("speaker") or "",
        "statement": item.get("statement") or "",
        "dialogue": [_shown_turn(turn, item) for turn in item.get("dialogue") or ()] or _NO_DIALOGUE,
        "fps": f"{item.get('frame_rate_hz') or DEFAULT_FPS:g}",
        "span": f"{start_s:.2f} s to {end_s:.2f} s" if start_s is not None and end_s is not None else "",
    }


def _shown_turn(turn: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, str]:
    """A turn in a dialogue, the item's own marked before the name: places in the text stay where they are."""
    speaker = turn["speaker"] or ""
    own = item.get("turn") is not None and turn.get("turn") == item["turn"]
    return {"speaker": f"{_OWN_TURN} {speaker}".strip() if own else speaker, "text": turn["text"] or ""}


def to_prediction(
    prelabel: Mapping[str, Any], labels: LabelSchema, layout: Layout, item: ItemContext, labeller: str
) -> dict[str, Any]:
    """A prediction that fills the form with a row of ``prelabels``.

    The id of each result opens with the pre-label's; Label Studio keeps it, which tells what had filled the form.
    Raises ``ValueError`` naming the field for a value that the label schema or the item does not allow.
    """
    results: list[dict[str, Any]] = []
    for name, field in labels.fields.items():
        if prelabel[name] is None:
            continue
        try:
            found = field.to_prediction(prelabel[name], layout, item)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        results += [_prefixed(result, prelabel["prelabel_id"]) for result in found]
    scores = [each["score"] for each in prelabel["scores"] or () if each["score"] is not None]
    score = {"score": round(float(max(scores)), 4)} if scores else {}
    return {"model_version": labeller, "result": results, **score}


def _prefixed(result: Mapping[str, Any], prelabel_id: str) -> dict[str, Any]:
    return {k: f"{prelabel_id}.{v}" if k in ("id", "from_id", "to_id") else v for k, v in result.items()}


def to_row(
    annotation: Mapping[str, Any],
    task: Mapping[str, Any],
    item: ItemContext,
    labels: LabelSchema,
    origin: Origin,
    *,
    known: bool,
) -> tuple[dict[str, Any], list[str]]:
    """A Label Studio annotation as a row of ``annotations``, and what in it the label schema does not allow.

    A field that cannot be read stays null; ``raw`` holds everything as it came. ``known`` is whether an earlier act
    upon the same judgement is stored already.
    """
    results = [result for result in annotation.get("result") or () if isinstance(result, Mapping)]
    by_field, problems = _by_field(results, labels)
    values: dict[str, Any] = dict.fromkeys(labels.fields)
    for name, found in by_field.items():
        try:
            values[name] = labels.fields[name].from_result(found, item)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    for name in labels.fields:
        if values[name] is not None and not labels.is_asked(name, values):
            problems.append(f"{name}: is answered, and was not to be asked")
            values[name] = None
    skipped = bool(annotation.get("was_cancelled"))
    judgement_id = _hash(origin.server, annotation["id"], annotation["created_at"])
    row = {
        "annotation_id": _hash(judgement_id, annotation["updated_at"]),
        "judgement_id": judgement_id,
        "item_id": task["data"]["item_id"],
        "annotator": _annotator(annotation.get("completed_by"), origin),
        "action": "skipped" if skipped else "updated" if known else "created",
        "acted_at": to_time(annotation["updated_at"]),
        "lead_time_s": annotation.get("lead_time"),
        "origins": [{"field": name, "origin": _origin(by_field[name])} for name in labels.fields if by_field.get(name)],
        "prelabel_id": _filled_by(annotation, task, results),
        "server": origin.server,
        "project_id": origin.project_id,
        "task_id": task["id"],
        "server_annotation_id": annotation["id"],
        "raw": json.dumps(annotation.get("result"), ensure_ascii=False, sort_keys=True),
        **values,
    }
    return row, problems


def _by_field(
    results: Sequence[Mapping[str, Any]], labels: LabelSchema
) -> tuple[dict[str, list[Mapping[str, Any]]], list[str]]:
    """The results of each field in the schema's order, relations with the field of their regions, and the others."""
    found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in labels.fields}
    owners: dict[Any, str] = {}
    strange: list[str] = []
    for result in results:
        if result.get("type") == "relation":
            continue
        # A field's further controls are named like it, with a dash and a suffix.
        name = str(result.get("from_name")).partition("-")[0]
        if name in found:
            found[name].append(result)
            owners[str(result.get("id"))] = name
        else:
            strange.append(f"{result.get('from_name')} is no field of {labels.name}")
    for result in results:
        if result.get("type") == "relation":
            if name := owners.get(str(result.get("from_id")), ""):
                found[name].append(result)
            else:
                strange.append("a relation begins at nothing")
    return {name: each for name, each in found.items() if each}, list(dict.fromkeys(strange))


def to_deletion(last: Mapping[str, Any], labels: LabelSchema, seen_at: datetime) -> dict[str, Any]:
    """The row that says that a stored judgement is gone from the server, noticed at ``seen_at``."""
    row = {**last, **dict.fromkeys(labels.fields), "lead_time_s": None, "origins": None, "raw": None}
    return {
        **row,
        "annotation_id": _hash(last["annotation_id"], "deleted"),
        "action": "deleted",
        "acted_at": max(seen_at, last["acted_at"]),
    }


def to_time(text: str) -> datetime:
    """A time as Label Studio writes it, in UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _annotator(who: Any, origin: Origin) -> str:
    user_id = who.get("id") if isinstance(who, Mapping) else who
    return origin.users.get(user_id, f"user {user_id}") if isinstance(user_id, int) else "unknown"


def _origin(results: Sequence[Mapping[str, Any]]) -> str:
    """One origin for a field; results of different origin mean that the pre-label was changed.

    Label Studio tells none for relations: a field whose spans were left alone counts as left alone.
    """
    origins = {str(result.get("origin") or "manual") for result in results if result.get("type") != "relation"}
    return origins.pop() if len(origins) == 1 else "prediction-changed"


def _filled_by(annotation: Mapping[str, Any], task: Mapping[str, Any], results: Sequence[Any]) -> str | None:
    """The pre-label whose values the annotator was given, kept or not."""
    kept = {str(r["id"]).partition(".")[0] for r in results if "." in str(r.get("id", "")) and r.get("origin")}
    if kept:
        return min(kept)
    shown = [p for p in task.get("predictions") or () if p.get("result") and _before(p, annotation)]
    ids = {str(p["result"][0].get("id", "")) for p in shown}
    return min((each.partition(".")[0] for each in ids if "." in each), default=None)


def _before(prediction: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    return bool(to_time(prediction["created_at"]) <= to_time(annotation["created_at"]))


def _hash(*parts: Any) -> str:
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()
