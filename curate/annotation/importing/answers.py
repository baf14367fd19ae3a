"""Cells as answers to a field of the label schema: labels, numbers and texts in their canonical form."""

import ast
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate.annotation.importing.holding import to_cell
from curate.annotation.importing.rows import MAX_QUOTED
from curate.annotation.importing.value_settings import Value
from curate.annotation.importing.values import Coded, similar, translate
from curate.labels import Field
from curate.labels.fields.marks import Mark, Marks, to_marks

if TYPE_CHECKING:
    from curate.labels.taxonomy import Taxonomy

_MAX_LITERAL_CHARS = 100_000


def to_answer(text: str, value: Value, field: Field) -> Any:
    """Return the answer that a cell holds; None if the map says that it holds none. Raises ``ValueError``."""
    if field.marked_taxonomy is not None:
        return to_marked(text, value, field, field.marked_taxonomy)
    taxonomy = field.scored_taxonomy
    if taxonomy is not None:
        meanings = [translate(part, value) for part in _parts(text, value, is_multiple=field.is_multiple)]
        labels = [find_label(meaning, taxonomy) for meaning in meanings if meaning is not None]
        return to_labels(labels, field) if labels else None
    meaning = translate(text, value)
    if meaning is None:
        return None
    if pa.types.is_floating(field.arrow_type):
        return field.check(_number(meaning, value, field))
    if pa.types.is_string(field.arrow_type):
        return field.check(meaning)
    members = _parts(meaning, value, is_multiple=True) if value.split else _python_list(meaning)
    return field.from_text(meaning) if members is None else field.check(members)


def to_marked(text: str, value: Value, field: Field, taxonomy: "Taxonomy") -> Any:
    """Return labelled places as JSON, to be held to their item later; None if there are none. Raises ``ValueError``.

    They are a value of the field, or marks of another tool, whose labels are translated.
    """
    parsed = _json(text)
    marked = to_marks(parsed)
    if marked is None:
        return to_cell(field.check(parsed), field)
    marks, dropped = list[Mark](), set[str]()
    for mark in marked.marks:
        meaning = translate(mark.label, value)
        if meaning is None:
            dropped.add(mark.name)
        else:
            marks.append(mark._replace(label=find_label(meaning, taxonomy)))
    links = [
        link._replace(label=link.label and _link_name(value.map.get(link.label, link.label), field))
        for link in marked.links
        if not dropped.intersection((link.begin, link.end)) and value.map.get(link.label or "", "") is not None
    ]
    return Marks(tuple(marks), tuple(links)).to_json() if marks else None


def _link_name(label: str | None, field: Field) -> str:
    label = label or ""
    name = label if label in field.link_names else similar(label, list(field.link_names))
    if name is None:
        raise ValueError(f"{label[:MAX_QUOTED]!r} is not one of the relations of {field.name}: map it")
    return name


def to_labels(labels: Sequence[str], field: Field) -> Any:
    """Return labels as an answer. Raises ``ValueError`` if they do not go together."""
    return field.check(list(dict.fromkeys(labels)) if field.is_multiple or len(labels) > 1 else labels[0])


def to_graded(
    text: str, *, label: str, grades: Mapping[str, str | None], field: Field
) -> dict[str, str | float] | None:
    """Return a label with the intensity that a cell gives it; None if it says that the label is not there.

    Raises ``ValueError``.
    """
    meaning = translate(text, Value(constant=label, map=dict(grades)))
    if meaning is None:
        return None
    is_number = pa.types.is_floating(field.arrow_type.value_type.field("intensity").type)
    (entry,) = field.check([{"label": label, "intensity": _to_number(meaning) if is_number else meaning}])
    return dict(entry)


def find_label(text: str, taxonomy: "Taxonomy") -> str:
    """Return the label that a text names or is the code of; case and spaces around it do not matter if it is clear.

    Raises ``ValueError``.
    """
    text = text.strip()
    if text in taxonomy.by_name:
        return text
    if "/" in text and (last := text.rpartition("/")[2]) in taxonomy.by_name and "/".join(taxonomy.path(last)) == text:
        return last
    coded = [label.name for label in taxonomy.labels if label.code == text]
    label = coded[0] if coded else similar(text, list(taxonomy.names))
    if label is None:
        raise ValueError(f"{text[:MAX_QUOTED]!r} is not a label of {taxonomy.taxonomy}: map it")
    return label


def to_column(coded: Coded, kind: pa.DataType) -> pa.Array:
    """Return coded values as a column of this type."""
    return pa.array(coded.values, kind).take(coded.codes.to_arrow())


def _parts(text: str, value: Value, *, is_multiple: bool) -> list[str]:
    if value.split:
        return [part.strip() for part in text.split(value.split) if part.strip()]
    if is_multiple and text.lstrip().startswith("["):
        members = _json(text)
        return [str(member) for member in members] if isinstance(members, list) else [text]
    return [text]


def _number(text: str, value: Value, field: Field) -> float:
    number = _to_number(text)
    if value.scale is None:
        return number
    first, last = value.scale
    if not min(first, last) <= number <= max(first, last):
        raise ValueError(f"{number:g} is not on the table's scale from {first:g} to {last:g}")
    bounds = field.json_schema()
    lower, upper = float(bounds["minimum"]), float(bounds["maximum"])
    return lower + (number - first) * (upper - lower) / (last - first)


def _to_number(text: str) -> float:
    try:
        # Python reads 1_2 as twelve.
        return float(text.replace("_", "?"))
    except ValueError:
        raise ValueError(f"{text[:MAX_QUOTED]!r} is not a number") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        members = _python_list(text)
    if members is None:
        raise ValueError(f"{text[:MAX_QUOTED]!r} is not JSON, nor a list as Python writes it")
    return members


def _python_list(text: str) -> list[Any] | None:
    """Return a list as Python writes it, which tables of pandas have in their cells; None for anything else."""
    if not text.lstrip().startswith("[") or len(text) > _MAX_LITERAL_CHARS:
        return None
    try:
        members = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    is_plain = isinstance(members, list) and all(isinstance(member, str | int | float) for member in members)
    return members if is_plain else None
