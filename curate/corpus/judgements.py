"""Judgements: the rows of ``annotations`` that store them, and the newest act upon each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.files import sha256_of
from curate.labels import LabelSchema

ACTIONS = ("created", "updated", "skipped", "cannot_judge", "restored", "migrated", "deleted")
"""What an act can do to a judgement; of two at the same time, the later in this order counts.

``migrated`` is the one that no rater does: the same judgement in the terms of a changed label schema.
"""

FROM_PROPOSAL = frozenset({"prediction", "prediction-changed"})
"""The origins of values that a proposal had filled in."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One act of a rater upon one item, wherever it was made.

    ``identity`` names the judgement for good, across all sources; ``revision`` changes whenever the judgement does.
    ``arm`` says what the rater was shown; in Label Studio, media and whether a proposal: ``video+text blind``.
    ``origins`` holds for each answered field whether a person or a proposal gave the value. ``raw`` is the judgement
    as its source wrote it, and ``misfits`` says why parts of it do not fit the label schema. ``cannot_judge`` is the
    reason why the rater could not judge the item, and ``guideline_sha256`` the hash of the instructions that they had.
    """

    item_id: str
    rater: str | None
    identity: Sequence[object]
    revision: Sequence[object]
    values: Mapping[str, Any]
    action: str = "created"
    acted_at: datetime | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    arm: str | None = None
    lead_time_s: float | None = None
    prelabel_id: str | None = None
    server: str | None = None
    project_id: int | None = None
    task_id: int | None = None
    server_annotation_id: int | None = None
    raw: str | None = None
    misfits: Sequence[str] = ()
    cannot_judge: str | None = None
    guideline_sha256: str | None = None

    @property
    def judgement_id(self) -> str:
        """The id that all acts upon this judgement share."""
        return _hash(*self.identity)

    def to_row(self, labels: LabelSchema) -> dict[str, Any]:
        """Return the row of ``annotations``; equal identity and revision give an equal id."""
        return {
            "annotation_id": _hash(self.judgement_id, *self.revision),
            "judgement_id": self.judgement_id,
            "item_id": self.item_id,
            "annotator": self.rater,
            "arm": self.arm,
            "action": self.action,
            "acted_at": self.acted_at,
            "cannot_judge": self.cannot_judge,
            "lead_time_s": self.lead_time_s,
            "guideline_sha256": self.guideline_sha256,
            "origins": [{"field": name, "origin": origin} for name, origin in self.origins.items()],
            "prelabel_id": self.prelabel_id,
            "server": self.server,
            "project_id": self.project_id,
            "task_id": self.task_id,
            "server_annotation_id": self.server_annotation_id,
            "raw": self.raw,
            "misfits": list(self.misfits),
            **{name: self.values.get(name) for name in labels.fields},
        }


def to_deletion(last: Mapping[str, Any], labels: LabelSchema, seen_at: datetime) -> dict[str, Any]:
    """Return the row for a judgement that was gone from its source at ``seen_at``; ``last`` is its newest act."""
    cleared = dict.fromkeys((*labels.fields, "cannot_judge", "lead_time_s", "origins", "raw", "misfits"))
    return {
        **last,
        **cleared,
        "annotation_id": _hash(last["annotation_id"], "deleted"),
        "action": "deleted",
        "acted_at": time_after(last, seen_at),
    }


def time_after(last: Mapping[str, Any], seen_at: datetime) -> datetime:
    """Return ``seen_at``, or the first time after the act ``last`` if the clock of its source is ahead."""
    return seen_at if last["acted_at"] is None else max(seen_at, last["acted_at"] + timedelta(microseconds=1))


def newest_acts(annotations: pa.Table) -> pa.Table:
    """Return the newest act upon each judgement, sorted by item and age.

    An act without a time is older than all with one. Acts of one time are in the order of ``ACTIONS``, then of their
    ids, so that the result never depends on the order of rows.
    """
    return annotations.take(_newest_rows(annotations))


def current_judgements(annotations: pa.Table, *, with_skipped: bool = False) -> pa.Table:
    """Return the newest act upon each judgement that was not deleted, sorted by item and age.

    ``with_skipped`` includes those without a value: the item was skipped, or could not be judged.
    """
    ended = ["deleted"] if with_skipped else ["deleted", "skipped", "cannot_judge"]
    rows = _newest_rows(annotations)
    has_ended = pc.is_in(annotations["action"].take(rows), value_set=pa.array(ended))
    return annotations.take(rows.filter(pc.invert(has_ended)))


def _newest_rows(annotations: pa.Table) -> pa.ChunkedArray:
    """Return the rows of the newest acts; tables are taken apart only once, since they can be large."""
    rank = pc.index_in(annotations["action"], value_set=pa.array(ACTIONS))
    keys = ("item_id", "has_time", "acted_at", "rank", "annotation_id")
    ages = annotations.select(["item_id", "acted_at", "annotation_id"]).append_column("rank", rank)
    ages = ages.append_column("has_time", pc.is_valid(annotations["acted_at"]))
    order = pc.sort_indices(ages, sort_keys=[(key, "ascending") for key in keys])
    ids = annotations["judgement_id"].take(order)
    newest = pa.table({"judgement_id": ids, "position": pa.array(np.arange(len(order)))})
    positions = newest.group_by("judgement_id").aggregate([("position", "max")])["position_max"]
    return pa.chunked_array([order]).take(positions.take(pc.sort_indices(positions)))


def is_prefilled(judgements: pa.Table) -> NDArray[np.bool_]:
    """Return which judgements were made with a proposal in the form."""
    origins = judgements["origins"].combine_chunks()
    prefilled = np.array(judgements["prelabel_id"].is_valid())
    entries = origins.flatten()
    if len(entries):
        is_from_proposal = pc.is_in(entries.field("origin"), value_set=pa.array(sorted(FROM_PROPOSAL)))
        prefilled[np.asarray(pc.list_parent_indices(origins))[np.asarray(is_from_proposal)]] = True
    return prefilled


UNJUDGED_COLUMNS = ("item_id", "judgement_id", "annotation_id", "action", "acted_at", "cannot_judge")


def count_cannot_judge(annotations: pa.Table) -> dict[str, int]:
    """Return how many judgements now say that their item cannot be judged, by the reason.

    ``annotations`` needs ``UNJUDGED_COLUMNS`` alone.
    """
    reasons = current_judgements(annotations, with_skipped=True)["cannot_judge"].drop_null().to_pylist()
    return dict(sorted(Counter(reasons).items()))


def _hash(*parts: object) -> str:
    return sha256_of("\n".join(map(str, parts)))
