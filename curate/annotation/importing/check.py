"""What can be told to be wrong with a mapping from the label schema alone."""

from collections.abc import Iterator

from curate.annotation.importing.answers import find_label, to_graded
from curate.annotation.importing.line_settings import Lines
from curate.annotation.importing.settings import FORMS, Table, Ticks
from curate.annotation.importing.stretch_settings import Stretches
from curate.annotation.importing.turn_settings import Marks, SpanMarks
from curate.annotation.importing.values import similar
from curate.labels import Field, LabelSchema
from curate.sentences import nearest

_TIMED = {"ranges": "`label`", "trace": "`value`"}
_SettingPath = tuple[str | int, ...]


def mapping_problems(table: Table, labels: LabelSchema | None) -> Iterator[tuple[_SettingPath, str]]:
    """Yield the settings that do not fit the label schema or are no usable pattern, and a sentence."""
    for column, pattern in table.extract.items():
        if problem := _pattern_problem(pattern):
            yield ("extract", column), f"the pattern for {column!r} cannot be used: {problem}"
    for column, pattern in (*table.matches.items(), *([("unpivot", table.unpivot)] if table.unpivot else ())):
        if problem := _pattern_problem(pattern):
            yield ("matches" if column in table.matches else "unpivot",), f"the pattern for {column!r}: {problem}"
    yield from _line_problems(table)
    for form in FORMS if labels is not None else ():
        for name, entry in getattr(table, form).items():
            field = labels.fields.get(name) if labels is not None else None
            if field is None:
                fields = tuple(labels.fields) if labels is not None else ()
                yield (form, name), f"{name} is not a field of {labels and labels.name}{nearest(name, fields)}"
                continue
            if isinstance(entry, Stretches):
                yield from (((form, name, *path), problem) for path, problem in _stretch_problems(entry, field))
                continue
            if isinstance(entry, SpanMarks):
                yield from (((form, name, *path), problem) for path, problem in _mark_problems(entry, field))
                continue
            taxonomy = field.scored_taxonomy or (field.graded_taxonomy if form == "ticks" else None)
            if form == "long" and field.marked_taxonomy is not None:
                taxonomy = field.marked_taxonomy
            if form in ("votes", "ticks") and taxonomy is None:
                yield (form, name), f"{name} has no labels, so it cannot come from {form}: use long or wide"
                continue
            if taxonomy is None:
                continue
            if isinstance(entry, Ticks) and (problem := _intensity_problem(entry, field)):
                yield (form, name, "intensity"), problem
            named = {"long": "map", "wide": None, "votes": "", "ticks": "columns"}[form]
            targets = entry if named == "" else getattr(entry, named) if named else {}
            for column, label in targets.items():
                try:
                    if label is not None and label not in field.link_names:
                        find_label(label, taxonomy)
                except ValueError as error:
                    yield (form, name, *([named] if named else []), column), f"{error}{nearest(label, taxonomy.names)}"


def _line_problems(table: Table) -> Iterator[tuple[_SettingPath, str]]:
    places: list[tuple[_SettingPath, Lines | None]] = [(("lines",), table.lines)]
    places += [(("join", index, "lines"), join.lines) for index, join in enumerate(table.join)]
    for path, lines in places:
        for name, pattern in lines.patterns() if lines is not None else ():
            if problem := _pattern_problem(pattern):
                yield (*path, name), f"the pattern {name} cannot be used: {problem}"


def _mark_problems(marks: SpanMarks, field: Field) -> Iterator[tuple[_SettingPath, str]]:
    """Yield what is wrong with labels of words, or with a field that has no words."""
    if field.comparison != "spans":
        yield (), f"{field.name} is not about words: use long, wide, votes or ticks"
        return
    places: list[tuple[_SettingPath, Marks]] = [((), marks)]
    for path, part in [*places, *((("linked", index), part) for index, part in enumerate(marks.linked))]:
        for label in (part.label.constant, *part.label.map.values()):
            if label is not None and similar(label, list(field.labels)) is None:
                yield (*path, "label"), f"{label!r} is not a label of {field.name}{nearest(label, field.labels)}"


def _stretch_problems(marks: Stretches, field: Field) -> Iterator[tuple[_SettingPath, str]]:
    """Yield what is wrong with labels of stretches, or with a field that has no times."""
    if field.comparison not in _TIMED:
        yield (), f"{field.name} has no times: stretches are for fields of type timeline and trace"
    elif (marks.label is None) != (field.comparison == "trace"):
        has = "values" if field.comparison == "trace" else "labels"
        yield (), f"{field.name} has {has}: name {_TIMED[field.comparison]}"
    elif marks.label is not None:
        for label in (marks.label.constant, *marks.label.map.values()):
            if label is not None and similar(label, list(field.labels)) is None:
                yield ("label",), f"{label!r} is not a label of {field.name}{nearest(label, field.labels)}"


def _intensity_problem(ticks: Ticks, field: Field) -> str | None:
    """Return why what is ticked cannot be read with the intensities that the field has, or lacks."""
    if field.graded_taxonomy is None:
        return f"{field.name} does not ask how strong a label is: remove intensity" if ticks.intensity else None
    if not ticks.columns:
        return f"{field.name} asks how strong each label is: name a column for each in `columns`"
    for grade in filter(None, ticks.intensity.values()):
        try:
            to_graded(grade, label=field.labels[0], grades={}, field=field)
        except ValueError as error:
            return str(error)
    return None


def _pattern_problem(pattern: str) -> str | None:
    """Return why a regular expression cannot be used: those here take linear time, without looking around."""
    import polars as pl

    try:
        pl.Series([""]).str.contains(f"^(?:{pattern})$")
    except pl.exceptions.PolarsError as error:
        lines = [line.strip() for line in str(error).splitlines() if "error:" in line or "exceeds" in line]
        return lines[-1].removeprefix("regex ").removeprefix("error: ") if lines else "it is not a regular expression"
    return None
