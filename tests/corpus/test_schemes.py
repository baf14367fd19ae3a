"""Every kind of split scheme keeps its promise: apart, near its shares, and still where it was when data came."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.splitting.separation import separations
from curate.corpus.splitting.splits import SplitSettings, split_items, split_rows
from curate.errors import InvalidInput

RATIOS = {"train": 0.6, "validation": 0.2, "test": 0.2}
FOLDS = {f"fold_{number}": 0.2 for number in range(1, 6)}
values = st.one_of(st.none(), st.sampled_from("abcdef"))
rows = st.lists(st.tuples(st.sampled_from("pqrstu"), values, values, st.sampled_from("xyz")), min_size=2, max_size=50)
SCHEMES = {
    "shares": SplitSettings(RATIOS, ["source", "speaker"], 1),
    "folds": SplitSettings(FOLDS, ["speaker"], 1, balanced=True),
    "several keys": SplitSettings(RATIOS, ["source", "speaker", "participant", "official"], 1),
    "stratified": SplitSettings(RATIOS, ["speaker"], 1, stratify_by="official"),
    "lists": SplitSettings({"train": 0.7, "dev": 0.3}, ["speaker"], 1, ids={"test": ("item-000", "item-001")}),
    "column": SplitSettings({}, [], 1, column="official"),
    "left out": SplitSettings({}, [], 1, leave_one_out="speaker"),
}


def make_tables(rows):
    items = pa.table(
        {
            "item_id": [f"item-{number:03d}" for number in range(len(rows))],
            "source_id": [f"{row[0]}{number % 5}" for number, row in enumerate(rows)],
            "speaker": pa.array([row[1] for row in rows], pa.string()),
            "group": pa.nulls(len(rows), pa.string()),
            "face_identity": pa.nulls(len(rows), pa.string()),
        }
    )
    kept = {row[0] + str(number % 5): row[3] for number, row in enumerate(rows)}
    sources = pa.table(
        {
            "source_id": list(kept),
            "participant": pa.array([None for _ in kept], pa.string()),
            "columns": [
                [{"name": "official", "value": value}, {"name": "take", "value": "1"}] for value in kept.values()
            ],
        }
    )
    return items, sources


def divide(tables, scheme, previous=None):
    items, sources = tables
    splits = split_items(items, sources, scheme, previous, strata=items["source_id"].combine_chunks())
    from curate.corpus.splitting.keys import with_columns

    placed = with_columns(items, sources, scheme.columns)
    assert not any(separation.leaks for separation in separations(placed, splits, scheme.keys))
    return dict(zip(items["item_id"].to_pylist(), splits.to_pylist(), strict=True))


@pytest.mark.parametrize("name", SCHEMES)
@given(rows=rows, cut=st.integers(2, 50))
@settings(max_examples=15, deadline=None)
def test_growth_moves_no_item_and_splits_stay_apart(name, rows, cut):
    scheme = SCHEMES[name]
    if name == "lists":
        # The listed items share no speaker with each other's complement by construction of the list.
        rows = [(*row[:1], None, *row[2:]) if number < 2 else row for number, row in enumerate(rows)]
    whole = make_tables(rows)
    before = whole[0].slice(0, min(cut, len(rows))), whole[1]
    old = {item: split for item, split in divide(before, scheme).items() if split is not None}
    new = divide(whole, scheme, old)
    assert {item: new[item] for item in old} == old
    shuffled = whole[0].take(list(reversed(range(len(rows))))), whole[1]
    assert divide(shuffled, scheme, old) == new


def test_folds_are_of_equal_size_and_shares_are_reached_by_stratum():
    items = pa.table({"item_id": [f"i{n}" for n in range(1000)], "source_id": [f"s{n // 4}" for n in range(1000)]})
    items = items.append_column("group", pa.nulls(1000, pa.string()))
    folds = split_rows(items, SplitSettings(FOLDS, ["source"], 3, balanced=True), {})
    assert set(Counter(folds.to_pylist()).values()) == {200}
    strata = pa.array([("joy" if n % 8 < 4 else "rage") if n % 40 else "rare" for n in range(1000)])
    for keys in (["source"], []):
        scheme = SplitSettings(RATIOS, keys, 3, stratify_by="emotion")
        splits = split_rows(items, scheme, {}, strata=strata).to_pylist()
        for stratum, size in Counter(strata.to_pylist()).items():
            inside = Counter(split for split, kind in zip(splits, strata.to_pylist(), strict=True) if kind == stratum)
            assert all(abs(inside[name] / size - share) < 0.05 for name, share in RATIOS.items()), (stratum, inside)


def test_a_stratified_scheme_waits_for_its_strata():
    items, sources = make_tables([("p", None, None, "x")] * 4)
    assert split_items(items, sources, SCHEMES["stratified"]).null_count == 4
    assert split_items(items, sources, SCHEMES["stratified"], {"item-000": "test"}).null_count == 3


def test_listed_ids_are_the_whole_of_their_split_and_name_items_or_sources():
    items, sources = make_tables([("p", "Ada", None, "x"), ("q", "Ben", None, "x"), ("r", "Ada", None, "x")])
    exact = SplitSettings({"train": 1.0}, [], 0, ids={"test": ("item-000",)})
    assert split_items(items, sources, exact).to_pylist() == ["test", "train", "train"]
    apart = SplitSettings({"train": 1.0}, ["speaker"], 0, ids={"test": ("p0", "gone")})
    assert split_items(items, sources, apart).to_pylist() == ["test", "train", None], "Ada is in the test split"
    for ids, words in (
        ({"test": ("gone",)}, "none of the 1 ids"),
        ({"test": ("p0",), "dev": ("item-000",)}, "is listed"),
    ):
        with pytest.raises(InvalidInput, match=words):
            split_items(items, sources, SplitSettings({"train": 1.0}, [], 0, ids=ids))


def test_the_split_of_a_column_or_group_is_taken_as_it_is_and_never_moves():
    items, sources = make_tables([("p", "Ada", None, "x"), ("q", None, None, "y")])
    assert split_items(items, sources, SCHEMES["column"]).to_pylist() == ["x", "y"]
    assert split_items(items, sources, SCHEMES["left out"]).to_pylist() == ["Ada", None], "unknown stays unknown"
    with pytest.raises(InvalidInput, match="items never move") as caught:
        split_items(items, sources, SCHEMES["column"], {"item-001": "x"})
    assert caught.value.problems == ("item-001: from x to y",)


def test_participants_that_are_left_out_are_named_by_a_secret_hash():
    items, sources = make_tables([("p", None, None, "x"), ("q", None, None, "y")])
    sources = sources.set_column(1, "participant", pa.array(["Ada Lovelace", "Ben"]))
    scheme = SplitSettings({}, [], 0, leave_one_out="participant")
    names = split_items(items, sources, scheme, secret=b"one").to_pylist()
    assert all(name.startswith("participant-") and len(name) == 20 for name in names)
    assert len(set(names)) == 2
    assert split_items(items, sources, scheme, secret=b"other").to_pylist() != names


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (SplitSettings(RATIOS, ["colour"], 0), "no item has a column 'colour'"),
        (SplitSettings({}, [], 0, column="offical"), "did you mean official"),
        (SplitSettings({}, [], 0, column="columns"), "no item has a column 'columns'"),
    ],
)
def test_a_column_that_does_not_exist_is_named(scheme, words):
    with pytest.raises(InvalidInput, match=words):
        split_items(*make_tables([("p", "Ada", None, "x"), ("q", None, None, "y")]), scheme)


def test_nearly_the_same_items_stay_together():
    from curate.stages.near_duplicates import near_duplicates

    texts = ["Oh my God, this is it!", "oh my god this is it", "Yes.", "Yes.", None, "Another text of five words."]
    items = pa.table(
        {
            "item_id": [f"i{number}" for number in range(6)],
            "text": texts,
            "picture_hash": pa.nulls(6, pa.string()),
            "sound_hash": pa.array([None, None, "a" * 64, "a" * 63 + "b", None, None]),
            "start_s": [0.0] * 6,
            "end_s": [1.0] * 6,
        }
    )
    assert near_duplicates(items).to_pylist() == ["i0", "i0", "i2", "i2", None, "i5"], "short words are alike by chance"
