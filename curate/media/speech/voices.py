"""Tell voices apart: d-vectors of utterances, and which of them are one speaker's.

Needs no torch: of the package resemblyzer only the file of weights is read.
"""

import functools
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingDependency
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.faces.identity import cluster_vectors
from curate.media.onnx import Weights, find_weights, open_lstm

D_VECTORS = Weights(
    "resemblyzer",
    "pretrained.pt",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    install="pip install --no-deps resemblyzer",
)
SAME_VOICE = 0.65
"""Mean cosine of d-vectors from which two groups of utterances are taken for one speaker."""
SURE_S, SHORTEST_S = 1.6, 0.5
"""Utterances from ``SURE_S`` on decide which voices there are; those from ``SHORTEST_S`` on join one."""

_WINDOW, _HOP, _MELS, _FRAMES, _STEP = 400, 160, 40, 160, 77
_QUIET = 10 ** (-30 / 20)
_MIN_COVERAGE = 0.75
_AT_ONCE = 64
_MAGIC = 0x1950A86A20F9469CFC6C

Series = NDArray[np.float32]


def cluster_voices(
    samples: Samples, spans: Sequence[Span], *, count: int | None = None, same_voice: float = SAME_VOICE
) -> list[int | None]:
    """For each span of 16 kHz speech the number of its voice, by first appearance; None where it cannot be told.

    Spans of 1.6 s and more are grouped by average linkage of their d-vectors; shorter ones join the nearest voice
    where the cosine with its mean is ``same_voice`` or more. Where ``count`` is given there are so many voices, and
    short spans join the nearest in any case. One voice in several moods, or over the telephone, may pass for several.
    Raises ``MissingDependency`` where the weights are not installed.
    """
    heard = [place for place, span in enumerate(spans) if span.end_s - span.start_s >= SHORTEST_S]
    vectors = d_vectors([cut_audio(samples, spans[place]) for place in heard])
    is_sure = [spans[place].end_s - spans[place].start_s >= SURE_S for place in heard]
    numbers = cluster_vectors(vectors[is_sure], min_cosine=same_voice, count=count)
    sure = iter(numbers)
    voices: list[int | None] = [next(sure) if known else None for known in is_sure]
    if numbers:
        members = [vectors[is_sure][np.asarray(numbers) == voice].mean(axis=0) for voice in range(max(numbers) + 1)]
        means = np.stack([_unit(mean) for mean in members])
        for place in np.flatnonzero(~np.asarray(is_sure)):
            likeness = means @ vectors[place]
            is_near = count is not None or likeness.max() >= same_voice
            voices[place] = int(likeness.argmax()) if is_near else None
    found: list[int | None] = [None] * len(spans)
    for place, voice in zip(heard, voices, strict=True):
        found[place] = voice
    return found


def d_vectors(sounds: Sequence[Samples]) -> Series:
    """(n, 256) unit vectors of n utterances (Wan et al. 2018, "Generalized end-to-end loss for speaker verification").

    Each is the mean over parts of 1.6 s, begun every 0.77 s; one voice has cosines of about .8, two of about .5.
    """
    sums: dict[int, Series] = {}
    parts = _parts(sounds)
    while batch := list(islice(parts, _AT_ONCE)):
        raw = open_voices().run(None, {"mels": np.stack([mel for _, mel in batch])})[0]
        for (place, _), vector in zip(batch, raw, strict=True):
            sums[place] = sums.get(place, np.float32(0)) + _unit(vector)
    return np.stack([_unit(sums[place]) for place in range(len(sounds))]) if sums else np.zeros((0, 0), np.float32)


@functools.cache
def open_voices() -> Any:
    """Session of the voice encoder, its weights checked; raises ``MissingDependency`` where they are not installed."""
    return open_lstm(load_weights(find_weights(D_VECTORS)))


def mel_spectrogram(sound: Series) -> Series:
    """(frames, 40) mel power of 16 kHz sound, 100 frames a second (Slaney's scale, each band of equal area)."""
    padded = np.pad(sound, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    taper = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * taper, axis=1)) ** 2
    return np.asarray(power @ _mel_bands(), np.float32)


def load_weights(path: Path) -> dict[str, Series]:
    """The arrays of a voice model by name; raises ``MissingDependency`` where the file holds none."""
    try:
        with path.open("rb") as file:
            return _read_tensors(file)
    except (OSError, pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        hint = f"install it again: {D_VECTORS.install}"
        raise MissingDependency(f"{path} holds no voice model that can be read: {error}", hint=hint) from error


def _parts(sounds: Sequence[Samples]) -> Iterator[tuple[int, Series]]:
    """The spectrograms of the parts of each utterance, with its place."""
    for place, samples in enumerate(sounds):
        sound = samples.astype(np.float32) / np.float32(32768)
        loudness = float(np.sqrt((sound**2).mean())) if len(sound) else 0.0
        sound *= max(1.0, _QUIET / max(loudness, 1e-6))
        starts = list(range(0, max(1, len(sound) // _HOP + 2 - _FRAMES + _STEP), _STEP))
        if len(starts) > 1 and len(sound) / _HOP - starts[-1] < _MIN_COVERAGE * _FRAMES:
            starts.pop()
        mel = mel_spectrogram(np.pad(sound, (0, max(0, (starts[-1] + _FRAMES) * _HOP - len(sound)))))
        yield from ((place, mel[start : start + _FRAMES]) for start in starts)


@functools.cache
def _mel_bands() -> Series:
    """(201, 40) weights of each frequency in each band."""
    edges_mel = np.linspace(0, 15 + np.log(8.0) / (np.log(6.4) / 27), _MELS + 2)
    edges_hz = np.where(edges_mel < 15, edges_mel * 200 / 3, 1000 * np.exp((edges_mel - 15) * np.log(6.4) / 27))
    bins_hz = np.linspace(0, AUDIO_RATE_HZ / 2, _WINDOW // 2 + 1)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - bins_hz) / np.diff(edges_hz)[1:]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (edges_hz[2:] - edges_hz[:-2]), np.float32)


def _unit(vector: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


class _Tensor(NamedTuple):
    """Where an array lies in the file."""

    key: str
    offset: int
    shape: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Reads torch's description of arrays and nothing else: no name in the file is ever imported."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return lambda storage, offset, shape, *_: _Tensor(storage[1], offset, tuple(shape))
            case "torch", "FloatStorage":
                return np.float32
            case _:
                raise pickle.UnpicklingError(f"it holds a {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[Any, str]:
        return pid[1], pid[2]


def _read_tensors(file: BinaryIO) -> dict[str, Series]:
    """The arrays under ``model_state`` of a file in torch's format of before 2020."""
    magic, _, _ = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it is not in torch's format")
    tensors = _Unpickler(file).load()["model_state"]
    storages: dict[str, Series] = {}
    for key in _Unpickler(file).load():
        (count,) = np.frombuffer(file.read(8), "<i8")
        storages[key] = np.frombuffer(file.read(4 * int(count)), "<f4")
    arrays = {}
    for name, (key, offset, shape) in tensors.items():
        arrays[name] = storages[key][offset : offset + int(np.prod(shape))].reshape(shape)
    return arrays
