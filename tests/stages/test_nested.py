"""Rows within nested JSON: paths as JMESPath understands them, with the values of what holds a row."""

import json

import jmespath
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.annotation.importing.paths import Node, parse_path, select
from curate.annotation.importing.settings import Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.stages.ingest.tables import read_tables

DIALOGUES = {
    "corpus": "sample",
    "dialogues": [
        {
            "id": "00",
            "topic": {"name": "rain"},
            "turns": [{"text": "Oh no!", "by": {"name": "Ann"}}, {"text": "Fine.", "by": {"name": "Ben"}}],
        },
        {"id": "1e5", "topic": None, "turns": [{"text": "Hm.", "by": None, "a.b": 7}]},
        {"id": "none"},
    ],
}
ITEM = {
    "id": "{^id}_{<index>}",
    "text": "text",
    "speaker": "by.name",
    "keep": {"^topic.name": "topic", "^^corpus": "of"},
}


def read(folder, name, content, **table):
    (folder / name).write_text(content)
    mapped = read_tables(
        [Table.model_validate({"table": name, **table})], RawFolders(folder), load_labels("utterance_emotion.v1")
    )
    rows = [
        (row["<key>"], row["text"], row["speaker"], *(kept["value"] for kept in row["columns"] or ()))
        for row in mapped.items.to_dicts()
    ]
    return rows, [f"{row['<line>']}: {row['sentence']}" for row in mapped.problems.sort("<line>").to_dicts()]


TURNS = [
    ("00_0", "Oh no!", "Ann", "rain", "sample"),
    ("00_1", "Fine.", "Ben", "rain", "sample"),
    ("1e5_0", "Hm.", None, None, "sample"),
]


def test_turns_with_what_holds_them(tmp_path):
    mapping = {"rows": "dialogues[].turns[]", "item": ITEM}
    assert read(tmp_path, "t.json", json.dumps(DIALOGUES), **mapping) == (TURNS, [])
    lines = [json.dumps(DIALOGUES), '{"dialogues": [{"id": "x", "turns": [null, 3]}]}', "not json"]
    rows, problems = read(tmp_path, "t.jsonl", "\n".join(lines), **mapping)
    assert rows == [*TURNS, ("x_1", None, None, None, None)]
    assert problems == ["4: it is null", "6: line 3: it is not JSON: Expecting value: line 1 column 1 (char 0)"]


def test_names_of_members_and_rows_that_are_lists_or_texts(tmp_path):
    by_dialogue = json.dumps({"tr_1": [[{"text": "One."}, {"text": "Two."}]], "tr_2": [[{"text": "Three."}]]})
    item = {"id": "{<key>}:{<index>}", "text": "text"}
    assert read(tmp_path, "t.json", by_dialogue, rows="*[][]", item=item) == (
        [("tr_1:0", "One.", None), ("tr_1:1", "Two.", None), ("tr_2:0", "Three.", None)],
        [],
    )
    texts = json.dumps([{"id": "a", "said": ["One.", "Two."]}])
    item = {"id": "{^id}{<index>}", "text": "<value>"}
    assert read(tmp_path, "u.json", texts, rows="[].said[]", item=item)[0] == [
        ("a0", "One.", None),
        ("a1", "Two.", None),
    ]
    lists = json.dumps({"data": [["a", "One."], ["b", "Two.", 3]]})
    mapping = {"rows": "data[*]", "columns": ["id", "text"], "item": {"id": "id", "text": "text"}}
    assert read(tmp_path, "v.json", lists, **mapping) == (
        [("a", "One.", None)],
        ["2: the row has 3 members, `columns` names 2"],
    )


def test_rows_of_parquet_and_joined_tables(tmp_path):
    pl.DataFrame({"id": ["7"], "turns": [[{"text": "One."}, {"text": "Two."}]]}).write_parquet(tmp_path / "t.parquet")
    (tmp_path / "names.json").write_text(json.dumps({"people": [{"text": "Two.", "who": {"name": "Ann"}}]}))
    join = {"table": "names.json", "rows": "people[]", "by": "text"}
    table = Table.model_validate(
        {
            "table": "t.parquet",
            "rows": "turns[]",
            "join": [join],
            "item": {"id": "{^id}.{<index>}", "text": "text", "speaker": "who.name"},
        }
    )
    mapped = read_tables([table], RawFolders(tmp_path), load_labels("utterance_emotion.v1"))
    assert mapped.items.select("<key>", "text", "speaker").rows() == [("7.0", "One.", None), ("7.1", "Two.", "Ann")]


def test_a_name_is_a_name_before_it_is_a_path(tmp_path):
    item = {"id": "{^id}_{<index>}", "text": "text", "keep": ["a.b"]}
    rows, _ = read(tmp_path, "t.json", json.dumps(DIALOGUES), rows="dialogues[].turns[]", item=item)
    assert [row[-1] for row in rows] == [None, None, "7"]


WRONG = {
    "nowhere": ({"rows": "dialogs[].turns[]"}, "its path 'dialogs[].turns[]' leads to no row"),
    "no such member": (
        {"rows": "dialogues[]", "item": {"id": "^name"}},
        "t.json has no column ^name; its columns are id, topic, turns, ^corpus, ^dialogues",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_paths_that_lead_nowhere(tmp_path, case):
    mapping, sentence = WRONG[case]
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path, "t.json", json.dumps(DIALOGUES), **{"item": {"id": "id"}, **mapping})
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("a[", "is not a path such as dialogues[].turns[]"),
        ("a | [0]", "has a pipe: a path has names, [], indices and filters only"),
        ("[@,@][]", "has a multi select list"),
        ("sort(@)", "has a function expression"),
        ("a." * 300 + "b", "is longer than 500 characters"),
        ("", "is not a path"),
    ],
)
def test_paths_that_could_do_more_are_refused(path, sentence):
    with pytest.raises(ValueError, match="rows") as caught:
        Table.model_validate({"table": "t.json", "rows": path, "item": {"id": "id"}})
    assert sentence in str(caught.value)


def test_a_path_is_one_within_json(tmp_path):
    with pytest.raises(InvalidInput, match=r"`rows` is a path in .json, .jsonl, .ndjson, .parquet files"):
        read(tmp_path, "t.csv", "id\n1\n", rows="a[]", item={"id": "id"})
    with pytest.raises(InvalidInput, match="name where its `rows` are"):
        read(tmp_path, "t.json", json.dumps(DIALOGUES), item={"id": "id"})


NAMES = st.sampled_from("abc")
DOCUMENTS = st.recursive(
    st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
STARTS = st.sampled_from(["[]", "[*]", ".*", "[:2]", "[?a == `1`]", ".a", "[0]"])
STEPS = st.sampled_from(["[]", ".a", ".b", "[0]", "[-1]", "[].c", ".b[]"])


@given(DOCUMENTS, STARTS, st.lists(STEPS, max_size=4))
def test_rows_are_those_of_jmespath(document, start, steps):
    path = "@" + start + "".join(steps)
    expected = jmespath.search(path, document)
    tree = parse_path(path)
    rows = [node.value for node in select(tree, Node(document))]
    if tree["type"].endswith("projection"):
        assert rows == (expected or [])
    else:
        assert rows == ([] if expected is None else [expected])


def test_lists_within_lists_are_laid_flat():
    tree = parse_path("[*].turns[*]")
    assert [node.value for node in select(tree, Node([{"turns": [1, 2]}, {"turns": [3]}]))] == [1, 2, 3]
