"""The agreement of a workspace: which judgements a figure is about, and how it is reported."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.cli.app import app
from curate.consensus.agreement.design import has_arms
from curate.consensus.agreement.measures import MEASURES
from curate.consensus.agreement.rows import agreement_rows
from curate.corpus.judgements import Judgement
from curate.corpus.spec import table_spec
from curate.errors import InvalidInput
from curate.labels import FIELD_TYPES, load_labels
from curate.pipeline.agreement import measure_agreement
from tests.support.judging import item_ids, judge, make_posts_workspace

SCHEMA = """
name: rated.v1
unit: post
fields:
  emotion: {type: category, taxonomy: ekman7.v1, required: true}
  strength: {type: scale, minimum: 0, maximum: 4, level: ordinal}
  tags: {type: open_set}
  note: {type: text}
"""


@pytest.fixture
def schema(tmp_path):
    folder = tmp_path / "schemas" / "labels"
    folder.mkdir(parents=True)
    (folder / "rated.v1.yaml").write_text(SCHEMA)
    return load_labels("rated.v1", tmp_path)


def table_of(schema, judgements):
    made = [
        Judgement(
            item_id=item,
            rater=rater,
            identity=(n,),
            revision=(1,),
            acted_at=datetime(2026, 1, 1, 0, 0, n % 60, n, tzinfo=UTC),
            **{"origins": {}, **more},
        ).to_row(schema)
        for n, (item, rater, more) in enumerate(judgements)
    ]
    table = pa.Table.from_pylist(made, schema=table_spec("annotations", schema).schema)
    return table.sort_by([("item_id", "ascending"), ("acted_at", "ascending")])


def rows_of(schema, judgements, **options):
    return list(agreement_rows(schema, table_of(schema, judgements), **options))


def emotions(*labels, rater="ab", **more):
    """Judgements of items 0, 1, … by raters a, b, …, a letter of ``labels`` for each."""
    names = {"j": "joy", "f": "fear", "a": "anger", "n": "neutral"}
    return [
        (str(item), rater and rater[r], {"values": {"emotion": names[letter]}, **more})
        for item, word in enumerate(labels)
        for r, letter in enumerate(word)
    ]


def value(rows, measure, **group):
    (row,) = [row for row in rows if row.measure == measure and row.group == group and row.field == "emotion"]
    return row


def test_each_field_has_its_measures(schema):
    judgements = [
        ("1", "a", {"values": {"emotion": "joy", "strength": 1.0, "tags": ["warm", "kind"], "note": "x"}}),
        ("1", "b", {"values": {"emotion": "joy", "strength": 2.0, "tags": ["warm"], "note": "y"}}),
    ]
    rows = rows_of(schema, judgements)
    names = {name: [row.measure for row in rows if row.field == name] for name in schema.fields}
    fitting = {"emotion": "label", "strength": "ordinal", "tags": "labels", "note": "text"}
    assert names == {name: [m.name for m in MEASURES[kind]] for name, kind in fitting.items()}
    assert {row.note for row in rows if row.field == "note"} == {MEASURES["text"][0].meaning}
    comparisons = {kind.comparison.fget for kind in FIELD_TYPES.values()}
    assert len(comparisons) == len(FIELD_TYPES), "every field type says how it is compared"


def test_blind_and_prefilled_values_are_reported_apart(schema):
    blind = emotions("jj", "jf", "ff")
    kept = emotions("jj", "jj", "jj", prelabel_id="p", origins={"emotion": "prediction"})
    rows = rows_of(schema, [*blind, *[(f"p{item}", rater, more) for item, rater, more in kept]])
    apart = value(rows, "percent", values="blind"), value(rows, "percent", values="pre-filled")
    assert (apart[0].value, apart[1].value) == (pytest.approx(2 / 3), 1)
    assert (apart[0].items, apart[0].judgements, apart[0].raters) == (3, 6, 2)
    assert apart[1].note == "6 of 6 values are proposals left as they were"
    assert "values" not in value(rows_of(schema, blind), "percent").group


def test_arms_are_apart_or_said_to_be_mixed(schema):
    voice = emotions("jj", "ff", "jf", rater=None, arm="voice")
    face = emotions("jf", "ff", "jf", rater=None, arm="face")
    rows = rows_of(schema, [*voice, *face], by="arm")
    assert value(rows, "percent", arm="voice").value == pytest.approx(2 / 3)
    assert value(rows, "percent", arm="face").value == pytest.approx(1 / 3)
    unnamed = value(rows, "cohen_kappa", arm="face")
    assert (unnamed.value, unnamed.raters) == (None, 0)
    assert unnamed.note == "the judgements do not say who gave them"
    mixed = value(rows_of(schema, [*voice, *face]), "krippendorff_alpha_nominal")
    assert mixed.judgements == 12
    assert "arms face, voice are mixed" in mixed.note
    assert has_arms(table_of(schema, [*voice, *face]))
    assert not has_arms(table_of(schema, [*voice, *emotions("jj", arm="seen", prelabel_id="p")])), "of each, one"
    elsewhere = [(f"other {item}", *rest) for item, *rest in face]
    assert "mixed" not in value(rows_of(schema, [*voice, *elsewhere]), "krippendorff_alpha_nominal").note


def test_the_newest_judgement_of_a_person_counts_once(schema):
    rows = rows_of(schema, [*emotions("jj"), *emotions("f")])
    assert (value(rows, "percent").value, value(rows, "percent").judgements) == (0, 2)


def test_by_rater_and_by_label(schema):
    judgements = emotions("jjf", "ffj", "jjj", "aaf", rater="abc")
    rows = rows_of(schema, judgements, by="rater", draws=20)
    shares = {row.group["rater"]: row for row in rows if row.measure == "percent"}
    assert [shares[name].value for name in "abc"] == pytest.approx([5 / 8, 5 / 8, 2 / 8])
    assert shares["c"].low <= shares["c"].value <= shares["c"].high
    assert value(rows, "cohen_kappa", rater="c").value < value(rows, "cohen_kappa", rater="a").value
    labels = rows_of(schema, judgements, by="label")
    assert {row.group["label"] for row in labels if row.field == "emotion"} == set(schema.fields["emotion"].labels)
    assert value(labels, "percent", label="anger").value == pytest.approx((3 + 1 / 3) / 4)


def test_intervals_over_raters_leave_each_out(schema):
    rows = rows_of(schema, emotions("jjf", "ffj", "jjj", "aaf", "fff", rater="abc"), over="raters")
    alpha = value(rows, "krippendorff_alpha_nominal")
    assert alpha.low < alpha.value < alpha.high
    two = value(rows_of(schema, emotions("jj", "jf"), over="raters"), "percent")
    assert (two.low, two.high) == (None, None)
    assert "needs three" in two.note


def test_an_adaptive_design_is_noticed(schema):
    stopped = emotions(*["jj", "ff"] * 20, *["jfj", "faf"] * 20, rater="abc")
    rows = rows_of(schema, stopped)
    assert "adaptive design" in value(rows, "krippendorff_alpha_nominal").note
    assert "adaptive design" not in value(rows, "percent").note
    planned = emotions(*["jj", "ff", "jf"] * 20, *["jfj", "faf", "jjj"] * 20, rater="abc")
    assert "adaptive" not in value(rows_of(schema, planned), "fleiss_kappa").note


def test_a_workspace_by_split_and_by_columns(tmp_path):
    loaded, workspace = make_posts_workspace(tmp_path / "posts", 6, until="preprocess")
    ids = item_ids(loaded, workspace)
    judge(
        loaded,
        workspace,
        [
            Judgement(
                item_id=item,
                rater=rater,
                identity=(item, rater),
                revision=(1,),
                values={"emotion": ["joy" if n < 3 or rater == "a" else "fear"], "valence": n / 10},
            )
            for n, item in enumerate(ids)
            for rater in "ab"
        ],
    )
    rows = measure_agreement(loaded, workspace, by="speaker").rows
    assert {row.group["speaker"] for row in rows} == {"writer0", "writer1", "writer2"}
    assert {row.group["split"] for row in measure_agreement(loaded, workspace, by="split").rows} == {"train"}
    assert {row.group["kind"] for row in measure_agreement(loaded, workspace, by="kind").rows} == {"text"}
    with pytest.raises(InvalidInput, match=r"--by colection: .* did you mean collection"):
        measure_agreement(loaded, workspace, by="colection")
    for nested in ("words", "columns"):
        with pytest.raises(InvalidInput, match="lists"):
            measure_agreement(loaded, workspace, by=nested)
    with pytest.raises(InvalidInput, match=r"no such column; did you mean (?!columns)"):
        measure_agreement(loaded, workspace, by="nocolumns")
    command = ["agreement", "-w", workspace.location]
    document = json.loads(CliRunner().invoke(app, [*command, "--bootstrap", "20", "--json"]).stdout)
    row = next(row for row in document["rows"] if row["measure"] == "percent" and row["field"] == "emotion")
    keys = ("field", "group", "measure", "value", "low", "high", "items", "judgements", "raters", "note")
    assert tuple(row) == keys
    assert (row["value"], row["items"], row["judgements"], row["raters"], row["group"]) == (0.5, 6, 12, 2, {})
    assert row["low"] < 0.5 < row["high"]
    shown = CliRunner().invoke(app, command).stdout
    assert "emotion: 12 judgements of 6 items, 2 raters" in shown
    assert "krippendorff_alpha_jaccard" in shown
