"""Settings of the export stage that cannot be meant are refused."""

import pytest
from pydantic import ValidationError

from curate.stages.export import Export


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": 0.8, "test": 0.1}, "add up to 0.9"),
        ({"train": 1.5, "test": -0.5}, "above 0"),
        ({"tr/ain": 1.0}, "cannot name a split"),
        ({"all": 1.0}, "cannot name a split"),
        ({"train": True, "test": None}, "split.test"),
        ({"train": 0.5, "column": "split"}, "column and splits by name exclude each other"),
        ({"folds": 3, "column": "split"}, "column and folds exclude each other"),
        ({"column": "participant"}, "would show people's names: use leave_one_out: participant"),
        ({"folds": 1}, "greater than or equal to 2"),
        ({"leave_one_out": "speaker"}, "too many splits to divide files"),
        ({"column": "split", "stratify_by": "emotion"}, "stratify_by has no effect on column"),
        ({"train": 0.5, "test": ["a"]}, "of the items that no list names add up to 0.5"),
        ({"train": float("nan")}, "above 0"),
    ],
)
def test_split_settings_are_checked(split, message):
    with pytest.raises(ValidationError) as caught:
        Export(stage="export", split=split)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "release", ["../up", "", "v1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-rc1", "1.0.0\n", "١.0.0", "9" * 30 + ".0.0", 1.0]
)
def test_versions_are_three_numbers(release):
    with pytest.raises(ValidationError):
        Export(stage="export", release=release)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": {"train": 1.0}, "splits": {"default": {"train": 1.0}}}, "either `split` or `splits`"),
        ({"splits": {"by speaker": {"folds": 3}}}, "cannot name a split scheme"),
        (
            {"splits": {"a": {"folds": 3}, "b": {"leave_one_out": "speaker", "disjoint_by": ["source"]}}},
            "cannot be disj",
        ),
        ({"split": {"train": 0.5, "test": 0.5}, "hidden": "tset"}, "no split tset; did you mean test?"),
    ],
)
def test_settings_of_schemes_are_checked(settings, message):
    with pytest.raises(ValidationError) as caught:
        Export(stage="export", **settings)
    assert message in str(caught.value)


def test_a_list_of_ids_that_is_not_there_is_found_before_anything_runs(tmp_path):
    export = Export(stage="export", split={"test": "ids.txt"})
    assert [place for place, _ in export.problems(tmp_path)] == [("split",)]
    (tmp_path / "ids.txt").write_text("a")
    assert not list(export.problems(tmp_path))


def test_hidden_splits_are_held_out_like_the_test_split():
    split = {"train": 0.5, "test": 0.2, "final": 0.3}
    assert Export(stage="export", split=split, hidden="final").held_out == ("test", "final")
    assert Export(stage="export").held_out == ("test",)
