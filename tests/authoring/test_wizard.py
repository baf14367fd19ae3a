"""The wizard's recipes for unlike folders pass the check and run unchanged."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from PIL import Image
from pyarrow import parquet as pq
from typer.testing import CliRunner

from curate.assets import shipped_folder
from curate.authoring.wizard import propose, write_proposal
from curate.cli.app import app
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels, load_taxonomy
from curate.pipeline import open_corpus
from curate.pipeline.notices import list_notices
from curate.recipe import load_recipe
from curate.stages.ingest.finding import find_files
from curate.storage.workspace import Workspace
from tests.support.audio_database import make_database
from tests.support.media_builders import make_tone, write_media
from tests.support.runs import run_quietly
from tests.support.tiers import make_eaf, make_wav
from tests.support.workbooks import make_workbook


def make_interviews(folder: Path) -> None:
    """A film with subtitles, in a folder of its own."""
    (folder / "anna").mkdir()
    for suffix in (".mp4", ".srt"):
        shutil.copy(shipped_folder("recipes") / "quickstart" / f"good_news{suffix}", folder / "anna")


def make_posts(folder: Path) -> None:
    """A CSV of posts with names of columns and labels of its own."""
    rows = ["I love it;Joy", '"You fool; go away";Anger', "We meet at five.;neutral", "Again this.;anger "]
    (folder / "tweets.csv").write_text("Text;label\n" + "\n".join(rows) + "\n", encoding="utf-8")


def make_classes(folder: Path) -> None:
    """Pictures in a folder for each class, below one for each split."""
    for index, name in enumerate(("train/happiness", "train/anger", "test/anger")):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (64, 48), (60 * index, 90, 200 - 50 * index)).save(folder / name / f"{index}.png")


def make_votes(folder: Path) -> None:
    """Pictures and a table with numbers of votes for each."""
    for index, name in enumerate(("a", "b")):
        Image.new("RGB", (64, 48), (200 * index, 90, 20)).save(folder / f"{name}.png")
    (folder / "votes.csv").write_text("image,anger,happiness,sadness,year\na,4,1,0,1999\nb,0,0,5,2001\n")


def make_raters(folder: Path) -> None:
    """A column for each rater, and words that no shipped taxonomy has."""
    (folder / "ratings.tsv").write_text(
        "id\tsentence\trater_1\trater_2\trater_3\n"
        "s1\tThe film was long and odd.\tbored\tbored\tkeen\n"
        "s2\tWhat a day we had there!\tkeen\tkeen\tkeen\n"
    )


def make_long(folder: Path) -> None:
    """A row for each judgement: rater, an ordinal and a fractional number."""
    rows = ["t1,Fine by me today.,r1,2,0.5", "t1,Fine by me today.,r2,4,-0.5", "t2,Not so good at all.,r1,1,-1"]
    (folder / "long.csv").write_text("text_id,utterance,worker,rating,valence\n" + "\n".join(rows) + "\n")


def make_split(folder: Path) -> None:
    """Ratings without texts, and the texts in another table, next to one that cannot be read."""
    (folder / "texts.csv").write_text("id,text\nA_1,I can't believe it.\nA_2,Fine by me.\n")
    (folder / "single_ratings.csv").write_text("id,V,A,D\nA_1,3,3,3\nA_1,4,5,3\nA_2,2,3,1\n")
    (folder / "settings.json").write_text('{"a": 1}')


def make_dialogues(folder: Path) -> None:
    """JSON dialogues, with a table beside them that is nothing."""
    turns = [{"speaker": "Ann", "text": "You are late."}, {"speaker": "Bob", "text": "I am so sorry!"}]
    (folder / "talks.jsonl").write_text("\n".join(json.dumps({"title": str(n), "dialogue": turns[n:]}) for n in (0, 1)))
    (folder / "sizes.csv").write_text("name,size\na,1\n")


def make_nested(folder: Path) -> None:
    """Dialogues within a JSON file, each turn with a label."""
    turns = [
        {"who": "Ann", "said": "You promised to be here.", "emotion": "anger"},
        {"who": "Bob", "said": "I am so sorry!", "emotion": "sadness"},
        {"who": "Ann", "said": "Well, let us go then.", "emotion": "neutral"},
    ]
    dialogues = [{"id": "d1", "split": "train", "talk": {"turns": turns}}, {"id": "d2", "talk": {"turns": turns[1:]}}]
    (folder / "corpus.json").write_text(json.dumps({"version": 2, "dialogues": dialogues}))


CASES = {
    # maker: unit and number of items, judgements, values of the judged fields
    "interviews": (make_interviews, {"utterance"}, 2, 0, {}),
    "posts": (make_posts, {"post"}, 4, 4, {"label": Counter({"joy": 1, "anger": 2, "neutral": 1})}),
    "classes": (make_classes, {"image"}, 3, 3, {"emotion": Counter({"happiness": 1, "anger": 2})}),
    "votes": (make_votes, {"image"}, 2, 10, {"emotion": Counter({"anger": 4, "happiness": 1, "sadness": 5})}),
    "raters": (make_raters, {"post"}, 2, 6, {"label": Counter({"bored": 2, "keen": 4})}),
    "long": (
        make_long,
        {"post"},
        2,
        3,
        {"rating": Counter({2: 1, 4: 1, 1: 1}), "valence": Counter({0.5: 1, -0.5: 1, -1: 1})},
    ),
    "split": (make_split, {"post"}, 2, 3, {"v": Counter({3: 1, 4: 1, 2: 1}), "d": Counter({3: 2, 1: 1})}),
    "dialogues": (make_dialogues, {"utterance"}, 3, 0, {}),
    "nested": (make_nested, {"post"}, 5, 5, {"emotion": Counter({"anger": 1, "sadness": 2, "neutral": 2})}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_proposed_recipe_runs_unchanged(case, tmp_path):
    make, units, items, judgements, values = CASES[case]
    folder = tmp_path / case
    folder.mkdir()
    make(folder)
    done = CliRunner().invoke(app, ["recipes", "new", str(folder), "--licence", "CC0-1.0"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert f"next:    python -m curate run {folder / f'{case}.yaml'}" in " ".join(done.stdout.split("\n"))
    loaded = load_recipe(folder / f"{case}.yaml")
    assert not list_notices(loaded)
    text = loaded.path.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=recipe.schema.json\n")
    assert json.loads((folder / "recipe.schema.json").read_text("utf-8"))["title"] == "A recipe of curate"
    result = run_quietly(loaded, tmp_path / "w")
    assert result.release is not None
    corpus = open_corpus(loaded, Workspace(tmp_path / "w"))
    rows = corpus.read("items").to_pylist()
    assert {row["unit"] for row in rows} <= units
    assert len(rows) == items
    acts = corpus.read("annotations").to_pylist()
    assert len(acts) == judgements
    for field, expected in values.items():
        assert Counter(act[field] for act in acts) == expected
    assert {row["reason"] for row in corpus.read("rejections").to_pylist()} <= {"no_face"}


def test_turns_within_json_know_their_dialogue_and_stay_with_it(tmp_path):
    make_nested(tmp_path)
    proposal = propose(tmp_path / "corpus.json", licence="CC0-1.0")
    recipe = yaml.safe_load(proposal.files["corpus.yaml"])
    ingest, export = recipe["stages"][0], recipe["stages"][-1]
    assert ingest["tables"] == [
        {
            "table": "corpus.json",
            "rows": "dialogues[].talk.turns[]",
            "item": {
                "id": "{^^id}_{<index>}",
                "text": "said",
                "speaker": "who",
                "keep": {"^^id": "dialogue_id", "<index>": "turn_in_dialogue"},
            },
            "long": {"emotion": "emotion"},
        }
    ]
    assert export["split"]["disjoint_by"] == ["speaker", "source", "dialogue_id"]
    assert "rows of one ^^id stay in one split" in proposal.seen


def test_what_was_seen_and_left_out_is_said(tmp_path):
    make_posts(tmp_path)
    table = tmp_path / "tweets.csv"
    table.write_text("id,Text,label,gender\n1,I love it so,joy,f\n2,I hate it so,sadness,m\n")
    proposal = propose(table, licence=None)
    assert "id: id" in proposal.seen
    assert proposal.recipe == "tweets"
    assert any("gender" in note and "keep" in note for note in proposal.notes)
    assert any("licence" in note for note in proposal.notes)
    assert "gender" in proposal.files["tweets.yaml"]
    fields = yaml.safe_load(proposal.files["tweets.v1.yaml"])["fields"]
    assert fields["label"]["type"] == "category"


def test_a_table_that_is_named_is_the_one_to_take(tmp_path):
    make_classes(tmp_path)
    make_long(tmp_path)
    (tmp_path / "sizes.csv").write_text("name,size\na,1\n")
    assert "files" in yaml.safe_load(propose(tmp_path, name="a").files["a.yaml"])["stages"][0]["tables"][0]
    named = propose(tmp_path / "long.csv", name="a")
    assert yaml.safe_load(named.files["a.yaml"])["stages"][0]["tables"][0]["table"] == "long.csv"
    with pytest.raises(InvalidInput, match=r"sizes.csv is not used: its columns are name, size"):
        propose(tmp_path / "sizes.csv", name="a")


def test_votes_for_what_no_taxonomy_has_are_votes(tmp_path):
    rows = ["a,3,1,0,1,7", "b,0,0,5,0,9", "c,1,0,0,4,2"]
    (tmp_path / "v.csv").write_text("id,anger,happiness,sadness,NF,age\n" + "\n".join(rows[:2]) + "\n")
    table = yaml.safe_load(propose(tmp_path, name="v").files["v.yaml"])["stages"][0]["tables"][0]
    assert list(table["votes"]["emotion"]) == ["anger", "happiness", "sadness"], "the ages do not complete anything"
    (tmp_path / "v.csv").write_text("id,anger,happiness,sadness,NF\n" + "\n".join(r[:-2] for r in rows) + "\n")
    proposal = propose(tmp_path, name="v")
    table = yaml.safe_load(proposal.files["v.yaml"])["stages"][0]["tables"][0]
    assert list(table["votes"]["emotion"]) == ["anger", "happiness", "sadness", "NF"]
    assert yaml.safe_load(proposal.files["v_emotion.v1.yaml"])["labels"] == ["anger", "happiness", "sadness", "NF"]


def test_names_with_brackets_are_no_patterns(tmp_path):
    rows = "id,text,rater,label\n1,Hello there you,ann,joy\n2,Not today I fear,ann,anger\n"
    for name in ("data[1].csv", "data1.csv"):
        (tmp_path / name).write_text(rows if "[" in name else rows.replace("joy", "fear"))
    path = write_proposal(propose(tmp_path / "data[1].csv", name="one"))[0]
    (table,) = yaml.safe_load(path.read_text())["stages"][0]["tables"]
    assert find_files(table["table"], RawFolders(tmp_path)) == ["data[1].csv"]


def test_a_dialogue_that_is_none_is_counted_as_none(tmp_path):
    rows = [{"dialogue": [{"speaker": "A", "text": "Hello"}]}, {"dialogue": 5}]
    (tmp_path / "talks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "1 turn of dialogue, each an item with the turns around it" in propose(tmp_path).seen


def test_names_from_files_end_no_comment(tmp_path):
    name = "mood\nrecipe: evil\u2028stages: []"
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "I am so glad today.", name: "x"}) + "\n")
    proposal = propose(tmp_path, name="good")
    assert yaml.safe_load(proposal.files["good.yaml"])["recipe"] == "good"


@pytest.mark.parametrize("raters", [True, False])
def test_an_audformat_database(tmp_path, raters):
    make_database(tmp_path / "emo", "csv", raters=raters)
    for seed, name in enumerate(("audio/a.wav", "audio/b.wav", "c.wav")):
        (tmp_path / "emo" / name).parent.mkdir(exist_ok=True)
        write_media(tmp_path / "emo" / name, sound=make_tone(0.5, level=0.1 + seed / 10))
    proposal = propose(tmp_path / "emo")
    recipe, schema = (yaml.safe_load(proposal.files[name]) for name in ("emo.yaml", "emo.v1.yaml"))
    (table,) = recipe["stages"][0]["tables"]
    assert recipe["stages"][0]["licence"] == "CC-BY-4.0"
    assert table["item"] == {"id": "file", "media": "file", "speaker": "speaker", "keep": {"<split>": "split"}}
    assert schema["fields"]["valence"] == {"type": "scale", "minimum": 0.0, "maximum": 1.0, "level": "interval"}
    assert yaml.safe_load(proposal.files["emo_emotion.v1.yaml"])["labels"] == ["A", "H"]
    assert table["wide"]["emotion"] == (
        {"emotion": "ann", "emotion.m": "machine"} if raters else {"emotion": "emotion", "emotion.m": "emotion.m"}
    )
    assert "table segments is not used: it is about segments of files" in proposal.notes
    path, *_ = write_proposal(proposal)
    result = run_quietly(path, tmp_path / "w", until="annotate")
    assert result.stages[-1].counts["judgements"] == (7 if raters else 9)


def test_an_excel_table_is_looked_at(tmp_path):
    rows = [["id", "text", "emotion", "annotator"]]
    rows += [[f"{i:03}", f"This is what post {i} says.", ("anger", "fear")[i % 2], "r1"] for i in range(8)]
    make_workbook(tmp_path / "posts.xlsx", {"Posts": rows, "Old": rows}, hidden=["Old"])
    table = yaml.safe_load(propose(tmp_path).files[f"{tmp_path.name}.yaml"])["stages"][0]["tables"][0]
    assert table["table"] == "posts.xlsx"
    assert table["item"] == {"id": "id", "text": "text"}
    assert table["rater"] == "annotator"
    assert table["long"] == {"emotion": "emotion"}


def test_a_parquet_table_is_looked_at(tmp_path):
    table = pa.table({"post": ["I am so glad.", "Go away, all of you."], "sentiment": ["positive", "negative"]})
    pq.write_table(table, tmp_path / "posts.parquet")
    proposal = propose(tmp_path / "posts.parquet")
    fields = yaml.safe_load(proposal.files["posts.v1.yaml"])["fields"]
    assert fields == {"sentiment": {"type": "category", "taxonomy": "sentiment3.v1"}}
    assert yaml.safe_load(proposal.files["posts.yaml"])["stages"][0]["tables"][0]["item"] == {"text": "post"}


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path):
    make_posts(tmp_path)
    proposal = propose(tmp_path, name="mine")
    broken = proposal._replace(files={**proposal.files, "mine.v2.yaml": "half of a file \udcff"})
    with pytest.raises(UnicodeEncodeError):
        write_proposal(broken)
    assert [path.name for path in tmp_path.iterdir()] == ["tweets.csv"]


@pytest.mark.parametrize("there", ["mine.yaml", "mine.v1.yaml"])
def test_nothing_is_overwritten(there, tmp_path):
    make_raters(tmp_path)
    (tmp_path / there).write_text("mine\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(InvalidInput, match=f"{there} exists already"):
        write_proposal(propose(tmp_path, name="mine"))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / there).read_text() == "mine\n"
    write_proposal(propose(tmp_path, name="other"))
    assert load_labels("other.v1", tmp_path).fields["label"].labels == ("bored", "keen")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no media, no texts and no table of items"),
        ({"a.docx": "x"}, "but 1 .docx"),
        ({"a.xlsx": "x"}, "a.xlsx cannot be read as a table: it is no workbook"),
        ({"a.csv": "x,y\n1,2\n"}, "holds no media"),
        (
            {"a.csv": "I love it so much that I could cry all day and night long my friends,4\nb,2\n"},
            "has no names of columns",
        ),
        ({"a.json": "{"}, "a.json cannot be read as a table: it is not JSON"),
        ({"a.json": '[{"dialogue": [{"text": "Hello"}]}]'}, "reads from .jsonl files only"),
    ],
)
def test_what_cannot_be_a_corpus_is_refused(files, message, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=message):
        propose(tmp_path)


def test_settings_that_do_not_fit(tmp_path):
    make_classes(tmp_path)
    with pytest.raises(InvalidInput, match="cannot name a recipe"):
        propose(tmp_path, name="My corpus")
    with pytest.raises(InvalidInput, match="--labels is for what nobody has judged"):
        propose(tmp_path, labels="image_emotion.v1")
    other = tmp_path / "more"
    other.mkdir()
    make_dialogues(other)
    with pytest.raises(InvalidInput, match="asked of image; here are utterance"):
        propose(other, labels="image_emotion.v1")
    assert propose(other, labels="emotion_causes.v1").labels == "emotion_causes.v1"


def test_folders_are_classes_if_their_names_are_labels_or_the_user_says_so(tmp_path):
    for name in ("session 1", "session 2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"We talked about {name}.")
    assert not [name for name in propose(tmp_path, name="talks").files if name.endswith(".v1.yaml")]
    certain = propose(tmp_path, name="talks", classes=True)
    assert yaml.safe_load(certain.files["talks_label.v1.yaml"])["labels"] == ["session 1", "session 2"]


def test_on_a_terminal_it_asks(tmp_path, monkeypatch):
    from curate.cli.commands import recipes

    make_dialogues(tmp_path)
    monkeypatch.setattr(recipes, "_is_terminal", lambda: True)
    answers = "talks\nemotion_causes.v1\nCC-BY-4.0\n"
    refused = CliRunner().invoke(app, ["recipes", "new", str(tmp_path)], input=f"{answers}n\n")
    assert refused.exit_code == 1
    assert not list(tmp_path.glob("*.yaml"))
    done = CliRunner().invoke(app, ["recipes", "new", str(tmp_path)], input=f"{answers}y\n", catch_exceptions=False)
    assert done.exit_code == 0
    loaded = load_recipe(tmp_path / "talks.yaml")
    assert (loaded.labels.name, loaded.recipe.stages[0].licence) == ("emotion_causes.v1", "CC-BY-4.0")
    silent = CliRunner().invoke(app, ["recipes", "new", str(tmp_path), "--name", "b", "--yes"], catch_exceptions=False)
    assert silent.exit_code == 0
    assert load_recipe(tmp_path / "b.yaml").labels.name == "utterance_emotion.v1"


def test_as_json(tmp_path):
    make_posts(tmp_path)
    done = CliRunner().invoke(app, ["recipes", "new", str(tmp_path), "--name", "a", "--json"], catch_exceptions=False)
    document = json.loads(done.stdout)
    assert document["files"] == [str(tmp_path / "a.yaml"), str(tmp_path / "a.v1.yaml")]
    assert "text: Text" in document["seen"]


VOCABULARY = """<CONTROLLED_VOCABULARY CV_ID="Mood of speaker"><DESCRIPTION LANG_REF="und"/>
<CV_ENTRY_ML CVE_ID="1"><CVE_VALUE DESCRIPTION="is glad" LANG_REF="und">pleased</CVE_VALUE></CV_ENTRY_ML>
<CV_ENTRY_ML CVE_ID="2"><CVE_VALUE DESCRIPTION="" LANG_REF="und">cross</CVE_VALUE></CV_ENTRY_ML>
</CONTROLLED_VOCABULARY>"""
MOOD_TYPE = '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="mood" CONTROLLED_VOCABULARY_REF="{}"/>'


def make_tiers(path, tiers, *, vocabulary="Mood of speaker", more=VOCABULARY):
    header = '<MEDIA_DESCRIPTOR MEDIA_URL="x" RELATIVE_MEDIA_URL="./talk.wav"/>'
    make_eaf(path, tiers, header=header, types=MOOD_TYPE.format(vocabulary), more=more)
    text = path.read_text("utf-8").replace('TIER_ID="mood', 'DEFAULT_LOCALE="mood" TIER_ID="mood')
    text = re.sub(r'(TIER_ID="mood[^"]*") LINGUISTIC_TYPE_REF="default"', r'\1 LINGUISTIC_TYPE_REF="mood"', text)
    path.write_text(text, encoding="utf-8")


def test_tiers_with_a_vocabulary_become_a_timeline_with_its_taxonomy(tmp_path):
    make_wav(tmp_path / "talk.wav")
    make_tiers(
        tmp_path / "talk.eaf",
        {"mood ann": [(0, 2, "pleased"), (2, 4, "cross")], "mood ben": [(1, 5, "cross")], "words": [(0, 1, "hi")]},
    )
    proposal = propose(tmp_path, name="talks", licence="CC0-1.0")
    write_proposal(proposal)
    assert load_taxonomy("talks_mood_of_speaker.v1", tmp_path).by_name["pleased"].definition == "is glad"
    assert "tiers without a vocabulary are left out: words" in proposal.notes
    run_quietly(tmp_path / "talks.yaml", tmp_path / "ws")
    corpus = open_corpus(load_recipe(tmp_path / "talks.yaml"), Workspace(tmp_path / "ws"))
    said = {row["annotator"]: row["mood_of_speaker"] for row in corpus.read("annotations").to_pylist()}
    assert said == {
        "ann": [{"start_s": 0.0, "end_s": 2.0, "label": "pleased"}, {"start_s": 2.0, "end_s": 4.0, "label": "cross"}],
        "ben": [{"start_s": 1.0, "end_s": 5.0, "label": "cross"}],
    }


def test_tiers_with_words_become_utterances(tmp_path):
    make_wav(tmp_path / "talk.wav")
    make_eaf(tmp_path / "talk.eaf", {"Ann": [(0.5, 2, "Good morning!")], "Ben": [(2.5, 4, "Hello there.")]})
    write_proposal(propose(tmp_path, name="talks", licence="CC0-1.0"))
    run_quietly(tmp_path / "talks.yaml", tmp_path / "ws")
    corpus = open_corpus(load_recipe(tmp_path / "talks.yaml"), Workspace(tmp_path / "ws"))
    items = corpus.read("items", ["start_s", "end_s", "speaker", "text"]).to_pylist()
    assert sorted(tuple(item.values()) for item in items) == [
        (0.5, 2.0, "Ann", "Good morning!"),
        (2.5, 4.0, "Ben", "Hello there."),
    ]


def test_a_vocabulary_in_another_file_is_read_if_it_is_there(tmp_path):
    outside = '<CONTROLLED_VOCABULARY CV_ID="moods" EXT_REF="e"/>'
    outside += '<EXTERNAL_REF EXT_REF_ID="e" TYPE="ecv" VALUE="http://x/m.ecv"/>'
    make_wav(tmp_path / "talk.wav")
    make_tiers(tmp_path / "talk.eaf", {"mood ann": [(0, 2, "pleased")]}, vocabulary="moods", more=outside)
    missing = "the vocabulary moods is in m.ecv, which is not here: its tiers are left out"
    assert missing in propose(tmp_path, name="talks").notes
    (tmp_path / "m.ecv").write_text(f"<CV_RESOURCE>{VOCABULARY.replace('Mood of speaker', 'moods')}</CV_RESOURCE>")
    proposal = propose(tmp_path, name="talks")
    assert missing not in proposal.notes
    assert "pleased" in proposal.files["talks_moods.v1.yaml"]


def test_tiers_without_recordings_or_annotations(tmp_path):
    make_eaf(tmp_path / "talk.eaf", {"Ann": [(0.5, 2, "Good morning!")]})
    with pytest.raises(InvalidInput, match="these are not here"):
        propose(tmp_path)
    make_eaf(tmp_path / "talk.eaf", {"Ann": []})
    with pytest.raises(InvalidInput, match="no file of tiers here has an annotation"):
        propose(tmp_path)
