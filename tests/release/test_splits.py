"""Splits share nothing, are drawn by hash, and hold still while a corpus grows."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.corpus.splits import SplitSettings, assign_splits
from curate.stages.export import Export

RATIOS = {"train": 0.6, "validation": 0.2, "test": 0.2}
COLUMNS = ("item_id", "source_id", "speaker", "participant", "group", "face_identity")
names = st.one_of(st.none(), st.sampled_from("abcdefgh"))
rows = st.lists(st.tuples(st.sampled_from("pqrstuvw"), names, names, names, names), min_size=1, max_size=60)


def make_items(rows):
    numbered = [(f"item-{at:03d}", *row) for at, row in enumerate(rows)]
    return pa.table({name: [row[at] if at < len(row) else None for row in numbered] for at, name in enumerate(COLUMNS)})


@given(
    rows,
    st.lists(st.sampled_from(["source", "speaker", "participant", "identity", "group"]), unique=True),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None)
def test_nothing_named_by_disjoint_by_is_in_two_splits(rows, disjoint_by, seed):
    items = make_items(rows)
    splits = assign_splits(items, SplitSettings(RATIOS, disjoint_by, seed))
    assert set(splits) == set(items["item_id"].to_pylist())
    assert set(splits.values()) <= set(RATIOS)
    column = {"source": "source_id", "identity": "face_identity"}
    for key in disjoint_by:
        where = {}
        for row in items.to_pylist():
            if (value := row[column.get(key, key)]) is not None:
                where.setdefault(value, set()).add(splits[row["item_id"]])
        assert all(len(found) == 1 for found in where.values())


@given(rows, st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_adding_data_moves_nobody_unless_it_joins_what_was_apart(rows, cut):
    before = make_items(rows[: cut or 1])
    old = assign_splits(before, SplitSettings(RATIOS, ["source", "speaker"], 1))
    new = assign_splits(make_items(rows), SplitSettings(RATIOS, ["source", "speaker"], 1), old)
    partners: dict[str, set[str]] = {}
    for item, split in old.items():
        partners.setdefault(new[item], set()).add(split)
    moved = [item for item in old if old[item] != new[item]]
    for item in moved:  # only a bridge between two splits can move an item, and then to the other side of the bridge
        assert len(partners[new[item]]) > 1


def test_new_sources_leave_old_assignments_in_place_without_any_memory():
    few = make_items([(f"s{at}", f"speaker {at}", None, None) for at in range(50)])
    many = make_items([(f"s{at}", f"speaker {at}", None, None) for at in range(500)])
    old = assign_splits(few, SplitSettings(RATIOS, ["source", "speaker"], 3))
    new = assign_splits(many, SplitSettings(RATIOS, ["source", "speaker"], 3))
    assert {item: new[item] for item in old} == old
    shares = {name: list(new.values()).count(name) / 500 for name in RATIOS}
    assert all(abs(shares[name] - RATIOS[name]) < 0.06 for name in RATIOS), shares


def test_a_group_that_grows_stays_where_it_was():
    few = make_items([("s5", "Ada", None, None)])
    more = make_items([("s5", "Ada", None, None), ("s1", "Ada", None, None)])
    without_memory = 0
    for seed in range(20):
        old = assign_splits(few, SplitSettings(RATIOS, ["source", "speaker"], seed))
        new = assign_splits(more, SplitSettings(RATIOS, ["source", "speaker"], seed), old)
        assert set(new.values()) == set(old.values())
        without_memory += assign_splits(more, SplitSettings(RATIOS, ["source", "speaker"], seed)) != new
    assert without_memory > 0


def test_row_order_does_not_matter_and_the_seed_does():
    items = make_items([(f"s{at}", None, None, None) for at in range(40)])
    one = assign_splits(items, SplitSettings(RATIOS, ["source"], 0))
    assert assign_splits(items.take(list(reversed(range(40)))), SplitSettings(RATIOS, ["source"], 0)) == one
    assert assign_splits(items, SplitSettings(RATIOS, ["source"], 1)) != one


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"train": 0.8, "test": 0.1}, "add up to 0.9"),
        ({"train": 1.5, "test": -0.5}, "above 0"),
        ({"tr/ain": 1.0}, "cannot name a split"),
        ({"all": 1.0}, "cannot name a split"),
        ({"train": 1.0, "disjoint_by": ["colour"]}, "'source', 'speaker', 'participant', 'identity' or"),
        ({"train": "much"}, "number"),
        ({"train": float("nan")}, "above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(split, words):
    with pytest.raises(ValidationError) as caught:
        Export(stage="export", split=split)
    assert words in str(caught.value)


@pytest.mark.parametrize("release", ["../up", "a b", "", ".hidden", "v1/x", "-rf", "x" * 65])
def test_versions_that_are_no_folder_names_are_refused(release):
    with pytest.raises(ValidationError):
        Export(stage="export", release=release)
