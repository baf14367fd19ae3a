"""Windows inherit what covers them, by the share and the rule for ties that the settings name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.labels import load_labels
from curate.stages.derive.views.windows import Windows
from tests.support.parents import derive, make_answer, make_parent, make_schema

WINDOW = load_labels("window_emotion.v1")
SEGMENTS = load_labels("emotion_segments.v1")


def make_view(**settings) -> Windows:
    return Windows.model_validate({"view": "windows", "length_s": 1, "fields": {"emotion": "seen"}, **settings})


def stretch(start_s: float, end_s: float, label: str) -> dict:
    return {"start_s": start_s, "end_s": end_s, "label": label}


def inherited(view: Windows, seen: list[dict], *, end_s: float = 3.0):
    item = make_parent("a", make_answer("r1", seen=seen), unit="clip", start_s=10.0, end_s=10.0 + end_s)
    made, left_out = derive(view, WINDOW, SEGMENTS, [item])
    return {m.detail: m.answers[0].values["emotion"] for m in made if m.answers}, left_out


def test_a_label_needs_its_share_of_the_window():
    seen = [stretch(0.0, 1.5, "happiness"), stretch(1.6, 3.0, "anger")]
    values, left_out = inherited(make_view(), seen)
    assert values == {"0-1000": "happiness", "1000-2000": "happiness", "2000-3000": "anger"}
    assert left_out == []
    values, left_out = inherited(make_view(at_least=0.6), seen)
    assert values == {"0-1000": "happiness", "2000-3000": "anger"}
    assert [(out.item_id, out.reason) for out in left_out] == [("a:1000-2000", "unlabelled")]


def test_ties_are_left_out_or_go_to_the_taxonomys_first():
    seen = [stretch(0.0, 0.5, "happiness"), stretch(0.5, 1.0, "anger")]
    values, left_out = inherited(make_view(), seen, end_s=1.0)
    assert values == {}
    assert [out.reason for out in left_out] == ["tied"]
    first = min(("happiness", "anger"), key=WINDOW.fields["emotion"].labels.index)
    assert inherited(make_view(ties="first"), seen, end_s=1.0)[0] == {"0-1000": first}


def test_overlapping_stretches_of_one_label_count_once():
    seen = [stretch(0.0, 0.3, "fear"), stretch(0.1, 0.4, "fear"), stretch(0.2, 0.25, "fear")]
    assert inherited(make_view(), seen, end_s=1.0)[0] == {}
    assert inherited(make_view(at_least=0.4), seen, end_s=1.0)[0] == {"0-1000": "fear"}


def test_the_rest_gets_its_label_but_not_from_those_who_marked_nothing():
    view = make_view(rest={"emotion": "neutral"})
    assert inherited(view, [stretch(0.0, 1.0, "fear")], end_s=2.0)[0] == {"0-1000": "fear", "1000-2000": "neutral"}
    item = make_parent("a", make_answer("r1", agree="True"), unit="clip", start_s=0.0, end_s=1.0)
    made, left_out = derive(view, WINDOW, SEGMENTS, [item])
    assert made == []
    assert [out.reason for out in left_out] == ["unlabelled"]


def test_windows_overlap_by_the_hop_and_a_short_rest_is_none():
    view = make_view(length_s=0.2, hop_s=0.1)
    item = make_parent("a", make_answer("r1", seen=[stretch(0, 1, "joy")]), start_s=1.0, end_s=1.55, speaker="S")
    made, _ = derive(view.model_copy(update={"unlabelled": True}), WINDOW, SEGMENTS, [item])
    assert [m.detail for m in made] == ["0-200", "100-300", "200-400", "300-500"]
    assert [(m.start_s, m.end_s) for m in made][:2] == [(1.0, 1.2), (1.1, 1.3)]
    assert {m.speaker for m in made} == {"S"}
    short = make_parent("b", start_s=0.0, end_s=0.1)
    timeless = make_parent("c")
    _, left_out = derive(view, WINDOW, SEGMENTS, [short, timeless])
    assert [(out.item_id, out.reason) for out in left_out] == [("b", "too_short"), ("c", "filtered")]


def test_each_rater_keeps_their_own_judgement_and_words_go_to_their_windows():
    words = [{"word": w, "start_s": s, "end_s": s + 0.4} for w, s in (("well", 5.1), ("done", 5.9), ("you", 6.5))]
    first = make_answer("r1", "voice", seen=[stretch(0, 1, "anger")])
    second = make_answer("r2", "face", seen=[stretch(0, 1, "fear")])
    item = make_parent("a", first, second, start_s=5.0, end_s=7.0, words=words)
    made, _ = derive(make_view(), WINDOW, SEGMENTS, [item])
    assert [(a.rater, a.arm, a.values, a.evidence) for a in made[0].answers] == [
        ("r1", "voice", {"emotion": "anger"}, ("act-r1",)),
        ("r2", "face", {"emotion": "fear"}, ("act-r2",)),
    ]
    assert made[0].text == "well"


TRACE = make_schema("clip", pull={"type": "trace", "minimum": 1, "maximum": 5, "step": 0.5, "step_s": 0.5})
MEAN = make_schema("window", pull={"type": "scale", "minimum": 1, "maximum": 5})


def test_a_trace_gives_a_window_the_mean_of_its_samples():
    trace = {"step_s": 0.5, "values": [1.0, 2.0, 4.0, None, 5.0]}
    item = make_parent("a", make_answer("r1", pull=trace), start_s=0.0, end_s=3.0)
    view = make_view(fields={"pull": "pull"})
    made, left_out = derive(view, MEAN, TRACE, [item])
    assert [m.answers[0].values["pull"] for m in made] == [1.5, 4.0, 5.0]
    assert left_out == []


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40), st.sampled_from(["fear", "anger", "neutral"]))),
    st.sampled_from([0.2, 0.5, 0.75, 1.0]),
)
def test_coverage_is_that_counted_tick_by_tick(ticks, stretches, at_least):
    """A second way: colour each tick of 100 ms, and count."""
    seen = [stretch(start / 10, end / 10, label) for start, end, label in stretches if start < end]
    view = make_view(length_s=0.5, at_least=at_least, ties="first")
    values, _ = inherited(view, seen, end_s=ticks / 10)
    expected = {}
    for start in range(0, ticks - 4, 5):
        counts = {
            label: sum(
                any(s["label"] == label and s["start_s"] * 10 <= t + 0.5 < s["end_s"] * 10 for s in seen)
                for t in range(start, start + 5)
            )
            for label in WINDOW.fields["emotion"].labels
        }
        best = max(counts.values())
        if best and best >= at_least * 5:
            expected[f"{start * 100}-{start * 100 + 500}"] = next(n for n, c in counts.items() if c == best)
    assert values == expected


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"fields": {"emotion": "sean"}}, "sean is not a field of emotion_segments.v1; did you mean seen?"),
        ({"fields": {"mood": "seen"}}, "mood is not a field of window_emotion.v1"),
        ({"fields": {"arousal": "seen"}}, "arousal must be a category without intensities to inherit from seen"),
        ({"rest": {"emotion": "bored"}}, "'bored' is not a label of emotion"),
        ({"rest": {"arousal": "neutral"}}, "arousal inherits nothing: name it under `fields`"),
        ({"length_s": 0.0001}, "windows are cut to the millisecond: use 0.001 or more"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, problem):
    sentences = [sentence for _, sentence in make_view(**settings).problems(WINDOW, SEGMENTS)]
    assert any(problem in sentence for sentence in sentences), sentences
