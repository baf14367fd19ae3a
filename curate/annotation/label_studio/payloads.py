"""What a Label Studio sends, checked before it is used: it may be broken, of another version, or hostile."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=2)
_MAX_ID = 2**62


def records(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; nothing if it is no list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def is_id(value: Any) -> TypeGuard[int]:
    """Whether a value is a number that can identify or count something."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_ID


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is text that can be stored: without halves of characters."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def to_time(text: str) -> datetime:
    """Parse a time of Label Studio; without a time zone it is in UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def to_credible_time(value: Any) -> datetime | None:
    """Return a time at which people can have worked; None for anything else, such as the year 1 or 9999."""
    try:
        time = to_time(value)
        return time if _FIRST <= time <= datetime.now(UTC) + _AHEAD else None
    except (TypeError, ValueError, OverflowError):
        return None


def task_problem(task: dict[str, Any]) -> str:
    """Return why a task cannot be read; empty if it can. Its annotations are judged one by one."""
    data = task.get("data")
    if not isinstance(data, dict) or not is_text(data.get("item_id")) or not data["item_id"]:
        return "its data name no item"
    if not isinstance(task.get("annotations"), list):
        return "its annotations are not a list"
    return ""


def annotation_problem(annotation: Any) -> str:
    """Return why an annotation cannot be read; empty if it can."""
    if not isinstance(annotation, dict) or not is_id(annotation.get("id")):
        return "it has no number"
    for name in ("created_at", "updated_at"):
        if to_credible_time(annotation.get(name)) is None:
            return f"{name} is {str(annotation.get(name))[:40]!r}, at which nobody can have worked"
    result = annotation.get("result")
    if not isinstance(result, list) or not all(isinstance(entry, dict) for entry in result):
        return "its result is not a list of answers"
    if not isinstance(annotation.get("was_cancelled", False), bool | None):
        return "it does not say whether the task was skipped"
    for name in ("completed_by", "updated_by"):
        user = annotation.get(name)
        user_id = user.get("id") if isinstance(user, dict) else user
        if user_id is not None and not is_id(user_id):
            return f"{name} names nobody"
    try:
        json.dumps(result, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return "its result cannot be stored: it holds half a character, or is nested too deeply"
    return ""


def lead_time_s(value: Any) -> float | None:
    """Return the seconds that somebody worked, if they are a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < _MAX_ID and math.isfinite(value) else None
