"""Recipes that derive: end to end, with what passes from parents to derived items, and what must leave with them."""

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml
from typer.testing import CliRunner

from curate.cli.app import app
from curate.corpus.judgements import Judgement
from curate.errors import InvalidInput
from curate.media.container.decode import read_audio
from curate.pipeline import open_corpus, trace
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.judging import judge
from tests.support.label_files import write_asset
from tests.support.media_builders import make_tone, write_media
from tests.support.runs import run_quietly

HEARD = """\
name: heard.v1
unit: clip
fields:
  heard: {type: timeline, over: audio, taxonomy: ekman7.v1}
"""
REPLIES = """\
id,text,prompt,model,writer,licence
1,I am so sorry to hear that.,p1,m1,ann,CC-BY-4.0
2,That sounds hard.,p1,m2,bob,CC-BY-4.0
3,Cheer up!,p1,m3,cid,CC-BY-4.0
4,You did great today.,p2,m1,dan,CC-BY-4.0
5,Well done!,p2,m2,eve,CC-BY-4.0
6,So proud of you!,p2,m3,fay,CC-BY-4.0
7,Sleep well.,p3,m1,gus,CC-BY-4.0
8,Good night then.,p3,m2,hal,CC-BY-4.0
"""


def cli(*arguments: str) -> str:
    """What a command says; with ``--json``, its document."""
    done = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout if "--json" in arguments else done.output


def make_windows(folder: Path, **make) -> Path:
    """A tone of two seconds in whose first half one rater heard fear, and a recipe that cuts it into windows."""
    write_asset(folder, "labels", "heard.v1", HEARD)
    write_media(folder / "tone.wav", sound=make_tone(2.0))
    ingest = {
        "stage": "ingest",
        "files": "tone.wav",
        "licence": "CC-BY-4.0",
        "participant": "(tone)",
        "consent": "form A",
    }
    parent = make_recipe(
        folder, ingest, {"stage": "preprocess", "unit": "clip"}, {"stage": "annotate"}, name="tones", labels="heard.v1"
    )
    run_quietly(parent, folder / "tones-workspace")
    loaded, workspace = load_recipe(parent), Workspace(folder / "tones-workspace")
    (item,) = open_corpus(loaded, workspace).read("items", ["item_id"])["item_id"].to_pylist()
    heard = [{"start_s": 0.0, "end_s": 1.0, "label": "fear"}]
    judge(
        loaded,
        workspace,
        [Judgement(item_id=item, rater="r1", identity=["a"], revision=["1"], values={"heard": heard})],
    )
    view = {"view": "windows", "length_s": 0.5, "fields": {"emotion": "heard"}, **make}
    return make_recipe(
        folder,
        {"stage": "derive", "corpus": "tones-workspace", "make": view},
        {"stage": "preprocess"},
        {"stage": "annotate", "server": False},
        {"stage": "aggregate"},
        {"stage": "export"},
        name="windows",
        labels="window_emotion.v1",
    )


def test_windows_inherit_labels_licence_and_people_and_cut_the_sound(tmp_path):
    recipe = make_windows(tmp_path, sound=True)
    run_quietly(recipe, tmp_path / "w")
    loaded, workspace = load_recipe(recipe), Workspace(tmp_path / "w")
    corpus = open_corpus(loaded, workspace)
    items = corpus.read("items").to_pylist()
    assert sorted((item["start_s"], item["end_s"], item["unit"], item["group"]) for item in items) == [
        (0.0, 0.5, "window", "tone"),
        (0.5, 1.0, "window", "tone"),
    ]
    whole = read_audio(tmp_path / "tone.wav")
    for item in items:
        start = round(item["start_s"] * 16_000)
        assert np.array_equal(read_audio(workspace.blobs.path(item["audio"])), whole[start : start + 8_000])
    labels = corpus.read("labels")
    assert labels["emotion"].to_pylist() == ["fear", "fear"]
    assert corpus.read("annotations")["annotator"].to_pylist() == ["r1", "r1"]
    (source, _) = corpus.read("sources").to_pylist()
    assert (source["licence"], source["consent"], source["participant"]) == ("CC-BY-4.0", "form A", "tone")
    rejected = corpus.read("rejections").to_pylist()
    assert [(row["reason"], row["detail"].partition(" (")[0]) for row in rejected] == [
        ("unlabelled", "2 items left out: no label covers 50% of the window")
    ]
    traced = trace(loaded, workspace, items[0]["item_id"])
    (parent,) = traced.source["parents"]
    assert (parent["corpus"], len(parent["judgements"])) == ("tones", 1)
    again = run_quietly(recipe, tmp_path / "w")
    assert not again.changed


def test_a_changed_judgement_changes_the_window_and_keeps_its_id(tmp_path):
    recipe = make_windows(tmp_path)
    run_quietly(recipe, tmp_path / "w")
    before = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("labels").to_pylist()
    parent, workspace = load_recipe(tmp_path / "tones.yaml"), Workspace(tmp_path / "tones-workspace")
    (item,) = open_corpus(parent, workspace).read("items", ["item_id"])["item_id"].to_pylist()
    heard = [{"start_s": 0.5, "end_s": 1.5, "label": "anger"}]
    judge(
        parent,
        workspace,
        [
            Judgement(
                item_id=item, rater="r1", identity=["a"], revision=["2"], action="updated", values={"heard": heard}
            )
        ],
    )
    run_quietly(recipe, tmp_path / "w")
    after = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("labels").to_pylist()
    assert [row["emotion"] for row in before + after] == ["fear", "fear", "anger", "anger"]
    assert len({row["item_id"] for row in before} & {row["item_id"] for row in after}) == 1


@pytest.fixture
def replies(tmp_path, monkeypatch) -> Path:
    """Replies of three models to three prompts, and a recipe that pairs them; both have been run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "replies.csv").write_text(REPLIES, "utf-8")
    item = {"id": "id", "text": "text", "participant": "writer", "keep": {"prompt": "prompt", "model": "model"}}
    ingest = {"stage": "ingest", "licence": "CC-BY-4.0", "tables": [{"table": "replies.csv", "item": item}]}
    make_recipe(tmp_path, ingest, {"stage": "preprocess"}, name="replies", labels="post_writer.v1")
    make = {"view": "pairs", "of": "text", "same": ["prompt"], "different": "model", "per_item": 2}
    compare = make_recipe(
        tmp_path,
        {"stage": "derive", "corpus": "replies-workspace", "make": make},
        {"stage": "preprocess"},
        {"stage": "export", "split": {"train": 0.5, "test": 0.5}},
        name="compare",
        labels="text_preference.v1",
    )
    run_quietly(tmp_path / "replies.yaml", tmp_path / "replies-workspace")
    run_quietly(compare, tmp_path / "w")
    return compare


def corpus_of(recipe: Path):
    return open_corpus(load_recipe(recipe), Workspace(recipe.parent / "w"))


def test_pairs_of_one_prompt_never_part(replies):
    corpus = corpus_of(replies)
    sources = {row["source_id"]: row for row in corpus.read("sources").to_pylist()}
    items = corpus.read("items").to_pylist()
    assert len(items) == 7
    shown = cli("trace", items[0]["item_id"], "compare.yaml", "-w", "w")
    assert shown.count("made from  item") == 2
    split_of = {}
    for item in items:
        text = cli("trace", item["item_id"], "compare.yaml", "-w", "w")
        split = text.rpartition("releases: 1.0.0 (")[2].rstrip(")\n")
        for parent in sources[item["source_id"]]["parents"]:
            assert split_of.setdefault(parent["item_id"], split) == split
    assert set(split_of.values()) <= {"train", "test"}


def test_growth_adds_pairs_and_moves_none(replies):
    before = corpus_of(replies).read("items", ["item_id", "text", "text_b"]).to_pylist()
    with (replies.parent / "replies.csv").open("a", encoding="utf-8") as table:
        table.write("9,Rest now.,p3,m3,ida,CC-BY-4.0\n10,I hear you.,p1,m4,jon,CC-BY-4.0\n")
    run_quietly(replies.parent / "replies.yaml", replies.parent / "replies-workspace")
    run_quietly(replies, replies.parent / "w")
    after = corpus_of(replies).read("items", ["item_id", "text", "text_b"]).to_pylist()
    assert len(after) > len(before)
    assert all(item in after for item in before)


def test_what_the_parent_forgets_leaves_on_command(replies):
    folder = replies.parent
    cli("forget", "--participant", "ann", "--reason", "asked", "--yes", "-w", "replies-workspace")
    told = cli("run", "compare.yaml", "-w", "w")
    assert "forgotten in replies-workspace: `curate forget --derived`" in told
    assert "sorry" not in str(corpus_of(replies).read("items")["text"].to_pylist())
    document = json.loads(cli("forget", "--derived", "--reason", "asked there", "--yes", "--json", "-w", "w"))
    assert document["rows"]["items"] == 2
    assert document["raw_files"] == []
    cli("run", "compare.yaml", "-w", "w")
    for path in (folder / "w").rglob("*"):
        assert not (path.is_file() and b"so sorry" in path.read_bytes()), path
    assert "Nothing of it was forgotten there." in cli("forget", "--derived", "--dry-run", "-w", "w")


def test_a_parent_is_forgotten_by_its_own_id_and_person_here(replies):
    corpus = corpus_of(replies)
    parents = [parent for row in corpus.read("sources").to_pylist() for parent in row["parents"]]
    bob = next(parent for parent in parents if parent["participant"] == "bob")
    for option, name in (("--item", bob["item_id"][:10]), ("--source", bob["source_id"]), ("--participant", "bob")):
        document = json.loads(cli("forget", option, name, "--dry-run", "--json", "-w", "w"))
        assert document["rows"]["items"] == 2, option


def test_licences_are_combined_or_the_pair_is_left_out(tmp_path):
    licences = {"a": "CC-BY-4.0", "b": "CC-BY-NC-4.0", "c": "CC-BY-ND-4.0"}
    for name in licences:
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"text of {name}"}) + "\n")
    stages = [{"stage": "ingest", "files": f"{name}.jsonl", "licence": licence} for name, licence in licences.items()]
    run_quietly(
        make_recipe(tmp_path, *stages, {"stage": "preprocess"}, name="mixed", labels="post_writer.v1"),
        tmp_path / "mixed-workspace",
    )
    make = {"view": "pairs", "of": "text", "per_item": 2}
    recipe = make_recipe(
        tmp_path,
        {"stage": "derive", "corpus": "mixed-workspace", "make": make},
        {"stage": "preprocess"},
        name="compare",
        labels="text_preference.v1",
    )
    run_quietly(recipe, tmp_path / "w")
    corpus = corpus_of(recipe)
    assert corpus.read("sources")["licence"].to_pylist() == ["CC-BY-NC-4.0"]
    assert "CC-BY-ND-4.0 forbids adaptations" in corpus.read("rejections")["detail"][0].as_py()
    assert pc.all(pc.equal(corpus.read("rejections")["reason"], "forbidden")).as_py()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("corpus: nowhere", "there is no workspace 'nowhere' in"),
        ("corpus: ../replies-workspace", "'../replies-workspace' is not a folder in the recipe's folder"),
        ("corpus: /etc", "'/etc' is not a folder in the recipe's folder"),
        ("make: {view: pears, of: text}", "'pears'"),
        ("make: {view: pairs, of: smell}", "'smell'"),
        ("make: {view: pairs, of: text, per_item: 0}", "per_item"),
        ("make: {view: windows, length_s: .nan, fields: {a: b}}", "length_s"),
        ("make: {view: windows, length_s: 1, fields: {empathetic: text}}", "windows makes items of unit window"),
    ],
)
def test_bad_settings_are_named_with_their_line(replies, line, problem):
    text = replies.read_text("utf-8")
    key = line.partition(":")[0]
    document = yaml.safe_load(text)
    document["stages"][0][key] = yaml.safe_load(line)[key]
    replies.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_recipe(replies)
    assert any(problem in sentence and "compare.yaml:" in sentence for sentence in caught.value.problems)


def test_a_link_out_of_the_folder_is_not_followed(replies, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (replies.parent / "replies-workspace").rename(elsewhere / "replies-workspace")
    (replies.parent / "replies-workspace").symlink_to(elsewhere / "replies-workspace")
    with pytest.raises(InvalidInput) as caught:
        load_recipe(replies)
    assert any("outside the recipe's folder" in sentence for sentence in caught.value.problems)
    assert load_recipe(replies, raw=[elsewhere]).recipe.stages


def test_a_corpus_without_items_is_said(replies):
    (replies.parent / "replies.csv").write_text("id,text,prompt,model,writer,licence\n", "utf-8")
    run_quietly(replies.parent / "replies.yaml", replies.parent / "replies-workspace")
    with pytest.raises(InvalidInput, match="replies-workspace holds no item that its recipe asks for now"):
        run_quietly(replies, replies.parent / "w")


def test_a_corpus_is_not_derived_from_itself_and_not_beside_an_ingest(replies):
    document = yaml.safe_load(replies.read_text("utf-8"))
    document["stages"].insert(0, {"stage": "ingest", "files": "replies.csv", "licence": "CC0-1.0"})
    replies.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_recipe(replies)
    assert any("derive and ingest both write sources" in sentence for sentence in caught.value.problems)
    document["stages"].pop(0)
    document["stages"][0]["corpus"] = "w"
    replies.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    with pytest.raises(InvalidInput, match="the workspace of this recipe itself"):
        run_quietly(replies, replies.parent / "w2")


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"make": {"view": "statements", "field": "emotion", "says": "It shows {label}."}}, "emotion_statement.v1"),
        ({"make": {"view": "dialogues", "by": "talk", "order": "id"}, "evidence": "labels"}, "post_told.v1"),
    ],
)
def test_what_a_model_says_does_not_become_the_judgement_of_a_person(tmp_path, settings, labels):
    told = "name: post_told.v1\nunit: post\nfields:\n  emotion: {type: category, taxonomy: ekman7.v1}\n"
    write_asset(tmp_path, "labels", "post_told.v1", told)
    rows = [
        "id,talk,text,rater,emotion",
        "1,a,I am so happy and glad today!,,",
        "2,a,This makes me so angry.,ann,anger",
    ]
    (tmp_path / "posts.csv").write_text("\n".join(rows) + "\n")
    item = {"id": "id", "text": "text", "keep": {"talk": "talk", "id": "id"}}
    table = {"table": "posts.csv", "item": item, "rater": "rater", "long": {"emotion": "emotion"}}
    parent = make_recipe(
        tmp_path,
        {"stage": "ingest", "licence": "CC-BY-4.0", "tables": [table]},
        {"stage": "preprocess"},
        {"stage": "prelabel"},
        {"stage": "annotate", "server": False},
        {"stage": "aggregate"},
        name="posts",
        labels="post_told.v1",
    )
    run_quietly(parent, tmp_path / "posts-workspace")
    stored = open_corpus(load_recipe(parent), Workspace(tmp_path / "posts-workspace")).read("labels").to_pylist()
    assert sorted(row["label_source"] for row in stored) == ["human", "model"]
    derived = make_recipe(
        tmp_path,
        {"stage": "derive", "corpus": "posts-workspace", **settings},
        {"stage": "preprocess"},
        {"stage": "annotate", "server": False},
        {"stage": "aggregate"},
        labels=labels,
    )
    run_quietly(derived, tmp_path / "w")
    corpus = open_corpus(load_recipe(derived), Workspace(tmp_path / "w"))
    texts = {row["item_id"]: row["text"] for row in corpus.read("items", ["item_id", "text"]).to_pylist()}
    judged = {texts[row["item_id"]] for row in corpus.read("annotations", ["item_id"]).to_pylist()}
    assert judged == {"This makes me so angry."}
    if labels == "emotion_statement.v1":
        assert judged == set(texts.values())
        details = corpus.read("rejections", ["detail"])["detail"].to_pylist()
        assert any("only a model labelled it" in detail for detail in details)


def test_nothing_is_derived_from_a_corpus_that_hides_answers(tmp_path):
    """A derived release would show them."""
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps({"text": f"Post {n}."}) + "\n" for n in range(4)))
    hiding = {"stage": "export", "split": {"train": 0.5, "test": 0.5}, "hidden": "test"}
    parent = make_recipe(
        tmp_path, {"stage": "ingest", "files": "posts.jsonl"}, {"stage": "preprocess"}, hiding, name="p"
    )
    run_quietly(parent, tmp_path / "w")
    derive = {"stage": "derive", "corpus": "w", "make": {"view": "pairs", "of": "text"}}
    recipe = make_recipe(tmp_path, derive, {"stage": "preprocess"}, name="d", labels="text_preference.v1")
    with pytest.raises(InvalidInput, match=r"hides the answers of its split test"):
        run_quietly(recipe, tmp_path / "dw")
