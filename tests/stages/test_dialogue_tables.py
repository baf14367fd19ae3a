"""Dialogues and marked words in tables: what is said of mistakes, and what is left out."""

import json
from pathlib import Path

import pytest
import yaml

from curate.annotation.importing.check import mapping_problems
from curate.annotation.importing.settings import Table
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.stages.tables.mapped import map_tables

CAUSES = load_labels("emotion_causes.v1")
TURNS = "item: {id: talk, dialogue: {turn: turn, text: words, speaker: who}}"
MARKS = "spans: {causes: {label: {column: emotion, map: {neutral: null}}, text: marked}}"


def mapped(folder: Path, mapping: str, lines: list[str], *, labels=CAUSES, name: str = "t.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")
    table = Table.model_validate({"table": name, **yaml.safe_load(mapping)})
    return map_tables([table], lambda _: [(name, folder / name)], labels)


def sentences(result) -> dict[int, str]:
    return {row["<line>"]: row["sentence"] for row in result.problems.iter_rows(named=True)}


def test_turns_in_the_order_of_their_numbers(tmp_path):
    lines = ["talk,turn,who,words", "d,10,B,last", "d,2,A,first", "e,x,A,alone", "d,3,,second", "d,inf,A,never"]
    result = mapped(tmp_path, TURNS, lines)
    (dialogue,) = map(json.loads, result.items["dialogue"])
    assert dialogue == [
        {"speaker": "A", "text": "first"},
        {"speaker": None, "text": "second"},
        {"speaker": "B", "text": "last"},
    ]
    assert sentences(result) == {
        4: "'x' is not a number, as other turns are",
        6: "'inf' is not a number, as other turns are",
    }


def test_turns_that_are_items_have_those_around_them(tmp_path):
    mapping = "item: {id: '{talk}{turn}', text: words, dialogue: {id: talk, turn: turn, text: words, around: 1}}"
    lines = ["talk,turn,words", *(f"d,{number},w{number}" for number in range(5)), "e,0,other"]
    result = mapped(tmp_path, mapping, lines)
    shown = {
        row["<key>"]: ([turn["text"] for turn in json.loads(row["dialogue"])], row["turn"])
        for row in result.items.iter_rows(named=True)
    }
    assert shown == {
        "d0": (["w0", "w1"], 0),
        "d1": (["w0", "w1", "w2"], 1),
        "d2": (["w1", "w2", "w3"], 1),
        "d3": (["w2", "w3", "w4"], 1),
        "d4": (["w3", "w4"], 1),
        "e0": (["other"], 0),
    }


def test_a_dialogue_that_is_too_long_is_rejected(tmp_path):
    lines = ["talk,turn,who,words", *(f"d,{number},A,w" for number in range(501)), "e,0,A,short"]
    result = mapped(tmp_path, TURNS, lines)
    assert result.items["<key>"].to_list() == ["e"]
    assert set(sentences(result).values()) == {"the dialogue has more than 500 turns"}
    assert len(sentences(result)) == 501


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("Hi", "'Hi' is not a JSON list of turns"),
        ("[]", "'[]' is not a JSON list of turns"),
        ('["Hi", 3]', "turn 1 of the dialogue has no text"),
        (json.dumps(["a"] * 501), "the dialogue has 501 turns, more than 500"),
        ('["\\ud83d"]', "turn 0 of the dialogue is not Unicode text"),
        ("[" * 100_000, "is not a JSON list of turns"),
        ('[{"role": "user"}]', "turn 0 of the dialogue has no text 'content'"),
    ],
)
def test_a_cell_that_is_no_dialogue(tmp_path, cell, sentence):
    rows = [{"id": "a", "talk": cell}, {"id": "b", "talk": ["Hi", "You"]}]
    result = mapped(
        tmp_path, "item: {id: id, dialogue: {cell: talk}}", [json.dumps(row) for row in rows], name="t.jsonl"
    )
    assert result.items["<key>"].to_list() == ["b"]
    (problem,) = sentences(result).values()
    assert problem.endswith(sentence)


def test_words_by_their_place_and_in_lists(tmp_path):
    mapping = "item: {id: id, text: text}\nspans: {causes: {label: {constant: cause}, start: first, end: last}}"
    labels = load_labels("post_causes.v1")
    rows = [
        {"id": "a", "text": "So \U0001f600 sad, he left.", "first": [3, 10], "last": [8, 17]},
        {"id": "b", "text": "Oh.", "first": 1, "last": 9},
        {"id": "c", "text": "Oh.", "first": [0, 1], "last": [1]},
        {"id": "d", "text": "Oh.", "first": -1, "last": 2},
    ]
    result = mapped(tmp_path, mapping, [json.dumps(row) for row in rows], labels=labels, name="t.jsonl")
    (judgement,) = result.judgements.to_pylist()
    assert [span["text"] for span in json.loads(judgement["causes"])["spans"]] == ["\U0001f600 sad", "he left"]
    assert sentences(result) == {
        2: "a span from 1 to 9 is not in a text of 3 characters",
        3: "end has 1 member, and another list of the row 2",
        4: "'-1' is not a number of characters: start",
    }


def test_a_row_that_cannot_be_read_costs_the_judgement_and_no_other(tmp_path):
    lines = [
        "talk,turn,who,words,rater,emotion,marked",
        "d,1,A,I am sad.,ann,sadness,sad",
        "d,2,B,Why?,ann,wonder,",
        "e,1,A,Go!,ann,anger,",
    ]
    result = mapped(tmp_path, f"{TURNS}\nrater: rater\n{MARKS}", lines)
    assert [row["<key>"] for row in result.judgements.to_pylist()] == ["e"]
    assert sentences(result) == {
        2: "another row of the same judgement cannot be read, so that it is left out",
        3: "'wonder' is not a label of causes: map it",
    }


def test_links_from_words_that_are_not_marked(tmp_path):
    label = {"column": "emotion", "map": {"neutral": None}}
    marks = {"label": label, "linked": [{"label": {"constant": "cause"}, "turn": "at"}]}
    mapping = f"{TURNS}\n{yaml.safe_dump({'spans': {'causes': marks}})}"
    lines = ["talk,turn,who,words,emotion,at", "d,1,A,Hm.,neutral,1", "e,1,A,Oh.,surprise,7", "f,1,A,Oh.,surprise,1"]
    result = mapped(tmp_path, mapping, lines)
    assert [row["<key>"] for row in result.judgements.to_pylist()] == ["f"]
    assert sentences(result) == {
        2: "the row links words, though it marks none that they could be linked to",
        3: "there is no turn '7' in the dialogue",
    }


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ("item: {id: a, dialogue: {speaker: b}}", "name the `text` of the turn"),
        ("item: {id: a, dialogue: {columns: [b], cell: c}}", "turns are either columns, or rows"),
        ("item: {id: a, dialogue: {cell: c, turn: b}}", "id and turn are for turns that are rows"),
        ("item: {dialogue: {text: c}}", "name the `id` of the item"),
        ("item_id: a\nspans: {causes: {label: b}}", "spans are of words that the same table has"),
        ("item: {text: a}\nspans: {causes: {label: b, text: c, start: d, end: e}}", "words are named by `text`, or by"),
        ("item: {text: a}\nlong: {x: y}\nspans: {causes: {label: b}}", "judgements are either long or spans"),
        ("item: {text: {column: a, replace: {'': b}}}", "a text to replace must not be empty"),
        (
            "item: {id: a, participant: b, dialogue: {id: c, text: d, speaker: e}}",
            "name the same for `participant` and `dialogue.speaker`",
        ),
        ("item: {text: a}\nknown_bad: [{same: [a], reason: x}]", "two columns or more in `same`"),
    ],
)
def test_settings_that_do_not_go_together(mapping, sentence):
    with pytest.raises(ValueError, match="1 validation error") as raised:
        Table.model_validate({"table": "t.csv", **yaml.safe_load(mapping)})
    assert sentence in str(raised.value)


def test_check_names_labels_and_fields_that_do_not_fit():
    marks = {"label": {"column": "a", "map": {"x": "angry"}}, "linked": [{"label": {"constant": "because"}}]}
    table = Table.model_validate({"table": "t.csv", "item": {"text": "a"}, "spans": {"causes": marks}})
    assert dict(mapping_problems(table, CAUSES)) == {
        ("spans", "causes", "label"): "'angry' is not a label of causes; did you mean anger?",
        ("spans", "causes", "linked", 0, "label"): "'because' is not a label of causes; did you mean cause?",
    }
    table = Table.model_validate({"table": "t.csv", "item": {"text": "a"}, "spans": {"emotion": {"label": "a"}}})
    ((place, sentence),) = mapping_problems(table, load_labels("utterance_emotion.v1"))
    assert (place, sentence) == (("spans", "emotion"), "emotion is not about words: use long, wide, votes or ticks")


def test_joined_columns_of_one_name_and_judgements_without_a_label(tmp_path):
    (tmp_path / "kinds.csv").write_text("id,name\n1,joy\n2,none\n")
    (tmp_path / "posts.csv").write_text("name,kind,text\nann,1,Yes!\nben,2,It is.\ncem,,Hm.\n")
    settings = {
        "table": "posts.csv",
        "join": [{"table": "kinds.csv", "by": {"kind": "id"}, "take": {"name": "emotion"}}],
        "item": {"id": "name", "text": "text"},
        "rater": "name",
        "long": {"emotions": {"column": "emotion", "none": "none"}},
    }
    labels = load_labels("post_emotions_semeval11.v1")
    result = map_tables([Table.model_validate(settings)], lambda name: [(name, tmp_path / name)], labels)
    assert [(row["annotator"], row["emotions"]) for row in result.judgements.to_pylist()] == [
        ("ann", ["joy"]),
        ("ben", None),
    ]
    assert sentences(result) == {4: "the row has no emotions"}
    settings["join"][0]["take"] = {"nam": "emotion"}
    with pytest.raises(InvalidInput, match=r"kinds\.csv has no column nam"):
        map_tables([Table.model_validate(settings)], lambda name: [(name, tmp_path / name)], labels)
