"""Convert items and pre-labels to Label Studio tasks, and its annotations to judgements. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from curate.annotation.label_studio.payloads import is_id, lead_time_s, records, to_credible_time, to_time
from curate.corpus.judgements import FROM_PROPOSAL, Judgement, time_after
from curate.errors import InvalidInput
from curate.labels import DEFAULT_FPS, ItemContext, LabelSchema, Layout, control_field
from curate.labels.cannot_judge import CONTROL as CANNOT_JUDGE
from curate.labels.cannot_judge import reason_in
from curate.labels.fields.results import PartlyRead
from curate.labels.markup import MEDIA_VARIABLES

MEDIA = MEDIA_VARIABLES
"""The columns of ``items`` that name blobs; a layout shows one as ``$`` and its name."""
_NEEDED = (*MEDIA, "text_b", "statement")
_WORDS = ("text", "text_b", "statement", "dialogue")
_MODALITIES = re.compile(r"[a-z]+(?:\+[a-z]+)*")
_MAX_MODALITIES = 60
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_ITEM_TURN = "▶"
_SUBMITTED_WITHIN = timedelta(milliseconds=50)
# Label Studio's page stays blank for a dialogue without turns.
_NO_DIALOGUE = [{"speaker": "", "text": ""}]


class Origin(NamedTuple):
    """The place where a judgement was made: the server's permanent name, the project and the server's users.

    ``guidelines`` are the hashes of the instructions that the project has had, each with the time of its first.
    """

    server: str
    project_id: int
    users: Mapping[int, str]
    guidelines: Sequence[tuple[datetime, str]] = ()

    def guideline_at(self, time: datetime) -> str | None:
        """Return the hash of the instructions that people had at a time; None without any."""
        versions = [sha256 for start, sha256 in self.guidelines if start <= time]
        return (versions[-1] if versions else None) or None


def variables_of(layout: str) -> frozenset[str]:
    """Return the variables of a layout: the names after ``$``, which stand for properties of an item.

    Raises ``InvalidInput`` for one that no item has.
    """
    names = frozenset(_VARIABLE.findall(layout))
    variables = (*MEDIA, *_texts({}))
    if unknown := sorted(names.difference(variables)):
        valid = ", ".join(f"${name}" for name in variables)
        raise InvalidInput(f"the layout shows ${unknown[0]}, which no item has", hint=f"valid: {valid}")
    return names


def has_all(item: Mapping[str, Any], variables: Iterable[str]) -> bool:
    """Return whether an item has the media and texts that its layout needs, or a viewing copy can be made."""
    needed = {*_NEEDED, "dialogue"} if item["unit"] == "dialogue" else _NEEDED
    return all(item.get(name) or (name == "video" and lacks_copy(item)) for name in variables if name in needed)


def lacks_copy(item: Mapping[str, Any]) -> bool:
    """Return whether an item has pictures, but no viewing copy yet."""
    return item["layout"] == "video" and not item.get("video") and item["unit"] != "pair"


def to_task(
    item: Mapping[str, Any],
    variables: Iterable[str],
    urls: Mapping[str, str],
    prediction: Mapping[str, Any] | None,
    *,
    is_blind: bool = False,
) -> dict[str, Any]:
    """Return a task for a row of ``items`` with the variables of its layout; ``urls`` has the address of each blob.

    The task keeps what it shows of the item, and ``is_blind``: whether it is to have no prediction, now and later.
    """
    texts = _texts(item)
    data = {name: urls[item[name]] if name in MEDIA else texts[name] for name in sorted(variables)}
    always = {"item_id": item["item_id"], "text": texts["text"], "speaker": texts["speaker"]}
    always |= {"shown": _modalities(item, variables), "blind": is_blind}
    return {"data": {**always, **data}, "predictions": [prediction] if prediction else []}


def _modalities(item: Mapping[str, Any], variables: Iterable[str]) -> str:
    """Return which media a layout shows of an item, such as ``video+text``; the second of a pair is like the first."""
    filled = [name for name in variables if item.get(name)]
    media = [name for name in MEDIA if name in filled and not name.endswith("_b")]
    return "+".join([*media, *(["text"] if set(filled).intersection(_WORDS) else [])])


def _texts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be shown of an item apart from its media; blank where it has no value."""
    start_s, end_s = item.get("start_s"), item.get("end_s")
    return {
        "text": item.get("text") or "",
        "text_b": item.get("text_b") or "",
        "speaker": item.get("speaker") or "",
        "statement": item.get("statement") or "",
        "dialogue": [_turn(turn, item) for turn in item.get("dialogue") or ()] or _NO_DIALOGUE,
        "fps": f"{item.get('frame_rate_hz') or DEFAULT_FPS:g}",
        "span": f"{start_s:.2f} s to {end_s:.2f} s" if start_s is not None and end_s is not None else "",
    }


def _turn(turn: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, str]:
    """Return a turn of a dialogue. The item's own turn is marked before the name, which leaves text offsets alone."""
    speaker = turn["speaker"] or ""
    is_item = item.get("turn") is not None and turn.get("turn") == item["turn"]
    return {"speaker": f"{_ITEM_TURN} {speaker}".strip() if is_item else speaker, "text": turn["text"] or ""}


def to_prediction(
    prelabel: Mapping[str, Any], labels: LabelSchema, layout: Layout, item: ItemContext, labeller: str
) -> dict[str, Any]:
    """Return a prediction that fills the form with a row of ``prelabels``.

    The id of each result begins with the pre-label's id. Label Studio keeps it, so that the annotation shows which
    pre-label had filled the form. Raises ``ValueError`` with the field for a value that the label schema or the item
    does not allow.
    """
    results: list[dict[str, Any]] = []
    for name, field in labels.fields.items():
        if prelabel[name] is None:
            continue
        try:
            field_results = field.to_prediction(prelabel[name], layout, item)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        results += [_prefixed(result, prelabel["prelabel_id"]) for result in field_results]
    scores = [entry["score"] for entry in prelabel["scores"] or () if entry["score"] is not None]
    score = {"score": round(float(max(scores)), 4)} if scores else {}
    return {"model_version": labeller, "result": results, **score}


def _prefixed(result: Mapping[str, Any], prelabel_id: str) -> dict[str, Any]:
    return {k: f"{prelabel_id}.{v}" if k in ("id", "from_id", "to_id") else v for k, v in result.items()}


def to_judgement(
    annotation: Mapping[str, Any],
    task: Mapping[str, Any],
    item: ItemContext,
    labels: LabelSchema,
    origin: Origin,
    newest: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime,
) -> Judgement:
    """Return a Label Studio annotation as an act upon its judgement.

    A field that cannot be read has no value and is explained in ``misfits``; ``raw`` holds everything as it came.
    ``newest`` holds the newest stored act upon each judgement. After a deletion, the act is one of the time ``now``,
    when the judgement was seen again.
    """
    results = [result for result in annotation.get("result") or () if isinstance(result, Mapping)]
    by_field, misfits = _by_field(results, labels)
    reason = None
    try:
        reason = reason_in(results)
    except ValueError as error:
        misfits.append(f"{CANNOT_JUDGE}: {error}")
    if reason is not None:
        # The form hides its questions then, but Label Studio still sends what they had been answered with.
        by_field, misfits = {}, []
    values = _values(by_field, labels, item, misfits)
    judgement = Judgement(
        item_id=task["data"]["item_id"],
        rater=None,
        # Label Studio gives an id again after its database was restored from a copy, hence the time.
        identity=(origin.server, annotation["id"], annotation["created_at"]),
        revision=(annotation["updated_at"],),
        values=values,
        action="created",
        acted_at=to_time(annotation["updated_at"]),
        origins={name: _origin(by_field[name]) for name in labels.fields if by_field.get(name)},
        lead_time_s=lead_time_s(annotation.get("lead_time")),
        prelabel_id=_filled_by(annotation, task, results),
        server=origin.server,
        project_id=origin.project_id,
        task_id=task["id"],
        server_annotation_id=annotation["id"],
        raw=json.dumps(annotation.get("result"), ensure_ascii=False, sort_keys=True),
        misfits=misfits,
        cannot_judge=reason,
        guideline_sha256=origin.guideline_at(to_time(annotation["updated_at"])),
    )
    judgement = replace(
        judgement,
        rater=_annotator(_author(annotation), origin, judgement.judgement_id),
        arm=_arm(task["data"].get("shown"), judgement),
    )
    last = newest.get(judgement.judgement_id)
    if last is not None and last["action"] == "deleted":
        revision = (*judgement.revision, "restored", last["annotation_id"])
        judgement = replace(judgement, action="restored", revision=revision, acted_at=time_after(last, now))
    elif last is not None:
        judgement = replace(judgement, action="updated")
    if annotation.get("was_cancelled"):
        return replace(judgement, action="skipped", cannot_judge=None)
    return replace(judgement, action="cannot_judge") if reason is not None else judgement


def _values(
    by_field: Mapping[str, Sequence[Mapping[str, Any]]], labels: LabelSchema, item: ItemContext, misfits: list[str]
) -> dict[str, Any]:
    """Return the value of each field, None for those that have none, and add to ``misfits`` what cannot be read."""
    values: dict[str, Any] = dict.fromkeys(labels.fields)
    for name, field_results in by_field.items():
        try:
            values[name] = labels.fields[name].from_result(field_results, item)
            if count := labels.fields[name].count_cut(field_results, item):
                misfits.append(f"{name}: cut at the end of the item, which {count} of its stretches exceeded")
        except PartlyRead as error:
            misfits.append(f"{name}: {error}")
            values[name] = error.value
        except ValueError as error:
            misfits.append(f"{name}: {error}")
    for name in labels.fields:
        if values[name] is not None and not labels.is_asked(name, values):
            misfits.append(f"{name}: was answered although it was not asked")
            values[name] = None
    return values


def _by_field(
    results: Sequence[Mapping[str, Any]], labels: LabelSchema
) -> tuple[dict[str, list[Mapping[str, Any]]], list[str]]:
    """Return the results of each field, relations with the field of their regions, and what belongs to no field."""
    by_field: dict[str, list[Mapping[str, Any]]] = {name: [] for name in labels.fields}
    owners: dict[Any, str] = {}
    problems: list[str] = []
    for result in results:
        if result.get("type") == "relation":
            continue
        name = control_field(result.get("from_name"))
        if result.get("from_name") == CANNOT_JUDGE:
            continue
        if name in by_field:
            by_field[name].append(result)
            owners[str(result.get("id"))] = name
        else:
            problems.append(f"{result.get('from_name')} is not a field of {labels.name}")
    for result in results:
        if result.get("type") == "relation":
            if name := owners.get(str(result.get("from_id")), ""):
                by_field[name].append(result)
            else:
                problems.append("a relation starts at a region that does not exist")
    return {name: field_results for name, field_results in by_field.items() if field_results}, list(
        dict.fromkeys(problems)
    )


def _author(annotation: Mapping[str, Any]) -> Any:
    """Return the user whose act this is: whoever edited an annotation, else whoever submitted it.

    Label Studio also names the user who sent an annotation for somebody else: then nothing was edited since.
    """
    edited_by = _user_id(annotation.get("updated_by"))
    is_edited = to_time(annotation["updated_at"]) - to_time(annotation["created_at"]) > _SUBMITTED_WITHIN
    return edited_by if edited_by is not None and is_edited else annotation.get("completed_by")


def _user_id(user: Any) -> int | None:
    user_id = user.get("id") if isinstance(user, Mapping) else user
    return user_id if is_id(user_id) else None


def _annotator(completed_by: Any, origin: Origin, judgement: str) -> str:
    """Return the annotator's e-mail address; judgements without a user may be of different people: each has its own."""
    user_id = _user_id(completed_by)
    if user_id is None:
        return f"unknown {judgement[:8]}"
    return origin.users.get(user_id, f"user {user_id}")


def _origin(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the origin of a field's value; results of different origins mean that the pre-label was changed.

    Label Studio records no origin for relations: a field with unchanged spans counts as unchanged.
    """
    origins = {str(result.get("origin") or "manual") for result in results if result.get("type") != "relation"}
    return origins.pop() if len(origins) == 1 else "prediction-changed"


def _filled_by(annotation: Mapping[str, Any], task: Mapping[str, Any], results: Sequence[Any]) -> str | None:
    """Return the pre-label that filled the annotator's form, whether or not its values were kept."""
    prelabels = {str(r["id"]).partition(".")[0] for r in results if "." in str(r.get("id", "")) and r.get("origin")}
    if prelabels:
        return min(prelabels)
    predictions = [p for p in records(task.get("predictions")) if records(p.get("result")) and _before(p, annotation)]
    ids = {str(records(p["result"])[0].get("id", "")) for p in predictions}
    return min((result_id.partition(".")[0] for result_id in ids if "." in result_id), default=None)


def _arm(modalities: Any, judgement: Judgement) -> str | None:
    """Return what the rater was shown, such as ``video+text blind``; None for a task that does not say."""
    if not isinstance(modalities, str) or len(modalities) > _MAX_MODALITIES or not _MODALITIES.fullmatch(modalities):
        return None
    has_proposal = judgement.prelabel_id is not None or not FROM_PROPOSAL.isdisjoint(judgement.origins.values())
    return f"{modalities} {'pre-filled' if has_proposal else 'blind'}"


def _before(prediction: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    created_at = to_credible_time(prediction.get("created_at"))
    return created_at is not None and created_at <= to_time(annotation["created_at"])
