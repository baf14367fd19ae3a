"""Published corpora of sound and video through their shipped recipes: small ones in their documented formats."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.stages.test_corpora import by_key, rejected
from tests.support.corpora_av import MAKERS
from tests.support.runs import run_quietly


def make_corpus(name: str, folder: Path, *, until: str = "aggregate"):
    """Run the shipped recipe of a corpus on its small sample; return what the workspace holds."""
    MAKERS[name](folder)
    loaded = load_recipe(Path(name), raw=[folder])
    run_quietly(loaded, folder / "w", until=until)
    return open_corpus(loaded, Workspace(folder / "w"))


def judged(corpus, *fields: str) -> set[tuple[Any, ...]]:
    """Item, rater and what they said of each judgement that answers any of the fields; lists as tuples."""
    return {
        (key, row["annotator"], *(_plain(row[field]) for field in fields))
        for key, rows in by_key(corpus, "annotations").items()
        for row in rows
        if any(row[field] is not None for field in fields)
    }


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def kept(corpus) -> dict[str, dict[str, str]]:
    """The columns that were kept of each item, by its key."""
    return {
        row["key"]: {entry["name"]: entry["value"] for entry in row["columns"] or ()}
        for row in corpus.read("sources").to_pylist()
    }


def wrong(corpus, file: str = "") -> dict[str, tuple[str, str]]:
    """Reason and sentence of each rejection but missing faces, by its place; in them the file counts as said."""
    return {
        subject.removeprefix(file): (reason, detail.removeprefix(f"{subject}: ").replace(file or "\0", "the file"))
        for subject, (reason, detail) in rejected(corpus).items()
        if reason != "no_face"
    }


def test_iemocap_evaluators_of_each_turn(tmp_path):
    corpus = make_corpus("iemocap", tmp_path)
    first, second, third = "Ses01F_impro01_F000", "Ses01F_impro01_M001", "Ses03M_script01_1_M000"
    assert judged(corpus, "emotion") == {
        (first, "E2", ("neutral",)),
        (first, "E3", ("neutral", "frustrated")),
        (first, "F1", ("neutral",)),
        (second, "E2", ("other",)),
        (third, "E1", ("happy", "excited")),
    }
    assert judged(corpus, "valence", "activation", "dominance") == {
        (first, "E3", 3.0, 2.0, 2.0),
        (first, "E4", 2.0, 3.0, None),
        (third, "E1", 4.0, 3.0, 3.0),
    }
    items = {row["text"]: row["speaker"] for row in corpus.read("items").to_pylist()}
    assert items == {"Excuse me.": "1F", "Yeah.": "1M", "Great!": "3M"}
    assert kept(corpus)[second] == {
        "session": "1",
        "dialogue": "Ses01F_impro01",
        "start_time": "10.0100",
        "end_time": "11.3925",
        "published_emotion": "xxx",
        "published_means": "2.0000, 6.0000, 2.0000",
    }
    (label,) = by_key(corpus, "labels")[first]
    assert (sorted(label["emotion"]), label["valence"]) == (["frustrated", "neutral"], 2.5)
    assert {row["licence"] for row in corpus.read("sources").to_pylist()} == {"LicenseRef-IEMOCAP"}
    problems = wrong(corpus, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    assert problems.pop("#12:again") == ("duplicate", f"rater 'E2' judged item '{second}' before, in the file, line 11")
    assert problems == {
        "#13:emotion": ("invalid", "'Puzzlement' is not a label of iemocap10.v1: map it"),
        "#14:answer": ("invalid", "the row has no emotion"),
        "#15:activation": ("invalid", "6 is not within 1 to 5"),
        "#17": ("invalid", problems["#17"][1]),
        "#18": ("invalid", "line 17, which may say what it is of, is not read"),
        "#19": ("invalid", "line 17, which may say what it is of, is not read"),
    }
    assert problems["#17"][1].endswith("fits none of the patterns of `lines`")


def test_mer_caption_lists_and_descriptions_are_one_judgement(tmp_path):
    corpus = make_corpus("mer_caption", tmp_path)
    assert judged(corpus, "emotions", "description") == {
        ("sample_00000001", "models", ("happy", "looking forward"), "She smiles, then laughs."),
        ("sample_00000002", "models", None, "He waits."),
        ("samplenew_00000009", "models and people", ("can't believe", "angry"), "He frowns."),
    }
    (label,) = by_key(corpus, "labels")["sample_00000001"]
    assert label["emotions"] == ["happy", "looking forward"]
    assert kept(corpus)["sample_00000001"] == {"chinese": "太好了", "part": "mercaptionplus"}
    assert {row["text"] for row in corpus.read("items").to_pylist()} == {None, "Great!"}
    assert wrong(corpus) == {
        "track2_train_mercaptionplus.csv#3:answer": ("invalid", "the row has no emotions"),
        "track2_train_mercaptionplus.csv#4:emotions": (
            "invalid",
            "\"['sad', 'wor\" is not JSON",
        ),
        "track3_train_mercaptionplus.csv#4": ("unknown_item", "item 'sample_00000007' is not in the tables"),
    }


def test_emer_of_both_versions(tmp_path):
    corpus = make_corpus("emer", tmp_path)
    assert judged(corpus, "emotion", "description") == {
        ("sample_1", "experts", "worried", "His brow is furrowed, he pauses."),
        ("sample_1", "models and people", None, 'He frowns. "Maybe" sounds anxious.'),
        ("sample_3", "models and people", None, "She smiles."),
    }
    assert {row["text"] for row in corpus.read("items").to_pylist()} == {"Well, maybe.", "Oh?", None}
    assert wrong(corpus, "dataset-v1/gt-eng.csv") == {
        "#3:emotion": ("invalid", "'puzzled' is not a label of mer6.v1: map it")
    }


def test_emonet_voice_experts_in_one_cell(tmp_path):
    corpus = make_corpus("emonet_voice", tmp_path)
    file = "train-00000-of-00001.parquet"
    assert judged(corpus, "intensity") == {
        (f"{file}!/audioId/1.wav", "human-1", 1.0),
        (f"{file}!/audioId/1.wav", "human-4", 2.0),
        (f"{file}!/audioId/2.wav", "human-2", 0.0),
    }
    items = corpus.read("items").to_pylist()
    assert {row["statement"] for row in items} == {"Shame", "Impatience and Irritability", "Awe"}
    assert {(row["layout"], row["end_s"]) for row in items} == {("audio", 0.5)}
    problems = wrong(corpus, file)
    assert "is not made of what fits" in problems.pop("#4")[1]
    left = ("invalid", "left out with its row, of which a part cannot be read")
    assert problems == {
        "#3:intensity": ("invalid", "5 is not within 0 to 2"),
        "#3:human-1": left,
        "#3:human-3": left,
    }


def traces(corpus, field: str) -> dict[tuple[str, str], list[float | None]]:
    """The samples of each rater on each item."""
    return {(key, rater): value["values"] for key, rater, value in _values(corpus, field)}


def _values(corpus, field: str):
    for key, rows in by_key(corpus, "annotations").items():
        yield from ((key, row["annotator"], row[field]) for row in rows if row[field] is not None)


def test_omg_empathy_has_a_value_for_each_picture(tmp_path):
    corpus = make_corpus("omg_empathy", tmp_path)
    first, second = "Subject_1_Story_2", "Subject_10_Story_3"
    assert traces(corpus, "valence") == {
        (first, "subject-1"): [0.1, 0.1, None, None, None, -1.0, 0.0],
        (second, "subject-10"): [0.5, 0.5],
    }
    assert kept(corpus)[second] == {"subject": "10", "story": "3"}
    assert wrong(corpus, "Training/Annotations/Subject_1_Story_2.csv") == {
        "#5:valence": ("invalid", "'nan' is not a number"),
        "#6:valence": ("invalid", "-1.5 is not from -1 to 1"),
    }


def test_sewa_annotators_in_columns(tmp_path):
    corpus = make_corpus("sewa", tmp_path)
    clip = "SEWA0101"
    assert traces(corpus, "valence") == {
        (clip, "A1"): [0.1, 0.2, 0.25, 0.3],
        (clip, "A2"): [None, -0.5, -0.4, -0.5],
        (clip, "A3"): [0.25],
    }
    assert traces(corpus, "arousal") == {(clip, "A1"): [0.0, 0.0], (clip, "A4"): [None, 1.0]}
    assert traces(corpus, "liking") == {(clip, "A1"): [-1.0]}
    assert len(by_key(corpus, "annotations")[clip]) == 4
    (label,) = by_key(corpus, "labels")[clip]
    assert label["valence"]["values"] == pytest.approx([0.175, -0.15, -0.075, -0.1])
    assert wrong(corpus) == {
        "annotations/arousal/SEWA0101.csv#2:arousal": ("invalid", "1.2 is not from -1 to 1"),
        "annotations/valence/SEWA0101.csv#3:valence": ("invalid", "'x' is not a number"),
        "annotations/valence/SEWA0101.csv#6:valence": ("duplicate", "the rater has a value from 0.2 s on already"),
    }


def test_deam_annotators_over_time_and_as_a_whole(tmp_path):
    corpus = make_corpus("deam", tmp_path)
    valence = {place: samples[30:] for place, samples in traces(corpus, "valence").items()}
    assert all(samples[:30] == [None] * 30 for samples in traces(corpus, "arousal").values())
    assert len(valence) == 16
    assert valence["1001", "w1"] == [0.1, 0.2]
    assert valence["1001", "w2"] == [0.3, None, 0.5]
    assert valence["1010", "w1"] == [0.1, 0.2]
    assert valence["2", "song 2, row 0"] == [0.25, 0.5]
    assert valence["2", "song 2, row 1"] == [-0.1]
    assert judged(corpus, "valence_overall", "arousal_overall") == {("1001", "w1", 7.0, 3.0)}
    (act,) = (row for row in by_key(corpus, "annotations")["1001"] if row["annotator"] == "w1")
    assert act["valence"]["step_s"] == 0.5
    assert act["arousal_overall"] == 3
    problems = wrong(corpus, "annotations per each rater/song_level/static_annotations_songs_1_2000.csv")
    assert problems["#3:valence_overall"] == ("invalid", "10 is not within 1 to 9")
    assert problems["#4"] == ("unknown_item", "item '3000' is not in the tables")
    reasons = Counter(sentence.partition(" ")[0] for _, sentence in problems.values())
    assert reasons == {"7": 8, "the": 2, "10": 1, "item": 1}


def test_msp_podcast_keeps_every_vote(tmp_path):
    corpus = make_corpus("msp_podcast", tmp_path)
    first, second, third = (f"MSP-PODCAST_0001_000{number}.wav" for number in (1, 2, 3))
    assert judged(corpus, "emotion", "valence", "arousal", "dominance") == {
        (first, "WORKER00000001", "happy", 6.0, 5.0, 4.0),
        (first, "WORKER00000002", "neutral", 4.0, 4.0, 4.0),
        (second, "WORKER00000001", "other", 3.0, 2.0, 3.0),
        (third, "WORKER00000002", "fear", 2.0, 6.0, 2.0),
    }
    (label,) = by_key(corpus, "labels")[first]
    soft = {entry["label"]: entry["share"] for entry in label["soft"] if entry["field"] == "emotion"}
    assert soft == {"happy": 0.5, "neutral": 0.5}
    assert kept(corpus)[second] == {
        "speaker_id": "Unknown",
        "gender": "Male",
        "official_split": "Test1",
        "published_emotion": "O",
    }
    problems = wrong(corpus, "Labels/labels_detailed.csv")
    assert problems["#4:dominance"] == ("invalid", "8 is not within 1 to 7")
    assert "does not fit" in problems["#6"][1]
    assert len(problems) == 2


def test_bah_lines_with_transcripts(tmp_path):
    corpus = make_corpus("bah", tmp_path)
    assert judged(corpus, "ambivalence") == {
        ("Videos/82557/q1.mp4", "experts", "shown"),
        ("Videos/82557/q2.mp4", "experts", "not shown"),
        ("Videos/82600/q1.mp4", "experts", "not shown"),
        ("Videos/82700/q1.mp4", "experts", "shown"),
    }
    items = {(row["speaker"], row["text"]) for row in corpus.read("items").to_pylist()}
    assert items == {("82557", 'Well, I could... "maybe", no.'), ("82557", None), ("82600", None), ("82700", "Hm.")}
    splits = {key: columns["official_split"] for key, columns in kept(corpus).items()}
    assert splits["Videos/82600/q1.mp4"] == "val"
    item = "item 'Videos/82557/q2.mp4'"
    assert wrong(corpus) == {
        "test.txt#2": ("duplicate", f"{item} has another columns kept here than in train.txt, line 2"),
        "train.txt#3": ("invalid", "'Videos/82558/q1.mp4,2,Yes.' fits none of the patterns of `lines`"),
    }


def test_rafdb_compounds_by_their_numbers(tmp_path):
    corpus = make_corpus("rafdb_compound", tmp_path)
    assert judged(corpus, "expression") == {
        ("train_0001", "published", "Happily Surprised"),
        ("train_0002", "published", "Disgustedly Surprised"),
    }
    assert kept(corpus)["test_0001"] == {"official_split": "test"}
    assert wrong(corpus, "compound/EmoLabel/list_patition_label.txt") == {
        "#3:expression": ("invalid", "'12' is not a label of rafdb_compound11.v1: map it"),
        "#4": ("invalid", "'test_0002.jpg' fits none of the patterns of `lines`"),
    }


def test_fea_units_emotions_and_reasons(tmp_path):
    corpus = make_corpus("fea", tmp_path)
    smile = (("AU6", "AU12"), ("happy",), "AU6 and AU12: a smile.")
    assert judged(corpus, "action_units", "emotion", "reasons") == {
        ("a1", "published", *smile),
        ("a2", "published", None, ("anger",), "Nothing moves."),
        ("a4", "published", ("AU1",), ("sad", "fear"), "Both."),
        ("b1", "published", *smile),
    }
    assert kept(corpus)["b1"] == {"dataset": "RAF-DB", "official_split": "test"}
    problems = wrong(corpus, "fea_train.jsonl")
    assert problems.pop("#5")[1].startswith("it is not JSON")
    assert problems == {"#3:action_units": ("invalid", "'AU99' is not a label of facs.v1: map it")}
