"""Published corpora of dialogues, posts and preferences through their shipped recipes: small ones in their formats."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.runs import run_quietly
from tests.support.text_corpora import TEXT_MAKERS


class Small:
    """A small corpus, ingested and labelled by its shipped recipe: its tables by what its own tables call items."""

    def __init__(self, name: str, folder: Path, *, until: str = "aggregate") -> None:
        TEXT_MAKERS[name](folder)
        loaded = load_recipe(Path(name), raw=[folder])
        run_quietly(loaded, folder / "w", until=until)
        self.corpus = open_corpus(loaded, Workspace(folder / "w"))
        sources = {row["source_id"]: row for row in self.corpus.read("sources").to_pylist()}
        items = self.corpus.read("items").to_pylist()
        self.items = {_name(sources[row["source_id"]]): row for row in items}
        self.sources = {_name(row): row for row in sources.values()}
        self._keys = {row["item_id"]: key for key, row in self.items.items()}

    def rows(self, table: str) -> dict[str, list[dict[str, Any]]]:
        rows = defaultdict(list)
        for row in self.corpus.read(table).to_pylist():
            rows[self._keys[row["item_id"]]].append(row)
        return dict(rows)

    def answers(self, field: str, table: str = "annotations") -> dict[str, Any]:
        """The one answer for each item."""
        return {key: row[field] for key, (row,) in self.rows(table).items()}

    def kept(self, name: str) -> dict[str, str | None]:
        """What is kept of each source under a name."""
        columns = {key: row["columns"] for key, row in self.sources.items()}
        return {key: {entry["name"]: entry["value"] for entry in entries}[name] for key, entries in columns.items()}

    def raters(self) -> set[tuple[str | None, str | None]]:
        return {(row["annotator"], row["arm"]) for row in self.corpus.read("annotations").to_pylist()}

    def rejected(self) -> dict[str, tuple[str, str]]:
        return {row["subject"]: (row["reason"], row["detail"]) for row in self.corpus.read("rejections").to_pylist()}

    def said(self, key: str) -> list[tuple[str | None, str]]:
        return [(turn["speaker"], turn["text"]) for turn in self.items[key]["dialogue"]]


def _name(source: dict[str, Any]) -> str:
    return source["text"] if source["key"].startswith("sha256:") else source["key"]


def check_rejected(small: Small, expected: dict[str, tuple[str, str]]) -> None:
    """Compare what is rejected: for each subject the reason and words of the sentence."""
    rejected = small.rejected()
    assert rejected.keys() == expected.keys()
    for subject, (reason, words) in expected.items():
        assert rejected[subject][0] == reason, rejected[subject]
        assert words in rejected[subject][1]


@pytest.mark.parametrize("name", TEXT_MAKERS)
def test_check_finds_nothing_wrong(name, tmp_path):
    TEXT_MAKERS[name](tmp_path)
    loaded = load_recipe(Path(name), raw=[tmp_path])
    assert loaded.recipe.stages[0].licence


def marked(value: dict[str, Any]) -> tuple[list[tuple[int, str, str]], list[tuple[str, str, str | None]]]:
    """Spans as turn, words and label; relations by the words of their ends."""
    spans = {span["id"]: span for span in value["spans"]}
    named = [(spans[link["from"]]["label"], spans[link["to"]]["text"], link["label"]) for link in value["relations"]]
    return [(span["turn"], span["text"], span["label"]) for span in value["spans"]], named


def test_reccon_causes_by_evidence(tmp_path):
    small = Small("reccon", tmp_path)
    assert small.items.keys() == {"tr_1", "tr_2", "va_1", "te_1", "te_2"}
    assert {row["unit"] for row in small.items.values()} == {"dialogue"}
    assert small.said("tr_2") == [("A", "Hi ."), ("B", "Go .")]
    assert small.kept("official_split")["va_1"] == "valid"
    assert small.raters() == {("published", None)}
    sweet = "I've always got room for something sweet !"
    answers = {key: marked(value) for key, value in small.answers("causes").items()}
    assert answers == {
        "tr_1": (
            [(0, "desserts", "cause"), (1, sweet, "happiness"), (1, sweet, "cause")],
            [("happiness", "desserts", "inter-personal"), ("happiness", sweet, "no-context")],
        ),
        "tr_2": ([(1, "Go .", "anger")], []),
        "va_1": (
            [(0, "Hello ,", "cause"), (1, "he left", "cause"), (2, "Oh no .", "sadness")],
            [("sadness", "Hello ,", None), ("sadness", "he left", None)],
        ),
    }
    check_rejected(
        small,
        {
            "dailydialog_test.json#1:causes": ("invalid", "'No !' is not in the text"),
            "dailydialog_test.json#2:causes": ("invalid", "another row of the same judgement cannot be read"),
            "dailydialog_test.json#3:causes": ("invalid", "another row of the same judgement cannot be read"),
            "dailydialog_test.json#4": ("duplicate", "turn 1 of dialogue 'te_2' is in dailydialog_test.json, line 3"),
            "dailydialog_test.json#5": ("invalid", "the turn has no text"),
            "dailydialog_test.json#6:causes": ("invalid", "there is no turn '2' in the dialogue"),
        },
    )


def test_empathetic_dialogues_of_ragged_rows(tmp_path):
    small = Small("empathetic_dialogues", tmp_path)
    assert small.said("hit:0_conv:1") == [("3", "I waited the whole day."), ("7", "That is sad, sorry.")]
    assert small.items["hit:0_conv:1"]["text"] == 'I waited, and nobody came. "Alone'
    assert small.said("hit:9_conv:8") == [("5", "My cat died."), ("6", "Oh no!")]
    assert small.answers("emotion") == {"hit:0_conv:1": "lonely", "hit:5_conv:6": "proud", "hit:9_conv:8": "sad"}
    assert small.answers("emotion", "labels")["hit:9_conv:8"] == "sad"
    assert small.raters() == {("speaker", None)}
    assert small.kept("official_split")["hit:5_conv:6"] == "valid"
    assert small.sources["hit:0_conv:1"]["licence"] == "CC-BY-NC-4.0"
    check_rejected(
        small,
        {
            "train.csv#4": ("duplicate", "turn 1 of dialogue 'hit:0_conv:1' is in train.csv, line 3 already"),
            "train.csv#5:emotion": ("invalid", "'hopefull' is not a label of empatheticdialogues32.v1: map it"),
            "test.csv#4": ("duplicate", "item 'hit:9_conv:8' has another text here than in test.csv, line 2"),
        },
    )


def test_dailydialog_of_parallel_lists(tmp_path):
    small = Small("dailydialog", tmp_path)
    assert small.answers("emotion") == {
        "train/0000/0_0": "no emotion",
        "train/0000/0_1": "happiness",
        "train/0000/1_0": "surprise",
        "train/0000/1_1": "no emotion",
        "validation/0000/0_0": "anger",
    }
    assert small.said("train/0000/0_1") == [(None, "Hi , Jim ."), (None, "Hello !")]
    assert [small.items[f"train/0000/1_{turn}"]["turn"] for turn in (0, 1)] == [0, 1]
    assert small.items["train/0000/0_1"]["unit"] == "utterance"
    assert small.kept("act")["train/0000/1_0"] == "2"
    check_rejected(
        small,
        {
            "train/0000.parquet#5": ("invalid", "the turn has no text"),
            "validation/0000.parquet#2:answer": ("invalid", "the row has no emotion"),
            "test/0000.parquet#1:emotion": ("invalid", "'7' is not a label of dailydialog7.v1: map it"),
        },
    )


def test_emorynlp_utterances_in_scenes(tmp_path):
    small = Small("emorynlp", tmp_path)
    name = "s01_e02_c01_u{:03}".format
    assert small.answers("emotion") == {
        name(2): "Neutral",
        name(3): "Joyful",
        name(5): "Scared",
        name(12): "Powerful",
    }
    assert (small.items[name(3)]["speaker"], small.kept("all_speakers")[name(3)]) == (
        "Phoebe Buffay",
        '["Phoebe Buffay", "Rachel Green"]',
    )
    assert small.items[name(5)]["speaker"] is None
    assert [text for _, text in small.said(name(5))] == ["Yeah, right!.......Y'serious?", "Oh, yeah!", "It\u2019s off!"]
    assert small.items[name(5)]["turn"] == 2
    assert small.kept("episode")[name(12)] == "s01_e02"
    check_rejected(
        small,
        {
            "emotion-detection-trn.json#3": ("invalid", "the turn has no text"),
            "emotion-detection-dev.json#1:emotion": ("invalid", "'Angry' is not a label of emorynlp7.v1: map it"),
        },
    )
