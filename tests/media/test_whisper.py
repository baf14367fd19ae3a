"""A local Whisper model: what a folder must hold, and how its answers become cues."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from curate.errors import InvalidInput
from curate.media.container.decode import Span
from curate.media.words import whisper
from curate.media.words.whisper import Whisper, model_hash, model_problem, pack_spans
from tests.support.media_builders import make_speech
from tests.support.whisper_model import make_model


def make_folder(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"model.bin": b"x" * 100, "config.json": b"{}", "tokenizer.json": b"{}", "vocabulary.json": b"[]"}
    for name, data in {**content, **files}.items():
        if data is not None:
            (folder / name).write_bytes(data)
    return folder


def test_a_model_in_a_folder_is_run_without_a_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    folder = make_model(tmp_path / "chance")
    assert model_problem(folder) is None
    spans = [Span(0.2, 3.4), Span(4.1, 7.3)]
    assert Whisper(folder).transcribe(make_speech(), spans, language="en").cues == []  # it says one thing for ever
    monkeypatch.setattr(whisper, "MAX_COMPRESSION", 1e9)
    found = Whisper(folder).transcribe(make_speech(), spans, language="en")
    assert found.cues
    assert found.language == "en"
    for cue in found.cues:
        assert 0.2 <= cue.span.start_s < cue.span.end_s <= 7.3
        assert cue.text.isprintable()
        assert all(type(time) is float for word in cue.words for time in (word.start_s, word.end_s))
    assert Whisper(folder).transcribe(make_speech(), spans, language="en") == found


def test_the_problem_of_a_folder_is_one_sentence(tmp_path):
    assert model_problem(tmp_path / "gone").endswith("is not a folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "lacks model.bin, config.json, tokenizer.json, vocabulary.json" in model_problem(empty)
    without = make_folder(tmp_path / "without", **{"tokenizer.json": None})
    assert "lacks tokenizer.json" in model_problem(without)
    assert "not a JSON object" in model_problem(make_folder(tmp_path / "list", **{"config.json": b"[]"}))
    assert "cannot be read" in model_problem(make_folder(tmp_path / "torn", **{"config.json": b"\xff{"}))
    assert model_problem(make_folder(tmp_path / "whole")) is None


@pytest.mark.parametrize("files", [{}, {"model.bin": b""}, {"tokenizer.json": json.dumps({"a": 1}).encode()}])
def test_a_wrong_model_is_one_clear_message(tmp_path, files):
    folder = make_folder(tmp_path / "wrong", **files)
    with pytest.raises(InvalidInput, match="cannot be loaded") as caught:
        Whisper(folder).transcribe(np.zeros(16_000, np.int16), [Span(0, 1)], language=None)
    assert str(folder) in caught.value.message
    assert caught.value.hint


def test_a_name_is_never_looked_for_on_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    with pytest.raises(InvalidInput, match="is not a folder"):
        Whisper(Path("tiny")).transcribe(np.zeros(16_000, np.int16), [Span(0, 1)], language=None)


def test_utterances_are_packed_into_windows():
    assert pack_spans([Span(0, 10), Span(11, 20), Span(21, 35), Span(36, 40)]) == [Span(0, 20), Span(21, 40)]
    assert pack_spans([Span(0, 40)]) == [Span(0, 40)]
    assert pack_spans([]) == []


def test_the_hash_follows_the_content(tmp_path):
    folder = make_folder(tmp_path / "model")
    before = model_hash(folder)
    assert model_hash(make_folder(tmp_path / "copy")) == before
    (folder / "model.bin").write_bytes(b"y")
    assert model_hash(folder) != before


class FakeModel:
    """Hears one sentence in each window."""

    supported_languages = ("en",)

    def __init__(self):
        self.asked = []

    def transcribe(self, sound, *, language, **options):
        self.asked.append((len(sound), language, options["word_timestamps"]))
        words = [SimpleNamespace(word=" Oh", start=0.5, end=0.8), SimpleNamespace(word=" no.", start=0.8, end=1.2)]
        segment = SimpleNamespace(text=" Oh no.", start=0.5, end=1.2, words=words, compression_ratio=0.8)
        nothing = SimpleNamespace(text=" ", start=2.0, end=2.0, words=None, compression_ratio=0.0)
        loop = SimpleNamespace(text=" no" * 80, start=2.0, end=4.0, words=words, compression_ratio=9.0)
        return iter([segment, nothing, loop]), SimpleNamespace(language="en")


def test_times_are_those_of_the_file(monkeypatch, tmp_path):
    model = FakeModel()
    monkeypatch.setattr(whisper, "_open", lambda folder: model)
    sound = np.ones(16_000 * 60, np.int16)
    found = Whisper(tmp_path).transcribe(sound, [Span(1, 20), Span(40, 45)], language=None)
    assert model.asked == [(19 * 16_000, None, True), (5 * 16_000, "en", True)]
    assert [cue.text for cue in found.cues] == ["Oh no.", "Oh no."]
    assert found.cues[1].span == Span(40.5, 41.2)
    assert [(word.text, word.start_s) for word in found.cues[1].words] == [("Oh", 40.5), ("no.", 40.8)]
    assert found.language == "en"
    with pytest.raises(InvalidInput, match="does not support the language 'de'"):
        Whisper(tmp_path).transcribe(sound, [Span(1, 2)], language="de")
