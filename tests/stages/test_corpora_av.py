"""Published corpora of sound and video through their shipped recipes: small ones in their documented formats."""

from pathlib import Path
from typing import Any

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
    file = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    problems = rejected(corpus)
    assert {name.removeprefix(file): sentence for name, (_, sentence) in problems.items()} == {}
