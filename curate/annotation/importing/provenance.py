"""What an export says of a judgement besides its answers: when it was made, how long it took, what it started from."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

ACT = "<act>"
"""The column of exports with a ``Provenance`` as JSON; null in rows that hold no judgement."""
CREATED, SKIPPED = "created", "skipped"
PROVENANCE = "<provenance>"
"""The same column of judgements; no column of a table is called that."""
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=2)


class Provenance(NamedTuple):
    """How a judgement was made. ``origins`` are by control in exports, and by field in judgements.

    ``is_empty`` says that the rater submitted no answer at all, which is an answer: nothing was there to mark.
    """

    action: str = CREATED
    acted_at: datetime | None = None
    lead_time_s: float | None = None
    origins: Mapping[str, str] = {}
    is_empty: bool = False

    def to_json(self) -> str:
        """Return the provenance as JSON."""
        time = self.acted_at and self.acted_at.isoformat()
        return json.dumps([self.action, time, self.lead_time_s, dict(self.origins), self.is_empty])

    @property
    def is_whole(self) -> bool:
        """Whether it is a judgement also without answers."""
        return self.is_empty or self.action == SKIPPED


def from_json(text: str | None) -> Provenance:
    """Return the provenance that ``Provenance.to_json`` wrote; None stands for nothing known."""
    if text is None:
        return Provenance()
    action, time, seconds, origins, is_empty = json.loads(text)
    return Provenance(action, time and datetime.fromisoformat(time), seconds, origins, is_empty)


def by_field(provenance: Provenance, controls: Mapping[str, tuple[str, ...]]) -> Provenance:
    """Return the provenance with origins by field; ``controls`` has the columns that each field is read from."""
    origins = {}
    for field, columns in controls.items():
        of_field = {provenance.origins[column] for column in columns if column in provenance.origins}
        if of_field:
            origins[field] = of_field.pop() if len(of_field) == 1 else "prediction-changed"
    return provenance._replace(origins=origins)


def to_credible_time(value: Any) -> datetime | None:
    """Return an ISO time or seconds since 1970 at which people can have worked; None for anything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            time = datetime.fromtimestamp(value, UTC)
        else:
            return None
        return time if _FIRST <= time <= datetime.now(UTC) + _AHEAD else None
    except (ValueError, OverflowError, OSError):
        return None
