"""Carry judgements over to a changed label schema, as acts derived from those of the raters."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.conversion import FieldCounts, convert, leave_out_unasked
from curate.corpus.judgements import newest_acts, time_after
from curate.corpus.schema_fit import StoredJudgements
from curate.corpus.spec import open_table
from curate.errors import InvalidInput
from curate.files import digest, sha256_of
from curate.labels import FieldMap, LabelSchema
from curate.storage.columns import fill_columns, is_same_type
from curate.storage.delta import Table
from curate.storage.workspace import Workspace

_ENDED = ("skipped", "cannot_judge", "deleted")


class Migration(NamedTuple):
    """The acts that carry judgements over to a label schema, and what that does to them."""

    source: str
    table: Table
    acts: pa.Table
    """The rows to append to ``annotations``"""
    fields: dict[str, FieldCounts]
    """By the stored name of the field; without those to which this map was applied before"""
    reopened: int
    """Judgements of which a part is to be judged again"""
    unasked: dict[str, int]
    """Answers by field that are left out because their question is asked no more in that case"""
    problems: tuple[str, ...]
    """What the map does not cover: nothing is migrated as long as there is any"""

    def commit(self) -> None:
        """Append the derived acts in one transaction; the caller holds the workspace's lock.

        Raises ``InvalidInput`` if the map leaves judgements that do not fit.
        """
        if self.problems:
            raise InvalidInput(
                "the map leaves answers that do not fit the label schema; nothing was changed",
                problems=self.problems,
                hint="add what becomes of them (`rounded: true` where numbers must be whole), or `again: true` to a "
                "field whose answers are to be judged again",
            )
        self.table.commit(self.acts, metadata={"stage": "migrate", "source": self.source})


def plan_migration(
    workspace: Workspace, labels: LabelSchema, maps: Mapping[str, FieldMap], stored: StoredJudgements
) -> Migration:
    """Return the acts that bring ``stored`` judgements into the form of ``labels``, without storing them.

    Where the label schema was edited under its name, only the fields in ``maps`` change, each by an act of its own, and
    a field's map applies once: what people answer later is in the new terms. From a label schema of another name, each
    judgement that this map was not applied to becomes one act. So doing the same again does nothing.
    Raises ``InvalidInput`` if an edited field has another type, for which the label schema needs a new name.
    """
    if stored.table.spec.variant == labels.name:
        return _plan_edited(workspace, labels, maps, stored)
    return _plan_new_name(workspace, labels, maps, stored)


def _plan_edited(
    workspace: Workspace, labels: LabelSchema, maps: Mapping[str, FieldMap], stored: StoredJudgements
) -> Migration:
    _check_types(labels, stored)
    acts = stored.table.read()
    ids = acts["annotation_id"].to_pylist()
    newest = newest_acts(acts)
    newest = newest.filter(pc.invert(pc.is_in(newest["action"], value_set=pa.array(_ENDED))))
    table = open_table(workspace, "annotations", labels)
    added = [column for column in table.spec.schema if column.name not in newest.schema.names]
    rows = fill_columns(newest, pa.schema([*newest.schema, *added]))
    begun = rows
    parts: list[pa.Table] = []
    counts: dict[str, FieldCounts] = {}
    problems: list[str] = []
    now = datetime.now(UTC)
    for name, rules in maps.items():
        key = _field_key(labels, name, rules)
        if {_derived(act, key) for act in ids} & set(ids):
            continue
        conversion = convert(labels, {name: rules}, [name], rows, begun, is_whole=False)
        counts |= conversion.counts()
        problems += conversion.problems()
        rows = _with_acts(conversion.rows, conversion.changed, key, now, parts)
    is_changed = pc.not_equal(rows["annotation_id"], begun["annotation_id"])
    rows, changed, unasked = leave_out_unasked(labels, rows, is_changed)
    rows = _with_acts(rows, changed, "unasked", now, parts)
    reopened = _count_reopened(rows, begun)
    migrated = pa.concat_tables(parts) if parts else rows.slice(0, 0)
    return Migration(labels.name, table, migrated, counts, reopened, unasked, tuple(problems))


def _plan_new_name(
    workspace: Workspace, labels: LabelSchema, maps: Mapping[str, FieldMap], stored: StoredJudgements
) -> Migration:
    source, target = stored.table.spec.variant or "", open_table(workspace, "annotations", labels)
    key = digest([source, *(_field_key(labels, name, maps.get(name, FieldMap())) for name in stored.fields)])
    target_acts = target.read(["annotation_id", "judgement_id", "item_id", "action", "acted_at"])
    newest = newest_acts(stored.table.read())
    derived = pa.array([_derived(act, key) for act in newest["annotation_id"].to_pylist()], pa.string())
    is_done = pc.is_in(derived, value_set=target_acts["annotation_id"].combine_chunks())
    is_unknown = pc.invert(pc.is_in(newest["judgement_id"], value_set=target_acts["judgement_id"]))
    is_left = pc.or_(is_done, pc.and_(pc.equal(newest["action"], "deleted"), is_unknown))
    begun = newest.filter(pc.invert(is_left))
    conversion = convert(labels, maps, list(stored.fields), begun, begun, is_whole=True)
    rows, _, unasked = leave_out_unasked(labels, conversion.rows, pa.array([True] * begun.num_rows, pa.bool_()))
    latest = {act["judgement_id"]: act for act in newest_acts(target_acts).to_pylist()}
    now = datetime.now(UTC)
    facts = rows.select(["judgement_id", "annotation_id", "action", "acted_at"]).to_pylist()
    times = [_time_among(act, latest.get(act["judgement_id"]), now) for act in facts]
    actions = [act["action"] if act["action"] in _ENDED else "migrated" for act in facts]
    rows = _replaced(rows, [_derived(act["annotation_id"], key) for act in facts], actions, times)
    reopened = _count_reopened(rows, begun)
    return Migration(source, target, rows, conversion.counts(), reopened, unasked, tuple(conversion.problems()))


def _check_types(labels: LabelSchema, stored: StoredJudgements) -> None:
    problems = tuple(
        f"{name}: its answers are stored as {stored.fields[name]}, and the label schema now says {field.arrow_type}"
        for name, field in labels.fields.items()
        if name in stored.fields and not is_same_type(stored.fields[name], field.arrow_type)
    )
    if problems:
        raise InvalidInput(
            f"label schema {labels.name} gives a field another type under the same name",
            problems=problems,
            hint=f"give the label schema a new version, name it in the recipe, and migrate --from {labels.name}",
        )


def _field_key(labels: LabelSchema, name: str, rules: FieldMap) -> str:
    """Return a hash of what a map does to a field; how much it allows to be judged again is no part of that."""
    field = labels.fields.get(rules.to or name)
    rule = rules.model_dump(mode="json", exclude={"again", "rounded"})
    return digest([labels.name, name, rule, field.ends if field else None])


def _with_acts(rows: pa.Table, changed: Iterable[bool], key: str, now: datetime, parts: list[pa.Table]) -> pa.Table:
    """Return the rows with a new act upon each changed one, and add these acts to ``parts``."""
    mask = np.fromiter(changed, bool, rows.num_rows)
    if not mask.any():
        return rows
    facts = rows.select(["annotation_id", "action", "acted_at"]).to_pylist()
    ids, actions, times = [], [], []
    for act, is_changed in zip(facts, mask, strict=True):
        ids.append(_derived(act["annotation_id"], key) if is_changed else act["annotation_id"])
        actions.append("migrated" if is_changed else act["action"])
        times.append(_next_time(act, now) if is_changed else act["acted_at"])
    rows = _replaced(rows, ids, actions, times)
    parts.append(rows.filter(pa.array(mask)))
    return rows


def _replaced(rows: pa.Table, ids: list[str], actions: list[str], times: list[datetime | None]) -> pa.Table:
    columns = {"annotation_id": ids, "action": actions, "acted_at": times}
    for name, values in columns.items():
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.field(index).type))
    return rows


def _next_time(last: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the time of an act derived from ``last``: just after it, so that whatever the rater says later counts."""
    if last["acted_at"] is None:
        return now if last["action"] == "migrated" else None
    return time_after(last, last["acted_at"])


def _time_among(act: Mapping[str, Any], latest: Mapping[str, Any] | None, now: datetime) -> datetime | None:
    """Return the time of an act derived from one under another label schema, after ``latest``, derived before."""
    if latest is None or (act["acted_at"] and (latest["acted_at"] is None or latest["acted_at"] < act["acted_at"])):
        time: datetime | None = act["acted_at"]
        return time
    return _next_time(latest, now)


def _count_reopened(rows: pa.Table, begun: pa.Table) -> int:
    """Return how many judgements have misfits that they did not have before."""
    sizes = [pc.fill_null(pc.list_value_length(table["misfits"]), 0) for table in (rows, begun)]
    return int(pc.sum(pc.greater(*sizes)).as_py() or 0)


def _derived(annotation_id: str, key: str) -> str:
    return sha256_of(f"{annotation_id}\nmigrated\n{key}")
