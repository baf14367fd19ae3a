"""Clues: several models tell what they see, hear and read of a clip, and another labels it from their words."""

import base64
import io
import json
import re
from collections import Counter

import av
import polars as pl
import pytest

from curate.errors import InvalidInput
from curate.labels import ItemContext, load_labels
from curate.llm.prompts.answer import parse_answer
from curate.llm.prompts.load import load_prompt
from curate.recipe import load_recipe
from tests.llm.test_shown import Clips, read
from tests.support.asking import KEY
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import status
from tests.support.posts import MINI, Posts

CLUES = [
    {"name": "voice", "model": "openai/gpt-5", "prompt": "voice_clues.v1"},
    {"name": "face", "model": "openai/gpt-5-nano", "prompt": "face_clues.v1"},
]
MERGE = {"name": "merged", "model": "openai/gpt-5-mini", "prompt": "utterance_from_clues.v1"}
LABELS = load_labels("utterance_emotion.v1")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    with ChatDouble(key=KEY) as double, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", double.url)
        patch.setenv("OPENAI_API_KEY", KEY)
        yield Clips(tmp_path_factory.mktemp("clips"), double)


@pytest.fixture(autouse=True)
def _address(clips, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", clips.double.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_labels_never_rest_on_half_the_clues_because_a_service_was_down(clips: Clips) -> None:
    clips.double.on("Describe the voice.", *[status(503)] * 6)
    bodies = clips.run(labellers=[MERGE], clues=CLUES, tries=1)
    rows = clips.rows("prelabels")
    merged = [row for row in rows if row["labeller"] == "merged"]
    assert {(row["outcome"], row["final"]) for row in merged} == {("error", True)}
    assert all(row["detail"].startswith("the clue voice failed: ") for row in merged)
    assert {row["outcome"] for row in rows if row["labeller"] == "face"} == {"clue"}
    assert not [body for body in bodies if body["model"] == "gpt-5-mini"]


def test_each_model_gets_its_medium_and_the_last_one_their_words(clips: Clips) -> None:
    bodies = clips.run(labellers=[MERGE], clues=CLUES)
    items, rows = clips.rows("items"), clips.rows("prelabels")
    voices, labels = ([read(body) for body in bodies if body["model"] == name] for name in ("gpt-5", "gpt-5-mini"))
    # The faces were described in the run before, whose answers are kept.
    assert (len(voices), len(labels), len(bodies)) == (len(items), len(items), 2 * len(items))
    assert all(len(request.sounds) == 1 and not request.pictures for request in voices)
    assert all(not request.pictures and not request.sounds for request in labels)
    for item in items:
        voice, face, merged = (
            next(row for row in rows if row["item_id"] == item["item_id"] and row["labeller"] == name)
            for name in ("voice", "face", "merged")
        )
        assert [row["outcome"] for row in (voice, face, merged)] == ["clue", "clue", "ok"]
        assert [row["final"] for row in (voice, face, merged)] == [False, False, True]
        assert (voice["emotion"], voice["model"], face["model"]) == (None, "gpt-5", "gpt-5-nano")
        (request,) = (request for request in labels if f"\n{item['text']}\n" in request.text)
        told = request.text.split("The clues:")[1]
        assert re.search(r"<clues-[0-9a-f]{10}>\n\[voice\]\n.*\n\n\[face\]\n", told, re.DOTALL)
        for row in (voice, face):
            assert row["extras"]
            for extra in row["extras"]:
                assert f"{extra['name'].replace('_', ' ')}: {' '.join(extra['text'].split())}" in told
        assert f"Length: {item['end_s'] - item['start_s']:.1f} s" in request.text
    assert clips.run(labellers=[MERGE], clues=CLUES) == []


def test_pictures_stand_after_the_second_at_which_they_were_taken(clips: Clips) -> None:
    clue = {"name": "scene", "model": "openai/gpt-5", "prompt": "scene_clues.v1"}
    bodies = [
        body for body in clips.run(labellers=[MERGE], clues=[clue], pictures={"count": 3}) if body["model"] == "gpt-5"
    ]
    items = clips.rows("items")
    assert len(bodies) == len(items)
    lengths = {f"{item['end_s'] - item['start_s']:.1f} s" for item in items}
    for body in bodies:
        content = body["messages"][-1]["content"]
        kinds = [part["type"] for part in content]
        seconds = [
            float(re.search(r"\[(\d+\.\d) s\]\s*$", content[index - 1]["text"])[1])
            for index, kind in enumerate(kinds)
            if kind == "image_url"
        ]
        assert len(seconds) == 3
        assert seconds == sorted(seconds)
        length = re.search(r"Length of the recording: (\d+\.\d s)", content[0]["text"])[1]
        assert length in lengths
        assert seconds[-1] <= float(length.split()[0])


def test_models_that_take_video_get_the_clip_with_its_sound(clips: Clips) -> None:
    clue = {"name": "clip", "model": "openai/gpt-5", "prompt": "clip_clues.v1"}
    bodies = [body for body in clips.run(labellers=[MERGE], clues=[clue]) if body["model"] == "gpt-5"]
    items = {item["text"]: item for item in clips.rows("items")}
    assert len(bodies) == len(items)
    for body in bodies:
        content = body["messages"][-1]["content"]
        (part,) = (part for part in content if part["type"] == "video_url")
        head, _, data = part["video_url"]["url"].partition(",")
        assert head == "data:video/mp4;base64"
        (text,) = (text for text in items if f"\n{text}\n" in content[0]["text"])
        item = items[text]
        with av.open(io.BytesIO(base64.b64decode(data))) as container:
            assert {stream.type for stream in container.streams} == {"video", "audio"}
            assert container.duration / av.time_base == pytest.approx(item["end_s"] - item["start_s"], abs=0.2)
    assert clips.run(labellers=[MERGE], clues=[clue], max_video_s=0.1) == []
    left_out = [row for row in clips.rows("prelabels") if row["labeller"] == "clip"]
    assert {row["outcome"] for row in left_out} == {"abstained"}
    assert {row["detail"] for row in left_out} == {"the item has no video that can be sent, which the prompt needs"}


def test_an_item_without_any_clue_is_not_labelled_from_them(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[MERGE], clues=CLUES)
    rows = corpus.rows()
    assert {row["outcome"] for row in rows} == {"abstained"}
    (detail,) = {row["detail"] for row in rows if row["labeller"] == "merged"}
    assert detail == "the item has no clues, which the prompt needs"
    assert not double.calls


def test_what_is_released_names_no_clue_as_a_proposal(corpus: Posts, double: ChatDouble) -> None:
    clue = {"name": "words", "model": "openai/gpt-5-nano", "prompt": "words_clues.v1"}
    corpus.run(labellers=[MERGE], clues=[clue])
    assert Counter((row["labeller"], row["outcome"]) for row in corpus.rows()) == {
        ("words", "clue"): 6,
        ("merged", "ok"): 6,
    }
    ids = {row["prelabel_id"] for row in corpus.rows() if row["labeller"] == "merged"}
    release = pl.read_parquet(corpus.folder / "ws/releases/1.0.0/data/*.parquet")
    assert set(release["prelabel"].struct.field("prelabel_id")) == ids
    card = (corpus.folder / "ws/releases/1.0.0/README.md").read_text(encoding="utf-8")
    assert "words_clues.v1" in card
    assert "utterance_from_clues.v1" in card


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"labellers": [MINI], "clues": CLUES[:1]}, "no prompt of a labeller shows the clues"),
        (
            {"labellers": [MERGE]},
            "prompt utterance_from_clues.v1 shows clues: name the models that give them under clues",
        ),
        ({"labellers": [{**MINI, "prompt": "voice_clues.v1"}]}, "asks for clues and no labels: name it under clues"),
        (
            {"labellers": [MERGE], "clues": [{**CLUES[0], "prompt": "review.v1"}]},
            "asks for labels: name it under labellers",
        ),
        ({"labellers": [MERGE], "clues": [{"model": "offline", "prompt": "voice_clues.v1"}]}, "gives no clues"),
        ({"labellers": [MERGE], "clues": [{**CLUES[0], "samples": 2}]}, "asked for once"),
        ({"labellers": [MERGE], "clues": [CLUES[0], dict(CLUES[0])]}, "two labellers are called voice"),
    ],
)
def test_what_cannot_be_asked_is_named_before_anything_runs(tmp_path, settings, problem) -> None:
    (tmp_path / "posts.jsonl").write_text('{"text": "Well."}\n')
    path = make_recipe(tmp_path, {"stage": "ingest", "files": "*.jsonl"}, {"stage": "prelabel", **settings})
    with pytest.raises(InvalidInput) as caught:
        load_recipe(path)
    assert any(problem in sentence for sentence in (caught.value.message, *caught.value.problems)), (
        caught.value.problems
    )


def test_clues_that_say_nothing_are_asked_for_again() -> None:
    prompt = load_prompt("words_clues.v1")
    names = list(prompt.header.extra)
    text = json.dumps(dict.fromkeys(names, " ") | {names[0]: " Two thanks. ", "mood": "glad"})
    parsed = parse_answer(prompt, LABELS, text, ItemContext())
    assert (parsed.values, parsed.extras) == ({}, {names[0]: "Two thanks."})
    assert parsed.repairs == ("left out 'mood', which was not asked for",)
    with pytest.raises(ValueError, match="every text is empty"):
        parse_answer(prompt, LABELS, json.dumps(dict.fromkeys(names, " \u200b")), ItemContext())
    with pytest.raises(ValueError, match="is a required property"):
        parse_answer(prompt, LABELS, "{}", ItemContext())


def test_items_in_another_language_get_the_prompt_of_that_language(corpus: Posts, double: ChatDouble) -> None:
    german = "Ich freue mich wirklich sehr darüber, dass du morgen endlich wieder zu uns nach Hause kommst."
    english = "I am really very happy that you are finally coming home to us again tomorrow."
    corpus.write([german, english])
    corpus.run(labellers=[{**MINI, "prompts": {"de": "utterance_emotion_de.v1"}}])
    asked = {"freue" in call.text: call.text for call in double.calls if call.body and "messages" in call.body}
    assert "Beurteilen Sie diese Äußerung." in asked[True]
    assert any("Welche Gefühle zeigen sich?" in str(call.body) for call in double.calls)
    assert "Label this item." in asked[False]
    prompts = {row["prompt"] for row in corpus.rows()}
    assert prompts == {"utterance_emotion_de.v1", "utterance_emotion.v1"}
