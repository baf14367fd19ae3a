"""What a Label Studio says of its projects and tasks, as the protocol's values."""

import re
from collections.abc import Mapping
from typing import Any

from curate.annotation.label_studio.payloads import is_id, is_text, to_credible_time
from curate.annotation.protocol import Project, TaskState

_ID = re.compile(r"[0-9]{1,18}")
_PRELABEL_ID = re.compile(r"\bid['\"]?: ['\"]?([0-9a-zA-Z_-]+)\.")


def to_project(answer: Any, user_id: int | None) -> Project | None:
    """Return a project; None for what is none. Where a server names no creator, every project is one's own."""
    if not isinstance(answer, dict) or not is_id(answer.get("id")):
        return None
    description, config = (
        answer[name] if is_text(answer.get(name)) else "" for name in ("description", "label_config")
    )
    creator = answer.get("created_by")
    creator = creator.get("id") if isinstance(creator, dict) else creator
    is_own = user_id is None or not is_id(creator) or creator == user_id
    return Project(answer["id"], description, config, answer, is_own)


def to_state(task: Mapping[str, Any]) -> TaskState | None:
    """Return the state of a task; None for what is none."""
    if not is_id(task.get("id")):
        return None
    data = task.get("data")
    data = data if isinstance(data, dict) else {}
    item_id = data.get("item_id")
    annotators = (user.get("user_id") if isinstance(user, dict) else user for user in _parts(task, "annotators"))
    changed_at = task.get("updated_at")
    return TaskState(
        task["id"],
        item_id if is_text(item_id) else "",
        changed_at if isinstance(changed_at, str) and to_credible_time(changed_at) else "",
        frozenset(int(part) for part in map(str, _parts(task, "annotations_ids")) if _ID.fullmatch(part)),
        frozenset(filter(is_id, annotators)),
        bool(task.get("draft_exists")),
        frozenset(_PRELABEL_ID.findall(str(task.get("predictions_results") or ""))),
        frozenset(name for name in _parts(task, "predictions_model_versions") if is_text(name) and name),
        data.get("blind") is True,
    )


def _parts(task: Mapping[str, Any], column: str) -> list[Any]:
    """Return the values of a column that is a list, or a text with commas between them."""
    value = task.get(column)
    return value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
