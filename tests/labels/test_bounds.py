"""What annotators mark is held to the item: cut at its edges, refused outside, alike in every field type."""

from datetime import UTC, datetime

import pytest

from curate.annotation.label_studio.tasks import Origin, to_judgement
from curate.labels import load_labels
from curate.labels.units import ItemContext

ITEM = ItemContext(text="I lied.", duration_s=6.0, fps=25.0)


def seen(start, end):
    value = {"ranges": [{"start": start * 25 + 1, "end": end * 25 + 1}], "timelinelabels": ["fear"]}
    return {"id": "a", "type": "timelinelabels", "from_name": "seen", "to_name": "video", "value": value}


def heard(start, end):
    value = {"start": start, "end": end, "labels": ["fear"]}
    return {"id": "a", "type": "labels", "from_name": "heard", "to_name": "audio", "value": value}


@pytest.mark.parametrize(("name", "region"), [("seen", seen), ("heard", heard)])
def test_stretches_of_time(name, region):
    field = load_labels("emotion_segments.v1").fields[name]
    for times, expected in {(1, 2): (1, 2), (4, 6): (4, 6), (5, 20): (5, 6)}.items():
        (segment,) = field.from_result([region(*times)], ITEM)
        assert (segment["start_s"], segment["end_s"]) == expected
    for times in ((8, 12), (6, 7)):
        with pytest.raises(ValueError, match="after the end of the item at 6 s"):
            field.from_result([region(*times)], ITEM)


@pytest.mark.parametrize(("name", "region"), [("seen", seen), ("heard", heard)])
def test_what_is_cut_is_marked(name, region):
    labels = load_labels("emotion_segments.v1")
    annotation = {"id": 1, "created_at": "2026-03-01T00:00:00Z", "updated_at": "2026-03-01T00:00:00Z"}
    task = {"id": 1, "data": {"item_id": "i"}}
    for end_s, is_marked in ((5.4, False), (6.04, False), (9, True)):
        act = annotation | {"result": [region(2, end_s)]}
        row = to_judgement(act, task, ITEM, labels, Origin("s", 1, {}), {}, now=datetime.now(UTC)).to_row(labels)
        assert row[name][0]["end_s"] == min(end_s, 6)
        mark = f"{name}: cut at the end of the item, which 1 of its stretches exceeded"
        assert (mark in row["misfits"]) == is_marked


def box(frame, x=10):
    sides = {"x": x, "y": 10, "width": 20, "height": 20, "rotation": 0}
    value = {"sequence": [{"frame": frame, "enabled": True, **sides}], "labels": ["speaker"]}
    return {"id": "a", "type": "videorectangle", "from_name": "faces", "to_name": "video", "value": value}


def test_boxes():
    field = load_labels("au_video.v1").fields["faces"]
    region = box(150, x=90)
    region["value"]["labels"] = [field.labels[0]]
    (track,) = field.from_result([region], ITEM)
    assert track["keyframes"][0]["time_s"] == 5.96
    assert track["keyframes"][0]["width"] == pytest.approx(0.1)
    for frame, x, problem in ((300, 10, "after the end of the item at 6 s"), (150, 110, "extent")):
        region = box(frame, x)
        region["value"]["labels"] = [field.labels[0]]
        with pytest.raises(ValueError, match=problem):
            field.from_result([region], ITEM)


def test_traces():
    field = load_labels("listener_valence.v1").fields["valence"]

    def results(start, end):
        region = {"id": "a", "type": "labels", "value": {"start": start, "end": end, "labels": ["x"]}}
        number = {"id": "a", "type": "number", "from_name": "valence-value", "value": {"number": 0.5}}
        return [region | {"from_name": "valence"}, number]

    assert len(field.from_result(results(0, 20), ITEM)["values"]) * field.step_s == pytest.approx(6, abs=field.step_s)
    assert [field.count_cut(results(0, end), ITEM) for end in (5, 6, 20)] == [0, 0, 1]
    with pytest.raises(ValueError, match="after the end of the item"):
        field.from_result(results(8, 9), ITEM)


def test_spans_beyond_the_text():
    field = load_labels("emotion_causes.v1").fields["causes"]
    label = field.labels[0]
    item = ITEM._replace(dialogue=())
    value = {"start": 2, "end": 70, "startOffset": 2, "endOffset": 70, "labels": [label], "paragraphlabels": [label]}
    with pytest.raises(ValueError, match=r"not|turn"):
        field.from_result([{"id": "a", "type": "labels", "from_name": "causes", "value": value}], item)
