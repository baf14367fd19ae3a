"""Files of tiers as tables of a recipe: their annotations become items that are stretches of recordings."""

import wave
from pathlib import Path

import numpy as np
import pytest

from curate.annotation.importing.settings import Table
from curate.annotation.importing.stretches import to_seconds
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.ingest.tables import read_tables, table_inputs
from curate.stages.tables.tiers import COLUMNS
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.runs import run_quietly
from tests.support.tiers import make_eaf

STRETCHES = {
    "table": "*.eaf",
    "where": {"tier": "talk*"},
    "item": {
        "id": "{stem}#{id}",
        "media": "media",
        "start_s": "start_s",
        "end_s": "end_s",
        "text": "text",
        "speaker": "participant",
    },
}


def make_wav(path: Path, seconds: float = 6.0) -> Path:
    samples = (np.random.default_rng(0).normal(size=int(seconds * 16_000)) * 3_000).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def make_session(folder: Path) -> None:
    make_wav(folder / "talk one.wav")
    make_eaf(
        folder / "s.eaf",
        {
            "talk A": [(0.5, 2.0, "Good morning to you."), (2.5, 4.0, "How are you today?"), (7.0, 8.0, "too late")],
            "talk B": [(0.5, 2.0, "Good morning."), (5.0, 6.5, "Fine, thank you."), (5.0, 4.0, "backwards")],
            "mood": [(0.0, 6.0, "calm")],
        },
        tier_attributes={"talk A": 'PARTICIPANT="A"', "talk B": 'PARTICIPANT="B"'},
        header='<MEDIA_DESCRIPTOR MEDIA_URL="./talk one.wav" RELATIVE_MEDIA_URL="./talk%20one.wav"/>',
    )


def read(folder: Path, *tables: dict, labels: str = "utterance_emotion.v1"):
    settings = [Table.model_validate(table) for table in tables]
    return read_tables(settings, RawFolders(folder), load_labels(labels))


def inputs(folder: Path, *tables: dict) -> list[dict]:
    return table_inputs(read(folder, *tables), RawFolders(folder)).to_pylist()


def test_each_annotation_of_a_tier_becomes_an_item(tmp_path):
    make_session(tmp_path)
    recipe = make_recipe(
        tmp_path,
        {"stage": "ingest", "tables": [STRETCHES], "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        labels="utterance_emotion.v1",
    )
    run_quietly(recipe, tmp_path / "ws")
    corpus = open_corpus(load_recipe(recipe), Workspace(tmp_path / "ws"))
    columns = ["key", "unit", "start_s", "end_s", "speaker", "speaker_source", "text", "text_source"]
    items = sorted((tuple(row.values()) for row in corpus.read("items", columns).to_pylist()), key=lambda row: row[0])
    assert items == [
        ("s#a1", "utterance", 0.5, 2.0, "A", "table", "Good morning to you.", "table"),
        ("s#a2", "utterance", 2.5, 4.0, "A", "table", "How are you today?", "table"),
        ("s#a4", "utterance", 0.5, 2.0, "B", "table", "Good morning.", "table"),
        ("s#a5", "utterance", 5.0, 6.0, "B", "table", "Fine, thank you.", "table"),
    ]
    words = corpus.read("items", ["key", "words"]).to_pylist()
    assert [len(row["words"]) for row in sorted(words, key=lambda row: row["key"])] == [4, 4, 2, 3]
    details = [row["detail"] for row in corpus.read("rejections", ["detail"]).to_pylist()]
    assert sorted(details) == [
        "item 's#a3' begins at 7 s, after the end of talk one.wav at 6 s",
        "s.eaf#31: annotation a6: it ends at 4 s, before it starts at 5 s",
    ]
    assert not run_quietly(recipe, tmp_path / "ws").changed


def test_columns_of_tiers_are_known(tmp_path):
    make_session(tmp_path)
    with pytest.raises(InvalidInput, match=r"s\.eaf has no column words; its columns are tier, tier_type") as raised:
        read(tmp_path, {"table": "s.eaf", "item": {"text": "words"}})
    assert "stem" in str(raised.value)
    assert len(COLUMNS) == 13


def test_annotations_in_one_line_are_told_apart(tmp_path):
    make_session(tmp_path)
    path = tmp_path / "s.eaf"
    path.write_text(path.read_text("utf-8").replace("\n", ""), encoding="utf-8")
    mapped = read(tmp_path, STRETCHES)
    assert mapped.items["text"].to_list()[0] == "Good morning to you."
    assert mapped.items.height == 5
    assert mapped.problems["sentence"].to_list() == ["annotation a6: it ends at 4 s, before it starts at 5 s"]


@pytest.mark.parametrize(
    ("media", "sentence"),
    [
        ("../../etc/passwd", "the media path '../../etc/passwd' leads out of the folders of raw files"),
        ("gone.wav", "gone.wav is not there: put it there, or leave out start_s and end_s"),
    ],
)
def test_recordings_that_are_not_there_or_lead_outside(media, sentence, tmp_path):
    header = f'<MEDIA_DESCRIPTOR MEDIA_URL="x" RELATIVE_MEDIA_URL="{media}"/>'
    make_eaf(tmp_path / "s.eaf", {"talk": [(0, 1, "a")]}, header=header)
    assert [(row["file"], row["problem"]) for row in inputs(tmp_path, STRETCHES)] == [("s.eaf#7", sentence)]


def test_what_is_of_the_whole_recording_is_the_same_in_all_stretches(tmp_path):
    make_wav(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text(
        "n,begin,end,who,fold\n1,0,1,P1,x\n2,0:00:01,00:02.5,P1,y\n3,3,4,P2,x\n4,4,3,P1,x\n5,?,6,P1,x\n"
    )
    item = {"id": "n", "media": {"constant": "a.wav"}, "start_s": "begin", "end_s": "end", "participant": "who"}
    rows = inputs(tmp_path, {"table": "t.csv", "item": {**item, "keep": "fold"}})
    assert {row["file"]: row["problem"] for row in rows if row["problem"]} == {
        "t.csv#3": "columns kept is not what another stretch of a.wav says: it is of the whole recording",
        "t.csv#4": "participant 'P2' is not what another stretch of a.wav says: it is of the whole recording",
        "t.csv#5": "it ends at 3.0 s, and starts at 4.0 s",
        "t.csv#6": "'?' is not a time in seconds or h:mm:ss",
    }
    (recording,) = (row for row in rows if not row["problem"])
    assert [(cut["key"], cut["start_s"], cut["end_s"]) for cut in recording["cuts"]] == [("1", 0.0, 1.0)]
    assert recording["record"]["participant"] == "P1"
    whole = {
        "table": "t.csv",
        "where": {"n": "1"},
        "item": {"id": {"template": "w{n}"}, "media": {"constant": "a.wav"}},
    }
    rows = inputs(tmp_path, {"table": "t.csv", "where": {"n": "2"}, "item": item}, whole)
    assert [row["problem"] for row in rows if row["problem"]] == [
        "a.wav is the file of items that are stretches of it already"
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), (" 00:16:16,059 ", 976.059), ("1:02:03", 3723.0), ("02:03.5", 123.5), ("1e3", 1000.0)],
)
def test_times_in_tables(text, seconds):
    assert to_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "1_0", "1:60:00", "1e30", "soon"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="is not a time"):
        to_seconds(text)


def test_settings_of_stretches_are_checked():
    for item, sentence in (
        ({"media": "f", "start_s": "a"}, "name both start_s and end_s"),
        ({"text": "t", "start_s": "a", "end_s": "b"}, "name it in `media`"),
        ({"media": "f", "title": "t", "start_s": "a", "end_s": "b"}, "neither text_b nor title"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Table.model_validate({"table": "x.csv", "item": item})


def test_rows_of_a_mapping_are_chosen_by_their_cells(tmp_path):
    (tmp_path / "t.csv").write_text("id,tier,text\n1,mood.a,x\n2,moodxa,y\n3,other,z\n4,,w\n")
    chosen = read(
        tmp_path, {"table": "t.csv", "where": {"tier": ["mood.*", "oth*"]}, "item": {"id": "id", "text": "text"}}
    )
    assert chosen.items["text"].to_list() == ["x", "z"]
    assert chosen.problems.height == 0
