"""Judgements in the rows of a table, one row each: long, wide, votes, ticks, spans or stretches."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curate.annotation.importing.acts import FIELDS
from curate.annotation.importing.answers import find_label, to_answer, to_column, to_graded, to_labels
from curate.annotation.importing.holding import column_type, to_cell
from curate.annotation.importing.item_settings import Item
from curate.annotation.importing.marked_time import marked_times
from curate.annotation.importing.provenance import ACT, PROVENANCE, by_field, from_json
from curate.annotation.importing.rows import CLOCK, KEY, LINE, problems_of, quoted
from curate.annotation.importing.settings import FILE_COLUMN, Table, Ticks
from curate.annotation.importing.spans import MarkedRows, marked
from curate.annotation.importing.stretch_settings import Stretches
from curate.annotation.importing.turn_settings import SpanMarks
from curate.annotation.importing.value_settings import Value
from curate.annotation.importing.values import Coded, read_texts, read_values, text_of, translate
from curate.labels import Field, LabelSchema

if TYPE_CHECKING:
    import polars as pl

    from curate.labels.taxonomy import Taxonomy

FACTS = (KEY, FILE_COLUMN, LINE, "annotator", "arm", CLOCK, PROVENANCE)
"""What a judgement has besides its answers; ``act`` is a ``Provenance`` as JSON, null in tables."""
MAX_VOTES = 100_000
MAX_JUDGEMENTS = 50_000_000
_TRUE = frozenset({"true", "1", "1.0", "yes", "y", "t", "x"})
_FALSE = frozenset({"false", "0", "0.0", "no", "n", "f", ""})
_SEPARATOR = "\x1f"


class JudgementRows(NamedTuple):
    """Judgements with ``FACTS``, ``FIELDS`` and a column for each field, and the rows that hold none."""

    table: pa.Table
    problems: "pl.DataFrame"


def judgements_of(frame: "pl.DataFrame", table: Table, labels: LabelSchema) -> JudgementRows:
    """Return the judgements in rows that have keys. A row with an answer that cannot be read gives no judgement.

    Raises ``ValueError`` if there are more than ``MAX_JUDGEMENTS`` votes.
    """
    import polars as pl

    problems: list[pl.DataFrame] = []
    named: dict[str, pl.Series] = {}
    if table.format is not None:
        frame = frame.filter(pl.col(ACT).is_not_null())
    for name, value in (("annotator", table.judge), ("arm", table.arm)):
        nulls = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
        texts, wrong = (nulls, None) if value is None else read_texts(frame, value, name)
        named[name] = texts.rename(name)
        if wrong is not None:
            problems.append(wrong)
            if name == "annotator" and table.format is not None:
                continue  # an export may not name its raters
            blank = frame.filter(texts.is_null()).join(wrong, on=[FILE_COLUMN, LINE], how="anti")
            part_name = "rater" if name == "annotator" else name
            problems.append(problems_of(blank, f"the row does not say which {part_name} it is of", part=part_name))
    frame = frame.with_columns(*named.values(), pl.lit(None, pl.String).alias(CLOCK), _acts(frame, table))
    rejected = pl.concat([*problems, problems_of(frame.clear(), "")])
    frame = _without(frame, rejected)
    fields = labels.fields
    if table.item is not None and table.item.is_of_rows and not table.spans:
        # Each turn of a dialogue repeats what is judged of it.
        frame = frame.unique([KEY, "annotator", "arm", *table.judged_columns], keep="first", maintain_order=True)
    if table.votes:
        parts = [part for name, columns in table.votes.items() for part in _votes(frame, fields[name], columns)]
    elif table.wide:
        parts = list(_wide(frame, table.wide, fields))
    elif table.spans:
        item = table.item or Item()
        parts = [_spans(frame, item, fields[name], marks) for name, marks in table.spans.items()]
    elif table.stretches:
        parts = [_stretches(frame, fields[name], marks) for name, marks in table.stretches.items()]
    elif table.ticks:
        parts = [_ticks(frame, fields[name], ticks) for name, ticks in table.ticks.items()]
    else:
        parts = [_long(frame, table.long, fields, is_export=table.format is not None)]
    if table.long and (table.unpivot is not None or table.matches):
        parts.append(_left_with_others(frame, parts))
    kinds = {name: column_type(fields[name]) for name in table.fields}
    is_by_field = bool(table.spans or table.stretches or table.ticks)
    tables = [_filled(part.table, kinds, part.table.column_names if is_by_field else kinds) for part in parts]
    return JudgementRows(pa.concat_tables(tables), pl.concat([rejected, *(part.problems for part in parts)]))


def _left_with_others(frame: "pl.DataFrame", parts: list[JudgementRows]) -> JudgementRows:
    """Return the problems of raters whose judgement is in a row of which another part cannot be read."""
    import polars as pl

    lines = pl.concat([part.problems for part in parts]).select(FILE_COLUMN, LINE).unique()
    judged = pl.concat([pl.DataFrame(part.table.select([FILE_COLUMN, LINE])) for part in parts]).unique()
    lost = frame.join(lines, on=[FILE_COLUMN, LINE], how="semi").join(judged, on=[FILE_COLUMN, LINE], how="anti")
    lost = lost.filter(pl.col("annotator").is_not_null()).unique([FILE_COLUMN, LINE, "annotator"], maintain_order=True)
    problems = problems_of(lost, "left out with its row, of which a part cannot be read")
    return JudgementRows(_empty(frame), problems.with_columns(lost["annotator"].alias("part")))


def _acts(frame: "pl.DataFrame", table: Table) -> "pl.Series":
    """Return how each judgement was made, with origins by field; null in tables that are not exports."""
    import polars as pl

    if table.format is None:
        return pl.repeat(None, frame.height, dtype=pl.String, eager=True).alias(PROVENANCE)
    controls = {name: value.columns for name, value in table.long.items()}
    acts = [by_field(from_json(text), controls).to_json() for text in frame[ACT].to_list()]
    return pl.Series(PROVENANCE, acts, pl.String)


def _long(
    frame: "pl.DataFrame", values: Mapping[str, Value], fields: Mapping[str, Field], *, is_export: bool
) -> JudgementRows:
    import polars as pl

    coded: dict[str, Coded] = {}
    has_none = pl.repeat(False, frame.height, eager=True)
    for name, value in values.items():
        texts = text_of(frame, value)
        if value.none:
            is_none = texts.str.strip_chars().is_in(list(value.none)).fill_null(False)
            has_none, texts = has_none | is_none, texts.zip_with(~is_none, texts.clear(len(texts)))
        coded[name] = read_values(frame, texts, name, partial(to_answer, value=value, field=fields[name]))
    problems = pl.concat([column.problems for column in coded.values()])
    if is_export:
        # What was answered in controls that are not mapped is counted, and no judgement.
        is_kept = (
            pl.Series([from_json(text).is_whole for text in frame[PROVENANCE].to_list()], dtype=pl.Boolean) | has_none
        )
        for column in coded.values():
            is_kept |= column.codes.is_not_null()
        kept = {name: column._replace(codes=column.codes.filter(is_kept)) for name, column in coded.items()}
        return _assembled(frame.filter(is_kept), kept, fields, problems, with_empty=True)
    is_blank = pl.all_horizontal([column.codes.is_null() for column in coded.values()])
    blank = frame.with_columns(has_none.alias("<none>")).filter(is_blank & ~pl.col("<none>"))
    unanswered = problems_of(_without(blank, problems), f"the row has no {' and no '.join(values)}", part="answer")
    problems = pl.concat([problems, unanswered])
    return _assembled(frame, coded, fields, problems, with_empty=bool(has_none.any()))


def _wide(
    frame: "pl.DataFrame", wide: Mapping[str, Mapping[str, str]], fields: Mapping[str, Field]
) -> Iterator[JudgementRows]:
    import polars as pl

    for rater in dict.fromkeys(name for columns in wide.values() for name in columns.values()):
        coded: dict[str, Coded] = {}
        for name, columns in wide.items():
            for column in (column for column, who in columns.items() if who == rater):
                value = Value(column=column)
                read = partial(to_answer, value=value, field=fields[name])
                coded[name] = read_values(frame, frame[column], column or "''", read)
        judged = frame.with_columns(pl.lit(rater).alias("annotator"))
        problems = pl.concat([column.problems for column in coded.values()])
        yield _assembled(judged, coded, fields, problems)


def _votes(frame: "pl.DataFrame", field: Field, columns: Mapping[str, str]) -> Iterator[JudgementRows]:
    import polars as pl

    numbers: dict[str, pl.Series] = {}
    problems = [problems_of(frame.clear(), "")]
    for column in columns:
        votes = frame[column].str.strip_chars().str.replace(r"\.0+$", "").fill_null("0").cast(pl.Int64, strict=False)
        fits = votes.is_between(0, MAX_VOTES).fill_null(False)
        sentence = pl.format("{} in column {} is not a number of votes", quoted(column), pl.lit(column or "''"))
        problems.append(problems_of(frame.filter(~fits), sentence, part=column or "''"))
        numbers[column] = votes
    problems.append(_repeated(frame))
    rejected = pl.concat(problems)
    usable = _without(
        frame.with_columns(pl.Series(f"<votes {name}>", counts) for name, counts in numbers.items()), rejected
    )
    if sum(int(usable[f"<votes {name}>"].sum()) for name in columns) > MAX_JUDGEMENTS:
        raise ValueError(f"it holds more than {MAX_JUDGEMENTS:,} votes")
    nobody = usable.filter(pl.sum_horizontal([f"<votes {name}>" for name in columns]) == 0)
    yield JudgementRows(_empty(frame), pl.concat([rejected, problems_of(nobody, "the row has no votes", part="votes")]))
    for column, label in columns.items():
        rows = pl.int_range(usable.height, eager=True).repeat_by(usable[f"<votes {column}>"]).explode().drop_nulls()
        answer = to_answer(label, Value(constant=label), field)
        codes = pl.repeat(0, len(rows), dtype=pl.Int64, eager=True)
        coded = {field.name: Coded(codes, [answer], rejected.clear())}
        yield _assembled(usable[rows], coded, {field.name: field}, rejected.clear())


def _repeated(frame: "pl.DataFrame") -> "pl.DataFrame":
    """Return the problems of rows with the votes on an item under an arm that an earlier row has."""
    import polars as pl

    first = frame.unique([KEY, "arm"], keep="first", maintain_order=True)
    again = frame.join(first.select(FILE_COLUMN, LINE), on=[FILE_COLUMN, LINE], how="anti", maintain_order="left")
    if not again.height:
        return problems_of(frame.clear(), "")
    again = again.join(first, on=[KEY, "arm"], how="left", suffix=" of first", nulls_equal=True, maintain_order="left")
    sentence = pl.format(
        "the votes on item '{}' are in {}, line {} already",
        *(KEY, f"{FILE_COLUMN} of first", f"{LINE} of first"),
    )
    return problems_of(again, sentence, part="votes", reason="duplicate")


def _ticks(frame: "pl.DataFrame", field: Field, ticks: Ticks) -> JudgementRows:
    """Return the judgements whose answers are ticked labels; one without any tick has none."""
    import polars as pl

    if field.graded_taxonomy is not None:
        return _graded(frame, field, ticks, field.graded_taxonomy)
    taxonomy = field.scored_taxonomy
    if taxonomy is None:
        raise ValueError(f"{field.name} has no labels to tick")
    if ticks.label is not None and ticks.value is not None:
        values = read_values(frame, text_of(frame, ticks.value).fill_null(""), field.name, _is_true)
        value = ticks.label

        def read(text: str) -> str | None:
            meaning = translate(text, value)
            return None if meaning is None else find_label(meaning, taxonomy)

        labels = read_values(frame, text_of(frame, value), f"{field.name} label", read)
        ticked = pl.Series(values.values, dtype=pl.Boolean).gather(values.codes)
        names = pl.Series(labels.values, dtype=pl.String).gather(labels.codes)
        frame = frame.with_columns(ticked.alias("<ticked>"), names.alias("<label>"))
        problems = pl.concat([values.problems, labels.problems])
        answers = pl.col("<ticked>").n_unique().over(KEY, "annotator", "arm", "<label>")
        doubtful = _without(frame, problems).filter(pl.col("<label>").is_not_null() & (answers > 1))
        sentence = pl.format("{} is ticked in one row of this judgement and not in another", "<label>")
        problems = pl.concat([problems, problems_of(doubtful, sentence, part=f"{field.name} label")])
        problems = pl.concat([problems, _incomplete(frame, problems, field.name)])
        rows = _without(frame, problems)
        together = rows.group_by(KEY, "annotator", "arm", maintain_order=True).agg(
            pl.col(FILE_COLUMN, LINE, CLOCK, PROVENANCE).first(), pl.col("<label>").filter(pl.col("<ticked>"))
        )
        texts = together["<label>"].list.join(_SEPARATOR)
    else:
        columns = {
            column: read_values(frame, frame[column].fill_null(""), column or "''", _is_true)
            for column in ticks.columns
        }
        problems = pl.concat([column.problems for column in columns.values()])
        ticked_names = [
            pl.when(pl.Series(column.values, dtype=pl.Boolean).gather(column.codes)).then(
                pl.lit(find_label(ticks.columns[name], taxonomy))
            )
            for name, column in columns.items()
        ]
        together = frame
        texts = frame.select(pl.concat_str(ticked_names, separator=_SEPARATOR, ignore_nulls=True)).to_series()
    coded = read_values(
        together, texts, field.name, lambda text: to_labels(text.split(_SEPARATOR), field) if text else None
    )
    problems = pl.concat([problems, coded.problems])
    return _assembled(together, {field.name: coded}, {field.name: field}, problems, with_empty=True)


def _spans(frame: "pl.DataFrame", item: Item, field: Field, marks: SpanMarks) -> JudgementRows:
    """Return the judgements whose answers are marked words; one that marks none has none."""
    return _marks(field, marked(frame, item, field, marks))


def _marks(field: Field, rows: MarkedRows) -> JudgementRows:
    # Places in items are held to their item when they are stored.
    coded = rows.coded._replace(values=[to_cell(value, field) for value in rows.coded.values])
    return _assembled(rows.frame, {field.name: coded}, {field.name: field}, rows.problems, with_empty=True)


def _stretches(frame: "pl.DataFrame", field: Field, marks: Stretches) -> JudgementRows:
    """Return the judgements whose answers are stretches of time. A bad stretch leaves the others, also of its row."""
    rows = marked_times(frame, field, marks)
    coded = rows.coded._replace(values=[to_cell(value, field) for value in rows.coded.values])
    judged = _assembled(rows.frame, {field.name: coded}, {field.name: field}, rows.problems.clear())
    return judged._replace(problems=rows.problems)


def _incomplete(frame: "pl.DataFrame", problems: "pl.DataFrame", name: str) -> "pl.DataFrame":
    """Return the problems of further ticks of judgements of which some tick is not certain: labels might be missing."""
    if not problems.height:
        return problems
    keys = [KEY, "annotator", "arm"]
    unreadable = frame.join(problems, on=[FILE_COLUMN, LINE], how="semi").select(keys)
    rest = _without(frame, problems).join(unreadable, on=keys, how="semi", nulls_equal=True, maintain_order="left")
    return problems_of(rest, "another tick of the same judgement is not certain, so that it is left out", part=name)


def _graded(frame: "pl.DataFrame", field: Field, ticks: Ticks, taxonomy: "Taxonomy") -> JudgementRows:
    """Return the judgements whose answers are labels with the intensities in their columns."""
    import polars as pl

    coded: list[Coded] = []
    for column, name in ticks.columns.items():
        read = partial(to_graded, label=find_label(name, taxonomy), grades=ticks.intensity, field=field)
        coded.append(read_values(frame, frame[column], column or "''", read))
    entries = [pl.format(f"{index}:{{}}", column.codes) for index, column in enumerate(coded)]
    texts = frame.select(pl.concat_str(entries, separator=_SEPARATOR, ignore_nulls=True)).to_series()

    def join(text: str) -> Any:
        places = [map(int, entry.split(":")) for entry in text.split(_SEPARATOR) if entry]
        return field.check([coded[index].values[code] for index, code in places]) if places else None

    together = read_values(frame, texts, field.name, join)
    problems = pl.concat([*(column.problems for column in coded), together.problems])
    return _assembled(frame, {field.name: together}, {field.name: field}, problems, with_empty=True)


def _is_true(text: str) -> bool:
    word = text.strip().casefold()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{text[:60]!r} is neither true nor false")


def _assembled(
    frame: "pl.DataFrame",
    coded: Mapping[str, Coded],
    fields: Mapping[str, Field],
    problems: "pl.DataFrame",
    *,
    with_empty: bool = False,
) -> JudgementRows:
    """Return the rows that answer something, or also those that do not, without those with a problem."""
    import polars as pl

    rows = frame.select(*FACTS, *(column.codes.alias(f"<{name}>") for name, column in coded.items()))
    rows = _without(rows, problems)
    if not with_empty:
        rows = rows.filter(pl.any_horizontal([pl.col(f"<{name}>").is_not_null() for name in coded]))
    columns = {name: rows[name].to_arrow() for name in FACTS}
    columns |= {
        name: to_column(column._replace(codes=rows[f"<{name}>"]), column_type(fields[name]))
        for name, column in coded.items()
    }
    return JudgementRows(pa.table(columns), problems)


def _without(rows: "pl.DataFrame", problems: "pl.DataFrame") -> "pl.DataFrame":
    if not problems.height:
        return rows
    return rows.join(problems.select(FILE_COLUMN, LINE), on=[FILE_COLUMN, LINE], how="anti", maintain_order="left")


def _empty(frame: "pl.DataFrame") -> pa.Table:
    return pa.table({name: frame[name].clear().to_arrow() for name in FACTS})


def _filled(table: pa.Table, kinds: Mapping[str, pa.DataType], asked: Iterable[str]) -> pa.Table:
    """Return a table with these columns, null where it has none, and ``FIELDS``, those of them that are asked for."""
    types = {name: pa.int64() if name == LINE else pa.string() for name in FACTS}
    columns = {name: table[name].cast(kind) for name, kind in types.items()}
    names = ",".join(sorted(kinds.keys() & set(asked)))
    columns[FIELDS] = pa.array([names], pa.string()).take(pa.array([0] * table.num_rows, pa.int8()))
    columns |= {
        name: table[name] if name in table.column_names else pa.nulls(table.num_rows, kind)
        for name, kind in kinds.items()
    }
    return pa.table(columns)
