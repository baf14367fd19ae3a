"""What of a clip reaches a model: its pictures and its sound as the server gets them, and the turns round it."""

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
from tests.support.posts import Quiet

SIDE_PX = 200
ONE = {"model": "openai/gpt-5-mini", "prompt": "clues_then_words.v1"}
EVERYTHING = {"show": ["faces", "frames", "audio"], "pictures": {"count": 2, "side_px": SIDE_PX, "detail": "high"}}


class Clips:
    """The quickstart clips, preprocessed once, with runs of the stage over them."""

    def __init__(self, folder, double: ChatDouble) -> None:
        self.folder, self.double = folder, double
        self.workspace = Workspace(folder / "ws")

    def run(self, **settings: Any) -> list[dict[str, Any]]:
        """The bodies of what was asked now."""
        before = len(self.double.calls)
        recipe = make_recipe(
            self.folder,
            {"stage": "ingest", "files": str(shipped_folder("recipes") / "quickstart/*.mp4"), "licence": "CC0-1.0"},
            {"stage": "preprocess"},
            {"stage": "prelabel", "labellers": [ONE], **settings},
        )
        self.loaded = load_recipe(recipe)
        executor = LocalExecutor(1)
        try:
            run(self.loaded, self.workspace, executor=executor, listener=Quiet())
        finally:
            executor.close()
        return [call.body for call in self.double.calls[before:] if call.path == "/v1/chat/completions"]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return open_table(self.workspace, table, self.loaded.labels).read().to_pylist()


class Got(NamedTuple):
    """What a request holds: its words, pictures with their detail, and sounds with their form."""

    text: str
    pictures: list[tuple[Image.Image, str]]
    sounds: list[tuple[bytes, str]]


def read(body: dict[str, Any]) -> Got:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return Got(content, [], [])
    got = Got("\n".join(part["text"] for part in content if part["type"] == "text"), [], [])
    for part in content:
        if part["type"] == "image_url":
            head, _, data = part["image_url"]["url"].partition(",")
            assert head == "data:image/jpeg;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
            picture.load()
            got.pictures.append((picture, part["image_url"]["detail"]))
        elif part["type"] == "input_audio":
            sound = part["input_audio"]
            got.sounds.append((base64.b64decode(sound["data"], validate=True), sound["format"]))
    return got


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


def item_of(got: Got, items: list[dict[str, Any]]) -> dict[str, Any]:
    (item,) = [item for item in items if f"\n{item['text']}\n" in got.text]
    return item


def test_pictures_and_sound_reach_the_server_and_nothing_is_asked_twice(clips):
    asked = [read(body) for body in clips.run(**EVERYTHING)]
    items = clips.rows("items")
    assert {item_of(got, items)["item_id"] for got in asked} == {item["item_id"] for item in items}
    assert len(asked) == len(items) == 6
    for got in asked:
        item = item_of(got, items)
        assert {detail for _, detail in got.pictures} == {"high"}
        assert item["face"]
        assert [picture.format for picture, _ in got.pictures] == ["JPEG"] * 4
        assert {max(picture.size) for picture, _ in got.pictures} == {SIDE_PX}
        found = [CenterFace().detect(np.asarray(picture.convert("RGB")))[0].box for picture, _ in got.pictures]
        faces, frames = ([box[2] - box[0] for box in boxes] for boxes in (found[:2], found[2:]))
        assert min(faces) > 1.2 * max(frames)  # the face alone, and then the whole picture
        ((sound, form),) = got.sounds
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


def test_neighbours_are_told_round_an_item(clips):
    asked = [read(body) for body in clips.run(show=[], context={"before": 1, "after": 1})]
    items = clips.rows("items")
    assert len(asked) == 6
    for item in items:
        (got,) = [one for one in asked if one.text.count(item["text"]) > 1]
        (other,) = [one for one in items if one["source_id"] == item["source_id"] and one is not item]
        assert got.text.count(other["text"]) == 1
        assert not got.pictures
        assert not got.sounds
        strangers = [one["text"] for one in items if one["source_id"] != item["source_id"]]
        assert not [text for text in strangers if text in got.text]


def test_sound_goes_as_mp3_or_not_at_all(clips, tmp_path):
    asked = [read(body) for body in clips.run(show=["audio"], sound="mp3", max_sound_s=3.0)]
    items = clips.rows("items")
    lengths = {item["item_id"]: item["end_s"] - item["start_s"] for item in items}
    assert sum(seconds < 2.96 for seconds in lengths.values()) == 4
    assert sum(seconds > 3.1 for seconds in lengths.values()) == 2
    for got in asked:
        seconds = lengths[item_of(got, items)["item_id"]]
        assert [form for _, form in got.sounds] == (["mp3"] if seconds < 3.0 else [])
        for sound, _ in got.sounds:
            assert len(sound) < seconds * AUDIO_RATE_HZ * 2 / 5
            (tmp_path / "sound.mp3").write_bytes(sound)
            heard = read_audio(tmp_path / "sound.mp3")
            assert len(heard) / AUDIO_RATE_HZ == pytest.approx(seconds, abs=0.2)
            assert np.abs(heard).max() > 1_000


def test_a_prompt_that_needs_a_sound_is_not_asked_where_it_is_left_out(clips):
    text = (shipped_folder("recipes") / "prompts" / "clues_then_words.v1.md").read_text(encoding="utf-8")
    needing = text.replace("audio: optional", "audio: required").replace("frames, audio]", "frames]")
    needing = needing.replace("{{#audio}}\n", "").replace("{{/audio}}\n", "")
    (clips.folder / "heard.v1.md").write_text(needing, encoding="utf-8")
    assert len(clips.run(labellers=[{**ONE, "prompt": "heard.v1"}], max_sound_s=3.0)) == 4
    rows = [row for row in clips.rows("prelabels") if row["outcome"] == "abstained"]
    assert {row["detail"] for row in rows} == {"the item has no audio that can be sent, which the prompt needs"}
    assert len(rows) == 2
