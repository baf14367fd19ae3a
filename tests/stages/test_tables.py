"""Tables of others: every form of judgement, values that are translated, and rows and files that cannot be used."""

import json
import random
import wave
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from curate.annotation.importing.check import mapping_problems
from curate.annotation.importing.rows import KEY
from curate.annotation.importing.settings import Table, Ticks
from curate.corpus.judgements import current_judgements
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.ingest.tables import read_tables, table_inputs
from curate.stages.tables.importing import import_table
from curate.stages.tables.plain import read_plain
from curate.stages.tables.read import read_file
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.corpora import CREMAD_CLIPS, make_cremad
from tests.support.runs import run_quietly

ITEM = {"id": "id", "text": "text"}
SCHEMA = "utterance_emotion.v1"


def read(folder: Path, files: dict[str, str | bytes], *tables: dict[str, Any], labels: str = SCHEMA):
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_tables([Table.model_validate(table) for table in tables], RawFolders(folder), load_labels(labels))


def judged(mapped, *fields: str) -> list[tuple]:
    columns = [mapped.judgements[name].to_pylist() for name in (KEY, "annotator", "arm", *fields)]
    return sorted(zip(*columns, strict=True), key=repr)


def problems(mapped) -> list[str]:
    rows = mapped.problems.sort("<line>", maintain_order=True).iter_rows(named=True)
    return [
        f"{row['<file>']}#{row['<line>']}{':' if row['part'] else ''}{row['part']}: {row['sentence']}" for row in rows
    ]


LONG = (
    'id,text,who,said,strong\n00000,Oh no!,ann,A,1\n00000,Oh no!,ben, anger ,3\n1e5,Fine.,NaN,"happiness,surprise",\n'
)


FORMS = {
    "long": (
        LONG,
        {
            "item": ITEM,
            "rater": "who",
            "long": {"emotion": {"column": "said", "split": ",", "map": {"A": "anger"}}, "intensity": "strong"},
        },
        [
            ("00000", "ann", None, ["anger"], 1.0),
            ("00000", "ben", None, ["anger"], 3.0),
            ("1e5", "NaN", None, ["happiness", "surprise"], None),
        ],
    ),
    "wide": (
        "id;text;r1;r2;r3\na;One.;1;5;\nb;Two.;2;;4\n",
        {"item": ITEM, "wide": {"intensity": {"r1": "ann", "r2": "ben", "r3": "cy"}}},
        [
            ("a", "ann", None, None, 1.0),
            ("a", "ben", None, None, 5.0),
            ("b", "ann", None, None, 2.0),
            ("b", "cy", None, None, 4.0),
        ],
    ),
    "votes": (
        "id\ttext\tA\tH\na\tOne.\t2\t1\nb\tTwo.\t0\t1.0\n",
        {"item": ITEM, "arm": {"constant": "text"}, "votes": {"emotion": {"A": "anger", "H": "Happiness"}}},
        [("a", None, "text", ["anger"], None)] * 2
        + [("a", None, "text", ["happiness"], None), ("b", None, "text", ["happiness"], None)],
    ),
    "ticks in rows": (
        "id,text,who,label,value\na,One.,ann,anger,True\na,One.,ann,fear,1\na,One.,ann,disgust,no\na,One.,ben,anger,false\n",
        {"item": ITEM, "rater": "who", "ticks": {"emotion": {"label": "label", "value": "value"}}},
        [("a", "ann", None, ["anger", "fear"], None), ("a", "ben", None, None, None)],
    ),
    "ticks in columns": (
        "id,text,who,anger,fear\na,One.,ann,1,1\na,One.,ben,0,\n",
        {"item": ITEM, "rater": "who", "ticks": {"emotion": {"columns": ["anger", "fear"]}}},
        [("a", "ann", None, ["anger", "fear"], None), ("a", "ben", None, None, None)],
    ),
    "ranges and groups": (
        "id,text,file,n\na,One.,03a01Wa.wav,66\nb,Two.,04b02Fb.wav,2.5\n",
        {
            "item": {**ITEM, "speaker": "speaker"},
            "extract": {"file": r"(?P<speaker>\d\d)[ab]\d\d(?P<mood>[WF])[a-z]\.wav"},
            "rater": {"constant": "actor"},
            "arm": {"column": "mood", "map": {"W": "angry", "F": "glad"}},
            "long": {"emotion": {"column": "n", "ranges": {"65-72": "anger", "0-64": "neutral"}}},
        },
        [("a", "actor", "angry", ["anger"], None), ("b", "actor", "glad", ["neutral"], None)],
    ),
    "another scale": (
        "id,text,who,n\na,One.,ann,0\na,One.,ben,100\n",
        {"item": ITEM, "rater": "who", "long": {"intensity": {"column": "n", "scale": [0, 100]}}},
        [("a", "ann", None, None, 1.0), ("a", "ben", None, None, 5.0)],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_judgements(tmp_path, form):
    content, mapping, expected = FORMS[form]
    mapped = read(tmp_path, {"t.csv": content}, {"table": "t.csv", **mapping})
    assert problems(mapped) == []
    assert judged(mapped, "emotion", "intensity") == sorted(expected, key=repr)


def test_formats_and_joins_say_the_same(tmp_path):
    rows = [{"id": "007", "who": 1, "said": ["anger", "fear"]}, {"id": "008", "who": 2, "said": "joy"}]
    pl.DataFrame({"id": ["007", "008"], "text": ["One.", "Two."], "old": [True, None]}).write_parquet(
        tmp_path / "items.parquet"
    )
    files = {
        "a.json": json.dumps(rows),
        "a.jsonl": "\ufeff" + "\n".join(json.dumps(row) for row in rows) + "\n\nnot json\n[1]\n",
        "splits.json": json.dumps({"train": ["007"], "test": ["008"]}),
    }
    items = {
        "table": "items.parquet",
        "join": [{"table": "splits.json", "by": {"id": "value"}}],
        "item": {**ITEM, "keep": {"key": "split", "old": "old"}},
    }
    said = {"item_id": "id", "rater": "who", "long": {"emotion": {"column": "said", "map": {"joy": "happiness"}}}}
    expected = [("007", "1", None, ["anger", "fear"]), ("008", "2", None, ["happiness"])]
    for name, wrong in (("a.json", 0), ("a.jsonl", 2)):
        mapped = read(tmp_path, files, items, {"table": name, **said})
        assert judged(mapped, "emotion") == expected
        assert len(problems(mapped)) == wrong
    assert mapped.items["columns"].to_list() == [
        [{"name": "split", "value": "train"}, {"name": "old", "value": "True"}],
        [{"name": "split", "value": "test"}, {"name": "old", "value": None}],
    ]


GRADED = "name: graded.v1\nunit: post\nfields:\n  emotion: {type: category, taxonomy: ekman6.v1, multiple: true, %s}\n"
WORDS, NUMBERS = "intensity: [weak, strong]", "intensity: {minimum: 0, maximum: 4, step: 1}"
STRENGTHS = {
    "words": (
        WORDS,
        {"0": None, "1": "weak", "2": "strong"},
        [("anger", "strong"), ("fear", "weak")],
        "'9' is not one of",
    ),
    "numbers": (NUMBERS, {"0": None}, [("anger", 2.0), ("fear", 1.0)], "9 is not within 0 to 4"),
}


@pytest.mark.parametrize("kind", STRENGTHS)
def test_ticks_that_say_how_strong_each_label_is(tmp_path, kind):
    field, grades, expected, sentence = STRENGTHS[kind]
    (tmp_path / "graded.v1.yaml").write_text(GRADED % field)
    (tmp_path / "t.csv").write_text("id,text,who,A,F\na,One.,ann,2,1\na,One.,ben,0,\na,One.,cem,9,1\na,One.,dan,x,0\n")
    ticks = {"emotion": {"columns": {"A": "anger", "F": "fear"}, "intensity": grades}}
    table = Table.model_validate({"table": "t.csv", "item": ITEM, "rater": "who", "ticks": ticks})
    labels = load_labels("graded.v1", tmp_path)
    assert list(mapping_problems(table, labels)) == []
    mapped = read_tables([table], RawFolders(tmp_path), labels)
    given = [{"label": label, "intensity": strength} for label, strength in expected]
    assert judged(mapped, "emotion") == [("a", "ann", None, given), ("a", "ben", None, None)]
    first, second = problems(mapped)
    assert first.startswith("t.csv#4:A: the intensity of 'anger': ")
    assert first.endswith(sentence) or sentence in first
    assert "'x'" in second
    rows = table.model_copy(update={"ticks": {"emotion": Ticks(label="A", value="F")}})
    bad = table.model_copy(update={"ticks": {"emotion": Ticks(columns={"A": "anger"}, intensity={"1": "huge"})}})
    assert [sentence for _, sentence in mapping_problems(rows, labels)] == [
        "emotion asks how strong each label is: name a column for each in `columns`"
    ]
    assert "'huge'" in next(sentence for _, sentence in mapping_problems(bad, labels))


def test_rows_that_are_lists(tmp_path):
    rows = [["anger", "a", "One."], ["fear", "b"], ["joy", "c", None]]
    mapping = {"table": "t.json", "item": ITEM, "long": {"emotion": "said"}}
    mapped = read(tmp_path, {"t.json": json.dumps(rows)}, {**mapping, "columns": ["said", "id", "text"]})
    assert judged(mapped, "emotion") == [("a", None, None, ["anger"])]
    assert problems(mapped) == [
        "t.json#2: the row has 2 members, `columns` names 3",
        "t.json#3:emotion: 'joy' is not a label of ekman7.v1: map it",
    ]
    with pytest.raises(InvalidInput, match=r"its rows are lists, whose members have no names: name them in `columns`"):
        read(tmp_path, {}, mapping)


EMOTION = {"item": ITEM, "rater": "who", "long": {"emotion": {"column": "said", "map": {"A": "anger"}}}}
HEADER = b"id,text,who,said\n"
BAD_ROWS = {
    "ragged": (
        HEADER + b"a,One.,ann\nb,Two.,ann,A\nc,Three.,ann,A,x\n",
        1,
        ["#2: the row has 3 cells, the first line names 4", "#4: the row has 5 cells"],
    ),
    "stray quotes": (HEADER + b'a,"One." x,ann,A\nb,Two.,ann,A\n', 1, ["#2: text follows the quotation mark"]),
    "open quote": (
        HEADER + b'a,One.,ann,A\nb,"Two.,ann,A\nc,Three.,ann,A\n',
        1,
        ["#3: a quotation mark that begins in this row is never closed; lines 3 to 4"],
    ),
    "curly quotes": (HEADER + "a,“One, two”,ann,A\nb,“One”,ann,A\n".encode(), 1, ["#2: the row has 5 cells"]),
    "two encodings": (
        HEADER + "a,Ça va,ann,A\n".encode() + "b,Ça va,ann,A\n".encode("latin-1"),
        1,
        ["#3: the row is not UTF-8 text: byte 0xc7"],
    ),
    "byte order mark": (b"\xef\xbb\xbf" + HEADER + b"a,One.,ann,A\n", 1, []),
    "utf-16": ((HEADER + b"a,One.,ann,A\n").decode().encode("utf-16"), 1, []),
    "semicolons": (HEADER.replace(b",", b";") + b"a;One, two.;ann;A\n", 1, []),
    "nul": (HEADER + b"a,On\0e.,ann,A\nb,Two.,ann,A\n", 1, ["#2: the row contains a NUL byte"]),
    "huge cell": (
        HEADER + b"a," + b"x" * 1_100_000 + b",ann,A\nb,Two.,ann,A\n",
        1,
        ["#2: the text is longer than 1000000 bytes"],
    ),
    "case and spaces": (HEADER + b"a,One.,ann, ANGER \n", 1, []),
    "unknown label": (HEADER + b"a,One.,ann,fury\n", 0, ["#2:emotion: 'fury' is not a label of ekman7.v1: map it"]),
    "no label": (HEADER + b"a,One.,ann,\n", 0, ["#2:answer: the row has no emotion"]),
    "no rater": (HEADER + b"a,One., ,A\n", 0, ["#2:rater: the row does not say which rater it is of"]),
    "no id": (HEADER + b",One.,ann,A\n", 0, ["#2: the row does not say which item it is about: the id is blank"]),
    "twice": (
        HEADER + b"a,One.,ann,A\na,One.,ann,A\na,One.,ben,A\n",
        2,
        ["#3:again: rater 'ann' judged item 'a' before, in t.csv, line 2"],
    ),
    "two texts": (
        HEADER + b"a,One.,ann,A\na,Two.,ben,A\n",
        1,
        ["#3: item 'a' has another text here than in t.csv, line 2"],
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_only_the_rows_that_are_wrong_are_left_out(tmp_path, case):
    content, judgements, sentences = BAD_ROWS[case]
    mapped = read(tmp_path, {"t.csv": content}, {"table": "t.csv", **EMOTION})
    assert len(judged(mapped, "emotion")) == judgements
    found = problems(mapped)
    assert len(found) == len(sentences)
    assert all(line.startswith(f"t.csv{start}") for line, start in zip(found, sentences, strict=True)), found


LONG_ROWS = {"item": ITEM, "rater": "who", "long": {"emotion": "said"}}
DOUBTFUL = {
    "a rater says two things in two tables": (
        {"t.csv": "id,text,who,said\na,One.,ann,anger\n", "u.csv": "id,text,who,said\na,One.,ann,fear\n"},
        [{"table": name, **LONG_ROWS} for name in ("t.csv", "u.csv")],
        [("a", "ann", None, ["anger"])],
        ["u.csv#2:again: rater 'ann' judged item 'a' before, in t.csv, line 2"],
    ),
    "a tick that cannot be read": (
        {"t.csv": "id,text,who,label,on\na,One.,ann,anger,1\na,One.,ann,fury,1\na,One.,ben,fear,1\n"},
        [{"table": "t.csv", "item": ITEM, "rater": "who", "ticks": {"emotion": {"label": "label", "value": "on"}}}],
        [("a", "ben", None, ["fear"])],
        [
            "t.csv#2:emotion: another tick of the same judgement is not certain, so that it is left out",
            "t.csv#3:emotion label: 'fury' is not a label of ekman7.v1: map it",
        ],
    ),
    "a label that is ticked and is not": (
        {
            "t.csv": "id,text,who,label,on\na,One.,ann,anger,1\na,One.,ann,anger,0\n"
            "a,One.,ben,anger,1\na,One.,ben,Anger,1\n"
        },
        [{"table": "t.csv", "item": ITEM, "rater": "who", "ticks": {"emotion": {"label": "label", "value": "on"}}}],
        [("a", "ben", None, ["anger"])],
        [
            f"t.csv#{line}:emotion label: anger is ticked in one row of this judgement and not in another"
            for line in (2, 3)
        ],
    ),
    "half a character": (
        {
            "t.jsonl": '{"id": "a", "text": "\\ud83d", "who": "ann", "said": "fear"}\n'
            '{"id": "b", "who": "ann", "said": "fear"}'
        },
        [{"table": "t.jsonl", **LONG_ROWS}],
        [("b", "ann", None, ["fear"])],
        [r"t.jsonl#1: the row is not Unicode text: it has half of a pair such as \ud83d\ude00"],
    ),
    "a number with an underscore": (
        {"t.csv": "id,text,who,strong\na,One.,ann,0_3\n"},
        [{"table": "t.csv", "item": ITEM, "rater": "who", "long": {"intensity": "strong"}}],
        [],
        ["t.csv#2:intensity: '0_3' is not a number"],
    ),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_is_not_certain_is_no_judgement(tmp_path, case):
    files, tables, judgements, sentences = DOUBTFUL[case]
    mapped = read(tmp_path, files, *tables)
    assert judged(mapped, "emotion") == judgements
    assert problems(mapped) == sentences


def test_groups_without_a_name_are_no_columns(tmp_path):
    patterns = {"text": r"(One|Two)\. (?P<speaker>\w+)", "who": r"(a|b)(?P<number>\d)"}
    mapping = {"table": "t.csv", "item": {"id": "id", "keep": ["speaker", "number"]}, "extract": patterns}
    mapped = read(tmp_path, {"t.csv": "id,text,who\nx,One. Ann,a1\n"}, mapping)
    kept = [{"name": "speaker", "value": "Ann"}, {"name": "number", "value": "1"}]
    assert mapped.items is not None
    assert mapped.items["columns"].to_list() == [kept]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ("1,x", "'x' in column H is not a number of votes"),
        ("-1,1", "'-1' in column A is not a number of votes"),
        ("0.5,1", "'0.5' in column A is not a number of votes"),
        ("1e9,1", "'1e9' in column A is not a number of votes"),
        ("99999999999999999999,1", "'99999999999999999999' in column A is not a number of votes"),
        ("0,0", "the row has no votes"),
    ],
)
def test_votes_are_numbers_of_people(tmp_path, cells, sentence):
    mapping = {"table": "t.csv", "item": ITEM, "votes": {"emotion": {"A": "anger", "H": "happiness"}}}
    mapped = read(tmp_path, {"t.csv": f"id,text,A,H\na,One.,{cells}\nb,Two.,0,1\n"}, mapping)
    assert judged(mapped, "emotion") == [("b", None, None, ["happiness"])]
    assert [line.split(": ", 1)[1] for line in problems(mapped)] == [sentence]


BAD_FILES = {
    "columns that are not there": (
        HEADER,
        {**EMOTION, "rater": "whom"},
        "t.csv has no column whom; its columns are id, text, who, said",
    ),
    "another delimiter": (
        HEADER.replace(b",", b":"),
        EMOTION,
        "t.csv has no columns who, id, text, said; its columns are id:text:who:said",
    ),
    "a column twice": (b"id,text,who,said,said\n", EMOTION, "t.csv has 2 columns named said"),
    "nothing": (b"", EMOTION, "t.csv is empty: its first line names no columns"),
    "binary": (
        b"\x00\x01\x02PNG\xff" * 9,
        EMOTION,
        "t.csv cannot be read as a table: its first line is not UTF-8 text",
    ),
    "a join with two rows": (
        HEADER + b"a,One.,ann,A\n",
        {**EMOTION, "join": [{"table": "j.csv", "by": "id"}]},
        "t.csv: j.csv has several rows for id 'a'",
    ),
    "a join that is not there": (
        HEADER,
        {**EMOTION, "join": [{"table": "k.csv", "by": "id"}]},
        "there is no file 'k.csv' in ",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_tables_that_cannot_be_read_are_a_sentence(tmp_path, case):
    content, mapping, sentence = BAD_FILES[case]
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, {"t.csv": content, "j.csv": "id,age\na,1\na,2\n"}, {"table": "t.csv", **mapping})
    assert raised.value.message.startswith(sentence)


BAD_SETTINGS = [
    (
        "{table: t.csv, item: {id: id}, wide: {emotion: {id: ann, text: ann}}}",
        "two columns of emotion are judgements of rater 'ann': a rater judges once",
    ),
    (
        "{table: t.csv, item: {id: id, keep: {text: words, who: words}}}",
        "two columns are kept as 'words': give each a name of its own",
    ),
    (
        "{table: t.csv, item: {id: id}, long: {emotio: said}}",
        "emotio is not a field of utterance_emotion.v1; did you mean emotion?",
    ),
    (
        "{table: t.csv, item: {id: id}, votes: {emotion: {A: angre}}}",
        "'angre' is not a label of ekman7.v1: map it; did you mean anger?",
    ),
    (
        "{table: t.csv, item: {id: id}, votes: {valence: {A: x}}}",
        "valence has no labels, so it cannot come from votes: use long or wide",
    ),
    (
        "{table: t.csv, item: {id: id}, ticks: {emotion: {columns: {said: fear}, intensity: {1: weak}}}}",
        "emotion does not ask how strong a label is: remove intensity",
    ),
    (
        "{table: t.csv, item: {id: id}, extract: {id: '(?P<a>x)(?=y)'}}",
        "the pattern for 'id' cannot be used: look-around",
    ),
    ("{table: t.csv, item: {id: id}, extract: {id: '(x'}}", "the pattern for 'id' is not a regular expression"),
    ("{table: t.csv, item: {id: id}, item_id: id}", "name `item` if the table has the items, or `item_id`"),
    ("{table: t.csv, item_id: id}", "the table gives neither items nor judgements"),
    ("{table: t.csv, item: {id: {column: a, constant: b}}}", "a value is a column, a template or a constant"),
    (
        "{table: t.csv, item: {id: id}, wide: {valence: [v]}}",
        "t.csv has no column v; its columns are id, text, who, said",
    ),
    (
        "{table: t.csv, item: {id: id}, long: {emotion: said}}",
        "its tables hold judgements that no stage takes in; add annotate",
    ),
    ("{table: '../t.csv', item: {id: id}}", "outside the recipe's folder"),
]


@pytest.mark.parametrize(("mapping", "sentence"), BAD_SETTINGS)
def test_check_names_what_is_wrong_with_a_mapping(tmp_path, mapping, sentence):
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in (tmp_path / "t.csv", folder / "t.csv"):
        path.write_bytes(HEADER)
    stage = {"stage": "ingest", "tables": [yaml.safe_load(mapping)]}
    recipe = make_recipe(folder, stage, {"stage": "preprocess"})
    with pytest.raises(InvalidInput) as raised:
        load_recipe(recipe)
    assert any(sentence in problem for problem in raised.value.problems), raised.value.problems


def test_media_that_are_absent_named_twice_or_outside(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (raw / "a.png").write_bytes(b"x")
    (raw / "link.png").symlink_to(tmp_path / "secret.png")
    names = ["a.png", "a.png", "b.png", "../secret.png", "/etc/passwd", "../../etc/passwd", "link.png", "a\\u0000"]
    table = "id,file\n" + "".join(f"{number},{name}\n" for number, name in enumerate(names))
    mapping = {"table": "t.csv", "item": {"id": "id", "media": "{file}"}}
    inputs = table_inputs(read(raw, {"t.csv": table}, mapping), RawFolders(raw)).to_pylist()
    outcome = {row["file"]: row["problem"] or ("file" if row["path"] else "record") for row in inputs}
    assert outcome == {
        "a.png": "file",
        "t.csv#3": "a.png is the file of item '0' already",
        "t.csv#4": "record",
        "t.csv#9": "record",
        **{
            f"t.csv#{number + 2}": f"the media path {names[number]!r} leads out of the folders of raw files"
            for number in (3, 4, 5, 6)
        },
    }


def test_judgements_of_items_that_a_later_stage_rejects_are_said(tmp_path):
    (tmp_path / "t.csv").write_text("id,text,who,said\na,One is enough.,ann,A\nb,Two are a crowd here.,ann,A\n")
    stages = (
        {"stage": "ingest", "tables": [{"table": "t.csv", **EMOTION}]},
        {"stage": "preprocess"},
        {"stage": "annotate"},
    )
    recipe = make_recipe(tmp_path, *stages)
    result = run_quietly(recipe, tmp_path / "w")
    assert result.stages[-1].counts == {"judgements": 2, "new": 2}
    make_recipe(tmp_path, stages[0], {"stage": "preprocess", "filters": {"max_chars": 16}}, stages[2])
    result = run_quietly(recipe, tmp_path / "w")
    assert result.stages[-1].counts == {"judgements": 1, "new": 0}
    assert "1 judgement in tables is of 1 item that no stage kept" in result.stages[-1].message


def test_a_rater_who_judges_twice_in_two_stages_counts_once(tmp_path):
    for name, emotion in (("t.csv", "anger"), ("u.csv", "fear")):
        (tmp_path / name).write_text(f"id,text,who,said\na,One is enough.,ann,{emotion}\n")
    tables = [{"table": name, **deepcopy(EMOTION)} for name in ("t.csv", "u.csv")]
    stages = [{"stage": "ingest", "tables": [table]} for table in tables]
    recipe = make_recipe(tmp_path, *stages, {"stage": "preprocess"}, {"stage": "annotate"})
    result = run_quietly(recipe, tmp_path / "w")
    assert result.stages[-1].counts == {"judgements": 1, "new": 1}
    assert result.stages[-1].message == "1 judgement in tables repeats one of the same rater and item: the first counts"
    acts = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("annotations")
    assert acts["emotion"].to_pylist() == [["anger"]]


def make_import(folder: Path):
    make_cremad(folder)
    loaded = load_recipe(Path("cremad"), raw=[folder])
    run_quietly(loaded, folder / "w", until="preprocess")
    (folder / "map.yaml").write_text("item_id: clip\nrater: who\nlong: {emotion: said}\n")
    return open_corpus(loaded, Workspace(folder / "w"))


def test_import_adds_changes_and_withdraws(tmp_path):
    corpus = make_import(tmp_path)
    sources = {row["source_id"]: row["key"] for row in corpus.read("sources").to_pylist()}
    items = {sources[row["source_id"]]: row["item_id"] for row in corpus.read("items").to_pylist()}
    item = items[CREMAD_CLIPS[1]]
    table = tmp_path / "more.csv"
    rows = [f"{CREMAD_CLIPS[0]},ann,N", f"{item},ben,happy", "nosuch,ann,N", f"{CREMAD_CLIPS[1]},ann,joyful"]

    def bring(lines, **options):
        table.write_text("\n".join(["clip,who,said", *lines]) + "\n")
        return import_table(corpus, table, tmp_path / "map.yaml", **options)

    first = bring(rows)
    assert first[:5] == (2, 2, 2, 0, 0)
    assert first.problems == (
        "more.csv#4: item 'nosuch' is not in the workspace",
        "more.csv#5:emotion: 'joyful' is not a label of cremad6.v1: map it",
    )
    assert bring(rows)[2:5] == (0, 0, 0)
    again = bring([rows[1], f"{CREMAD_CLIPS[1]},ben,sad"])
    assert again.problems == (f"more.csv#3:again: rater 'ben' judged item '{item}' before, in more.csv, line 2",)
    assert bring([rows[0].replace(",N", ",S")])[2:5] == (0, 1, 0)
    assert bring([rows[0].replace(",N", ",S")], replaces=True)[2:5] == (0, 0, 1)
    acts = current_judgements(corpus.read("annotations")).to_pylist()
    assert [(row["annotator"], row["emotion"], row["server"]) for row in acts] == [("ann", "sad", "import:more.csv")]
    before = corpus.table("annotations").version()
    with pytest.raises(InvalidInput, match="nothing was imported"):
        bring(rows, is_strict=True)
    assert corpus.table("annotations").version() == before


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ("item_id: clip\nlong: {emotio: said}\n", "map.yaml:2: emotio is not a field of acted_emotion.v1"),
        ("item: {id: clip}\nlong: {emotion: said}\n", "map.yaml:1: items come from the recipe's ingest"),
        (
            "item_id: clip\ntable: other.csv\nlong: {emotion: said}\n",
            "map.yaml:2: the table is named on the command line",
        ),
        (
            "item_id: clip\nrater: nobody\nlong: {emotion: said}\n",
            "more.csv has no column nobody; its columns are clip, who, said",
        ),
    ],
)
def test_mappings_of_imports_that_cannot_be_used(tmp_path, mapping, sentence):
    corpus = make_import(tmp_path)
    (tmp_path / "map.yaml").write_text(mapping)
    (tmp_path / "more.csv").write_text("clip,who,said\n")
    with pytest.raises(InvalidInput) as raised:
        import_table(corpus, tmp_path / "more.csv", tmp_path / "map.yaml")
    assert sentence in " ".join((raised.value.message, *raised.value.problems))


def test_plain_files_are_read_as_row_by_row(tmp_path, monkeypatch):
    rng, plain = random.Random(3), []
    cells = {
        "x": 9,
        '"x"': 9,
        '""': 3,
        '"a""b"': 3,
        "": 3,
        '"a,b"': 3,
        " y": 2,
        "é": 2,
        '"a"""': 2,
        "null": 1,
        "1e5": 1,
    }
    cells |= dict.fromkeys(('"', 'a"b', '"q" z', '"l\nm"', "\r", ' "s"'), 0.1)
    table = Table.model_validate({"table": "t.csv", "item": {"id": "a", "text": "b"}})
    path = tmp_path / "t.csv"

    def read_fast(*arguments, **options):
        plain.append(read_plain(*arguments, **options))
        return plain[-1]

    for _ in range(300):
        widths = [rng.choices((3, 2, 4, 0), (97, 1, 1, 1))[0] for _ in range(rng.randrange(5))]
        rows = [",".join(rng.choices(list(cells), list(cells.values()))[0] for _ in range(width)) for width in widths]
        break_ = rng.choice(("\n", "\r\n"))
        path.write_bytes(("a,b,c\n" + break_.join(rows) + rng.choice(("", "\n"))).encode())
        read = []
        for reader in (read_fast, lambda *_, **__: None):
            monkeypatch.setattr("curate.stages.tables.read.read_plain", reader)
            read.append(read_file(path, "t.csv", table, ["c", "a", "b"]))
        assert read[0].frame.equals(read[1].frame), path.read_bytes()
        assert read[0].problems.equals(read[1].problems)
    assert 150 < sum(frame is not None for frame in plain) < 300


def test_files_of_a_table_are_used_where_they_are(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 16_000).astype("<i2").tobytes())
    (tmp_path / "t.csv").write_text("id,file,said,who,mood\n1,a.wav,Hello.,03,A\n2,b.wav,Bye.,08,H\n")
    item = {"id": "id", "media": "{file}", "text": "said", "speaker": "who"}
    table = {"table": "t.csv", "item": item, "rater": {"constant": "ann"}, "long": {"emotion": "mood"}}
    stages = ({"stage": "ingest", "tables": [table]}, {"stage": "preprocess", "unit": "clip"}, {"stage": "annotate"})
    recipe = make_recipe(tmp_path, *stages, labels="acted_emotion.v1")
    run_quietly(recipe, tmp_path / "w")
    corpus = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w"))
    assert sorted(corpus.read("sources")["kind"].to_pylist()) == ["audio", "record"]
    items = {row["speaker"]: row for row in corpus.read("items").to_pylist()}
    shown = {who: (row["text"], row["text_source"], row["audio"] is not None) for who, row in items.items()}
    assert shown == {"03": ("Hello.", "table", True), "08": ("Bye.", "table", False)}
    assert {row["unit"] for row in items.values()} == {"clip"}
    (absent,) = corpus.read("rejections").to_pylist()
    assert absent["detail"] == "t.csv#3: b.wav is not there: the item is kept without it"
    judged = {row["item_id"]: row["emotion"] for row in corpus.read("annotations").to_pylist()}
    assert judged == {items["03"]["item_id"]: "anger", items["08"]["item_id"]: "happy"}
