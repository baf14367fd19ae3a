"""Voices are told apart by d-vectors; the weights are read without torch and without running what they hold."""

import os
import pickle
import struct
import sys
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from curate.errors import MissingDependency
from curate.media.container.decode import Span, read_audio
from curate.media.onnx import open_lstm
from curate.media.speech import voices
from curate.media.speech.voices import cluster_voices, d_vectors, load_weights, mel_spectrogram
from tests.support.media_builders import RATE_HZ, make_speech, make_talk
from tests.support.preprocessing import preprocess

HIDDEN, OUT = 8, 6


def make_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Chance weights of the model's form, but small."""
    rng = np.random.default_rng(seed)
    shapes = {"linear.weight": (OUT, HIDDEN), "linear.bias": (OUT,)}
    for layer, width in enumerate((40, HIDDEN, HIDDEN)):
        shapes |= {f"lstm.weight_ih_l{layer}": (4 * HIDDEN, width), f"lstm.weight_hh_l{layer}": (4 * HIDDEN, HIDDEN)}
        shapes |= {f"lstm.bias_{kind}_l{layer}": (4 * HIDDEN,) for kind in ("ih", "hh")}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def write_torch(path: Path, weights: dict[str, np.ndarray], monkeypatch) -> Path:
    """A file as ``torch.save`` wrote it before 2020, made without torch."""
    torch, inner = ModuleType("torch"), ModuleType("torch._utils")

    class FloatStorage:
        pass

    def _rebuild_tensor_v2(*_):
        raise AssertionError("nothing of torch is called")

    FloatStorage.__module__, _rebuild_tensor_v2.__module__ = "torch", "torch._utils"
    FloatStorage.__qualname__, _rebuild_tensor_v2.__qualname__ = "FloatStorage", "_rebuild_tensor_v2"
    torch.FloatStorage, torch._utils, inner._rebuild_tensor_v2 = FloatStorage, inner, _rebuild_tensor_v2

    class Storage:
        def __init__(self, key, count):
            self.pid = ("storage", FloatStorage, key, "cpu", count, None)

    class Tensor:
        def __init__(self, key, array):
            self.storage, self.array = Storage(key, array.size), array

        def __reduce__(self):
            strides = tuple(step // 4 for step in self.array.strides)
            return _rebuild_tensor_v2, (self.storage, 0, self.array.shape, strides, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.pid if isinstance(thing, Storage) else None

    keys = {name: str(1000 + place) for place, name in enumerate(weights)}
    with monkeypatch.context() as patch, path.open("wb") as file:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", inner)
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, file, protocol=2)
        state = OrderedDict((name, Tensor(keys[name], array)) for name, array in weights.items())
        Pickler(file, protocol=2).dump({"step": 7, "model_state": state})
        pickle.dump(list(keys.values()), file, protocol=2)
        for array in weights.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path


def run_by_hand(mel: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The last output for one spectrogram (frames, 40), by the equations of torch's LSTM."""
    series = mel.astype(np.float64)
    for layer in range(3):
        w, r, b, c = (weights[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        hidden, cell, after = np.zeros(HIDDEN), np.zeros(HIDDEN), []
        for frame in series:
            i, f, g, o = np.split(w @ frame + r @ hidden + b + c, 4)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            cell = f * cell + i * np.tanh(g)
            hidden = o * np.tanh(cell)
            after.append(hidden)
        series = np.array(after)
    return np.maximum(weights["linear.weight"] @ series[-1] + weights["linear.bias"], 0)


def resample(sound: np.ndarray, factor: float) -> np.ndarray:
    """Another voice: lower and slower where the factor is below 1."""
    return np.interp(np.arange(0, len(sound) - 1, factor), np.arange(len(sound)), sound).astype(np.int16)


def make_two_voices() -> tuple[np.ndarray, list[Span], list[int]]:
    """Six utterances by turns of one voice and of a lower one; when each is said, and by which."""
    talk, spans = make_talk(gaps_s=[0.6] * 2)
    parts, times, whose, at = [np.zeros(RATE_HZ, np.int16)], [], [], RATE_HZ
    for place in range(6):
        span = spans[place // 2 % 2]
        piece = talk[round(span.start_s * RATE_HZ) : round(span.end_s * RATE_HZ)]
        piece = resample(piece, 0.75) if place % 2 else piece
        times.append(Span(at / RATE_HZ, (at + len(piece)) / RATE_HZ))
        whose.append(place % 2)
        parts += [piece, np.zeros(RATE_HZ, np.int16)]
        at += len(piece) + RATE_HZ
    return np.concatenate(parts), times, whose


@pytest.fixture
def chance(monkeypatch):
    """A voice model of chance weights in place of the installed one."""
    session = open_lstm(make_weights())
    monkeypatch.setattr(voices, "open_voices", lambda: session)


def test_weights_are_read_without_torch(tmp_path, monkeypatch):
    weights = make_weights()
    read = load_weights(write_torch(tmp_path / "a.pt", weights, monkeypatch))
    assert read.keys() == weights.keys()
    assert all(np.array_equal(read[name], weights[name]) for name in weights)


def test_the_network_is_the_one_that_torch_runs():
    weights, mels = make_weights(), np.random.default_rng(1).random((3, 20, 40)).astype(np.float32)
    (raw,) = open_lstm(weights).run(None, {"mels": mels})
    assert np.allclose(raw, [run_by_hand(mel, weights) for mel in mels], atol=1e-5)
    assert raw.any()


@pytest.mark.parametrize("size", [0, 10, 300, 2000])
def test_a_truncated_file_is_refused(tmp_path, monkeypatch, size):
    path = write_torch(tmp_path / "a.pt", make_weights(), monkeypatch)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(MissingDependency, match=r"a\.pt") as caught:
        load_weights(path)
    assert "--no-deps resemblyzer" in caught.value.hint


def test_a_file_that_would_run_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Evil(), protocol=2) * 4)
    with pytest.raises(MissingDependency, match="system"):
        load_weights(path)
    assert not (tmp_path / "ran").exists()


def test_without_the_package_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(voices, "D_VECTORS", voices.D_VECTORS._replace(package="no_such_package"))
    voices.open_voices.cache_clear()
    with pytest.raises(MissingDependency, match="not installed") as caught:
        cluster_voices(make_speech(), [Span(0.3, 3.3)])
    assert caught.value.hint == "install it: pip install --no-deps resemblyzer"


def test_bands_hear_what_lies_in_them():
    at = np.arange(RATE_HZ) / RATE_HZ
    loudest = [
        int(mel_spectrogram(np.sin(2 * np.pi * hz * at).astype(np.float32)).mean(axis=0).argmax())
        for hz in (100, 500, 1000, 3000, 7000)
    ]
    assert loudest == sorted(set(loudest))
    assert mel_spectrogram(np.zeros(RATE_HZ, np.float32)).shape == (101, 40)


def test_nothing_to_tell(chance):
    assert cluster_voices(make_speech(), []) == []
    assert cluster_voices(make_speech(), [Span(0.5, 0.6)]) == [None]
    assert cluster_voices(make_speech(), [Span(0.5, 1.5)]) == [None]
    assert cluster_voices(np.zeros(RATE_HZ * 4, np.int16), [Span(0, 2), Span(2, 4)], count=1) == [0, 0]
    assert d_vectors([]).shape[0] == 0


def test_short_spans_join_the_nearest_voice_where_the_number_is_known(chance):
    sound, spans, _ = make_two_voices()
    short = [Span(span.start_s, span.start_s + 0.8) for span in spans]
    told = cluster_voices(sound, [*spans, *short], count=2)
    assert set(told) == {0, 1}
    assert cluster_voices(sound, [*spans, *short, Span(0.1, 0.2)], count=2)[-1] is None


def test_items_name_the_voice_where_nothing_else_names_anybody(tmp_path, chance):
    from tests.support.media_builders import write_media

    write_media(tmp_path / "a.wav", sound=make_two_voices()[0])
    settings = {"cluster": True, "count": 2}
    done = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", speakers=settings)
    short = done.items[0]["source_id"][:12]
    assert {item["speaker"] for item in done.items} == {f"{short}#voice1", f"{short}#voice2"}
    assert {item["speaker_source"] for item in done.items} == {"clustered"}
    again = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", speakers=settings)
    assert again.outcome == done.outcome
    whole = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", units=("clip",), speakers={**settings, "count": 1})
    assert [item["speaker"] for item in whole.items] == [f"{short}#voice1"]
    (tmp_path / "who.csv").write_text("start_s,end_s,speaker\n0,4,Mary\n")
    told = preprocess(tmp_path, "a.wav", blobs=tmp_path / "b", speakers={**settings, "file": "who.csv"})
    assert (told.items[0]["speaker"], told.items[0]["speaker_source"]) == ("Mary", "file")
    assert told.items[-1]["speaker_source"] == "clustered"


# No extra can bring the weights, as what their package demands cannot be installed: the tests are there where they are.
if find_spec("resemblyzer"):

    def test_two_voices_are_told_apart():
        sound, spans, whose = make_two_voices()
        assert cluster_voices(sound, spans) == whose
        assert cluster_voices(sound, spans, count=2) == whose
        assert cluster_voices(sound, [*spans, Span(spans[1].start_s, spans[1].start_s + 1.2)])[-1] in (1, None)

    @pytest.mark.media
    def test_two_actors_in_all_moods(shared_data):
        files = sorted((shared_data / "media" / "emodb").glob("*.wav"))
        sounds = [read_audio(path) for path in files]
        ends = np.cumsum([len(sound) for sound in sounds]) / RATE_HZ
        spans = [Span(end - len(sound) / RATE_HZ, end) for end, sound in zip(ends, sounds, strict=True)]
        told = cluster_voices(np.concatenate(sounds), spans, count=2)
        pairs = {(path.name[:2], voice) for path, voice in zip(files, told, strict=True) if voice is not None}
        assert len(pairs) == 2
