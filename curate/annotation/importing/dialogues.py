"""The dialogues of items, of turns that are rows, columns, or lists in cells."""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.annotation.importing.rows import KEY, LINE, MAX_QUOTED, TableRows, no_problems, problems_of, quoted
from curate.annotation.importing.settings import FILE_COLUMN
from curate.annotation.importing.turn_settings import Turns
from curate.annotation.importing.values import read_texts, text_of

if TYPE_CHECKING:
    import polars as pl

DIALOGUE, ITEM_TURN = "dialogue", "turn"
"""The columns of an item with its dialogue, as JSON, and the index of the turn in it that the item is."""
ALL_TURNS, OWN_TURN = "<turns>", "<own turn>"
"""The columns of rows with the whole dialogue, as JSON with the names of turns, and the index of the row's own turn."""
MAX_TURNS, MAX_CHARS_AROUND = 500, 10_000
_NAME, _ORDER, _GROUP = "<turn name>", "<turn number>", "<dialogue>"


class Turn(NamedTuple):
    """A turn of a dialogue: what it is called in its table, who speaks, and the words."""

    name: str
    speaker: str | None
    text: str


def read_turns(text: str) -> list[Turn]:
    """Return the turns of ``ALL_TURNS``."""
    return [Turn(*turn) for turn in json.loads(text)]


def with_dialogues(rows: TableRows, turns: Turns) -> TableRows:
    """Return the rows with what they say of dialogues (``DIALOGUE``, ``ITEM_TURN``, ``ALL_TURNS``, ``OWN_TURN``).

    Rows that are turns come in the order of their turns. Rows that hold no turn or dialogue are problems.
    """
    if turns.is_rows:
        return _of_rows(rows, turns)
    frame = rows.frame
    if turns.columns:
        texts = frame.select(list(turns.columns)).rows()
        dialogues: list[tuple[str | None, str]] = [_of_columns(cells, turns) for cells in texts]
    else:
        assert turns.cell is not None
        dialogues = [_of_cell(cell, turns) for cell in text_of(frame, turns.cell).to_list()]
    return _assembled(rows, [text for text, _ in dialogues], [problem for _, problem in dialogues])


def _assembled(rows: TableRows, dialogues: list[str | None], problems: list[str]) -> TableRows:
    import polars as pl

    without_names = [None if text is None else _to_json(read_turns(text)) for text in dialogues]
    frame = rows.frame.with_columns(
        pl.Series(DIALOGUE, without_names, pl.String),
        pl.lit(None, pl.Int64).alias(ITEM_TURN),
        pl.Series(ALL_TURNS, dialogues, pl.String),
        pl.lit(None, pl.Int64).alias(OWN_TURN),
        pl.Series("<sentence>", problems, pl.String),
    )
    bad = frame.filter(pl.col("<sentence>") != "")
    every_problem = pl.concat([rows.problems, problems_of(bad, pl.col("<sentence>"))])
    return TableRows(frame.filter(pl.col("<sentence>") == "").drop("<sentence>"), every_problem)


def _of_columns(cells: tuple[str | None, ...], turns: Turns) -> tuple[str | None, str]:
    """Return the dialogue of a row as JSON, or what is wrong with it."""
    columns = zip(turns.columns.items(), cells, strict=True)
    dialogue = [Turn(name, speaker, cell.strip()) for (name, speaker), cell in columns if cell is not None]
    return (_with_names(dialogue), "") if dialogue else (None, "none of the columns of the dialogue has a text")


def _of_cell(cell: str | None, turns: Turns) -> tuple[str | None, str]:
    """Return the dialogue in a cell as JSON, or what is wrong with it."""
    content = (turns.text.column if turns.text else None) or "content"
    role = (turns.speaker.column if turns.speaker else None) or "role"
    try:
        entries = json.loads(cell) if cell is not None else None
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not entries:
        return None, f"{(cell or '')[:MAX_QUOTED]!r} is not a JSON list of turns"
    if len(entries) > MAX_TURNS:
        return None, f"the dialogue has {len(entries)} turns, more than {MAX_TURNS}"
    dialogue = []
    for number, entry in enumerate(entries):
        text = entry.get(content) if isinstance(entry, dict) else entry
        speaker = entry.get(role) if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text.strip():
            member = f" {content!r}" if isinstance(entry, dict) else ""
            return None, f"turn {number} of the dialogue has no text{member}"
        name = str(speaker) if isinstance(speaker, str | int) else None
        if not _is_unicode(text + (name or "")):
            return None, f"turn {number} of the dialogue is not Unicode text"
        dialogue.append(Turn(str(number), name, text.strip()))
    return _with_names(dialogue), ""


def _is_unicode(text: str) -> bool:
    """Return whether a text has no half of a pair, which JSON escapes can make."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _of_rows(rows: TableRows, turns: Turns) -> TableRows:
    import polars as pl

    assert turns.text is not None
    frame, problems = rows.frame, [rows.problems]
    columns: dict[str, pl.Series] = {"<text>": text_of(frame, turns.text).str.strip_chars().replace("", None)}
    values = {_GROUP: (turns.id, "dialogue"), _NAME: (turns.turn, "turn"), "<speaker>": (turns.speaker, "speaker")}
    for name, (value, part) in values.items():
        if value is not None:
            columns[name], wrong = read_texts(frame, value, part)
            problems.append(wrong.with_columns(pl.lit("").alias("part")))
    frame = frame.with_columns(series.alias(name) for name, series in columns.items())
    if turns.id is None:
        frame = frame.with_columns(pl.col(KEY).alias(_GROUP))
    if "<speaker>" not in columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias("<speaker>"))
    needed = {"<text>": "the turn has no text", _GROUP: "the row does not say which dialogue it is a turn of"}
    needed |= {_NAME: "the row does not say which turn of its dialogue it is"} if turns.turn is not None else {}
    for name, sentence in needed.items():
        problems.append(problems_of(frame.filter(pl.col(name).is_null()), sentence))
    frame = _without(frame, pl.concat(problems[1:]))
    frame, wrong = _ordered(frame) if turns.turn is not None else (frame, no_problems())
    problems.append(wrong)
    if turns.turn is None:
        frame = frame.with_columns(pl.int_range(pl.len()).over(_GROUP).cast(pl.String).alias(_NAME))
    long = frame.filter(pl.len().over(_GROUP) > MAX_TURNS)
    problems.append(problems_of(long, f"the dialogue has more than {MAX_TURNS} turns"))
    frame = _without(frame, problems[-1])
    turn = pl.struct(_NAME, "<speaker>", "<text>").alias("<turn>")
    grouped = frame.group_by(_GROUP, maintain_order=True).agg(turn)
    dialogues = {key: [Turn(*turn.values()) for turn in dialogue] for key, dialogue in grouped.iter_rows()}
    with_names = [_with_names(dialogue) for dialogue in dialogues.values()]
    frame = frame.with_columns(
        pl.int_range(pl.len()).over(_GROUP).alias(OWN_TURN),
        pl.col(_GROUP).replace_strict(list(dialogues), with_names, return_dtype=pl.String).alias(ALL_TURNS),
    )
    if turns.id is None:
        texts = [_to_json(dialogue) for dialogue in dialogues.values()]
        whole = pl.col(_GROUP).replace_strict(list(dialogues), texts, return_dtype=pl.String)
        frame = frame.with_columns(whole.alias(DIALOGUE), pl.lit(None, pl.Int64).alias(ITEM_TURN))
    else:
        places = frame.select(_GROUP, OWN_TURN).iter_rows()
        contexts = [_around(dialogues[key], index, turns.around) for key, index in places]
        frame = frame.with_columns(
            pl.Series(DIALOGUE, [text for text, _ in contexts], pl.String),
            pl.Series(ITEM_TURN, [index for _, index in contexts], pl.Int64),
        )
    return TableRows(frame.drop(_GROUP, _NAME, "<text>", "<speaker>"), pl.concat(problems))


def _ordered(frame: "pl.DataFrame") -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Return the rows in the order of their turns, without those whose turn is there already or is no number."""
    import polars as pl

    first = frame.unique([_GROUP, _NAME], keep="first", maintain_order=True)
    again = frame.join(first.select(FILE_COLUMN, LINE), on=[FILE_COLUMN, LINE], how="anti", maintain_order="left")
    again = again.join(first, on=[_GROUP, _NAME], how="left", suffix=" of first", maintain_order="left")
    place = pl.format("turn {} of dialogue '{}'", _NAME, pl.col(_GROUP).str.slice(0, MAX_QUOTED))
    sentence = pl.format("{} is in {}, line {} already", place, f"{FILE_COLUMN} of first", f"{LINE} of first")
    repeated = problems_of(again, sentence, reason="duplicate")
    numbers = first[_NAME].cast(pl.Float64, strict=False)
    first = first.with_columns(numbers.alias(_ORDER))
    if numbers.null_count() == first.height:
        return first.drop(_ORDER), repeated
    is_number = pl.col(_ORDER).is_finite().fill_null(False)
    odd = first.filter(~is_number)
    sentence = pl.concat_str(quoted(_NAME), pl.lit(" is not a number, as other turns are"))
    first = first.filter(is_number)
    first = first.with_row_index("<row>").with_columns(pl.col("<row>").min().over(_GROUP))
    ordered = first.sort("<row>", _ORDER, maintain_order=True).drop("<row>", _ORDER)
    return ordered, pl.concat([repeated, problems_of(odd, sentence)])


def _around(dialogue: list[Turn], index: int, most: int) -> tuple[str, int]:
    """Return a turn with the turns around it, from the nearest on, and its place among them."""
    first, last, chars = index, index, MAX_CHARS_AROUND
    near = range(max(0, index - most), min(len(dialogue), index + most + 1))
    for place in sorted(near, key=lambda place: abs(place - index))[1:]:
        chars -= len(dialogue[place].text) + len(dialogue[place].speaker or "")
        if chars < 0:
            break
        first, last = min(first, place), max(last, place)
    return _to_json(dialogue[first : last + 1]), index - first


def _to_json(turns: list[Turn]) -> str:
    entries: list[dict[str, Any]] = [{"speaker": turn.speaker, "text": turn.text} for turn in turns]
    return json.dumps(entries, ensure_ascii=False)


def _with_names(turns: list[Turn]) -> str:
    return json.dumps(turns, ensure_ascii=False)


def _without(frame: "pl.DataFrame", problems: "pl.DataFrame") -> "pl.DataFrame":
    return frame.join(problems.select(FILE_COLUMN, LINE), on=[FILE_COLUMN, LINE], how="anti", maintain_order="left")
