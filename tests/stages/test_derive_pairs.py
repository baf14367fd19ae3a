"""Pairs: each two once, as many as asked for, by what they share, and never across splits."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from curate.labels import load_labels
from curate.stages.derive.groups import connected_groups
from curate.stages.derive.view import Draw
from curate.stages.derive.views.pairs import Pairs
from tests.support.parents import derive, make_parent

PAIR = load_labels("text_preference.v1")
CLIPS = load_labels("clip_preference.v1")
POST = load_labels("post_writer.v1")


def make_view(**settings) -> Pairs:
    return Pairs.model_validate({"view": "pairs", "of": "text", **settings})


def posts(count: int, **columns):
    return [
        make_parent(f"i{n:03}", text=f"text {n}", **{name: values[n % len(values)] for name, values in columns.items()})
        for n in range(count)
    ]


def ids(made):
    return [tuple(parent.item_id for parent in item.parents) for item in made]


@given(st.integers(2, 30), st.integers(1, 6))
def test_each_two_once_and_each_item_as_often_as_asked(count, per_item):
    made, _ = derive(make_view(per_item=per_item), PAIR, POST, posts(count))
    pairs = ids(made)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(left != right for left, right in pairs)
    times = Counter(item for pair in pairs for item in pair)
    assert max(times.values()) <= per_item
    # Whoever still has room has been joined with all others that have.
    room = [item.item_id for item in posts(count) if times[item.item_id] < per_item]
    missing = {frozenset((a, b)) for a in room for b in room if a != b} - {frozenset(pair) for pair in pairs}
    assert not missing


@given(st.permutations(range(12)))
def test_the_order_of_rows_decides_nothing(order):
    items = posts(12, speaker=["a", "b", "c"])
    view = make_view(same=["speaker"], per_item=2)
    made, left_out = derive(view, PAIR, POST, items)
    again, left_again = derive(view, PAIR, POST, [items[index] for index in order])
    assert sorted(ids(made)) == sorted(ids(again))
    assert sorted(left_out) == sorted(left_again)


def test_what_was_drawn_stays_when_the_corpus_grows():
    view = make_view(per_item=2)
    before, _ = derive(view, PAIR, POST, posts(20))
    drawn = frozenset(":".join(pair) for pair in ids(before))
    grown, _ = derive(view, PAIR, POST, posts(33), Draw(7, drawn))
    assert set(ids(before)) <= set(ids(grown))
    assert len(grown) > len(before)


def test_sides_are_drawn_evenly_and_another_seed_draws_others():
    made, _ = derive(make_view(per_item=8), PAIR, POST, posts(60))
    lower_left = sum(left < right for left, right in ids(made))
    assert 0.4 < lower_left / len(made) < 0.6
    other, _ = derive(make_view(per_item=8), PAIR, POST, posts(60), Draw(8))
    assert sorted(ids(made)) != sorted(ids(other))


def test_same_and_different_hold_and_equal_texts_are_no_pair():
    items = [
        make_parent("a1", text="one", source={"columns": [{"name": "prompt", "value": "p"}]}, speaker="m1"),
        make_parent("a2", text="two", source={"columns": [{"name": "prompt", "value": "p"}]}, speaker="m2"),
        make_parent("a3", text="two", source={"columns": [{"name": "prompt", "value": "p"}]}, speaker="m3"),
        make_parent("b1", text="six", source={"columns": [{"name": "prompt", "value": "q"}]}, speaker="m1"),
        make_parent("c1", text="ten"),
        make_parent("d1"),
    ]
    made, left_out = derive(make_view(same=["prompt"], different="speaker", per_item=5), PAIR, POST, items)
    assert {frozenset(pair) for pair in ids(made)} == {frozenset(("a1", "a2")), frozenset(("a1", "a3"))}
    assert {(out.item_id, out.reason) for out in left_out} == {
        ("b1", "filtered"),
        ("c1", "filtered"),
        ("d1", "no_text"),
    }
    assert all(item.text != item.text_b for item in made)


def test_pairs_of_different_labels():
    items = [
        make_parent("a", text="x", label={"emotion": "joy"}),
        make_parent("b", text="y", label={"emotion": "joy"}),
        make_parent("c", text="z", label={"emotion": "anger"}),
    ]
    schema = load_labels("dialogue_clip_emotion.v1")
    made, _ = derive(make_view(different="emotion", per_item=2), PAIR, schema, items)
    assert {frozenset(pair) for pair in ids(made)} == {frozenset("ac"), frozenset("bc")}


def test_groups_follow_shared_parents_groups_and_speakers():
    items = posts(9, speaker=["a", "b", "a"], group=["g1", "g2", "g3"])
    made, _ = derive(make_view(per_item=1), PAIR, POST, items)
    owners = {}
    for item in made:
        for parent in item.parents:
            owners.setdefault(parent.row["group"], set()).add(item.group)
            owners.setdefault(parent.row["speaker"], set()).add(item.group)
    assert all(len(groups) == 1 for groups in owners.values())


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=12))
def test_connected_lists_share_a_group(ties):
    groups = connected_groups(ties)
    for one, first in zip(ties, groups, strict=True):
        for other, second in zip(ties, groups, strict=True):
            if set(one) & set(other):
                assert first == second
    assert connected_groups(ties[::-1]) == groups[::-1]


def test_clips_bring_both_media_and_those_without_a_copy_wait():
    clips = [
        make_parent("a", video="aa/a.mp4", audio="aa/a.flac", layout="video"),
        make_parent("b", video="bb/b.mp4", audio="bb/b.flac", layout="video"),
        make_parent("c", audio="cc/c.flac", layout="video"),
    ]
    (made,), left_out = derive(make_view(of="video"), CLIPS, load_labels("acted_emotion.v1"), clips)
    left, right = (parent.row for parent in made.parents)
    assert made.media == {
        "video": left["video"],
        "video_b": right["video"],
        "audio": left["audio"],
        "audio_b": right["audio"],
    }
    assert made.layout == "video"
    assert [(out.item_id, out.reason) for out in left_out] == [("c", "unavailable")]


def test_a_unit_that_is_not_judged_is_named():
    problems = list(make_view().problems(POST, None))
    assert problems == [(("view",), "pairs makes items of unit pair, and post_writer.v1 is about post")]
