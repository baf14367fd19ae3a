"""Whether the judgements of a workspace fit the recipe's label schema as it is now."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.corpus.spec import table_spec
from curate.errors import InvalidInput
from curate.labels import Field, LabelSchema
from curate.sentences import count_of
from curate.storage.columns import is_same_type
from curate.storage.delta import Table, TableSpec
from curate.storage.workspace import Workspace

_ACTS = ("annotation_id", "judgement_id", "item_id", "action", "acted_at")
_MAX_NAMED = 8


class StoredJudgements(NamedTuple):
    """The stored acts under a label schema, with the columns that they were written with."""

    table: Table
    fields: dict[str, pa.DataType]
    """The stored label fields, those of earlier forms of the label schema included, and their types"""


def open_stored(workspace: Workspace, labels: LabelSchema, schema_name: str) -> StoredJudgements | None:
    """Open the acts under label schema ``schema_name``, which need not exist any more; None if there are none."""
    spec = table_spec("annotations", labels)
    fixed_schema = pa.schema([column for column in spec.schema if column.name not in labels.fields])
    stored = workspace.table(TableSpec(spec.name, fixed_schema, spec.key, schema_name)).stored_schema()
    if stored is None:
        return None
    fields = {column.name: column.type for column in stored if column.name not in fixed_schema.names}
    full_schema = pa.schema([*fixed_schema, *(pa.field(name, kind) for name, kind in fields.items())])
    return StoredJudgements(workspace.table(TableSpec(spec.name, full_schema, spec.key, schema_name)), fields)


def list_misfits(workspace: Workspace, labels: LabelSchema) -> list[str]:
    """Return a sentence, with counts, for each field whose stored values do not fit the label schema."""
    stored = open_stored(workspace, labels, labels.name)
    if stored is None:
        return []
    current = current_judgements(stored.table.read(_ACTS))["annotation_id"]
    rows = stored.table.read(["annotation_id", *stored.fields])
    rows = rows.filter(pc.is_in(rows["annotation_id"], value_set=current))
    return [sentence for name in stored.fields if (sentence := _misfit(name, rows[name], labels.fields.get(name)))]


def refuse_misfits(workspace: Workspace, labels: LabelSchema) -> None:
    """Raise ``InvalidInput`` with every field whose stored judgements do not fit the label schema."""
    if problems := list_misfits(workspace, labels):
        raise InvalidInput(
            f"stored judgements do not fit label schema {labels.name}",
            problems=tuple(problems),
            hint="say in a file what becomes of them, such as `emotion: {rename: {joy: happiness}}`, and see what "
            "`curate labels migrate --map FILE --dry-run` would do; or undo the change",
        )


def _misfit(name: str, column: pa.ChunkedArray, field: Field | None) -> str:
    """Return what of the stored values of a field does not fit, or nothing."""
    answers = count_of(len(column) - column.null_count, "answer")
    if column.null_count == len(column):
        return ""
    if field is None:
        return f"{name}: {answers} of people, and the label schema has no such field now"
    if not is_same_type(column.type, field.arrow_type):
        return (
            f"{name}: {answers} of people are stored as {column.type}, and the label schema now says "
            f"{field.arrow_type}: give it a new version and migrate `--from` this one"
        )
    unknown: Counter[str] = Counter()
    unfit, reason = 0, ""
    for value, count in _distinct(column):
        try:
            field.check(value)
        except ValueError as error:
            unfit, reason = unfit + count, reason or str(error)
            unknown.update(dict.fromkeys(_unknown_labels(field, value), count))
    if not unfit:
        return ""
    why = f"hold labels that it does not have: {_named(unknown)}" if unknown else f"do not fit, such as: {reason}"
    if unfit == 1:
        why = why.replace("hold", "holds", 1).replace("do not fit", "does not fit", 1)
    return f"{name}: {count_of(unfit, 'answer')} of people {why}"


def _unknown_labels(field: Field, value: Any) -> set[str]:
    return set(field.labels_of(value)) - set(field.labels) if field.labels else set()


def _named(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    more = len(ordered) - _MAX_NAMED
    names = ", ".join(f"{label} ({count:,})" for label, count in ordered[:_MAX_NAMED])
    return names + (f" and {more:,} more" if more > 0 else "")


def _distinct(column: pa.ChunkedArray) -> Iterator[tuple[Any, int]]:
    """Yield each value with how often it occurs, without nulls."""
    if pa.types.is_nested(column.type):
        counts: dict[str, tuple[Any, int]] = {}
        for value in column.drop_null().to_pylist():
            key = repr(value)
            counts[key] = (value, counts[key][1] + 1 if key in counts else 1)
        yield from counts.values()
    else:
        for entry in pc.value_counts(column.drop_null()):
            yield entry["values"].as_py(), entry["counts"].as_py()
