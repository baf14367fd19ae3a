"""Examples for prompts: similar, labelled by people, and unrelated to the item."""

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


def make_item(index, text=None, **more):
    defaults = {
        "item_id": f"i{index}",
        "source_id": f"s{index}",
        "speaker": f"p{index}",
        "group": f"g{index}",
        "unit": "post",
    }
    return {**defaults, "text": text or TEXTS[index % len(TEXTS)], "dialogue": None, **more}


def make_label(item, emotion="anger", **more):
    values = {"emotion": [emotion], "valence": -0.5, "intensity": 3.0, "description": None}
    return {"item_id": item["item_id"], "label_source": "human", **values, **more}


ITEMS = [make_item(index) for index in range(len(TEXTS))]
QUERY = make_item(99, "so angry: where are my keys?")


def ids(examples):
    return [example.item["item_id"] for example in examples]


def pool_of(items=ITEMS, judged=None, **more):
    return build_pool(LABELS, items, judged if judged is not None else [make_label(item) for item in items], **more)


def test_the_most_similar_come_last_and_dissimilar_ones_are_left_out():
    assert ids(retrieve(QUERY, pool_of(), 3)) == ["i1", "i4", "i0"]
    assert ids(retrieve(QUERY, pool_of(), 1)) == ["i0"]
    assert set(ids(retrieve(QUERY, pool_of(), 99))) == {"i0", "i1", "i3", "i4"}
    assert retrieve(make_item(99, "zebra"), pool_of(), 3) == []
    assert retrieve(QUERY, pool_of(), 0) == []


def test_scores_are_those_of_bm25():
    pool = pool_of()
    documents = [tokenize(item["text"]) for item in ITEMS]
    mean = sum(map(len, documents)) / len(documents)
    places, gains = pool.postings["keys"]
    for index, gain in zip(places.tolist(), gains.tolist(), strict=True):
        times, length = documents[index].count("keys"), len(documents[index])
        rarity = math.log(1 + (len(documents) - 3 + 0.5) / (3 + 0.5))
        assert gain == pytest.approx(rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean)))
    assert places.tolist() == [0, 1, 4]


def test_scripts_without_spaces_are_compared_by_character_pairs():
    assert ids(retrieve(make_item(99, "悲しい話だ"), pool_of(), 2)) == ["i5"]
    assert tokenize("ABCの悲しい x") == ["abc", "の悲", "悲し", "しい", "x"]
    assert tokenize("悲") == ["悲"]


@pytest.mark.parametrize("shared", ["source_id", "speaker", "group", "participant", "item_id"])
def test_examples_share_no_origin_with_the_item(shared):
    items = [{**item, "participant": f"who{index}"} for index, item in enumerate(ITEMS)]
    query = {**QUERY, "participant": "who99", shared: items[4][shared]}
    assert "i4" not in ids(retrieve(query, pool_of(items), 3))
    assert "i4" in ids(retrieve(query | {shared: None}, pool_of([item | {shared: None} for item in items]), 9)) or (
        shared == "item_id"
    )


def test_examples_are_never_from_the_test_split_or_from_no_split():
    splits = {"i0": "train", "i1": "validation", "i2": "train", "i3": "train", "i4": "test"}
    item_ids = ids(retrieve(QUERY, pool_of(splits=splits), 9))
    assert "i4" not in item_ids
    assert {"i0", "i1"} <= set(item_ids)
    assert "i1" not in ids(retrieve(QUERY, pool_of(splits=splits, held_out=("test", "validation")), 9))
    assert retrieve(make_item(99, TEXTS[5]), pool_of(splits=splits), 9) == []


def test_only_what_people_labelled():
    judged = [
        make_label(ITEMS[0], label_source="model"),
        make_label(ITEMS[4]),
        {**make_label(ITEMS[1]), "valence": 7.0},
    ]
    empty = make_label(ITEMS[2]) | dict.fromkeys(LABELS.fields)
    assert [example.item["item_id"] for example in pool_of(judged=[*judged, empty]).examples] == ["i1", "i4"]


def test_spans_over_changed_text_are_left_out():
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
    pool, reversed_pool = pool_of(), pool_of(ITEMS[::-1], judged[::-1])
    assert ids(retrieve(QUERY, pool, 4)) == ids(retrieve(QUERY, reversed_pool, 4))
    alike = [make_item(index, "the very same words") for index in range(5)]
    assert ids(retrieve(make_item(99, "same words"), pool_of(alike), 2)) == ["i1", "i0"]


def test_examples_are_formatted_one_a_line():
    line = format_examples(retrieve(QUERY, pool_of([make_item(0, "angry\nkeys }")]), 2), LABELS)
    assert json.loads(line) == {
        "text": "angry\nkeys }",
        "answer": {"emotion": ["anger"], "valence": -0.5, "intensity": 3, "description": None},
    }
    assert "\n" not in line


def test_retrieval_by_vectors():
    pool = pool_of().with_vectors(list(np.eye(6, dtype=np.float32) * 5))
    towards = np.array([0, 0, 1, 0.5, 0, 0], np.float32)
    assert ids(retrieve(QUERY, pool, 2, vector=towards)) == ["i3", "i2"]
    assert retrieve(QUERY, pool, 1) == []
    with pytest.raises(ValueError, match="5 vectors for 6 examples"):
        pool_of().with_vectors(list(np.zeros((5, 2), np.float32)))
    lacking = pool_of().with_vectors(
        [None if index == 3 else row for index, row in enumerate(np.eye(6, dtype=np.float32))]
    )
    assert ids(retrieve(QUERY, lacking, 1, vector=towards)) == ["i2"]
    assert "i3" not in ids(retrieve(QUERY, lacking, 9, vector=towards))
    assert retrieve(QUERY, pool_of().with_vectors([None] * 6), 9, vector=towards) == []
