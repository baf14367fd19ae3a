"""Sessions: several files that are one recording share a clock, and are never divided between splits."""

import shutil

import polars as pl
import pyarrow as pa
import pytest
from pydantic import ValidationError

from curate.corpus.consent import Expired
from curate.corpus.sessions import SessionFile, join_groups, with_sessions
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.release.versions import Releases
from curate.stages.contract import Tools
from curate.stages.ingest.stage import Ingest
from curate.stages.released_rights import without_expired
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import make_tone, sample, write_media
from tests.support.runs import run_quietly

PATTERN = r"rec/(?P<session>S\d+)_(?P<part>\w+)\.wav"


def ingest(folder, *names: str, **settings):
    """The sources by file, and the rejections, of short tones."""
    for number, name in enumerate(names):
        path = folder / "rec" / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            write_media(path, sound=make_tone(0.2 + number / 20))
    tools = Tools(Blobs(folder / "blobs"), load_labels("utterance_emotion.v1"), folder)
    stage = Ingest(**{"files": "rec/*.wav", **settings})
    outcome = stage.apply(stage.discover(tools), tools)
    return {row["file"]: row for row in outcome.dicts("sources")}, outcome.rejections


def test_a_pattern_names_the_session_and_its_parts_have_times(tmp_path):
    names = ("S01_left.wav", "S01_right.wav", "S02_left.wav", "S02_right.wav", "alone.wav")
    offsets = {"right": 1.35, "rec/S02_right.wav": -0.5}
    sources, rejections = ingest(tmp_path, *names, session={"pattern": PATTERN, "offset_s": offsets})
    assert rejections == []
    assert {file: (row["session"], row["session_offset_s"]) for file, row in sources.items()} == {
        "rec/S01_left.wav": ("S01", 0.0),
        "rec/S01_right.wav": ("S01", 1.35),
        "rec/S02_left.wav": ("S02", 0.0),
        "rec/S02_right.wav": ("S02", -0.5),
        "rec/alone.wav": (None, None),
    }


def test_a_table_names_sessions_and_times(tmp_path):
    (tmp_path / "sync.csv").write_text(
        "file,meeting,start\nrec/a.wav,m1,0\nrec/b.wav,m1, 2.5 \nrec/c.wav,,\nrec/d.wav,m2,soon\n"
    )
    table = {"table": "sync.csv", "item": {"id": "file", "media": "{file}", "keep": ["meeting", "start"]}}
    sources, rejections = ingest(
        tmp_path,
        *("a.wav", "b.wav", "c.wav", "d.wav"),
        files=None,
        tables=[table],
        session={"column": "meeting", "offset_column": "start"},
    )
    assert {file: (row["session"], row["session_offset_s"]) for file, row in sources.items()} == {
        "rec/a.wav": ("m1", 0.0),
        "rec/b.wav": ("m1", 2.5),
        "rec/c.wav": (None, None),
    }
    assert [(r.subject, r.reason, r.detail) for r in rejections] == [
        ("rec/d.wav", "invalid", "rec/d.wav: column 'start' holds 'soon', which is no time")
    ]


def test_texts_of_a_table_have_sessions_too(tmp_path):
    (tmp_path / "posts.csv").write_text("text,thread\nHello,t1\nWell,t1\nOh,\n")
    table = {"table": "posts.csv", "item": {"text": "text", "keep": "thread"}}
    sources, _ = ingest(tmp_path, files=None, tables=[table], session={"column": "thread"})
    assert sorted((row["text"], row["session"]) for row in sources.values()) == [
        ("Hello", "t1"),
        ("Oh", None),
        ("Well", "t1"),
    ]


@pytest.mark.parametrize(
    ("session", "sentence"),
    [
        (
            {"pattern": r"(?P<session>T\d+)\.wav"},
            "the pattern of `session` fits none of 2 files, such as 'rec/S01_left.wav'",
        ),
        (
            {"pattern": PATTERN, "offset_s": {"rigth": 1.0}},
            "names 'rigth', which is no part or file of a session; did you",
        ),
        ({"pattern": PATTERN, "offset_s": {"rec/S09.wav": 1.0}}, "names 'rec/S09.wav', which is no part or file"),
    ],
)
def test_what_fits_nothing_is_refused(tmp_path, session, sentence):
    with pytest.raises(InvalidInput, match=sentence.replace("(", r"\(")):
        ingest(tmp_path, "S01_left.wav", "S01_right.wav", session=session)


@pytest.mark.parametrize(
    ("session", "sentence"),
    [
        ({}, "either `pattern`"),
        ({"pattern": "(?P<session>.)", "column": "x"}, "either `pattern`"),
        ({"pattern": r"(?P<who>S\d+)"}, "no group"),
        ({"pattern": "(?P<session>.)(?=x)"}, "not a regular expression"),
        ({"pattern": "(?P<session>.)", "offset_s": {"a": float("nan")}}, "a is nan, which is no time"),
        ({"pattern": "(?P<session>.)", "offset_column": "x"}, "goes with `column`"),
    ],
)
def test_settings_that_cannot_be_meant(session, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Ingest(files="*.wav", session=session)


FILES = {
    "a": SessionFile("a", "left.mp4", "S1", 0.0, 10.0),
    "b": SessionFile("b", "right.mp4", "S1", 1.5, 10.0),
    "c": SessionFile("c", "top.mp4", "S1", -2.0, 4.0),
}


def test_items_name_the_other_files_and_the_time_on_them():
    items = pa.table({"source_id": ["a", "b", "c", "x"], "start_s": [3.0, 0.5, None, 1.0]})
    rows = with_sessions(items, FILES).to_pylist()
    assert rows[0]["session_start_s"] == 3.0
    # 3 s after the session began is 1.5 s of the right camera; the one above had stopped at 2 s.
    assert rows[0]["other_files"] == [{"source_id": "b", "file": "right.mp4", "start_s": 1.5}]
    assert (rows[1]["session"], rows[1]["session_start_s"]) == ("S1", 2.0)
    assert rows[1]["other_files"] == [{"source_id": "a", "file": "left.mp4", "start_s": 2.0}]
    assert [rows[2][name] for name in ("session", "session_start_s", "other_files")] == ["S1", None, None]
    assert [rows[3][name] for name in ("session", "session_start_s", "other_files")] == [None, None, None]


def test_a_file_whose_consent_has_ended_is_not_named_beside_others():
    items = with_sessions(pa.table({"source_id": ["a", "b"], "start_s": [3.0, 0.5]}), FILES)
    rows = without_expired(items, Expired(("b",), 1)).to_pylist()
    assert [(row["source_id"], row["other_files"]) for row in rows] == [("a", [])]
    # Also one of which there is no item.
    assert without_expired(items, Expired(("a",), 0)).to_pylist()[1]["other_files"] == []
    assert without_expired(items, Expired((), 0)) is items


def test_groups_that_share_a_session_are_one():
    items = pa.table({"source_id": ["a", "b", "x", "y", "z"], "group": ["anna", "ben", "ben", "zoe", None]})
    assert join_groups(items, FILES)["group"].to_pylist() == ["anna", "anna", "anna", "zoe", None]
    assert join_groups(items, {}).equals(items)


def test_no_session_is_divided_between_splits_and_releases_say_who_else_was_filmed(tmp_path):
    raw = tmp_path / "in"
    raw.mkdir()
    sound = make_tone(1.0)
    for session in range(12):
        for part in ("left", "right"):
            level = 1000 + 40 * session + (17 if part == "left" else 0)
            write_media(raw / f"S{session:02d}_{part}.wav", sound=(sound // 3 + level).astype("int16"))
    recipe = make_recipe(
        raw,
        {
            "stage": "ingest",
            "files": "*.wav",
            "licence": "CC0-1.0",
            "session": {"pattern": r"(?P<session>S\d+)_(?P<part>\w+)\.wav", "offset_s": {"right": 0.25}},
        },
        {"stage": "preprocess", "unit": "window", "window_s": 0.5},
        {"stage": "export", "split": {"train": 0.5, "test": 0.5}},
        labels="window_emotion.v1",
    )
    run_quietly(recipe, tmp_path / "ws")
    releases = Releases(Workspace(tmp_path / "ws", create=False).releases)
    folder = releases.fetch(releases.manifests()[-1])
    parts = [pl.read_parquet(path).with_columns(split=pl.lit(path.name[:4])) for path in folder.glob("data/*.parquet")]
    rows = pl.concat(parts)
    assert rows.height == 48
    assert rows["split"].n_unique() == 2
    assert rows.group_by("session").agg(pl.col("split").n_unique())["split"].max() == 1
    right = rows.filter(file="S03_right.wav", start_s=0.5).row(0, named=True)
    assert (right["session"], right["session_start_s"]) == ("S03", 0.75)
    left = rows.filter(file="S03_left.wav", start_s=0.0).row(0, named=True)
    other = {"source_id": left["source_id"], "file": "S03_left.wav", "start_s": 0.75}
    assert right["other_files"] == [other]
    assert left["other_files"] == []  # the other file began later
    card = (folder / "README.md").read_text("utf-8")
    assert "24 sources are files of 12 sessions" in card


def test_turns_of_two_files_are_ordered_on_the_common_clock(tmp_path):
    from curate.stages.prelabel.context import with_neighbours
    from curate.stages.prelabel.settings import ContextSettings

    columns = {
        "item_id": ["1", "2", "3", "4", "5"],
        "source_id": ["a", "a", "b", "b", "x"],
        "start_s": [0.0, 5.0, 1.0, 3.6, 0.5],
        "speaker": ["Ann", "Ann", "Ben", "Ben", "Zoe"],
        "text": ["Hi Ben.", "And you?", "Hi Ann.", "And YOU?", "Alone."],
        "dialogue": [None] * 5,
    }
    rows = with_neighbours(pa.table(columns), ContextSettings(before=2, after=2), FILES).to_pylist()
    # b starts 1.5 s later: its turns are at 2.5 and 5.1 s. The last is what the other microphone heard of "And you?".
    turns = [[turn["text"] for turn in row["around"] or ()] for row in rows]
    assert turns[:4] == [["Hi Ben.", "Hi Ann.", "And you?"]] * 4
    assert [row["around_turn"] for row in rows] == [0, 2, 1, 2, None]
    assert turns[4] == []


def test_a_film_alone_is_as_before(tmp_path):
    shutil.copy(sample(), tmp_path / "film.mp4")
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.mp4"}, {"stage": "preprocess"}, {"stage": "export"})
    run_quietly(recipe, tmp_path / "ws")
    releases = Releases(Workspace(tmp_path / "ws", create=False).releases)
    rows = pl.read_parquet(releases.fetch(releases.manifests()[-1]) / "data/*.parquet")
    assert rows["session"].null_count() == rows.height == 2
