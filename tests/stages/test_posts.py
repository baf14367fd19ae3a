"""Posts with more than a text: from a line of a file to a model's request and the row of its answer."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from curate.annotation.label_studio.tasks import has_all, to_task, variables_of
from curate.corpus.spec import table_spec
from curate.executors.local import LocalExecutor
from curate.labels import find_layout, load_labels
from curate.pipeline import open_corpus, run
from curate.recipe import load_recipe
from curate.stages.contract import Tools
from curate.stages.ingest.stage import Ingest
from curate.stages.preprocess.stage import Preprocess
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble, text_of
from tests.support.runs import Quiet

PAIR = {"text": "Oh no, how are you now?", "text_b": " Well, these things happen. ", "author": "maple"}

CLAIM = {"text": "You are late. I was so worried!", "statement": " She is relieved, although she sounds angry. "}

TURNS = [
    {"speaker": "Ann", "text": "You lied to me, you said soon!"},
    {"speaker": " Ben ", "text": "I forgot the keys."},
    {"text": " So you did. "},
]
TALK = {"dialogue": TURNS, "title": "Kitchen"}
NAMED = [("Ann", "You lied to me, you said soon!"), ("Ben", "I forgot the keys."), (None, "So you did.")]


class Made(NamedTuple):
    """What two stages make of some lines."""

    sources: list[dict[str, Any]]
    items: list[dict[str, Any]]
    rejected: list[tuple[str, str]]
    """Reason and sentence."""


def make(folder: Path, *lines: Any, labels: str = "utterance_emotion.v1", units=(), **settings: Any) -> Made:
    folder.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "p.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return make_of(folder, labels=labels, units=units, **settings)


def make_of(folder: Path, *, labels: str = "utterance_emotion.v1", units=(), **settings: Any) -> Made:
    schema = load_labels(labels)
    schema = schema.model_copy(update={"units": units}) if units else schema
    tools, ingest, preprocess = Tools(Blobs(folder), schema, folder), Ingest(files="p.*"), Preprocess(**settings)
    ingested = ingest.apply(ingest.discover(tools), tools)
    sources = pa.Table.from_pylist(ingested.dicts("sources"), schema=table_spec("sources", schema).schema)
    cut = preprocess.apply(preprocess.inputs(sources, tools), tools)
    items = pa.Table.from_pylist(cut.dicts("items"), schema=table_spec("items", schema).schema).to_pylist()
    assert len({item["item_id"] for item in items}) == len(items)
    rejections = [*ingested.rejections, *cut.rejections]
    return Made(sources.to_pylist(), items, [(rejection.reason, rejection.detail) for rejection in rejections])


class Labelled(NamedTuple):
    """What a model was asked of each item, the items, and the rows of its answers."""

    words: list[str]
    items: list[dict[str, Any]]
    prelabels: list[dict[str, Any]]


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Run lines from the file to what the model replied."""

    def label(*lines: dict[str, Any], labels: str, prompt: str, answer: Any = None, **more: Any) -> Labelled:
        (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
        recipe = make_recipe(
            tmp_path,
            {"stage": "ingest", "files": "p.jsonl", "licence": "CC0-1.0"},
            {"stage": "preprocess"},
            {"stage": "prelabel", "labellers": [{"model": "openai/gpt-5-mini", "prompt": prompt}], **more},
            labels=labels,
        )
        loaded, workspace, executor = load_recipe(recipe), Workspace(tmp_path / "ws"), LocalExecutor(1)
        with ChatDouble(key=KEY) as double:
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("OPENAI_BASE_URL", double.url)
            double.answer = answer and (lambda body: json.dumps(answer))
            try:
                run(loaded, workspace, executor=executor, listener=Quiet())
            finally:
                executor.close()
        corpus = open_corpus(loaded, workspace)
        words = [text_of(call.body) for call in double.calls if call.path == "/v1/chat/completions"]
        files = {row["source_id"]: row["file"] for row in corpus.read("sources").to_pylist()}
        items = corpus.read("items").to_pylist()
        items.sort(key=lambda item: (files[item["source_id"]], item["turn"] or 0))
        return Labelled(words, items, corpus.read("prelabels").to_pylist())

    return label


def test_two_texts_of_a_line_are_compared(ask):
    result = ask(PAIR, labels="text_preference.v1", prompt="preference_critique.v1")
    (item,), (row,), (words,) = result.items, result.prelabels, result.words
    assert (item["unit"], item["layout"], item["speaker"]) == ("pair", "text", "maple")
    assert (item["text"], item["text_b"]) == ("Oh no, how are you now?", "Well, these things happen.")
    first, second = words.split("\nB:\n")
    assert item["text"] in first
    assert item["text_b"] not in first
    assert item["text_b"] in second
    assert (row["item_id"], row["outcome"]) == (item["item_id"], "ok")
    assert row["empathetic"] is not None


def test_a_pair_lacks_its_second_text(tmp_path):
    made = make(tmp_path, PAIR, {"text": "Alone."}, labels="text_preference.v1")
    assert [item["text"] for item in made.items] == [PAIR["text"]]
    sentence = "the label schema asks for pair, which text cannot give: p.jsonl#2 has no text_b"
    assert made.rejected == [("no_unit", sentence)]


def test_a_second_text_is_ignored_if_posts_are_judged(tmp_path):
    made = make(tmp_path, PAIR)
    assert [(item["unit"], item["text"], item["text_b"]) for item in made.items] == [("post", PAIR["text"], None)]


def test_a_statement_is_checked_against_its_post(ask):
    result = ask(CLAIM, {"text": "No claim."}, labels="emotion_statement.v1", prompt="statement_truth.v1")
    assert [(item["unit"], item["layout"], item["text"], item["statement"]) for item in result.items] == [
        ("post", "text", CLAIM["text"], CLAIM["statement"].strip()),
        ("post", "text", "No claim.", None),
    ]
    (words,) = result.words
    post, statement = words.split("The statement to check:")
    assert CLAIM["text"] in post
    assert CLAIM["statement"].strip() in statement
    rows = {row["item_id"]: row for row in result.prelabels}
    checked, unclaimed = (rows[item["item_id"]] for item in result.items)
    assert checked["outcome"] == "ok"
    assert checked["holds"] is not None
    assert (unclaimed["outcome"], unclaimed["holds"]) == ("abstained", None)
    assert unclaimed["detail"] == "the item has no statement, which the prompt needs"


def test_a_statement_goes_with_every_sentence_and_with_a_pair(tmp_path):
    made = make(tmp_path / "s", CLAIM, posts="sentences")
    assert [item["text"] for item in made.items] == ["You are late.", "I was so worried!"]
    pair = make(tmp_path / "p", {**CLAIM, **PAIR}, units=("pair",))
    assert {item["statement"] for item in (*made.items, *pair.items)} == {CLAIM["statement"].strip()}
    assert len(pair.items) == 1


def turns_of(item: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(turn["speaker"], turn["text"]) for turn in item["dialogue"]]


def test_the_words_of_a_dialogue_are_marked(ask):
    span = {"id": "q0", "turn": 0, "text": "You lied", "occurrence": 1, "label": "anger"}
    reply = {"reasons": "She says so.", "causes": {"spans": [span], "relations": []}, "confidence": 0.9}
    result = ask(TALK, {"text": "No dialogue."}, labels="emotion_causes.v1", prompt="dialogue_causes.v1", answer=reply)
    (item,), (row,), (words,) = result.items, result.prelabels, result.words
    assert (item["unit"], item["layout"], item["text"], item["turn"]) == ("dialogue", "text", None, None)
    assert item["language"] == "en"
    assert [turn["turn"] for turn in item["dialogue"]] == [0, 1, 2]
    assert {turn[time] for turn in item["dialogue"] for time in ("start_s", "end_s")} == {None}
    assert turns_of(item) == NAMED
    assert "[0] Ann: You lied to me, you said soon!\n[1] Ben: I forgot the keys.\n[2] ?: So you did." in words
    assert row["outcome"] == "ok"
    (cause,) = row["causes"]["spans"]
    assert (cause["turn"], cause["start"], cause["end"], cause["text"]) == (0, 0, 8, "You lied")


def test_each_turn_of_a_dialogue_is_labelled_in_context(ask):
    context = {"before": 1, "after": 0}
    result = ask(TALK, labels="utterance_emotion.v1", prompt="utterance_emotion.v1", context=context)
    assert [(item["unit"], item["turn"], item["speaker"], item["text"]) for item in result.items] == [
        ("utterance", number, speaker, text) for number, (speaker, text) in enumerate(NAMED)
    ]
    assert all(turns_of(item) == NAMED for item in result.items)
    assert len({item["group"] for item in result.items}) == 1
    (second,) = [words for words in result.words if "> [1]" in words]
    assert "[0] Ann: You lied to me, you said soon!\n> [1] Ben: I forgot the keys." in second
    assert "So you did." not in second
    assert {row["item_id"] for row in result.prelabels if row["outcome"] == "ok"} == {
        item["item_id"] for item in result.items
    }


def test_units_decide_what_becomes_of_a_dialogue(tmp_path):
    def units_of(line: dict[str, Any], *units: str) -> list[tuple[str, str | None, int | None, int]]:
        made = make(tmp_path, line, units=units)
        return [(i["unit"], i["text"], i["turn"], len(i["dialogue"] or ())) for i in made.items]

    post = {**PAIR, **TALK}
    assert [unit for unit, *_ in units_of(TALK, "post")] == ["post"] * 3
    assert [unit for unit, *_ in units_of(TALK, "post", "utterance")] == ["utterance"] * 3
    assert units_of(TALK, "utterance", "dialogue") == [("dialogue", None, None, 3)]
    assert units_of(post, "post") == [("post", PAIR["text"], None, 3)]
    assert units_of(post, "pair") == [("pair", PAIR["text"], None, 3)]
    assert units_of(post, "dialogue") == [("dialogue", PAIR["text"], None, 3)]
    for line, unit, lacking in [
        (TALK, "pair", "text"),
        (PAIR, "dialogue", "dialogue"),
        (PAIR, "utterance", "dialogue"),
        (TALK, "window", None),
    ]:
        more = f": p.jsonl#1 has no {lacking}" if lacking else ""
        made = make(tmp_path, line, units=(unit,))
        assert made.rejected == [("no_unit", f"the label schema asks for {unit}, which text cannot give{more}")]
        assert not made.items


def test_long_dialogues_give_each_turn_only_what_is_near(tmp_path):
    turns = [{"speaker": "Ann", "text": f"Turn {number}."} for number in range(500)]
    made = make(tmp_path, {"dialogue": turns}, {"dialogue": [{"text": f"{number}" * 3000} for number in range(9)]})
    assert not made.rejected
    items = {(item["source_id"], item["turn"]): item for item in made.items}
    small, large = (row["source_id"] for row in made.sources)
    assert [turn["turn"] for turn in items[small, 0]["dialogue"]] == list(range(51))
    assert [turn["turn"] for turn in items[small, 300]["dialogue"]] == list(range(250, 351))
    assert [turn["turn"] for turn in items[large, 4]["dialogue"]] == [2, 3, 4, 5]


def test_batches_of_dialogues_follow_from_their_turns(tmp_path):
    turns = [{"text": f"Turn {number}."} for number in range(400)]
    made = make(tmp_path, *({"dialogue": [*turns, {"text": f"{number}"}]} for number in range(4)), {"text": "Hello"})
    sources = pa.Table.from_pylist(made.sources, schema=table_spec("sources", load_labels("post_reader.v1")).schema)
    assert [list(batch) for batch in Preprocess().cut(sources, [0, 1, 3, 4])] == [[0, 1], [3, 4]]


def test_a_dialogue_passes_the_filter_for_words(tmp_path):
    made = make(tmp_path, TALK, labels="emotion_causes.v1", filters={"need_text": True, "languages": ["en"]})
    assert [item["unit"] for item in made.items] == ["dialogue"]


@pytest.mark.parametrize(
    ("line", "labels", "needed"),
    [
        (PAIR, "text_preference.v1", {"text", "text_b", "dialogue"}),
        (CLAIM, "emotion_statement.v1", {"text", "statement"}),
        (TALK, "emotion_causes.v1", {"dialogue"}),
        (TALK, "utterance_emotion.v1", {"text", "dialogue"}),
    ],
)
def test_screens_have_what_they_show(tmp_path, line, labels, needed):
    made = make(tmp_path, line, labels=labels)
    for item in made.items:
        columns = variables_of(find_layout(load_labels(labels), item["unit"], item["layout"]).read_text("utf-8"))
        assert needed <= columns
        assert has_all(item, columns)
        assert all(to_task(item, columns, {}, None)["data"][name] for name in needed)
    assert made.items


def test_cells_of_a_table_may_be_empty(tmp_path):
    (tmp_path / "p.csv").write_text('text,text_b,statement\nOne.,Two.,True?\nThree.,,\nFour.,  ,"So, it is."\n')
    made = make_of(tmp_path, units=("pair", "post"))
    assert [(item["unit"], item["text"], item["text_b"], item["statement"]) for item in made.items] == [
        ("pair", "One.", "Two.", "True?"),
        ("post", "Three.", None, None),
        ("post", "Four.", None, "So, it is."),
    ]
    assert not made.rejected


def test_a_plain_post_keeps_its_id_and_each_member_gives_another(tmp_path):
    lines = [
        {"text": PAIR["text"], "author": "maple"},
        PAIR,
        {**PAIR, "text_b": "Never mind."},
        {**PAIR, "statement": "So."},
    ]
    ids = [row["source_id"] for row in make(tmp_path, *lines).sources]
    assert ids[0] == "cad4148b7498daf981815295e1f87466d6703b33c11362272f3f24475250dbe6"
    assert len(set(ids)) == len(ids)


def test_posts_that_differ_only_in_other_texts_do_not_repeat_each_other(tmp_path):
    lines = [
        PAIR,
        {**PAIR, "text_b": "Never mind."},
        {**PAIR, "text_b": "WELL, these things happen"},
        {**PAIR, **CLAIM},
    ]
    lines[3]["text"] = PAIR["text"]
    lines += [{**PAIR, **TALK}]
    made = make(tmp_path, *lines, labels="text_preference.v1", filters={"drop_near_duplicates": True})
    assert [item["text_b"] for item in made.items] == [
        "Well, these things happen.",
        "Never mind.",
        "Well, these things happen.",
        "Well, these things happen.",
    ]
    assert made.rejected == [("near_duplicate", "p.jsonl#3 repeats p.jsonl#1")]


@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        ({"text_b": 3}, "text_b is not a text"),
        ({"text_b": "\ud800"}, "text_b is not a text"),
        ({"statement": ["so"]}, "statement is not a text"),
        ({"statement": ""}, "statement is blank"),
        ({"statement": "x" * 2001}, "statement is longer than 2000 characters"),
        ({"dialogue": "Ann: hi"}, "dialogue is not a list of turns"),
        ({"dialogue": []}, "dialogue is not a list of turns"),
        ({"dialogue": [{"text": "a"}] * 501}, "dialogue has 501 turns, more than 500"),
        ({"dialogue": [TURNS[0], "hi"]}, "turn 1 of dialogue is not an object with speaker and text"),
        ({"dialogue": [TURNS[0], {"speaker": "Ben"}]}, "turn 1 of dialogue has no text"),
        ({"dialogue": [TURNS[0], {"text": " "}]}, "turn 1 of dialogue has no text"),
        ({"dialogue": [TURNS[0], {"text": ["a"]}]}, "text of turn 1 of dialogue is not a text"),
        ({"dialogue": [TURNS[0], {"text": "\udc00"}]}, "text of turn 1 of dialogue is not a text"),
        ({"dialogue": [{"speaker": 3, "text": "a"}]}, "speaker of turn 0 of dialogue is not a text"),
        ({"text_b": " \n"}, "text_b is blank"),
    ],
)
def test_a_wrong_member_is_rejected_with_its_line(tmp_path, member, sentence):
    made = make(tmp_path, PAIR, {"text": "Hello", **member}, {"text": "Hello", **dict.fromkeys(member)})
    assert made.rejected == [("invalid", f"p.jsonl#2: {sentence}")]
    assert [row["file"] for row in made.sources] == ["p.jsonl#1", "p.jsonl#3"]


@pytest.mark.parametrize("line", [{**TALK, "text": " "}, {**TALK, "text_b": "Only this."}, {"text": None}])
def test_a_text_may_be_missing_only_from_a_dialogue(tmp_path, line):
    assert make(tmp_path, line, {**TALK, "text": None}).rejected == [("invalid", "p.jsonl#1 has no text")]
