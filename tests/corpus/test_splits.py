"""Splits share nothing, are drawn by hash, and hold still while a corpus grows."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.splitting.separation import separations
from curate.corpus.splitting.splits import SplitSettings, assign_splits, split_items

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


@given(rows, st.integers(0, 60), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_adding_data_moves_nobody_and_what_would_join_two_splits_is_withheld(rows, cut, seed):
    keys = {"source": "source_id", "speaker": "speaker"}
    divided = SplitSettings(RATIOS, list(keys), seed)
    before, after = make_items(rows[: cut or 1]), make_items(rows)
    old = assign_splits(before, divided)
    new = assign_splits(after, divided, old)
    assert {item: new[item] for item in old} == old
    placed = pa.array([new[item] for item in after["item_id"].to_pylist()], pa.string())
    assert not any(separation.leaks for separation in separations(after, placed, divided.keys))
    assert all(new[item] or item not in old for item in new)


def test_only_the_bridge_between_two_splits_is_withheld():
    divided = SplitSettings({"train": 0.5, "test": 0.5}, ["source", "speaker"], 0)
    items = make_items(
        [("s0", "Ada", None), ("s1", "Ben", None), ("s0", "Ben", None), ("s2", "Ada", None), ("s3", None, None)]
    )
    old = {"item-000": "train", "item-001": "test"}
    new = assign_splits(items, divided, old)
    assert new == old | {"item-002": None, "item-003": "train", "item-004": new["item-004"]}
    assert new["item-004"] in ("train", "test")


def test_what_leaks_is_named_and_what_is_unknown_is_counted():
    items = make_items([("s0", "Ada", None), ("s1", "Ada", None), ("s2", None, None)])
    divided = SplitSettings(RATIOS, ["source", "speaker"], 0)
    by_source, by_speaker, by_group = separations(items, pa.array(["train", "test", "test"]), divided.keys)
    assert by_source == ("source", 3, 3, {})
    assert by_speaker == ("speaker", 2, 3, {"Ada": ["test", "train"]})
    assert by_group == ("group", 0, 3, {})


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


def test_the_identity_of_settings_never_changes():
    """An earlier release is found again by it, so that its items stay in their splits."""
    settings = SplitSettings({"train": 0.8, "test": 0.2}, ["speaker", "source"], 7)
    assert settings.identity == "8e9380013059e00110793846910daecf08d6d0493e057c0ac8c08458c82ad27a"
    assert SplitSettings({"train": 0.8, "test": 0.2}, ["source", "speaker"], 7).identity == settings.identity


def test_participants_are_those_of_the_sources():
    items = make_items([(f"s{n}", None, None, None) for n in range(40)]).drop_columns(["participant"])
    sources = pa.table({"source_id": [f"s{n}" for n in range(39)], "participant": ["ann"] * 20 + [None] * 19})
    by_row = split_items(items, sources, SplitSettings(RATIOS, ["participant"], 0))
    splits = dict(zip(items["item_id"].to_pylist(), by_row.to_pylist(), strict=True))
    assert len({splits[f"item-{n:03d}"] for n in range(20)}) == 1
    assert set(splits.values()) == set(RATIOS)
