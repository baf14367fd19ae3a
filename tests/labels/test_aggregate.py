"""Several raters' values as one, where a value may not hold everything that they agree on."""

from curate.labels import FIELD_TYPES, Field, Taxonomy

TAXONOMY = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": ["smile", "frown"]})
TEXT = "You lied to me again"


def make_field(kind: str, **settings) -> Field:
    return FIELD_TYPES[kind].model_validate({"name": "f", "type": kind, "taxonomy": TAXONOMY, **settings})


def make_spans(field, *ranges):
    spans = [{"turn": None, "start": a, "end": b, "text": TEXT[a:b], "label": "smile"} for a, b in ranges]
    return field.check({"spans": spans, "relations": []})


def texts(value):
    return [span["text"] for span in value["spans"]]


def make_segments(*segments):
    return [{"start_s": start, "end_s": end, "label": label} for start, end, label in segments]


def test_of_more_spans_than_allowed_those_with_most_raters_are_kept():
    field = make_field("spans", over="utterance", max_spans=1)
    votes = [make_spans(field, span) for span in ((0, 20), (0, 8), (12, 20), (12, 20))]
    assert texts(field.aggregate(votes).value) == ["me again"]
    assert texts(field.aggregate(votes[:3]).value) == ["You lied"], "the first of equally supported ones"


def test_a_union_longer_than_allowed_falls_back_to_the_raters_own_spans():
    field = make_field("spans", over="utterance", max_chars=11)
    votes = [make_spans(field, span) for span in ((0, 8), (4, 14), (12, 20), (12, 20))]
    assert texts(field.aggregate(votes, "union").value) == ["You lied", "me again"]
    whole = make_field("spans", over="utterance", max_chars=20)
    assert texts(whole.aggregate(votes, "union").value) == [TEXT]


def test_instants_that_all_raters_mark_are_kept():
    field = make_field("timeline")
    instant = (1.0, 1.0, "smile")
    votes = [make_segments(instant), make_segments(instant), make_segments(instant, (2.0, 2.0, "frown"))]
    assert field.aggregate(votes).value == make_segments(instant)
    assert field.aggregate(votes, "union").value == make_segments(instant, (2.0, 2.0, "frown"))
    during = [make_segments(instant), make_segments((0.5, 1.5, "smile")), make_segments((3.0, 4.0, "frown"))]
    assert field.aggregate(during).value == make_segments(instant), "a range contains its instants"


def test_ranges_that_may_not_overlap_do_not():
    field = make_field("timeline", overlap=False)
    smile = (3.0, 3.0, "smile")
    votes = [
        make_segments((2.0, 3.0, "frown"), smile),
        make_segments(smile, (3.0, 4.0, "frown")),
        make_segments((2.0, 4.0, "frown")),
    ]
    assert field.aggregate(votes).value == make_segments((2.0, 4.0, "frown"))


def test_of_more_ranges_than_allowed_those_with_most_raters_are_kept():
    field = make_field("timeline", max_segments=1)
    votes = [make_segments((0, 1, "smile")), make_segments((5, 6, "frown")), make_segments((5, 6, "frown"))]
    assert field.aggregate(votes, "union").value == make_segments((5, 6, "frown"))


def test_a_trace_with_more_changes_than_allowed_is_smoothed():
    settings = {"name": "f", "type": "trace", "minimum": -1, "maximum": 1, "step_s": 1, "max_changes": 2}
    field = FIELD_TYPES["trace"].model_validate(settings)
    votes = [{"step_s": 1, "values": values} for values in ([0.0, 0.0, 1.0], [0.0, 0.2, 0.2])]
    value = field.aggregate(votes).value
    assert [round(sample, 6) for sample in value["values"]] == [0.05, 0.05, 0.6]
    assert field.check(value)


def test_words_that_mean_the_same_label_count_as_one():
    labels = [{"name": "joie", "synonyms": ["fed-up", "gaîté"]}, "colère"]
    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": labels})
    field = make_field("open_set", taxonomy=taxonomy)
    assert field.distance(["GAITE"], ["fed up", "Joie"]) == 0
    assert field.aggregate([["gaite"], ["Gaîté"], ["gaite", "colere"]]).value == ["gaite"]
