"""The sections of a report: each figure follows from the rows that it is about."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from curate.consensus.agreement.rows import AgreementRow
from curate.corpus.spec import table_spec
from curate.labels import load_labels
from curate.report.findings import Findings
from curate.report.run import render_report
from curate.report.sections.affect import MAX_POINTS, affect_plot
from curate.report.sections.agreement import ZERO, agreement_group
from curate.report.sections.confusion import compare_with_people
from curate.report.sections.gallery import DISAGREEMENT, MAX_ITEMS, OUTCOMES, gallery
from curate.report.sections.pace import costs, pace
from curate.report.sections.soft import soft_labels
from curate.report.sections.splits import split_balance
from tests.report.test_report import RECORD, Page
from tests.support.release_builders import make_corpus

SCHEMA = load_labels("utterance_emotion.v1")
AFFECT = load_labels("utterance_affect.v1")
DAY = datetime(2027, 1, 1, 12, tzinfo=UTC)


def rows_of(table, rows, labels=SCHEMA):
    return pa.Table.from_pylist(rows, schema=table_spec(table, labels).schema)


def label(item, emotion=None, *, source="human", **more):
    return {"item_id": item, "label_source": source, "emotion": emotion, **more}


def test_the_funnel_counts_what_reaches_each_step(tmp_path):
    made = make_corpus(tmp_path / "ws")
    rejections = [
        {"rejection_id": str(n), "stage": stage, "parent_id": "f", "subject": "f", "reason": "truncated"}
        | {"work": "sources-work"}
        for n, stage in enumerate(["ingest", "ingest", "preprocess"])
    ]
    made.corpus.table("rejections").commit(rejections, metadata={})
    ids = made.corpus.read("items", ["item_id"])["item_id"]
    splits = pa.table({"item_id": ids, "split": ["train"] * 4 + ["test", None]})
    text = Page(render_report(made.corpus, RECORD, Findings(splits=splits))).text
    assert (
        "sources 3 2 items 6 1 with a usable proposal 6 seen by people 3 labelled by people 3 "
        "labelled, by people or a model 5 in a split 5 1"
    ) in text
    assert "1 item in no split" in text
    assert "in a split" not in Page(render_report(made.corpus, RECORD)).text


def test_an_item_whose_judgements_were_deleted_waits_for_people_again(tmp_path):
    corpus = make_corpus(tmp_path / "ws").corpus
    acts = corpus.table("annotations").read().to_pylist()
    deleted = [
        {**act, "annotation_id": f"{act['annotation_id']}-deleted", "action": "deleted", "acted_at": act["acted_at"]}
        for act in acts
        if act["item_id"] == acts[0]["item_id"]
    ]
    assert "3 items have not been judged" in Page(render_report(corpus, RECORD)).text
    corpus.table("annotations").commit(deleted, metadata={})
    text = Page(render_report(corpus, RECORD)).text
    assert "4 items have not been judged" in text
    assert "seen by people 2" in text


def test_soft_labels_are_means_over_the_items_that_people_labelled():
    def soft(**shares):
        return [{"field": "emotion", "label": name, "share": share} for name, share in shares.items()]

    def decided(entropy, raters=2):
        return [
            {"field": "emotion", "raters": raters, "entropy": entropy, "method": "majority", "decided_by": "raters"}
        ]

    rows = rows_of(
        "labels",
        [
            label("a", ["anger"], soft=soft(anger=1.0), decisions=decided(0.0)),
            label("b", None, soft=soft(anger=0.5, fear=0.5), decisions=decided(1.0)),
            label("c", ["fear"], soft=soft(fear=0.75, sadness=0.25), decisions=decided(0.8)),
            label("d", ["sadness"], source="model", soft=soft(sadness=1.0)),
        ],
    )
    result = soft_labels(SCHEMA, rows)["emotion"]
    assert result.items == 3
    assert [(name, round(share, 3), round(hard, 3)) for name, share, hard in result.shares] == [
        ("anger", 0.5, 0.333),
        ("fear", 0.417, 0.333),
        ("sadness", 0.083, 0.0),
    ]
    assert sum(bar.total for bar in result.entropy) == 3
    assert soft_labels(SCHEMA, rows.slice(3)) == {}


def test_few_items_are_points_of_valence_and_arousal_and_many_are_squares():
    few = [label(str(n), valence=v, arousal=a) for n, (v, a) in enumerate([(-1.0, -1.0), (1.0, 1.0), (0.0, 0.5)])]
    rows = rows_of("labels", [*few, label("x", valence=0.0)], AFFECT)
    plot = affect_plot(AFFECT, rows)
    assert plot.items == 3
    assert plot.points == [(0.0, 300.0, "human"), (300.0, 0.0, "human"), (150.0, 75.0, "human")]
    assert plot.zero == (150.0, 150.0)
    assert plot.columns[0] == "-1 to -0.6"
    assert plot.rows[0][0] == "0.6 to 1"
    assert [counts for _, counts in plot.rows] == [
        [0, 0, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0],
    ]  # fmt: skip
    values = np.linspace(-1, 1, MAX_POINTS + 1).round(2).tolist()
    many = affect_plot(AFFECT, rows_of("labels", [label(str(v), valence=v, arousal=-v) for v in values], AFFECT))
    assert not many.points
    assert max(full for *_, full in many.cells) == 1.0
    assert sum(sum(counts) for _, counts in many.rows) == MAX_POINTS + 1
    assert affect_plot(AFFECT, rows.slice(3)) is None
    assert affect_plot(SCHEMA, rows_of("labels", [label("a", valence=0.5)])) is None


def test_confusion_counts_pairs_of_single_labels_and_every_label_by_itself():
    pairs = [("anger", "anger"), ("anger", "fear"), ("fear", "fear"), ("anger fear", "anger"), ("sadness", "joyless")]
    labels = [
        label(str(n), people.split(), valence=0.5, source="human" if n < 4 else "model")
        for n, (people, _) in enumerate(pairs)
    ]
    proposals = [
        {"prelabel_id": f"p{n}", "item_id": str(n), "labeller": "offline", "final": True, "outcome": "ok"}
        | {"emotion": ["sadness"] if model == "joyless" else model.split(), "valence": 0.0}
        for n, (_, model) in enumerate(pairs)
    ]
    acts = [{"annotation_id": "1", "judgement_id": "1", "item_id": "0", "prelabel_id": "p0", "action": "created"}]
    tables = {
        "labels": rows_of("labels", labels),
        "prelabels": rows_of("prelabels", proposals),
        "annotations": rows_of("annotations", acts),
    }
    result = compare_with_people(SCHEMA, tables)
    assert (result.items, result.prefilled) == (4, 1)
    filled = [{"field": "emotion", "origin": "prediction-changed"}]
    imported = rows_of("annotations", [{**acts[0], "prelabel_id": None, "origins": filled}])
    assert compare_with_people(SCHEMA, {**tables, "annotations": imported}).prefilled == 1
    (table,) = result.confusions
    assert (table.field, table.items, table.counted, table.labels) == ("emotion", 4, 3, ["anger", "fear"])
    assert table.cells == [("anger", [(1, 0.5), (1, 0.5)]), ("fear", [(0, 0.0), (1, 1.0)])]
    assert table.per_label == [
        ("anger", 3, 2, 2, 1.0, pytest.approx(2 / 3)),
        ("fear", 2, 2, 1, 0.5, 0.5),
    ]
    (valence,) = result.numbers
    assert (valence.field, valence.items, valence.bias, valence.distance) == ("valence", 4, -0.5, 0.5)
    assert compare_with_people(SCHEMA, tables | {"labels": tables["labels"].slice(4)}) is None


def test_a_matrix_without_all_labels_says_so(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path / "ws").corpus
    assert "labels are shown" not in Page(render_report(corpus, RECORD)).text
    monkeypatch.setattr("curate.report.sections.confusion._MAX_LABELS", 1)
    assert "exactly one label. The first 1 of 2 labels are shown" in Page(render_report(corpus, RECORD)).text


def figure(field, measure, value, low=None, high=None, **group):
    return AgreementRow(field, group, measure, value, low, high, 3, 6, 2, "no variance" if value is None else "")


def test_the_main_figure_of_a_field_is_corrected_for_chance_and_undefined_ones_stay_in_the_table():
    rows = [
        figure("emotion", "percent", 0.9),
        figure("emotion", "krippendorff_alpha_jaccard", 0.4, -0.8, 1.0),
        figure("valence", "krippendorff_alpha_interval", None),
        figure("valence", "icc_2_1", 0.5),
    ]
    group = agreement_group(rows)
    (main,) = group.figures
    assert (main.name, main.row.measure, main.dot, main.line) == (
        "emotion",
        "krippendorff_alpha_jaccard",
        50.0,
        (0, 100),
    )
    assert pytest.approx(100 / 6) == ZERO
    assert [row.measure for _, row in group.rows] == [row.measure for row in rows]
    by_arm = agreement_group(
        [figure("emotion", "percent", 0.5, arm="voice"), figure("emotion", "percent", 1.0, arm=None)], "arm"
    )
    assert [main.name for main in by_arm.figures] == ["emotion, voice", "emotion, not stated"]


def test_pace_is_counted_by_person_and_by_day():
    def act(number, rater, seconds, *, cannot=None, origin="manual"):
        return {
            "annotation_id": str(number), "judgement_id": str(number), "item_id": "a", "annotator": rater,
            "action": "created", "acted_at": DAY.replace(day=1 + number % 2), "lead_time_s": seconds,
            "cannot_judge": cannot, "origins": [{"field": "emotion", "origin": origin}],
        }  # fmt: skip

    acts = [
        act(0, "ann", 10.0),
        act(1, "ann", 20.0, origin="prediction"),
        act(2, "ann", 60.0),
        act(3, None, None, cannot="unsure"),
    ]
    result = pace(rows_of("annotations", acts))
    assert [tuple(row) for row in result.raters] == [
        ("ann", 3, 0, 20.0, 90 / 3600, pytest.approx(1 / 3)),
        ("not named", 1, 1, None, None, 0.0),
    ]
    assert [(bar.name, bar.total) for bar in result.days] == [("2027-01-01", 2), ("2027-01-02", 2)]
    assert (result.median_s, result.hours) == (20.0, 90 / 3600)
    assert pace(rows_of("annotations", [])) is None


def test_costs_are_those_of_the_answers_that_stand():
    rows = [
        {"prelabel_id": str(n), "labeller": name, "tokens_in": tokens, "tokens_out": tokens, "usd": usd}
        for n, (name, tokens, usd) in enumerate(
            [("a", 10, 0.5), ("a", 30, 1.5), ("b", 5, None), ("offline", None, None)]
        )
    ]
    keys = ("labeller", "answers", "tokens_in", "usd", "per_answer")
    found = [tuple(row[key] for key in keys) for row in costs(rows_of("prelabels", rows))]
    assert found == [("a", 2, 40, 2.0, 1.0), ("b", 1, 5, None, None)]


def test_splits_are_compared_by_the_share_of_each_label():
    labels = rows_of(
        "labels", [label("a", ["anger"]), label("b", ["anger", "fear"]), label("c", ["fear"]), label("d", None)]
    )
    splits = pa.table({"item_id": list("abcde"), "split": ["train", "train", "test", "test", None]})
    balance = split_balance(SCHEMA, labels, splits)
    assert (balance.names, balance.items, balance.by_people, balance.withheld) == (["test", "train"], [2, 2], [2, 2], 1)
    (field,) = balance.fields
    assert (field.field, field.labelled) == ("emotion", [1, 2])
    assert field.rows == [("anger", [0.0, 1.0]), ("fear", [1.0, 0.5])]
    assert split_balance(SCHEMA, labels, None) is None


def test_the_gallery_holds_the_most_disputed_items_and_says_what_came_of_each(tmp_path):
    made = make_corpus(tmp_path / "ws", items=MAX_ITEMS + 40)
    labels = made.corpus.table("labels")
    rows = labels.read().to_pylist()
    for row in rows:
        is_disputed = row["item_id"] in ("item-0100", "item-0270")
        row |= {"agreement": [{"field": "emotion", "value": 0.1 if is_disputed else 1.0}]} if row["raters"] else {}
    labels.replace_all(pa.Table.from_pylist(rows, schema=labels.spec.schema), metadata={})
    columns = {
        "items": ["item_id", "source_id", "start_s"],
        "sources": ["source_id", "title", "file"],
        "labels": ["item_id", "agreement"],
    }
    tables = {name: made.corpus.read(name, names) for name, names in columns.items()}
    result = gallery(made.corpus, tables, Findings(media_bytes=10**6))
    cards = {card["id"]: card for card in result.cards}
    assert (len(cards), result.total, result.disputed) == (MAX_ITEMS, MAX_ITEMS + 40, 2)
    named = {card: [DISAGREEMENT[n] for n in cards[card]["disagreement"]] for card in ("item-0100", "item-0270")}
    assert named == {"item-0100": ["people differ"], "item-0270": ["people differ"]}
    by_outcome = {OUTCOMES[n] for n in cards["item-0100"]["outcomes"]}
    assert by_outcome == {"labelled by people"}
    assert cards["item-0100"]["judgement_count"] == 2
    assert {judgement["rater"] for judgement in cards["item-0100"]["judgements"]} == {
        "ada@example.org",
        "ben@example.org",
    }
    assert [OUTCOMES[n] for n in cards["item-0001"]["outcomes"]] == ["labelled by a model"]
    assert {name for _, name in result.labels} == {"happiness", "sadness", "anger", "fear"}


@pytest.mark.parametrize(("room", "embedded"), [(10**6, 6), (4_000, 2), (0, 0)])
def test_a_page_holds_as_much_media_as_it_may_and_links_to_the_rest(tmp_path, room, embedded):
    made = make_corpus(tmp_path / "ws")
    page = Page(render_report(made.corpus, RECORD, Findings(media_bytes=room, blobs_path="../blobs")))
    players = [text for tag, name, text in page.attributes if tag in ("video", "audio") and name == "src"]
    links = [text for tag, name, text in page.attributes if tag == "a"]
    assert len(players) == embedded
    assert len(links) == 6 - embedded
    assert all((tmp_path / "ws" / "x" / link).resolve().is_file() for link in links)
    assert ("no room for the sound or video of" in page.text) == (embedded < 6)
