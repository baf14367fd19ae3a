"""A release holds several ways to divide its items, each proved to keep apart what it promises."""

import re

import pyarrow as pa
import pytest
from pyarrow import parquet

from curate.errors import InvalidInput
from curate.pipeline.answers import write_answers
from curate.recipe import load_recipe
from curate.release.manifest import read_manifest
from curate.storage.workspace import Workspace
from tests.release.test_export import make_release, read_rows
from tests.release.test_whole_rows import card_of
from tests.support.release_builders import make_corpus
from tests.support.runs import run_quietly

HALVES = {"train": 0.5, "test": 0.5}
SCHEMES = {
    "default": {**HALVES, "disjoint_by": ["source", "speaker"]},
    "official": {"column": "language"},
    "by_speaker": {"leave_one_out": "speaker"},
    "cv": {"folds": 5, "disjoint_by": ["speaker"]},
    "ids": {"test": ["item-0000", "item-0010"]},
    "even": {**HALVES, "stratify_by": "emotion"},
}


def make(tmp_path, *, items=40, **changes):
    made = make_corpus(tmp_path / "ws", items=items, sources=10, **changes)
    official = {f"item-{n:04d}": ["train", "dev", None][n % 3] for n in range(items)}
    made.corpus.update_column("items", "language", official)
    return made


def test_all_schemes_are_in_one_release_and_hold_still_while_it_grows(tmp_path):
    made = make(tmp_path)
    _, folder = make_release(made, splits=SCHEMES)
    rows = read_rows(folder)
    assert sorted(path.name[:5] for path in (folder / "data").iterdir()) == ["test-", "train"]
    row = rows["item-0000"]
    assert (row["split_official"], row["split_by_speaker"], row["split_ids"]) == ("train", row["speaker"], "test")
    assert rows["item-0002"]["split_official"] is None
    assert "split_default" not in row
    schemes = read_manifest(folder).schemes
    assert [name for name, facts in schemes.items() if facts.primary] == ["default"]
    assert schemes["cv"].splits == {f"fold_{n}": 8 for n in range(1, 6)}
    assert schemes["ids"].splits == {"test": 2, "train": 38}
    assert (schemes["official"].without, schemes["official"].splits) == (13, {"dev": 13, "train": 14})
    assert schemes["official"].keys["speaker"].shared == 10
    assert schemes["by_speaker"].keys["speaker"].model_dump() == {"disjoint": True, "known": 40, "shared": 0}
    assert 0 <= schemes["even"].balance["emotion"]["test"] < 0.3
    make_corpus(tmp_path / "ws", items=20, sources=10, first=20)
    _, newer = make_release(made, splits=SCHEMES)
    assert newer.name == "1.1.0"
    grown = read_rows(newer)
    names = [name for name in row if name.startswith("split_")]
    assert len(names) == 5
    assert {item: [grown[item][name] for name in names] for item in rows} == {
        item: [rows[item][name] for name in names] for item in rows
    }


def test_a_further_scheme_is_a_minor_change_and_renaming_one_keeps_its_items(tmp_path):
    made = make(tmp_path)
    _, before = make_release(made, splits={"default": HALVES, "cv": {"folds": 3}})
    receipt, after = make_release(
        made, splits={"default": HALVES, "folds": {"folds": 3}, "by": {"leave_one_out": "speaker"}}
    )
    assert after.name == "2.0.0", "a column went"
    old, new = read_rows(before), read_rows(after)
    assert {item: row["split_cv"] for item, row in old.items()} == {i: row["split_folds"] for i, row in new.items()}
    settings = {"folds": {"folds": 3}, "by": {"leave_one_out": "speaker"}, "official": {"column": "language"}}
    receipt, _ = make_release(made, splits={"default": HALVES, **settings})
    assert "release 2.1.0 (1 column added)" in receipt.message


@pytest.mark.parametrize("name", ["default", "by_speaker", "cv", "even"])
def test_a_planted_leak_stops_the_release_under_every_scheme(tmp_path, monkeypatch, name):
    from curate.stages import released_splits

    made = make(tmp_path)
    divide = released_splits.split_items

    def leak(items, sources, settings, earlier, **others):
        splits = divide(items, sources, settings, earlier, **others)
        if settings.identity != planted:
            return splits
        values = splits.to_pylist()
        other = next(value for value in values if value != values[0])
        return pa.array([other, *values[1:]])

    from curate.stages.export import Export

    export = Export(stage="export", splits=SCHEMES)
    planted = export.schemes[name].settings(0, made.tools.raw).identity
    monkeypatch.setattr(released_splits, "split_items", leak)
    with pytest.raises(InvalidInput) as caught:
        make_release(made, splits=SCHEMES)
    assert caught.value.problems[0].startswith(f"{name}: s")
    assert "speaker of source-0000 occurs in" in " ".join(caught.value.problems)
    assert not list(made.corpus.workspace.releases.path.iterdir())


@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        (
            {"column": "language", "disjoint_by": ["speaker"]},
            r"speaker speaker of source-000\d occurs in dev and train",
        ),
        (
            {"test": ["item-0000"], "dev": ["item-0010"], "disjoint_by": ["speaker"]},
            "speaker .* occurs in dev and test",
        ),
    ],
)
def test_given_splits_that_share_a_speaker_are_refused_if_they_must_not(tmp_path, scheme, problem):
    with pytest.raises(InvalidInput, match="share what `disjoint_by` keeps apart") as caught:
        make_release(make(tmp_path), splits={"default": HALVES, "given": scheme})
    assert re.fullmatch(f"given: {problem}", caught.value.problems[0])


def test_an_official_column_may_divide_the_files(tmp_path):
    made = make(tmp_path)
    receipt, folder = make_release(made, split={"column": "language"})
    assert read_manifest(folder).splits == {"dev": 13, "train": 14}
    assert "13 items are left out: column language has no split for them" in receipt.message
    assert "10 speakers occur in several splits." in card_of(folder)[1]
    made.corpus.update_column("items", "language", {"item-0000": "../up"})
    with pytest.raises(InvalidInput, match=r"names a split '\.\./up', which cannot name a file|items never move"):
        make_release(made, split={"column": "language"})


def test_the_card_says_what_was_reached_and_what_is_unknown(tmp_path):
    made = make(tmp_path)
    make_corpus(tmp_path / "ws", items=4, sources=2, first=20, speaker=None)
    _, folder = make_release(made, splits=SCHEMES)
    body = card_of(folder)[1]
    facts = read_manifest(folder).schemes["default"]
    assert f"`train` {facts.splits['train'] / 44:.1%} of 50.0%" in body
    assert "| `split_cv` | 5 folds of equal size; apart by speaker |" in body
    assert "`split_by_speaker`: No speaker occurs in two splits. The speaker of 0 items" not in body
    assert "`split_cv`: No speaker occurs in two splits. The speaker of 4 items is unknown" in body
    assert "10 values of speaker occur in more than one split." in body
    assert "Labels by split are at most this far" in body


def test_a_hidden_split_that_the_column_does_not_name_hides_nothing_and_is_refused(tmp_path):
    made = make(tmp_path)
    with pytest.raises(InvalidInput, match="no item is in split Dev of column language; did you mean dev"):
        make_release(made, split={"column": "language"}, hidden="Dev")
    assert not list(made.corpus.workspace.releases.path.glob("*"))
    _, folder = make_release(made, split={"column": "language"}, hidden="dev")
    assert read_manifest(folder).schemes["default"].hidden == ("dev",)


def test_the_answers_of_a_hidden_test_split_are_not_in_the_release(tmp_path):
    made = make(tmp_path)
    _, folder = make_release(made, split=HALVES, hidden="test", reviewed_only=True)
    rows = read_rows(folder)
    manifest = read_manifest(folder)
    shards = {path.name[:4]: pa.parquet.read_table(path).to_pylist() for path in (folder / "data").iterdir()}
    assert manifest.schemes["default"].hidden == ("test",)
    assert len(shards["test"]) == manifest.splits["test"] > 0
    for row in shards["test"]:
        assert row["text"]
        assert row["audio"]["bytes"]
        assert row["judgements"] == []
        others = ("emotion", "emotion_soft", "label_source", "reviewed", "raters", "agreement", "prelabel", "valence")
        assert not any(row[name] for name in others), row
        assert row["reviewed"] is None
    assert all(row["reviewed"] for row in shards["trai"])
    _, body = card_of(folder)
    assert "The labels, judgements and pre-labels of split `test` are withheld" in body
    assert re.search(r"\| `test` \| \d+ \| .* \| withheld \| withheld \| withheld \|", body)
    assert "Every released label was given by people." in body
    assert f"Given for {manifest.splits['train']} of {len(rows)} items." in body
    assert "have no label yet" not in body
    assert "hidden" not in str(card_of(make_release(made, split=HALVES, reviewed_only=True)[1]))


def test_the_answers_of_a_hidden_split_are_written_on_request(tmp_path, posts_recipe):
    split = "stages.export.split={train: 0.5, test: 0.5, disjoint_by: []}"
    run_quietly(load_recipe(posts_recipe, [split]), tmp_path / "w")
    workspace = Workspace(tmp_path / "w")
    with pytest.raises(InvalidInput, match=r"release 1\.0\.0 withholds no answers"):
        write_answers(load_recipe(posts_recipe, [split]), workspace, tmp_path / "no.parquet")
    loaded = load_recipe(posts_recipe, [split, "stages.export.hidden=test"])
    run_quietly(loaded, tmp_path / "w")
    answers = write_answers(loaded, workspace, tmp_path / "answers.parquet")
    before = {row["item_id"]: row for row in read_rows(workspace.releases.path / "1.0.0").values()}
    rows = parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    assert answers.items == len(rows) == read_manifest(workspace.releases.path / answers.version).splits["test"] > 0
    assert {row["item_id"]: row["emotion"] for row in rows} == {
        row["item_id"]: before[row["item_id"]]["emotion"] for row in rows
    }
    assert not (tmp_path / "no.parquet").exists()
