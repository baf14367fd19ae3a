"""Inputs of kinds that went wrong elsewhere, through ingest and preprocess."""

import os
import shutil
from pathlib import Path

import pytest

from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.stages.test_ingest import ingest
from tests.support.builders import make_recipe
from tests.support.preprocessing import Preprocessed, preprocess
from tests.support.runs import run_quietly

LIED, FURIOUS = "You promised to be there, and you lied to me!", "I am furious with you, this is disgusting!"
pytestmark = pytest.mark.media


@pytest.fixture
def trial(shared_data, tmp_path):
    """Gives a copy of a case, so that nothing is written into the shared data."""
    return lambda case: shutil.copytree(shared_data / "trials" / case, tmp_path / "in")


def cut(folder: Path, *files: str, **settings) -> Preprocessed:
    return preprocess(
        folder, *files, blobs=folder / "blobs", **{"unit": "cue", "transcript": {"align": False}} | settings
    )


def details(done: Preprocessed) -> str:
    return "\n".join(f"{rejection.subject}: {rejection.detail}" for rejection in done.outcome.rejections)


@pytest.mark.parametrize(
    ("case", "texts"),
    [
        ("vtt-blocks", [LIED, FURIOUS]),
        ("srt-nonumbers", [LIED, "It was in 1984"]),
        ("srt-lastnumber", ["1999", "Room number 42"]),
        ("srt-angles", ["I <3 you, and 2 > 1, x < y", "A List<String> is not a Map<int>."]),
        ("srt-joined-bom", [LIED, FURIOUS, "Oh."]),
        ("sidecar-sdh", [LIED, FURIOUS]),
    ],
)
def test_what_subtitles_say(trial, case, texts):
    folder = trial(case)
    done = cut(folder, "*.ogg")
    assert [item["text"] for item in done.items] == texts
    assert not done.outcome.rejections, details(done)


def test_copies_are_one_source_with_the_subtitles_of_any(trial):
    folder = trial("same-film-twice")
    rows = ingest(folder, "*").sources
    assert len({row["source_id"] for row in rows.values()}) == 1
    assert {row["subtitles_file"] for row in rows.values()} == {"film.srt"}
    stages = (
        {"stage": "ingest", "files": "*.ogg"},
        {"stage": "preprocess", "unit": "cue", "transcript": {"align": False}},
    )
    recipe = make_recipe(folder, *stages)
    run_quietly(recipe, folder / "w")
    corpus = open_corpus(load_recipe(recipe), Workspace(folder / "w"))
    assert sorted(corpus.read("items")["text"].to_pylist()) == [FURIOUS, LIED]
    assert corpus.read("sources").num_rows == 1


def test_rolling_captions(trial):
    done = cut(trial("vtt-rolling"), "*.ogg")
    said = ["You promised to be there", "and you lied to me", "I am furious with you", "this is disgusting"]
    assert [item["text"] for item in done.items] == said
    starts = [word["start_s"] for item in done.items for word in item["words"]]
    assert starts == [0.35, 0.6, 0.9, 1.0, 1.2, 1.51, 1.7, 1.9, 2.2, 2.3, 2.59, 3.5, 3.6, 4.0, 4.2, 4.51, 4.7, 4.9]
    assert {item["word_time_source"] for item in done.items} == {"native"}


@pytest.mark.parametrize(
    ("language", "first"), [("en", LIED), ("de", "Du hast es versprochen, und du hast mich belogen!")]
)
def test_subtitles_in_the_language_that_is_spoken(trial, language, first):
    done = cut(trial("sidecar-language"), "*.ogg", transcript={"language": language})
    assert done.items[0]["text"] == first
    assert not done.outcome.rejections


def test_subtitles_in_another_language_are_not_used(trial):
    folder = trial("sidecar-language")
    assert "transcript.language chooses another" in details(cut(folder, "*.ogg"))
    done = cut(folder, "*.ogg", transcript={"language": "fr"}, unit=None)
    assert "not used, since transcript.language is fr" in details(done)
    assert {item["text"] for item in done.items} == {None}


def test_late_subtitles_are_reported(trial):
    folder = trial("vtt-blocks")
    late = f"1\n00:00:02,350 --> 00:00:04,586\n{LIED}\n\n2\n00:00:05,336 --> 00:00:07,478\n{FURIOUS}\n"
    (folder / "blocks.vtt").unlink()
    (folder / "blocks.srt").write_text(late)
    done = cut(folder, "*.ogg", unit=None)
    assert "its cues overlap" in details(done)
    assert "s earlier" in details(done)


def texts_of(folder: Path, *files: str) -> tuple[list[str], str]:
    done = ingest(folder, *files)
    return [row["text"] for row in done.sources.values()], "\n".join(row.detail for row in done.outcome.rejections)


def test_a_stray_quotation_mark(trial):
    texts, problems = texts_of(trial("csv-stray-quote"), "*.csv")
    assert texts == []
    assert "stray_quote.csv#2: a quotation mark that begins in this row is never closed" in problems
    assert "lines 2 to 5 are not read" in problems


def test_a_backslash_before_a_quotation_mark(trial):
    texts, problems = texts_of(trial("csv-backslash"), "*.csv")
    assert texts == ["Fine"]
    assert "backslash.csv#2" in problems


def test_long_cells(trial):
    texts, problems = texts_of(trial("csv-long-cell"), "*.csv")
    assert (len(texts), problems) == (2, "")


def test_two_columns_with_one_name(trial):
    texts, problems = texts_of(trial("csv-same-column"), "*.csv")
    assert texts == []
    assert "2 columns are named text" in problems


def test_posts_without_visible_text(trial):
    done = ingest(trial("posts-invisible"), "*.csv")
    assert not done.sources
    assert len(done.reasons) >= 4
    assert all("has no text" in rejection.detail for rejection in done.outcome.rejections)


def speakers(done: Preprocessed) -> list[str | None]:
    return [item["speaker"] for item in done.items]


def test_names_with_spaces(trial):
    done = cut(trial("rttm-names"), "*.ogg", unit=None, speakers={"file": "spaced.rttm"})
    assert speakers(done) == ["Dr. Ann Example", "Dr. Ben Example"]


def test_an_rttm_file_about_another_recording(trial):
    done = cut(trial("rttm-other-id"), "*.ogg", unit=None, speakers={"file": "."})
    assert speakers(done) == [None, None]
    assert "nomatch.rttm names no turn of nomatch.ogg: it names nomatch_mixed_16k" in details(done)


def test_two_recordings_with_one_name(trial):
    folder = trial("rttm-same-stem")
    done = cut(folder, "**/*.ogg", unit=None, speakers={"file": "who.rttm"})
    assert set(speakers(done)) == {None}
    assert details(done).count("interview is ambiguous: write day1/interview and day2/interview") == 2


def test_links_in_a_circle(trial):
    folder = trial("rttm-same-stem")
    (folder / "raw").mkdir()
    for day in ("day1", "day2"):
        shutil.move(folder / day, folder / "raw" / day)
    (folder / "raw/day1/loop").symlink_to(".")
    (folder / "raw/day2/back").symlink_to("..")
    assert list(ingest(folder, "raw/**/*").sources) == ["raw/day1/interview.ogg", "raw/day2/interview.ogg"]
    assert os.path.lexists(folder / "raw/day1/loop")
