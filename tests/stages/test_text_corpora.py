"""Published corpora of dialogues, posts and preferences through their shipped recipes: small ones in their formats."""

from collections import Counter, defaultdict
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

    def __init__(self, name: str, folder: Path, *, until: str = "export") -> None:
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
    by = f" ({source['participant']})" if source["participant"] else ""
    return f"{source['text']}{by}" if source["key"].startswith("sha256:") else source["key"]


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


def test_prc_emo_of_parallel_lists(tmp_path):
    small = Small("prc_emo", tmp_path)
    assert small.answers("emotion", "labels") == {
        "Ses05M_impro03_0": "excited",
        "Ses05M_impro03_1": "neutral",
        "Ses01F_a_0": "sad",
    }
    assert small.said("Ses05M_impro03_2") == [("M", "Guess what?"), ("F", "what?"), ("M", "Hm.")]
    assert (small.items["Ses01F_a_1"]["speaker"], small.items["Ses01F_a_1"]["turn"]) == ("M", 1)
    check_rejected(
        small,
        {
            "iemocap.train.json#3:answer": ("invalid", "the row has no emotion"),
            "iemocap.valid.json#2:answer": ("invalid", "the row has no emotion"),
            "iemocap.test.json#1:emotion": ("invalid", "'9' is not a label of iemocap6.v1: map it"),
        },
    )


def test_emotionlines_votes(tmp_path):
    small = Small("emotionlines", tmp_path)
    votes = {key: Counter(row["emotion"] for row in rows) for key, rows in small.rows("annotations").items()}
    assert votes == {
        "friends/0_0": {"neutral": 2, "surprise": 3},
        "friends/0_1": {"neutral": 2, "joy": 2, "sadness": 1},
        "friends/1_0": {"neutral": 6},
    }
    labels = {key: (row["emotion"], row["raters"]) for key, (row,) in small.rows("labels").items()}
    assert labels == {"friends/0_0": ("surprise", 5), "friends/0_1": (None, 5), "friends/1_0": ("neutral", 6)}
    assert small.said("friends/1_1") == [("Ross", "Hi\x92s."), ("Ross", "Hm.")]
    assert small.kept("published_emotion")["friends/0_1"] == "non-neutral"
    check_rejected(
        small,
        {
            "friends.json#4:votes": ("invalid", "the row has no votes"),
            "emotionpush.json#1": ("invalid", "'050000' in column annotation does not fit"),
        },
    )


def test_mvei_statements(tmp_path):
    small = Small("mvei", tmp_path)
    assert small.answers("holds", "labels") == {
        "awe/awe_1.jpg#0": "True",
        "awe/awe_1.jpg#1": "False",
        "fear/fear_2.jpg#0": "True",
    }
    assert small.items["fear/fear_3.jpg#0"]["statement"] == "It amuses."
    assert {row["unit"] for row in small.items.values()} == {"image"}
    assert small.kept("named_emotions")["awe/awe_1.jpg#0"] == '["awe", "calm"]'
    check_rejected(small, {"MVEI_metadata.json#4:holds": ("invalid", "'wrong' is not a label of statement_truth.v1")})


def test_wildfeedback_pairs_after_their_conversation(tmp_path):
    small = Small("wildfeedback", tmp_path)
    (key,) = small.items
    assert (key, small.items[key]["text_b"]) == ("It is so.", "It is, as a matter of fact, so.")
    assert small.said(key) == [("human", "Hello"), ("gpt", "Hi!"), ("human", "Explain it.\nShortly.")]
    assert small.answers("better", "labels") == {key: {"grade": -1, "reason": None}}
    rejected = {detail.split(": ")[0]: (reason, detail) for reason, detail in small.rejected().values()}
    assert rejected.pop("the label schema asks for pair, which text cannot give")[1].endswith("#4 has no text")
    assert {subject: reason for subject, (reason, _) in rejected.items()} == {
        "wildfeedback.json#2": "known_bad",
        "wildfeedback.json#3": "invalid",
        "wildfeedback.json#5:again": "duplicate",
    }
    assert rejected["wildfeedback.json#3"][1].endswith("turn 1 of the dialogue has no text 'value'")


def test_mm_rlhf_pairs(tmp_path):
    small = Small("mm_rlhf", tmp_path)
    assert small.items.keys() == {"A child.", "They dance."}
    assert small.said("They dance.") == [("user", "What happens?")]
    assert small.kept("film") == {"A child.": None, "They dance.": "long/2.mp4"}
    assert small.answers("better")["A child."]["grade"] == -1
    expected = {"dpo_pairs.jsonl#3": ("known_bad", "both replies are the same")}
    check_rejected(small, {**expected, "dpo_pairs.jsonl#4": ("invalid", "it is not JSON")})


def test_causes_in_comments_of_developers(tmp_path):
    small = Small("se_emotion_causes", tmp_path)
    spans = {key: value["spans"] for key, value in small.answers("causes", "labels").items()}
    assert {key: (span["start"], span["text"], span["label"]) for key, (span,) in spans.items()} == {
        "659305436": (18, "might not work", "cause"),
        "707483092": (0, "I might be missing something.", "cause"),
        "918672907": (0, "I don\u2019t understand.", "cause"),
    }
    check_rejected(
        small,
        {
            "manual_causes.csv#7:causes": ("invalid", "'seems unneccesary' is not in the text"),
            "manual_causes.csv#9": ("invalid", "a blank cell in column Cause Span does not fit"),
        },
    )


LABELLED: dict[str, tuple[str, dict[str, Any], dict[str, tuple[str, str]]]] = {
    "semeval2018_emotions": (
        "emotions",
        {"2017-En-1": ["anticipation", "optimism", "trust"], "2017-En-2": None, "2018-En-3": ["joy", "love"]},
        {"2018-E-c-En-test-gold.txt#2:anger": ("invalid", "'2' is neither true nor false")},
    ),
    "semeval2025_emotions": (
        "emotions",
        {
            "eng_1": [{"label": "fear", "intensity": "high"}, {"label": "sadness", "intensity": "low"}],
            "eng_2": None,
            "eng_3": [{"label": "happiness", "intensity": "moderate"}, {"label": "surprise", "intensity": "low"}],
        },
        {"track_b/test/eng.csv#2:anger": ("invalid", "'5' is not one of low, moderate, high")},
    ),
    "aaid": (
        "emotions",
        {"Be\nhappy.": ["joy", "love", "optimism"], "At five.": None},
        {"test.json#1:emotions": ("invalid", "'wonder' is not a label of semeval_ec11.v1: map it")},
    ),
    "emo_pillars": (
        "emotions",
        {
            "You are the best!": ["admiration", "joy"],
            "We meet at five.": ["neutral"],
            "I dread it.": ["fear"],
            "Well.": None,
        },
        {"validation-00000-of-00001.parquet#2": ("invalid", "a blank cell in column labels[27] does not fit")},
    ),
    "leia": (
        "emotion",
        {"What a day! (a)": "happiness", "What a day! (b)": "fear"},
        {
            "vent.csv#4": ("invalid", "'Creativity' in column category does not fit"),
            "vent.csv#5": ("invalid", "a blank cell in column category does not fit"),
        },
    ),
    "longemotion": (
        "emotions",
        {"0": ["Joy"], "1": ["Anger", "Love"]},
        {"Emotion_Classification_Emobench.jsonl#3:answer": ("invalid", "the row has no emotions")},
    ),
}
"""By recipe: the field, the answer for each item, and what is wrong with which row."""


@pytest.mark.parametrize("name", LABELLED)
def test_labels_of_posts(name, tmp_path):
    small = Small(name, tmp_path)
    field, answers, problems = LABELLED[name]
    assert small.answers(field) == answers
    assert small.answers(field, "labels") == answers
    check_rejected(small, problems)


def test_writers_splits_and_raters_of_posts(tmp_path):
    small = Small("leia", tmp_path)
    assert small.raters() == {("writer-a", None), ("writer-b", None)}
    assert small.kept("vent_emotion") == {"What a day! (a)": "Giggly", "What a day! (b)": "Worried"}
    (tmp_path / "semeval").mkdir()
    small = Small("semeval2018_emotions", tmp_path / "semeval")
    assert small.kept("official_split")["2018-En-4"] == "test"
    assert small.items["2017-En-1"]["text"] == '"Worry is a down payment'


def test_measles_titles_by_three_labellers(tmp_path):
    small = Small("measles_videos", tmp_path)
    assert small.kept("site") == {
        "https://www.youtube.com/watch?v=1": "youtube.com",
        "tiktok.com/@a/video/2": "tiktok.com",
    }
    by_labeller = {
        (key[:6], row["labeller"]): (row["tone"], row["subjectivity"], row["emotion"])
        for key, rows in small.rows("prelabels").items()
        for row in rows
    }
    assert by_labeller[("https:", "vader")] == ("negative", None, None)
    assert by_labeller[("https:", "textblob")] == ("negative", 1.0, None)
    assert by_labeller[("tiktok", "vader")] == ("positive", None, None)
    assert by_labeller[("tiktok", "offline")][2] == "happiness"
    assert small.answers("tone", "labels")["tiktok.com/@a/video/2"] == "positive"
    assert {row["label_source"] for (row,) in small.rows("labels").values()} == {"model"}
    check_rejected(
        small,
        {
            "videos.csv#5": ("duplicate", "is in videos.csv, line 2 already"),
            "videos.csv#6": ("invalid", "a blank cell in column Title does not fit"),
        },
    )


def test_comments_of_viewers(tmp_path):
    small = Small("viewer_comments", tmp_path, until="prelabel")
    proposed = {key: row["emotions"] for key, (row,) in small.rows("prelabels").items()}
    assert proposed == {
        "a/Ug1": ["gratitude"],
        "a/Ug1.9": ["disgust"],
        "a/Ug3": None,
        "b/Ug1": ["gratitude"],
    }
    source = small.sources["a/Ug1.9"]
    assert (source["participant"], source["speaker"], source["title"]) == ("UCben", "@ben", "Film a")
    assert small.kept("reply_to")["a/Ug1.9"] == "Ug1"
    check_rejected(small, {"films/a.info.json#3": ("invalid", "a blank cell in column text does not fit")})


def test_environmental_posts_by_statistics_lexicon_and_expert(tmp_path):
    small = Small("environmental_posts", tmp_path)
    given = {
        (key, row["annotator"]): row["emotions"] if row["annotator"] == "nrc" else row["tone"]
        for key, rows in small.rows("annotations").items()
        for row in rows
    }
    assert given == {
        ("00012", "pmi"): "negative",
        ("00012", "nrc"): ["sadness", "disgust", "anger"],
        ("00012", "expert"): "negative",
        ("00013", "pmi"): "positive",
        ("00013", "nrc"): ["joy", "trust", "anticipation"],
        ("00014", "nrc"): None,
        ("00014", "expert"): "neutral",
    }
    assert {key: rows[0]["tone"] for key, rows in small.rows("prelabels").items()} == {
        "00012": "negative",
        "00013": "positive",
        "00014": "neutral",
    }
    assert small.answers("tone", "labels") == {"00012": "negative", "00013": "positive", "00014": "neutral"}
    check_rejected(
        small,
        {
            "posts.csv#4:tone": ("invalid", "'7' is not a label of sentiment3.v1: map it"),
            "checked.csv#4": ("unknown_item", "item '99' is not in the tables"),
        },
    )


def test_empathy_with_stories_by_reader(tmp_path):
    small = Small("empathicstories", tmp_path)
    assert {(row["annotator"], row["empathy"]) for row in small.rows("annotations")["s1"]} == {("p01", 5), ("p02", 2)}
    assert small.rows("labels")["s1"][0]["raters"] == 2
    check_rejected(
        small,
        {
            "read_stories.csv#6:empathy": ("invalid", "6 is not within 1 to 5"),
            "read_stories.csv#7:answer": ("invalid", "the row has no empathy"),
        },
    )
