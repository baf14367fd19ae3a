"""Media of a clip in requests: its pictures and sound as the server receives them, and the turns around it."""

import base64
import io
import wave
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from curate.assets import shipped_folder
from curate.corpus.spec import open_table
from curate.executors.local import LocalExecutor
from curate.media.container.decode import read_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.faces.centerface import CenterFace
from curate.pipeline import run
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.runs import Quiet

SIDE_PX = 200
MINI = {"model": "openai/gpt-5-mini", "prompt": "clues_then_words.v1"}
EVERYTHING = {"show": ["faces", "frames", "audio"], "pictures": {"count": 2, "side_px": SIDE_PX, "detail": "high"}}


class Clips:
    """The quickstart clips, preprocessed once, with runs of the stage over them."""

    def __init__(self, folder, double: ChatDouble) -> None:
        self.folder, self.double = folder, double
        self.workspace = Workspace(folder / "ws")

    def run(self, **settings: Any) -> list[dict[str, Any]]:
        """Run the recipe and return the bodies of its requests."""
        before = len(self.double.calls)
        recipe = make_recipe(
            self.folder,
            {"stage": "ingest", "files": str(shipped_folder("recipes") / "quickstart/*.mp4"), "licence": "CC0-1.0"},
            {"stage": "preprocess"},
            {"stage": "prelabel", "labellers": [MINI], **settings},
        )
        self.loaded = load_recipe(recipe, raw=[shipped_folder("recipes")])
        executor = LocalExecutor(1)
        try:
            run(self.loaded, self.workspace, executor=executor, listener=Quiet())
        finally:
            executor.close()
        return [call.body for call in self.double.calls[before:] if call.path == "/v1/chat/completions"]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return open_table(self.workspace, table, self.loaded.labels).read().to_pylist()


class RequestContent(NamedTuple):
    """The text of a request, pictures with their detail, and sounds with their format."""

    text: str
    pictures: list[tuple[Image.Image, str]]
    sounds: list[tuple[bytes, str]]


def read(body: dict[str, Any]) -> RequestContent:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return RequestContent(content, [], [])
    parsed = RequestContent("\n".join(part["text"] for part in content if part["type"] == "text"), [], [])
    for part in content:
        if part["type"] == "image_url":
            head, _, data = part["image_url"]["url"].partition(",")
            assert head == "data:image/jpeg;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
            picture.load()
            parsed.pictures.append((picture, part["image_url"]["detail"]))
        elif part["type"] == "input_audio":
            sound = part["input_audio"]
            parsed.sounds.append((base64.b64decode(sound["data"], validate=True), sound["format"]))
    return parsed


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


def item_of(request: RequestContent, items: list[dict[str, Any]]) -> dict[str, Any]:
    (item,) = [item for item in items if f"\n{item['text']}\n" in request.text]
    return item


def test_pictures_and_sound_reach_the_server_once(clips):
    requests = [read(body) for body in clips.run(**EVERYTHING)]
    items = clips.rows("items")
    assert {item_of(request, items)["item_id"] for request in requests} == {item["item_id"] for item in items}
    assert len(requests) == len(items) == 6
    for request in requests:
        item = item_of(request, items)
        assert {detail for _, detail in request.pictures} == {"high"}
        assert item["face"]
        assert [picture.format for picture, _ in request.pictures] == ["JPEG"] * 4
        assert {max(picture.size) for picture, _ in request.pictures} == {SIDE_PX}
        boxes_found = [
            CenterFace().detect(np.asarray(picture.convert("RGB")))[0].box for picture, _ in request.pictures
        ]
        faces, frames = ([box[2] - box[0] for box in boxes] for boxes in (boxes_found[:2], boxes_found[2:]))
        assert min(faces) > 1.2 * max(frames)  # the face alone, and then the whole picture
        ((sound, form),) = request.sounds
        assert form == "wav"
        with wave.open(io.BytesIO(sound)) as reader:
            assert (reader.getnchannels(), reader.getframerate()) == (1, AUDIO_RATE_HZ)
            samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        assert len(samples) / AUDIO_RATE_HZ == pytest.approx(item["end_s"] - item["start_s"], abs=0.1)
        assert np.abs(samples).max() > 1_000
    assert {row["outcome"] for row in clips.rows("prelabels")} == {"ok"}
    assert clips.run(**EVERYTHING) == []
    # How it is asked is another run of the stage over the same questions: all replies are stored.
    assert clips.run(**EVERYTHING, max_text_chars=7_000) == []


def test_neighbouring_turns_are_shown(clips):
    requests = [read(body) for body in clips.run(show=[], context={"before": 1, "after": 1})]
    items = clips.rows("items")
    assert len(requests) == 6
    for item in items:
        (request,) = [candidate for candidate in requests if candidate.text.count(item["text"]) > 1]
        (neighbour,) = [
            candidate for candidate in items if candidate["source_id"] == item["source_id"] and candidate is not item
        ]
        assert request.text.count(neighbour["text"]) == 1
        assert not request.pictures
        assert not request.sounds
        strangers = [candidate["text"] for candidate in items if candidate["source_id"] != item["source_id"]]
        assert not [text for text in strangers if text in request.text]


def test_sound_is_sent_as_mp3_or_not_at_all(clips, tmp_path):
    requests = [read(body) for body in clips.run(show=["audio"], sound="mp3", max_sound_s=3.0)]
    items = clips.rows("items")
    lengths = {item["item_id"]: item["end_s"] - item["start_s"] for item in items}
    assert sum(seconds < 2.96 for seconds in lengths.values()) == 4
    assert sum(seconds > 3.1 for seconds in lengths.values()) == 2
    for request in requests:
        seconds = lengths[item_of(request, items)["item_id"]]
        assert [form for _, form in request.sounds] == (["mp3"] if seconds < 3.0 else [])
        for sound, _ in request.sounds:
            assert len(sound) < seconds * AUDIO_RATE_HZ * 2 / 5
            (tmp_path / "sound.mp3").write_bytes(sound)
            samples = read_audio(tmp_path / "sound.mp3")
            assert len(samples) / AUDIO_RATE_HZ == pytest.approx(seconds, abs=0.2)
            assert np.abs(samples).max() > 1_000


def test_prompts_that_need_sound_are_not_sent_without_it(clips):
    text = (shipped_folder("recipes") / "prompts" / "clues_then_words.v1.md").read_text(encoding="utf-8")
    needing = text.replace("audio: optional", "audio: required").replace("frames, audio]", "frames]")
    needing = needing.replace("{{#audio}}\n", "").replace("{{/audio}}\n", "")
    (clips.folder / "heard.v1.md").write_text(needing, encoding="utf-8")
    assert len(clips.run(labellers=[{**MINI, "prompt": "heard.v1"}], max_sound_s=3.0)) == 4
    rows = [row for row in clips.rows("prelabels") if row["outcome"] == "abstained"]
    assert {row["detail"] for row in rows} == {"the item has no audio that can be sent, which the prompt needs"}
    assert len(rows) == 2
