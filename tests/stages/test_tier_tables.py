"""Files of tiers as tables of a recipe: their annotations become items that are stretches of recordings."""

from copy import deepcopy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.annotation.importing.check import mapping_problems
from curate.annotation.importing.settings import Table
from curate.annotation.importing.stretches import to_seconds
from curate.cli.app import app
from curate.corpus.judgements import current_judgements
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput, InvalidRow
from curate.labels import load_labels
from curate.labels.units import ItemContext
from curate.media.tiers.nova import read_nova
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.ingest.tables import read_tables, table_inputs
from curate.stages.ingest.tier_notices import tier_notices
from curate.stages.tables.importing import import_table
from curate.stages.tables.tiers import COLUMNS
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.runs import run_quietly
from tests.support.tiers import make_eaf, make_nova, make_wav

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
        "item 's#a5' ends at 6.5 s, after the end of talk one.wav at 6 s: only what is before that is shown",
        "s.eaf#31: annotation a6: it ends at 4 s, before it starts at 5 s",
    ]
    assert not run_quietly(recipe, tmp_path / "ws").changed


def test_stretches_of_which_most_is_not_in_the_recording_are_no_items(tmp_path):
    make_wav(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text("n,begin,end\nas ms,0,4000\nall,0,6.05\nlate,5,9\n")
    item = {"id": "n", "media": {"constant": "a.wav"}, "start_s": "begin", "end_s": "end"}
    corpus, _, _ = corpus_of(tmp_path, {"table": "t.csv", "item": item})
    assert corpus.read("items", ["key", "end_s"]).to_pylist() == [{"key": "all", "end_s": 6.0}]
    assert sorted(row["detail"] for row in corpus.read("rejections", ["detail"]).to_pylist()) == [
        f"item {name!r} is from {times} s, most of it after the end of a.wav at 6 s: times are in seconds"
        for name, times in (("as ms", "0 to 4000"), ("late", "5 to 9"))
    ]


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


MOODS = """taxonomy: moods.v1
title: Moods
labels: [joy, anger, {name: calm, code: "0"}]
"""
SCHEMA = """name: moods_over_time.v1
title: Moods over time
unit: {unit}
fields:
  mood: {{type: timeline, taxonomy: moods.v1, overlap: false}}
  arousal: {{type: trace, minimum: -1, maximum: 1, step_s: 0.5}}
"""


def make_moods(folder: Path, unit: str = "clip") -> None:
    (folder / "moods.v1.yaml").write_text(MOODS)
    (folder / "moods_over_time.v1.yaml").write_text(SCHEMA.format(unit=unit))


def corpus_of(folder: Path, *tables: dict, unit: str = "clip"):
    make_moods(folder, unit)
    stages = [{"stage": "ingest", "tables": list(tables), "licence": "CC0-1.0"}, {"stage": "preprocess"}]
    recipe = make_recipe(folder, *stages, {"stage": "annotate", "server": False}, labels="moods_over_time.v1")
    done = run_quietly(recipe, folder / "ws")
    return open_corpus(load_recipe(recipe), Workspace(folder / "ws")), recipe, done


def said(corpus, field: str) -> list[tuple]:
    rows = current_judgements(corpus.read("annotations")).to_pylist()
    return sorted((row["annotator"], row[field]) for row in rows if row[field] is not None)


def segments(*parts: tuple) -> list[dict]:
    return [{"start_s": start, "end_s": end, "label": label} for start, end, label in parts]


def test_tiers_of_two_raters_are_two_judgements_of_one_item(tmp_path):
    make_wav(tmp_path / "a.wav")
    make_eaf(
        tmp_path / "a.eaf",
        {
            "mood_ann": [(0.0, 1.5, "Joy"), (1.5, 3.0, "anger"), (2.0, 4.0, "joy"), (4.0, 5.0, "fury")],
            "mood_ben": [(0.25, 3.1, "0"), (5.0, 7.0, "rage"), (8.0, 9.0, "joy")],
            "words": [(0.0, 1.0, "hello")],
        },
    )
    table = {
        "table": "*.eaf",
        "where": {"tier": "mood_*"},
        "extract": {"tier": "mood_(?P<who>.+)"},
        "item": {"id": "stem", "media": "{stem}.wav"},
        "rater": "who",
        "stretches": {"mood": {"label": {"column": "text", "map": {"rage": "anger", "0": "calm"}}}},
    }
    corpus, recipe, done = corpus_of(tmp_path, table)
    assert said(corpus, "mood") == [
        ("ann", segments((0.0, 1.5, "joy"), (1.5, 3.0, "anger"))),
        ("ben", segments((0.25, 3.1, "calm"), (5.0, 6.0, "anger"))),
    ]
    assert sorted(row["detail"] for row in corpus.read("rejections", ["detail"]).to_pylist()) == [
        "a.eaf#23:mood: two ranges overlap at 2 s",
        "a.eaf#25:mood: 'fury' is not a label of mood: map it",
    ]
    annotate = next(result for result in done.stages if result.stage == "annotate")
    assert "1 judgement in tables marks time outside of the item: that is left out" in annotate.message
    assert not run_quietly(recipe, tmp_path / "ws").changed


def test_a_stretch_without_a_label_is_named(tmp_path):
    make_wav(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text("start_s,end_s,text,who\n0,1,joy,ann\n1,2,,ann\n2,3,  ,ben\n3,4,none,ben\n")
    label = {"column": "text", "map": {"none": None}}
    table = {"table": "m.csv", "item": {"id": {"constant": "a"}, "media": {"constant": "a.wav"}}, "rater": "who"}
    corpus, _, _ = corpus_of(tmp_path, {**table, "stretches": {"mood": {"label": label}}})
    assert said(corpus, "mood") == [("ann", segments((0.0, 1.0, "joy")))]
    assert sorted(row["detail"] for row in corpus.read("rejections", ["detail"]).to_pylist()) == [
        "m.csv#3:mood: the stretch has no label",
        "m.csv#4:mood: the stretch has no label",
    ]


def test_rows_may_mark_stretches_of_several_fields(tmp_path):
    make_wav(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text(
        "start_s,end_s,text,arousal,who\n0,1,joy,0.5,ann\n1,2,anger,-0.5,ann\n0,1,calm,0,ben\n"
    )
    item = {"id": {"constant": "a"}, "media": {"constant": "a.wav"}}
    stretches = {"mood": {"label": "text"}, "arousal": {"value": "arousal"}}
    corpus, _, _ = corpus_of(tmp_path, {"table": "m.csv", "item": item, "rater": "who", "stretches": stretches})
    assert said(corpus, "mood") == [
        ("ann", segments((0.0, 1.0, "joy"), (1.0, 2.0, "anger"))),
        ("ben", segments((0.0, 1.0, "calm"))),
    ]
    assert said(corpus, "arousal") == [
        ("ann", {"step_s": 0.5, "values": [0.5, 0.5, -0.5, -0.5]}),
        ("ben", {"step_s": 0.5, "values": [0.0, 0.0]}),
    ]
    assert len(current_judgements(corpus.read("annotations"))) == 2
    assert corpus.read("rejections").num_rows == 0


def test_a_mapping_that_comes_to_read_more_does_not_count_judgements_twice(tmp_path):
    make_wav(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text("id\na\n")
    corpus, _, _ = corpus_of(tmp_path, {"table": "t.csv", "item": {"id": "id", "media": {"constant": "a.wav"}}})
    table, mapping = tmp_path / "m.csv", tmp_path / "map.yaml"
    table.write_text("id,who,start_s,end_s,text,number\na,ann,0,1,joy,0.5\na,ben,1,2,anger,\n")

    def bring(stretches: str) -> tuple:
        mapping.write_text(f"item_id: id\nrater: who\nstretches: {{{stretches}}}\n")
        return import_table(corpus, table, mapping)[2:5]

    assert bring("mood: {label: text}") == (2, 0, 0)
    assert bring("mood: {label: text}, arousal: {value: number}") == (1, 0, 1)
    assert said(corpus, "mood") == [("ann", segments((0.0, 1.0, "joy"))), ("ben", segments((1.0, 2.0, "anger")))]
    assert said(corpus, "arousal") == [("ann", {"step_s": 0.5, "values": [0.5, 0.5]})]
    assert len(current_judgements(corpus.read("annotations"))) == 2
    assert bring("mood: {label: text}, arousal: {value: number}") == (0, 0, 0)


def test_times_of_stretches_are_those_of_the_recording(tmp_path):
    make_session(tmp_path)
    (tmp_path / "m.csv").write_text(
        "item,start_s,end_s,text,who\ns#a2,2.4,3.0,joy,ann\ns#a2,3.5,9,anger,ann\ns#a1,5,6,joy,ann\n"
    )
    judged = {"table": "m.csv", "item_id": "item", "rater": "who", "stretches": {"mood": {"label": "text"}}}
    corpus, _, _ = corpus_of(tmp_path, STRETCHES, judged, unit="utterance")
    assert said(corpus, "mood") == [("ann", segments((0.0, 0.5, "joy"), (1.0, 1.5, "anger")))]


def test_continuous_ratings_become_traces(tmp_path):
    make_wav(tmp_path / "a.wav")
    scheme = '<scheme name="arousal" type="CONTINUOUS" sr="2" min="0" max="100"/>'
    make_nova(tmp_path / "a.arousal.ann.annotation", scheme, ["0", "50", "NaN", "100"])
    (tmp_path / "a.csv").write_text("Multimedia File,a.wav\nMinimum Value,-1\nSecond,Rating\n0,0.5\n1,-0.5\n2,7\n")
    item = {"id": {"constant": "a"}, "media": {"constant": "a.wav"}}
    nova = {
        "table": "*.annotation",
        "item": item,
        "rater": "annotator",
        "stretches": {"arousal": {"value": {"column": "text", "scale": [0, 100]}}},
    }
    carma = {
        "table": "a.csv",
        "item": deepcopy(item),
        "rater": {"constant": "ben"},
        "stretches": {"arousal": {"value": "text"}},
    }
    corpus, _, _ = corpus_of(tmp_path, nova, carma)
    assert said(corpus, "arousal") == [
        ("ann", {"step_s": 0.5, "values": [-1.0, 0.0, None, 1.0]}),
        ("ben", {"step_s": 0.5, "values": [0.5, 0.5, -0.5, -0.5]}),
    ]
    assert [row["detail"] for row in corpus.read("rejections", ["detail"]).to_pylist()] == [
        "a.csv#6:arousal: 7 is not from -1 to 1"
    ]


def test_a_blank_sample_does_not_shift_those_after_it(tmp_path):
    scheme = '<scheme name="arousal" type="CONTINUOUS" sr="2" min="0" max="100"/>'
    make_nova(tmp_path / "a.annotation", scheme, ["0", "", "100"])
    with pytest.raises(InvalidRow, match=r"line 2 of a\.annotation~ has no score: the times after it are not certain"):
        read_nova(tmp_path / "a.annotation")
    make_nova(tmp_path / "a.annotation", scheme, ["0", "100", "", ""])
    assert [(a.start_s, a.text) for a in read_nova(tmp_path / "a.annotation").annotations] == [(0.0, "0"), (0.5, "100")]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"stretches": {"mood": {"value": "text"}}}, "mood has labels: name `label`"),
        ({"stretches": {"arousal": {"label": "text"}}}, "arousal has values: name `value`"),
        ({"stretches": {"mood": {"label": {"column": "t", "map": {"a": "joi"}}}}}, "'joi' is not a label of mood; did"),
    ],
)
def test_stretches_that_do_not_fit_their_field(table, sentence, tmp_path):
    make_moods(tmp_path)
    labels = load_labels("moods_over_time.v1", tmp_path)
    settings = Table.model_validate({"table": "x.csv", "item_id": "i", "rater": "r", **table})
    assert next(problem for _, problem in mapping_problems(settings, labels)).startswith(sentence)


def test_stretches_need_a_rater():
    with pytest.raises(ValueError, match="name the rater"):
        Table.model_validate({"table": "x.csv", "item_id": "i", "stretches": {"mood": {"label": "text"}}})


def test_tiers_and_vocabularies_that_are_not_read_are_said(tmp_path):
    make_session(tmp_path)
    path = tmp_path / "s.eaf"
    external = (
        '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default" CONTROLLED_VOCABULARY_REF="signs"/>'
        '<CONTROLLED_VOCABULARY CV_ID="signs" EXT_REF="e"/><EXTERNAL_REF EXT_REF_ID="e" VALUE="file:///x/signs.ecv"/>'
    )
    path.write_text(path.read_text("utf-8").replace("</ANNOTATION_DOCUMENT>", f"{external}</ANNOTATION_DOCUMENT>"))
    table = Table.model_validate({**STRETCHES, "where": {"tier": "talk A"}})
    assert list(tier_notices([table], RawFolders(tmp_path))) == [
        "3 annotations on tiers that no mapping is about: talk B (2), mood (1)",
        "vocabulary signs is in signs.ecv, which is not beside s.eaf: its values are not known",
    ]
    whole = Table.model_validate({"table": "s.eaf", "item": {"text": "text"}})
    (tmp_path / "signs.ecv").write_text("<CV_RESOURCE/>")
    assert list(tier_notices([table, whole], RawFolders(tmp_path))) == []


def test_stretches_are_cut_at_the_ends_of_their_item(tmp_path):
    make_moods(tmp_path)
    fields = load_labels("moods_over_time.v1", tmp_path).fields
    item = ItemContext(duration_s=1.5)
    mood = segments((0.0, 1.0, "joy"), (1.5, 2.5, "calm"), (2.75, 9.0, "anger"), (9.0, 9.5, "joy"))
    assert fields["mood"].within(mood, item, start_s=2.0) == segments((0.0, 0.5, "calm"), (0.75, 1.5, "anger"))
    assert fields["mood"].within(segments((0.0, 1.0, "joy")), item, start_s=2.0) is None
    arousal = {"step_s": 0.5, "values": [0.0, 0.25, None, 0.5, 0.75, 1.0]}
    assert fields["arousal"].within(arousal, item, start_s=1.0) == {"step_s": 0.5, "values": [None, 0.5, 0.75]}
    assert fields["arousal"].within(arousal, item, start_s=4.0) is None


def test_what_was_said_in_a_forgotten_stretch_leaves_the_recording(tmp_path):
    corpus, recipe, _ = session_of(tmp_path)
    item = next(row for row in corpus.read("items", ["item_id", "key"]).to_pylist() if row["key"] == "s#a1")
    done = CliRunner().invoke(
        app, ["forget", "--item", item["item_id"], "-w", str(tmp_path / "ws"), "--yes", "--reason", "asked"]
    )
    assert done.exit_code == 0, done.output
    (source,) = open_corpus(load_recipe(recipe), Workspace(tmp_path / "ws")).read("sources", ["cuts"]).to_pylist()
    texts = {cut["key"]: cut["text"] for cut in source["cuts"]}
    assert "Good morning" not in str(texts["s#a1"])
    assert texts["s#a2"] == "How are you today?"


def session_of(folder: Path):
    make_session(folder)
    return corpus_of(folder, {**STRETCHES, "where": {"tier": "talk A"}}, unit="utterance")
