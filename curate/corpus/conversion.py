"""Stored answers in the form of a changed label schema, column by column."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from curate.labels import FieldMap, LabelSchema, Undecided
from curate.sentences import count_of


class FieldCounts(NamedTuple):
    """How many answers of a field are kept as they are, converted, left out, and to be judged again."""

    kept: int
    converted: int
    dropped: int
    again: int


class Conversion(NamedTuple):
    """Judgements with converted answers: the rows of ``annotations``, with the ids and times of the old acts."""

    rows: pa.Table
    changed: list[bool]
    """Whether anything of a row is other than before"""
    kinds: dict[str, Counter[str]]
    uncovered: dict[str, Counter[str]]

    def counts(self) -> dict[str, FieldCounts]:
        """Return what happens to the answers of each field, by its stored name."""
        return {name: FieldCounts(*(kinds[kind] for kind in FieldCounts._fields)) for name, kinds in self.kinds.items()}

    def problems(self) -> list[str]:
        """Return a sentence for each field with answers that the map does not cover."""
        return [
            f"{name}: {count_of(reasons.total(), 'answer')} would not fit, such as: {reasons.most_common(1)[0][0]}"
            for name, reasons in self.uncovered.items()
        ]


class _Answer(NamedTuple):
    value: Any
    kind: str
    misfit: str = ""
    is_covered: bool = True


def convert(
    labels: LabelSchema,
    maps: Mapping[str, FieldMap],
    names: Sequence[str],
    rows: pa.Table,
    deciding: pa.Table,
    *,
    is_whole: bool,
) -> Conversion:
    """Return judgements with the answers of the stored fields ``names`` converted.

    ``deciding`` has the same judgements with their answers as stored, which decide splits. If ``is_whole``, these are
    all answers, and fields of the label schema that none of them becomes are empty.
    """
    values: dict[str, list[Any]] = {name: [None] * rows.num_rows for name in labels.fields} if is_whole else {}
    misfits = [list(sentences or ()) for sentences in rows["misfits"].to_pylist()]
    changed = [False] * rows.num_rows
    kinds: dict[str, Counter[str]] = {}
    uncovered: dict[str, Counter[str]] = {}
    targets: dict[str, str] = {}
    for name in names:
        rules = maps.get(name, FieldMap())
        target = targets[name] = rules.to or name
        if target in labels.fields and target not in values:
            is_moved = target != name and target in rows.column_names
            values[target] = rows[target].to_pylist() if is_moved else [None] * rows.num_rows
        by = {split.by: deciding[split.by].to_pylist() for split in rules.split.values()}
        kinds[name] = Counter()
        answers: dict[str, _Answer] = {}
        for index, stored in enumerate(rows[name].to_pylist()):
            if stored is None:
                continue
            facts = {field: column[index] for field, column in by.items()}
            case = repr((stored, facts))
            answer = answers.get(case) or answers.setdefault(case, _convert(labels, rules, target, stored, facts))
            if target in values and values[target][index] is not None:
                answer = _Answer(values[target][index], "again", f"{name} and {target} both have an answer", False)
            kinds[name][answer.kind] += 1
            if answer.misfit:
                misfits[index].append(f"{target}: {answer.misfit}; to be judged again")
            if not answer.is_covered:
                uncovered.setdefault(name, Counter())[answer.misfit] += 1
            changed[index] |= answer.kind != "kept" or target != name
            if target in values:
                values[target][index] = answer.value
    if not is_whole:
        values |= {name: [None] * rows.num_rows for name in names if name not in values}
    rows = _with_columns(rows, labels, values, misfits)
    return Conversion(_with_origins(rows, targets, values, is_whole=is_whole), changed, kinds, uncovered)


def _convert(labels: LabelSchema, rules: FieldMap, target: str, stored: Any, facts: Mapping[str, Any]) -> _Answer:
    if rules.drop == "all":
        return _Answer(None, "dropped")
    field = labels.fields.get(target)
    if field is None:
        return _Answer(None, "again", "the label schema has no such field now", False)
    try:
        value = rules.convert(field, stored, facts)
    except Undecided as error:
        return _Answer(None, "again", str(error))
    except ValueError as error:
        return _Answer(None, "again", str(error), rules.again)
    except TypeError:
        return _Answer(None, "again", f"{stored!r:.60} is not a value of type {field.type}", rules.again)
    if value is None:
        return _Answer(None, "dropped")
    # A number on a new scale is another one even if it looks the same.
    return _Answer(value, "kept" if value == stored and rules.scale is None else "converted")


def leave_out_unasked(
    labels: LabelSchema, rows: pa.Table, candidates: Any
) -> tuple[pa.Table, list[bool], dict[str, int]]:
    """Return the rows without answers to questions whose condition no longer holds, which rows change, and counts.

    Only rows in the mask ``candidates`` may change.
    """
    dependent = [name for name, field in labels.fields.items() if field.when]
    changed, left_out = [False] * rows.num_rows, Counter[str]()
    if not dependent:
        return rows, changed, {}
    conditions = {condition for name in dependent for condition in labels.fields[name].when}
    values = {name: rows[name].to_pylist() for name in labels.fields if name in conditions or name in dependent}
    for index, is_candidate in enumerate(candidates.to_pylist()):
        record = {name: column[index] for name, column in values.items()} if is_candidate else {}
        for name in dependent:
            if record.get(name) is not None and not labels.is_asked(name, record):
                record[name] = values[name][index] = None
                changed[index] = True
                left_out[name] += 1
    emptied = {name: values[name] for name in dependent if left_out[name]}
    rows = _with_columns(rows, labels, emptied, None)
    rows = _with_origins(rows, {name: name for name in emptied}, emptied, is_whole=False)
    return rows, changed, dict(left_out)


def _with_columns(
    rows: pa.Table, labels: LabelSchema, values: Mapping[str, list[Any]], misfits: list[list[str]] | None
) -> pa.Table:
    columns = {name: rows[name] for name in rows.column_names}
    for name, column in values.items():
        field = labels.fields.get(name)
        columns[name] = pa.array(column, field.arrow_type if field else rows.schema.field(name).type)
    if misfits is not None:
        columns["misfits"] = pa.array(misfits, rows.schema.field("misfits").type)
    return pa.table(columns)


def _with_origins(
    rows: pa.Table, targets: Mapping[str, str], values: Mapping[str, list[Any]], *, is_whole: bool
) -> pa.Table:
    """Return rows that say who gave each value, for the fields that still have one, by their new names."""
    origins = [
        [
            {"field": targets.get(entry["field"], entry["field"]), "origin": entry["origin"]}
            for entry in entries or ()
            if _is_answered(entry["field"], targets, values, index, is_whole=is_whole)
        ]
        for index, entries in enumerate(rows["origins"].to_pylist())
    ]
    index = rows.schema.get_field_index("origins")
    return rows.set_column(index, "origins", pa.array(origins, rows.schema.field(index).type))


def _is_answered(
    name: str, targets: Mapping[str, str], values: Mapping[str, list[Any]], index: int, *, is_whole: bool
) -> bool:
    column = values.get(targets[name]) if name in targets else None
    return not is_whole and name not in targets if column is None else column[index] is not None
