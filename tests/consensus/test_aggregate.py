"""Judgements and proposals become one label per item."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.consensus.aggregate import aggregate
from curate.corpus.spec import table_spec
from curate.labels import LabelSchema, load_labels

SCHEMA = """
name: asked.v1
unit: post
fields:
  emotion: {type: category, taxonomy: ekman7.v1, required: true, question: "Which emotion?"}
  cause: {type: text, max_chars: 80, when: {emotion: [anger]}, question: "What caused the anger?"}
  intensity: {type: scale, minimum: 1, maximum: 5, level: ordinal, when: {emotion: [anger]}, question: "How strong?"}
"""


def make_schema(folder: Path, more: str = "") -> LabelSchema:
    path = folder / "schemas" / "labels"
    path.mkdir(parents=True)
    (path / "asked.v1.yaml").write_text(SCHEMA + more)
    return load_labels("asked.v1", folder)


def make_act(n: int, rater: str, values: Mapping[str, Any]) -> dict[str, Any]:
    act = {"annotation_id": f"a{n}", "judgement_id": f"j{n}", "item_id": "item", "annotator": rater}
    return {**act, "action": "created", "acted_at": datetime(2026, 1, n, tzinfo=UTC), **values}


def label_of(schema: LabelSchema, acts: list[dict[str, Any]]) -> dict[str, Any]:
    annotations = pa.Table.from_pylist(acts, schema=table_spec("annotations", schema).schema)
    prelabels = table_spec("prelabels", schema).schema.empty_table()
    (row,) = aggregate(schema, annotations, prelabels).to_pylist()
    return row


def test_a_field_that_turns_out_not_to_be_asked_leaves_no_soft_label(tmp_path: Path) -> None:
    schema = make_schema(tmp_path)
    angry = {"emotion": "anger", "cause": "a late train", "intensity": 4.0}
    acts = [
        make_act(1, "ann", angry),
        make_act(2, "ben", {"emotion": "happiness"}),
        make_act(3, "cem", {"emotion": "happiness"}),
    ]
    row = label_of(schema, acts)
    assert (row["emotion"], row["cause"], row["intensity"]) == ("happiness", None, None)
    assert {entry["field"] for entry in row["soft"]} == {"emotion"}
    assert {entry["field"] for entry in row["agreement"]} == {"emotion"}


def test_a_restored_judgement_counts(tmp_path: Path) -> None:
    schema = make_schema(tmp_path)
    act = make_act(1, "ann", {"emotion": "fear"})
    gone = {
        **act,
        "annotation_id": "b",
        "action": "deleted",
        "emotion": None,
        "acted_at": datetime(2026, 2, 1, tzinfo=UTC),
    }
    back = {**act, "annotation_id": "c", "action": "restored", "acted_at": datetime(2026, 3, 1, tzinfo=UTC)}
    assert label_of(schema, [act, gone, back])["emotion"] == "fear"
    assert label_of(schema, [act, back])["raters"] == 1


def test_free_words_are_those_that_most_raters_gave(tmp_path: Path) -> None:
    schema = make_schema(tmp_path, "  words: {type: open_set}\n")
    acts = [
        make_act(1, "ann", {"words": ["Relief", "joy"]}),
        make_act(2, "ben", {"words": ["relief"]}),
        make_act(3, "cem", {"words": ["relief", "pride"]}),
    ]
    row = label_of(schema, acts)
    assert row["words"] == ["relief"]
    assert [entry["decided_by"] for entry in row["decisions"] if entry["field"] == "words"] == ["raters"]
