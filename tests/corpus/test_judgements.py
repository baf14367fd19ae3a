"""One definition of the current judgements, whatever the order of rows, and one maker of their rows."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from curate.consensus.aggregate import aggregate
from curate.corpus.judgements import Judgement, current_judgements, newest_acts, to_deletion
from curate.corpus.sessions import with_sessions
from curate.corpus.spec import table_spec
from curate.labels import load_labels
from curate.release.rows import ReleaseRows, ReleaseTables

LABELS = load_labels("utterance_emotion.v1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_act(revision: object = 1, *, at: datetime | None = NOON, rater: str = "ann", **changed: Any) -> dict[str, Any]:
    values = {"emotion": changed.pop("emotion", ["fear"])}
    judgement = Judgement(
        item_id="item", rater=rater, identity=("test", rater), revision=(revision,), values=values, acted_at=at
    )
    return judgement.to_row(LABELS) | changed


def make_table(rows: list[dict[str, Any]], name: str = "annotations") -> pa.Table:
    return pa.Table.from_pylist(rows, schema=table_spec(name, LABELS).schema)


def test_ids_of_stored_rows_never_change() -> None:
    row = make_act("2026-01-02T03:04:05Z")
    assert row["judgement_id"] == "97edaa1a29ba65c39ba48c7dffb196d3820b0836b610c1cb4b823deb9bd5b3af"
    assert row["annotation_id"] == "f4606e2f01f26e78eb8b12253df457d76e3e79fd57ed79ec0194fe3a2389d526"
    assert to_deletion(row, LABELS, NOON)["annotation_id"] == (
        "a839f272d479304f0a4dfd58fa3180bf7e79995b32b7fc35c6a41bb25d90e546"
    )


def test_an_act_without_a_time_is_the_oldest_wherever_it_is_read(tmp_path) -> None:
    acts = [make_act(1, at=None, emotion=["anger"]), make_act(2, emotion=["happiness"])]
    for rows in (acts, acts[::-1]):
        annotations = make_table(rows)
        assert newest_acts(annotations)["emotion"].to_pylist() == [["happiness"]]
        (label,) = aggregate(LABELS, annotations, make_table([], "prelabels")).to_pylist()
        items = with_sessions(make_table([{"item_id": "item", "source_id": "s", "work": "w"}], "items"), {})
        tables = ReleaseTables(
            items, make_table([], "sources"), make_table([], "prelabels"), annotations, make_table([], "labels")
        )
        (released,) = ReleaseRows(tables, LABELS, secret=b"", folder=tmp_path).table(np.arange(1)).to_pylist()
        assert label["emotion"] == ["happiness"]
        (judgement,) = released["judgements"]
        assert judgement["emotion"] == LABELS.fields["emotion"].to_release(["happiness"])


def test_the_newest_act_does_not_depend_on_the_order_of_rows() -> None:
    rows = [make_act(n, at=NOON if n % 3 else None, rater=f"rater {n % 2}") for n in range(12)]
    newest = newest_acts(make_table(rows))
    for seed in range(10):
        Random(seed).shuffle(rows)
        assert newest_acts(make_table(rows)) == newest
    assert newest.num_rows == 2


def test_a_deletion_counts_though_the_clock_of_the_server_is_ahead() -> None:
    for n in range(20):
        act = make_act(n)
        deletion = to_deletion(act, LABELS, NOON - timedelta(hours=1))
        tie = deletion | {"acted_at": NOON}
        for last in (deletion, tie):
            assert newest_acts(make_table([act, last]))["action"].to_pylist() == ["deleted"]
        assert current_judgements(make_table([act, deletion])).num_rows == 0
    assert (deletion["emotion"], deletion["raw"], deletion["judgement_id"]) == (None, None, act["judgement_id"])


def test_skipped_judgements_are_left_out_unless_asked_for() -> None:
    annotations = make_table([make_act(1, action="skipped"), make_act(1, rater="ben"), make_act(1, rater="eve")])
    assert sorted(current_judgements(annotations)["annotator"].to_pylist()) == ["ben", "eve"]
    assert current_judgements(annotations, with_skipped=True).num_rows == 3
