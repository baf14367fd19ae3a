"""Words that rows mark in texts and dialogues, as judgements: all rows of a rater about an item are one."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.annotation.importing.dialogues import ALL_TURNS, OWN_TURN, read_turns
from curate.annotation.importing.item_settings import Item
from curate.annotation.importing.rows import KEY, MAX_QUOTED, problems_of
from curate.annotation.importing.turn_settings import Linked, Marks, SpanMarks
from curate.annotation.importing.value_settings import Value
from curate.annotation.importing.values import CODE, Coded, similar, text_of, translate
from curate.labels import Field
from curate.sentences import count_of

if TYPE_CHECKING:
    import polars as pl


class MarkedRows(NamedTuple):
    """The first row of each judgement, its answer by code, and the rows that cannot be read."""

    frame: "pl.DataFrame"
    coded: Coded
    problems: "pl.DataFrame"


class _Text(NamedTuple):
    """The turn that a text is (None: it is no dialogue) and its words."""

    turn: int | None
    words: str


class _Texts:
    """What a row may mark: the text of its item, or the turns of its dialogue."""

    def __init__(self, item: Item, frame: "pl.DataFrame") -> None:
        self._by_json: dict[str, dict[str, _Text]] = {}
        self._is_dialogue = item.dialogue is not None
        column = frame[ALL_TURNS] if item.dialogue is not None else text_of(frame, item.text or Value(constant=""))
        self._texts = column.to_list()
        self._own = frame[OWN_TURN].to_list() if item.dialogue is not None else []

    def find(self, row: int, turn: str | None) -> _Text:
        """Return a turn by its name, or the row's own, or the text that is no dialogue. Raises ``ValueError``."""
        text = self._texts[row]
        if not self._is_dialogue:
            if turn is not None:
                raise ValueError(f"turn {turn[:MAX_QUOTED]!r} is named, but the item is no dialogue")
            return _Text(None, text or "")
        if text not in self._by_json:
            turns = read_turns(text)
            self._by_json[text] = {turn.name: _Text(index, turn.text) for index, turn in enumerate(turns)}
        turns_by_name = self._by_json[text]
        if turn is None and self._own[row] is None:
            raise ValueError("the row is no turn: name the `turn` that the words are in")
        if turn is None:
            return next(own for own in turns_by_name.values() if own.turn == self._own[row])
        if turn not in turns_by_name:
            raise ValueError(f"there is no turn {turn[:MAX_QUOTED]!r} in the dialogue")
        return turns_by_name[turn]


def marked(frame: "pl.DataFrame", item: Item, field: Field, marks: SpanMarks) -> MarkedRows:
    """Return the judgements in rows that mark words, those of nobody's words included."""
    import polars as pl

    texts = _Texts(item, frame)
    cells = [_cells(frame, part) for part in (marks, *marks.linked)]
    wrong: list[str | None] = []
    rows: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = []
    for row in range(frame.height):
        try:
            rows.append(_row(row, (marks, *marks.linked), cells, texts, field))
            wrong.append(None)
        except ValueError as error:
            rows.append(([], []))
            wrong.append(str(error))
    judged = [KEY, "annotator", "arm"]
    frame = frame.with_columns(pl.Series("<wrong>", wrong, pl.String)).with_row_index("<row>")
    groups = frame.group_by(judged, maintain_order=True).agg(pl.col("<row>"), pl.col("<wrong>").is_not_null().any())
    answers: list[Any] = []
    codes: list[int | None] = []
    for numbers, is_wrong in groups.select("<row>", "<wrong>").iter_rows():
        try:
            answer = None if is_wrong else _answer([rows[number] for number in numbers], field)
        except ValueError as error:
            answer, wrong[numbers[0]] = None, str(error)
        codes.append(None if answer is None else len(answers))
        answers += [] if answer is None else [answer]
    frame = frame.with_columns(pl.Series("<wrong>", wrong, pl.String))
    bad = frame.filter(pl.col("<wrong>").is_not_null())
    lost = frame.join(bad.select(judged).unique(), on=judged, how="semi", nulls_equal=True, maintain_order="left")
    rest = lost.filter(pl.col("<wrong>").is_null())
    first = frame.unique(judged, keep="first", maintain_order=True).drop("<wrong>", "<row>")
    problems = [
        problems_of(bad, pl.col("<wrong>"), part=field.name),
        problems_of(rest, "another row of the same judgement cannot be read, so that it is left out", part=field.name),
    ]
    coded = Coded(pl.Series(CODE, codes, pl.Int64), answers, pl.concat(problems))
    return MarkedRows(first, coded, coded.problems)


def _cells(frame: "pl.DataFrame", marks: Marks) -> dict[str, list[str | None]]:
    return {name: text_of(frame, value).to_list() for name, value in marks.values().items()}


def _row(
    row: int, parts: Sequence[Marks], cells: Sequence[dict[str, list[str | None]]], texts: _Texts, field: Field
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the spans of a row and the relations between them. Raises ``ValueError``."""
    spans = list(_spans(row, parts[0], cells[0], texts, field))
    relations: list[dict[str, Any]] = []
    for number, (part, columns) in enumerate(zip(parts[1:], cells[1:], strict=True)):
        linked = [{**span, "id": f"{span['id']}-{number}"} for span in _spans(row, part, columns, texts, field)]
        if not linked:
            continue
        if not spans:
            raise ValueError("the row links words, though it marks none that they could be linked to")
        spans += linked
        relations += _relations(spans[0], linked, part, columns.get("relation", [None] * (row + 1))[row])
    return spans, relations


def _spans(
    row: int, marks: Marks, cells: dict[str, list[str | None]], texts: _Texts, field: Field
) -> Iterator[dict[str, Any]]:
    """Yield what is marked, under names that no other row has. Raises ``ValueError``."""
    members = {name: _members(cells[name][row], name) for name in cells if name != "relation"}
    lists = {name: values for name, values in members.items() if isinstance(values, list)}
    count = max(map(len, lists.values()), default=1)
    if uneven := [name for name, values in lists.items() if len(values) != count]:
        members_of = count_of(len(lists[uneven[0]]), "member")
        raise ValueError(f"{uneven[0]} has {members_of}, and another list of the row {count}")
    if not lists and all(value is None for name, value in members.items() if name in ("label", "turn")):
        return
    for number in range(count):
        cell = {name: values[number] if isinstance(values, list) else values for name, values in members.items()}
        meant = {name: _translated(cell[name], getattr(marks, name)) for name in cell}
        if meant["label"] is None or ("turn" in meant and meant["turn"] is None):
            continue
        text = texts.find(row, meant.get("turn"))
        start, end = _place(text.words, meant)
        span = {"turn": text.turn, "start": start, "end": end, "text": text.words[start:end]}
        if (label := similar(meant["label"], list(field.labels))) is None:
            raise ValueError(f"{meant['label'][:MAX_QUOTED]!r} is not a label of {field.name}: map it")
        yield {"id": f"{row}-{number}", **span, "label": label}


def _place(words: str, meant: dict[str, str | None]) -> tuple[int, int]:
    """Return where the words of a span begin and end in a text, without blank ends. Raises ``ValueError``."""
    if "start" in meant:
        start, end = (_number(meant[name], name) for name in ("start", "end"))
        if not 0 <= start < end <= len(words):
            raise ValueError(f"a span from {start} to {end} is not in a text of {len(words)} characters")
    else:
        quoted = (meant.get("text") or words).strip()
        start = words.find(quoted)
        end = start + len(quoted)
        if start < 0:
            raise ValueError(f"{quoted[:MAX_QUOTED]!r} is not in the text")
    text = words[start:end]
    return start + len(text) - len(text.lstrip()), end - (len(text) - len(text.rstrip()))


def _relations(
    first: dict[str, Any], linked: Sequence[dict[str, Any]], part: Marks, cell: str | None
) -> Iterator[dict[str, Any]]:
    relation = part.relation if isinstance(part, Linked) else None
    own = part.own if isinstance(part, Linked) else None
    names: list[str] = []
    if relation is not None:
        members = _members(cell, "relation")
        relations = members if isinstance(members, list) else [members]
        names = [name for value in relations if (name := _translated(value, relation)) is not None]
        names = list(dict.fromkeys(names))
    others = [name for name in names if name != own]
    for span in linked:
        is_own = span["turn"] == first["turn"]
        name = names[0] if len(names) == 1 else None
        if len(names) > 1 and own in names:
            name = own if is_own else others[0] if len(others) == 1 else None
        yield {"from": first["id"], "to": span["id"], "label": name}


def _answer(rows: Sequence[tuple[list[dict[str, Any]], list[dict[str, Any]]]], field: Field) -> Any:
    spans = [span for marks, _ in rows for span in marks]
    relations = [relation for _, links in rows for relation in links]
    return field.check({"spans": spans, "relations": relations}) if spans else None


def _members(cell: str | None, name: str) -> Any:
    """Return the members of a cell that is a JSON list, as texts; else the cell."""
    if cell is None or not cell.lstrip().startswith("["):
        return cell
    try:
        members = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    if not isinstance(members, list):
        return cell
    if not all(isinstance(member, str | int | float) or member is None for member in members):
        raise ValueError(f"{cell[:MAX_QUOTED]!r} is not a list of texts or numbers")
    return [None if member is None else str(member) for member in members]


def _translated(text: str | None, value: Value) -> str | None:
    return None if text is None or not text.strip() else translate(text, value)


def _number(text: str | None, name: str) -> int:
    if text is None or not text.strip().isdecimal() or len(text) > 12:
        raise ValueError(f"{(text or '')[:MAX_QUOTED]!r} is not a number of characters: {name}")
    return int(text)
