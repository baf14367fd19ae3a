"""Examples for prompts: alike, from people, and from nobody whom the item could be known by."""

import json
import math

import numpy as np
import pytest

from curate.labels import load_labels
from curate.llm.prompts.examples import build_pool, format_examples, retrieve, search_text, tokenize

LABELS = load_labels("utterance_emotion.v1")
TEXTS = (
    "I lost my keys and I am so angry",
    "The keys are on the table",
    "What a lovely song, I am happy",
    "My dog died and I cry all day",
    "Angry again about the keys, so angry",
    "彼女は去った。とても悲しい。",
)


def make_item(at, text=None, **more):
    own = {"item_id": f"i{at}", "source_id": f"s{at}", "speaker": f"p{at}", "group": f"g{at}", "unit": "post"}
    return {**own, "text": text or TEXTS[at % len(TEXTS)], "dialogue": None, **more}


def make_label(item, emotion="anger", **more):
    values = {"emotion": [emotion], "valence": -0.5, "intensity": 3.0, "description": None}
    return {"item_id": item["item_id"], "label_source": "human", **values, **more}


ITEMS = [make_item(at) for at in range(len(TEXTS))]
ASKED = make_item(99, "so angry: where are my keys?")


def ids(found):
    return [example.item["item_id"] for example in found]


def pool_of(items=ITEMS, judged=None, **more):
    return build_pool(LABELS, items, judged if judged is not None else [make_label(item) for item in items], **more)


def test_the_likest_come_last_and_those_unlike_not_at_all():
    assert ids(retrieve(ASKED, pool_of(), 3)) == ["i1", "i4", "i0"]
    assert ids(retrieve(ASKED, pool_of(), 1)) == ["i0"]
    assert set(ids(retrieve(ASKED, pool_of(), 99))) == {"i0", "i1", "i3", "i4"}
    assert retrieve(make_item(99, "zebra"), pool_of(), 3) == []
    assert retrieve(ASKED, pool_of(), 0) == []


def test_scores_are_those_of_bm25():
    pool = pool_of()
    documents = [tokenize(item["text"]) for item in ITEMS]
    mean = sum(map(len, documents)) / len(documents)
    places, gains = pool.postings["keys"]
    for at, gain in zip(places.tolist(), gains.tolist(), strict=True):
        times, length = documents[at].count("keys"), len(documents[at])
        rarity = math.log(1 + (len(documents) - 3 + 0.5) / (3 + 0.5))
        assert gain == pytest.approx(rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean)))
    assert places.tolist() == [0, 1, 4]


def test_script_without_spaces_is_compared_by_pairs():
    assert ids(retrieve(make_item(99, "悲しい話だ"), pool_of(), 2)) == ["i5"]
    assert tokenize("ABCの悲しい x") == ["abc", "の悲", "悲し", "しい", "x"]
    assert tokenize("悲") == ["悲"]


@pytest.mark.parametrize("shared", ["source_id", "speaker", "group", "participant", "item_id"])
def test_nothing_that_the_item_shares_with_an_example(shared):
    items = [{**item, "participant": f"who{at}"} for at, item in enumerate(ITEMS)]
    asked = {**ASKED, "participant": "who99", shared: items[4][shared]}
    assert "i4" not in ids(retrieve(asked, pool_of(items), 3))
    assert "i4" in ids(retrieve(asked | {shared: None}, pool_of([item | {shared: None} for item in items]), 9)) or (
        shared == "item_id"
    )


def test_never_from_the_test_split_or_from_none():
    splits = {"i0": "train", "i1": "validation", "i2": "train", "i3": "train", "i4": "test"}
    found = ids(retrieve(ASKED, pool_of(splits=splits), 9))
    assert "i4" not in found
    assert {"i0", "i1"} <= set(found)
    assert "i1" not in ids(retrieve(ASKED, pool_of(splits=splits, held_out=("test", "validation")), 9))
    assert retrieve(make_item(99, TEXTS[5]), pool_of(splits=splits), 9) == []


def test_only_what_people_labelled():
    judged = [
        make_label(ITEMS[0], label_source="model"),
        make_label(ITEMS[4]),
        {**make_label(ITEMS[1]), "valence": 7.0},
    ]
    empty = make_label(ITEMS[2]) | dict.fromkeys(LABELS.fields)
    assert [each.item["item_id"] for each in pool_of(judged=[*judged, empty]).examples] == ["i1", "i4"]


def test_spans_over_a_text_that_changed_are_no_example():
    labels = load_labels("emotion_causes.v1")
    talk = {"item_id": "d", "source_id": "s", "unit": "dialogue", "text": None, "speaker": None, "group": None}
    talk["dialogue"] = [{"turn": 0, "speaker": "A", "text": "You lied to me"}]
    span = {"id": "s1", "turn": 0, "start": 0, "end": 8, "text": "You lied", "label": "cause"}
    judged = {"item_id": "d", "label_source": "human", "causes": {"spans": [span], "relations": []}}
    pool = build_pool(labels, [talk], [judged])
    assert json.loads(format_examples(pool.examples, labels)) == {
        "dialogue": [{"turn": 0, "text": "You lied to me"}],
        "answer": {
            "causes": {
                "spans": [{"id": "s1", "turn": 0, "text": "You lied", "occurrence": 1, "label": "cause"}],
                "relations": [],
            }
        },
    }
    changed = {**talk, "dialogue": [{"turn": 0, "speaker": "A", "text": "I lied to you"}]}
    assert build_pool(labels, [changed], [judged]).examples == ()
    assert search_text(talk) == "You lied to me"


def test_order_of_the_tables_does_not_matter():
    judged = [make_label(item) for item in ITEMS]
    one, other = pool_of(), pool_of(ITEMS[::-1], judged[::-1])
    assert ids(retrieve(ASKED, one, 4)) == ids(retrieve(ASKED, other, 4))
    alike = [make_item(at, "the very same words") for at in range(5)]
    assert ids(retrieve(make_item(99, "same words"), pool_of(alike), 2)) == ["i1", "i0"]


def test_examples_are_told_one_a_line():
    told = format_examples(retrieve(ASKED, pool_of([make_item(0, "angry\nkeys }")]), 2), LABELS)
    assert json.loads(told) == {
        "text": "angry\nkeys }",
        "answer": {"emotion": ["anger"], "valence": -0.5, "intensity": 3, "description": None},
    }
    assert "\n" not in told


def test_by_vectors():
    pool = pool_of().with_vectors(list(np.eye(6, dtype=np.float32) * 5))
    towards = np.array([0, 0, 1, 0.5, 0, 0], np.float32)
    assert ids(retrieve(ASKED, pool, 2, vector=towards)) == ["i3", "i2"]
    assert retrieve(ASKED, pool, 1) == []
    with pytest.raises(ValueError, match="5 vectors for 6 examples"):
        pool_of().with_vectors(list(np.zeros((5, 2), np.float32)))
    lacking = pool_of().with_vectors([None if at == 3 else row for at, row in enumerate(np.eye(6, dtype=np.float32))])
    assert ids(retrieve(ASKED, lacking, 1, vector=towards)) == ["i2"]
    assert "i3" not in ids(retrieve(ASKED, lacking, 9, vector=towards))
    assert retrieve(ASKED, pool_of().with_vectors([None] * 6), 9, vector=towards) == []
