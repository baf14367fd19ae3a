"""Labels by every method, and what is kept beside them."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from curate.consensus.aggregate import aggregate
from curate.consensus.settings import FITTING, FieldSettings, problems_of
from curate.corpus.judgements import Judgement
from curate.corpus.spec import table_spec
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.labels.fields.base import Comparison
from curate.stages.aggregate import Aggregate
from tests.support.builders import make_posts
from tests.support.judging import item_ids, judge, make_posts_workspace
from tests.support.parents import make_schema
from tests.support.runs import run_quietly

SCHEMA = """
name: decided.v1
unit: clip
fields:
  emotion: {type: category, taxonomy: ekman7.v1, required: true}
  moods: {type: category, taxonomy: ekman7.v1, multiple: true}
  strength: {type: scale, minimum: 1, maximum: 5, level: ordinal, when: {emotion: [anger, fear]}}
  valence: {type: scale, minimum: -1, maximum: 1}
  trace: {type: trace, minimum: 0, maximum: 1, step_s: 0.5}
"""
LETTERS = {"a": "anger", "f": "fear", "h": "happiness", "n": "neutral", "s": "sadness"}


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    (folder / "schemas" / "labels").mkdir(parents=True)
    (folder / "schemas" / "labels" / "decided.v1.yaml").write_text(SCHEMA)
    return load_labels("decided.v1", folder)


def labels_of(schema, judgements, prelabels=(), **options):
    """Rows of labels by item; a judgement is (item, rater, values) with more of ``Judgement`` in a fourth part."""
    rows = [
        Judgement(
            item_id=item,
            rater=rater,
            identity=(number,),
            revision=(1,),
            values=values,
            acted_at=datetime(2026, 1, 1 + number // 60, 0, number % 60, tzinfo=UTC),
            **(more[0] if more else {}),
        ).to_row(schema)
        for number, (item, rater, values, *more) in enumerate(judgements)
    ]
    annotations = pa.Table.from_pylist(rows, schema=table_spec("annotations", schema).schema)
    proposals = pa.Table.from_pylist(list(prelabels), schema=table_spec("prelabels", schema).schema)
    table = aggregate(schema, annotations, proposals, **options)
    assert table["item_id"].to_pylist() == sorted(table["item_id"].to_pylist())
    return {row["item_id"]: row for row in table.to_pylist()}


def emotions(*words):
    return [
        (str(item), f"r{n}", {"emotion": LETTERS[letter]})
        for item, word in enumerate(words)
        for n, letter in enumerate(word)
    ]


def moods(*sets):
    return [("0", f"r{n}", {"moods": [LETTERS[letter] for letter in word]}) for n, word in enumerate(sets)]


def by(method, **more):
    return {"settings": FieldSettings(method=method, **more)}


def decision(row, name):
    (entry,) = [entry for entry in row["decisions"] if entry["field"] == name]
    return entry


def soft(row, name):
    return {entry["label"]: pytest.approx(entry["share"]) for entry in row["soft"] if entry["field"] == name}


def test_ties_are_decided_only_by_a_declared_rule(schema):
    words = ("aaf", "af", "haf")
    for method in ("majority", "plurality", "all_inclusive"):
        rows = labels_of(schema, emotions(*words), **by(method))
        assert [rows[item]["emotion"] for item in "012"] == ["anger", None, None]
        assert decision(rows["1"], "emotion")["decided_by"] == "undecided"
        rows = labels_of(schema, emotions(*words), **by(method, ties="first"))
        first = [rows[item]["emotion"] for item in "012"]
        assert first == ["anger", "anger", "anger"]
        assert decision(rows["1"], "emotion")["decided_by"] == "ties"
    half = labels_of(schema, emotions("aafh", "aaafh"), **by("threshold", at_least=0.6))
    assert (half["0"]["emotion"], half["1"]["emotion"]) == (None, "anger")
    every = labels_of(schema, emotions("aa", "af"), **by("intersection"))
    assert (every["0"]["emotion"], every["1"]["emotion"]) == ("anger", None)


def test_what_is_kept_beside_a_label(schema):
    judged = emotions("aaf")
    judged = [(item, rater, values, {"arm": arm}) for (item, rater, values), arm in zip(judged, "yxx", strict=True)]
    row = labels_of(schema, judged)["0"]
    assert soft(row, "emotion") == {"anger": 2 / 3, "fear": 1 / 3}
    assert decision(row, "emotion") == {
        "field": "emotion",
        "method": "majority",
        "raters": 3,
        "entropy": pytest.approx(0.9182958),
        "decided_by": "raters",
    }
    assert row["agreement"] == [{"field": "emotion", "value": pytest.approx(1 / 3)}]
    assert (row["raters"], row["arms"], row["label_source"], len(row["evidence"])) == (3, ["x", "y"], "human", 3)
    assert row["evidence"] == sorted(row["evidence"])


def test_labels_that_exclude_others_stay_alone(schema):
    # More than half name neutral and fear together, as no rater may, but some tables do.
    assert labels_of(schema, moods("nf", "nf", "n"))["0"]["moods"] == ["neutral"]
    assert labels_of(schema, moods("nf", "nf", "f"))["0"]["moods"] == ["fear"]
    assert labels_of(schema, moods("n", "f"), **by("union"))["0"]["moods"] == ["fear"]
    for method in ("all_inclusive", "plurality", "threshold", "dawid_skene", "mace", "glad"):
        for sets in (("nf", "nf", "n"), ("n", "f"), ("nfs", "nf", "ns")):
            chosen = labels_of(schema, moods(*sets), **by(method, at_least=0.3))["0"]["moods"]
            assert chosen is None or chosen == ["neutral"] or "neutral" not in chosen


def test_several_labels(schema):
    sets = ("af", "a", "as")
    assert labels_of(schema, moods(*sets))["0"]["moods"] == ["anger"]
    assert labels_of(schema, moods(*sets), **by("union"))["0"]["moods"] == ["anger", "fear", "sadness"]
    assert labels_of(schema, moods(*sets), **by("threshold", at_least=1 / 3))["0"]["moods"] == [
        "anger", "fear", "sadness"
    ]  # fmt: skip
    assert labels_of(schema, moods(*sets), **by("plurality"))["0"]["moods"] == ["anger"]
    row = labels_of(schema, moods(*sets), **by("all_inclusive"))["0"]
    assert soft(row, "moods") == {"anger": 3 / 5, "fear": 1 / 5, "sadness": 1 / 5}
    rare = moods(*["a"] * 9, "f")
    assert labels_of(schema, rare, **by("all_inclusive"))["0"]["moods"] == ["anger", "fear"]
    strict = labels_of(schema, rare, **by("all_inclusive", strict=True))["0"]
    assert strict["moods"] == ["anger"], "1 of 10 is less than 1 of 7 labels"
    assert soft(strict, "moods") == {"anger": 1}


def test_conditions_follow_the_label(schema):
    judged = [("0", "a", {"emotion": "anger", "strength": 4.0}), ("0", "b", {"emotion": "anger", "strength": 3.0})]
    assert labels_of(schema, judged)["0"]["strength"] == 3
    judged += [("0", rater, {"emotion": "sadness"}) for rater in "cde"]
    row = labels_of(schema, judged)["0"]
    assert (row["emotion"], row["strength"]) == ("sadness", None)
    assert {entry["field"] for entry in row["agreement"]} == {"emotion"}


def test_numbers(schema):
    judged = [("0", rater, {"valence": value}) for rater, value in zip("abc", (-1.0, 0.5, 0.65), strict=True)]
    assert labels_of(schema, judged)["0"]["valence"] == pytest.approx(0.05)
    assert labels_of(schema, judged, **by("median"))["0"]["valence"] == 0.5
    follow = [(str(i), rater, {"valence": i / 10}) for i in range(8) for rater in "ab"]
    noise = [(str(i), "c", {"valence": (-1) ** i * 0.2}) for i in range(8)]
    rows = labels_of(schema, follow + noise, **by("ewe"))
    plain = labels_of(schema, follow + noise)
    errors = [sum(abs(table[str(i)]["valence"] - i / 10) for i in range(8)) for table in (rows, plain)]
    assert errors[0] < errors[1]
    assert decision(rows["0"], "valence")["method"] == "ewe"


def test_traces_are_fused_without_lags(schema):
    late = [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    early = [*late[1:], 0.0]
    judged = [("0", r, {"trace": {"step_s": 0.5, "values": v}}) for r, v in (("a", late), ("b", early), ("c", early))]
    assert any(0 < x < 1 for x in labels_of(schema, judged)["0"]["trace"]["values"])
    fused = labels_of(schema, judged, **by("aligned_mean"))["0"]["trace"]["values"]
    assert fused[:8] == early[:8]


def test_methods_that_compare_raters(schema):
    # A careless rater is outvoted although two of three say so: he answers at random elsewhere.
    judged = [(str(i), r, {"emotion": LETTERS["af"[i % 2]]}) for i in range(20) for r in "abc"]
    judged += [(str(i), r, {"emotion": LETTERS["af"[i // 2 % 2]]}) for i in range(20) for r in ("x", "y", "z")]
    for method in ("dawid_skene", "mace"):
        rows = labels_of(schema, judged, **by(method))
        values = {rows[str(i)]["emotion"] for i in range(20)}
        assert values <= {"anger", "fear", None}
    judged = [*emotions(*["aaa", "fff"] * 10), ("0", "r9", {"emotion": "fear"})]
    rows = labels_of(schema, judged, **by("dawid_skene"))
    assert [rows[str(i)]["emotion"] for i in range(4)] == ["anger", "fear", "anger", "fear"]
    assert decision(rows["0"], "emotion")["method"] == "dawid_skene"
    experts = labels_of(schema, emotions("aff", "haa"), **by("gold_weighted", experts=["r0"]))
    assert [experts[item]["emotion"] for item in "01"] == ["anger", "happiness"]
    assert decision(experts["0"], "emotion")["decided_by"] == "experts"
    with pytest.raises(InvalidInput, match="none of the experts r8 has judged emotion"):
        labels_of(schema, emotions("af"), **by("gold_weighted", experts=["r8"]))
    unnamed = [("0", None, {"emotion": "anger"}), ("0", None, {"emotion": "fear"})]
    with pytest.raises(InvalidInput, match="2 judgements of emotion do not say who gave them"):
        labels_of(schema, unnamed, **by("dawid_skene"))
    votes = labels_of(schema, [*unnamed, ("0", None, {"emotion": "fear"})])["0"]
    assert (votes["emotion"], votes["raters"]) == ("fear", 3), "unnamed people are different people"


def proposal(schema, item, **values):
    usable = {"final": True, "outcome": "ok", "labeller": "m", "schema_sha256": schema.sha256}
    return {"prelabel_id": f"p{item}", "item_id": item, **usable, **values}


def test_blind_judgements_of_some_arms_alone(schema):
    judged = [
        ("0", "a", {"emotion": "anger"}, {"arm": "voice"}),
        ("0", "b", {"emotion": "fear"}, {"arm": "face", "prelabel_id": "p0", "origins": {"emotion": "prediction"}}),
        ("0", "c", {"emotion": "fear"}, {"arm": "face", "prelabel_id": "p0"}),
        ("1", "b", {"emotion": "fear"}, {"arm": "face", "origins": {"emotion": "prediction-changed"}}),
    ]
    proposals = [proposal(schema, "0", emotion="neutral"), proposal(schema, "1", emotion="neutral")]
    assert labels_of(schema, judged, proposals)["0"]["emotion"] == "fear"
    blind = labels_of(schema, judged, proposals, blind_only=True)
    assert (blind["0"]["emotion"], blind["0"]["raters"]) == ("anger", 1)
    assert (blind["1"]["emotion"], blind["1"]["label_source"], blind["1"]["raters"]) == ("neutral", "model", 0)
    face = labels_of(schema, judged, proposals, arms=["face"])
    assert (face["0"]["raters"], face["0"]["arms"]) == (2, ["face"])
    with pytest.raises(InvalidInput, match="no judgement is of arm video"):
        labels_of(schema, judged, proposals, arms=["face", "video"])


def test_proposals_count_by_majority_where_nobody_judged(schema):
    proposals = [proposal(schema, "0", emotion="anger"), proposal(schema, "1", emotion="neutral", valence=0.25)]
    rows = labels_of(schema, emotions("ff"), proposals, **by("dawid_skene"))
    assert (rows["0"]["emotion"], rows["0"]["label_source"]) == ("fear", "human")
    assert (rows["1"]["emotion"], rows["1"]["valence"], rows["1"]["label_source"]) == ("neutral", 0.25, "model")
    assert decision(rows["1"], "emotion")["method"] == "majority"
    assert rows["1"]["evidence"] == ["p1"]
    assert labels_of(schema, []) == {}


def test_the_order_of_judgements_does_not_matter(schema):
    judged = [
        (str(i), f"r{n}", {"emotion": LETTERS["afhns"[(i * n) % 5]], "valence": n / 10})
        for i in range(9)
        for n in range(3)
    ]
    first = labels_of(schema, judged)
    second = labels_of(schema, judged[::-1])
    for item, row in first.items():
        assert row | {"evidence": []} == second[item] | {"evidence": []}


def test_free_words_are_those_that_enough_raters_give():
    words = make_schema("post", words={"type": "open_set", "taxonomy": "ekman7.v1"})
    judged = [
        ("0", "a", {"words": ["joy", "calm"]}),
        ("0", "b", {"words": ["happiness"]}),
        ("0", "c", {"words": ["happiness"]}),
        ("1", "a", {"words": ["grr"]}),
    ]
    assert {item: row["words"] for item, row in labels_of(words, judged).items()} == {"0": ["happiness"], "1": ["grr"]}
    union = labels_of(words, judged, **by("union"))
    assert union["0"]["words"] == ["happiness", "calm"]
    (problem,) = problems_of(words, FieldSettings(), {"words": FieldSettings(method="dawid_skene")})
    assert problem == "dawid_skene does not fit field words; what fits is majority, union, intersection"


def test_settings_that_do_not_fit_are_named(schema):
    fields = {"valence": FieldSettings(method="dawid_skene"), "mood": FieldSettings()}
    problems = list(problems_of(schema, FieldSettings(method="gold_weighted"), fields))
    assert [problem.partition(";")[0] for problem in problems] == [
        "dawid_skene does not fit field valence",
        "mood is not a field of decided.v1",
        "gold_weighted needs `experts`: the raters whose judgements are taken as the truth",
    ]
    assert set(FITTING) == set(TypeAdapter(Comparison).json_schema()["enum"])
    (problem,) = Aggregate(stage="aggregate", fields={"x": {}}).problems(None, schema)
    assert "x is not a field" in problem[1]


def test_a_recipe_says_how_each_field_is_decided(tmp_path):
    loaded, workspace = make_posts_workspace(tmp_path, 3, until="preprocess")
    ids = item_ids(loaded, workspace)
    values = [({"emotion": [e], "valence": v}) for e, v in (("anger", -1.0), ("anger", -0.9), ("fear", 0.0))]
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=i, rater=f"r{n}", identity=(i, n), revision=(1,), values=v)
            for i in ids
            for n, v in enumerate(values)
        ],
    )
    recipe = make_posts(tmp_path, 3)
    recipe.write_text(
        recipe.read_text().replace(
            "- stage: aggregate\n",
            "- stage: aggregate\n  method: dawid_skene\n  fields:\n    valence: {method: median}\n",
        )
    )
    run_quietly(recipe, tmp_path / "ws", only="aggregate")
    rows = workspace.table(table_spec("labels", loaded.labels)).read().to_pylist()
    assert [row["valence"] for row in rows] == [-0.9] * 3
    assert {entry["method"] for row in rows for entry in row["decisions"]} == {"dawid_skene", "median"}
