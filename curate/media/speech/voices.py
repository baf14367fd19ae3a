"""Cluster utterances by voice, with d-vectors.

Needs no torch: only the weights file of the package resemblyzer is read.
"""

import functools
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingDependency
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.faces.identity import cluster_vectors
from curate.media.onnx import Weights, find_weights, open_lstm
from curate.media.speech.speakers import SpeakerTurn

D_VECTORS = Weights(
    "resemblyzer",
    "pretrained.pt",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    install="pip install --no-deps resemblyzer",
)
SAME_VOICE = 0.65
"""Groups of utterances whose d-vectors have this mean cosine or more are one speaker."""
CLUSTERED_S, MIN_S = 1.6, 0.5
"""Utterances of at least ``CLUSTERED_S`` define the voices; those of at least ``MIN_S`` are assigned to one."""

SAME_VOICE_NEARBY = 0.7
"""As ``SAME_VOICE``, for 1.6 s within one utterance."""

_WINDOW, _HOP, _MELS, _FRAMES, _STEP = 400, 160, 40, 160, 77
_QUIET = 10 ** (-30 / 20)
_MIN_COVERAGE = 0.75
_BATCH_SIZE = 64
_MAGIC = 0x1950A86A20F9469CFC6C

Series = NDArray[np.float32]


def cluster_voices(
    samples: Samples, spans: Sequence[Span], *, count: int | None = None, same_voice: float = SAME_VOICE
) -> list[int | None]:
    """Return for each span of 16 kHz speech the number of its voice, by first appearance; None if it fits none.

    Spans of 1.6 s or more are grouped by average linkage of their d-vectors; a shorter one joins the nearest voice if
    the cosine with its mean is ``same_voice`` or more. With ``count`` there are that many voices, and short spans
    always join the nearest. One voice in several moods, or on the telephone, may be split into several. Raises
    ``MissingDependency`` if the weights are not installed.
    """
    embedded = [index for index, span in enumerate(spans) if span.end_s - span.start_s >= MIN_S]
    vectors = d_vectors([cut_audio(samples, spans[index]) for index in embedded])
    is_clustered = [spans[index].end_s - spans[index].start_s >= CLUSTERED_S for index in embedded]
    clusters = cluster_vectors(vectors[is_clustered], min_cosine=same_voice, count=count)
    numbers = iter(clusters)
    voices: list[int | None] = [next(numbers) if clustered else None for clustered in is_clustered]
    if clusters:
        members = [vectors[is_clustered][np.asarray(clusters) == voice] for voice in range(max(clusters) + 1)]
        means = np.stack([_unit(vectors_of_voice.mean(axis=0)) for vectors_of_voice in members])
        for index in np.flatnonzero(~np.asarray(is_clustered)):
            cosines = means @ vectors[index]
            is_near = count is not None or cosines.max() >= same_voice
            voices[index] = int(cosines.argmax()) if is_near else None
    by_span = dict(zip(embedded, voices, strict=True))
    return [by_span.get(index) for index in range(len(spans))]


def find_voice_changes(samples: Samples, spans: Sequence[Span]) -> list[SpeakerTurn]:
    """Return the turns within each long span of 16 kHz speech; their names hold within one span only.

    Windows of 1.6 s, one every 0.8 s, are grouped by average linkage of their d-vectors. One voice in several
    moods may become several.
    """
    windows = [
        (index, Span(start_s, start_s + CLUSTERED_S))
        for index, span in enumerate(spans)
        if span.end_s - span.start_s >= 2 * CLUSTERED_S
        for start_s in np.arange(span.start_s, span.end_s - CLUSTERED_S, CLUSTERED_S / 2).tolist()
    ]
    vectors = d_vectors([cut_audio(samples, window) for _, window in windows])
    turns = []
    for index, group in groupby(range(len(windows)), key=lambda window: windows[window][0]):
        members = list(group)
        voices = cluster_vectors(vectors[members], min_cosine=SAME_VOICE_NEARBY)
        for member, voice in zip(members, voices, strict=True):
            middle_s = windows[member][1].start_s + CLUSTERED_S / 2
            turns.append(SpeakerTurn(Span(middle_s - CLUSTERED_S / 4, middle_s + CLUSTERED_S / 4), f"{index}.{voice}"))
    return turns


def d_vectors(sounds: Sequence[Samples]) -> Series:
    """Return (n, 256) unit vectors of n utterances (Wan et al. 2018, "Generalized end-to-end loss ...").

    Each is the mean over parts of 1.6 s, one every 0.77 s. One voice has cosines of about .8, two voices of about .5.
    """
    sums: dict[int, Series] = {}
    parts = _parts(sounds)
    while batch := list(islice(parts, _BATCH_SIZE)):
        raw = open_voices().run(None, {"mels": np.stack([mel for _, mel in batch])})[0]
        for (index, _), vector in zip(batch, raw, strict=True):
            sums[index] = sums.get(index, np.float32(0)) + _unit(vector)
    return np.stack([_unit(sums[index]) for index in range(len(sounds))]) if sums else np.zeros((0, 0), np.float32)


@functools.cache
def open_voices() -> Any:
    """Return the session of the voice encoder; raises ``MissingDependency`` if its weights are not installed."""
    return open_lstm(load_weights(find_weights(D_VECTORS)))


def mel_spectrogram(sound: Series) -> Series:
    """Return the (frames, 40) mel power of 16 kHz sound, 100 frames per second (Slaney's mel scale, equal areas)."""
    padded = np.pad(sound, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    taper = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * taper, axis=1)) ** 2
    return np.asarray(power @ _mel_bands(), np.float32)


def load_weights(path: Path) -> dict[str, Series]:
    """Return the arrays of a voice model by name; raises ``MissingDependency`` if the file is not one."""
    try:
        with path.open("rb") as file:
            return _read_tensors(file)
    except (OSError, pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        hint = f"install it again: {D_VECTORS.install}"
        raise MissingDependency(f"{path} is not a readable voice model: {error}", hint=hint) from error


def _parts(sounds: Sequence[Samples]) -> Iterator[tuple[int, Series]]:
    """Yield the spectrogram of each part of each utterance, with the index of the utterance."""
    for index, samples in enumerate(sounds):
        sound = samples.astype(np.float32) / np.float32(32768)
        loudness = float(np.sqrt((sound**2).mean())) if len(sound) else 0.0
        sound *= max(1.0, _QUIET / max(loudness, 1e-6))
        starts = list(range(0, max(1, len(sound) // _HOP + 2 - _FRAMES + _STEP), _STEP))
        if len(starts) > 1 and len(sound) / _HOP - starts[-1] < _MIN_COVERAGE * _FRAMES:
            starts.pop()
        mel = mel_spectrogram(np.pad(sound, (0, max(0, (starts[-1] + _FRAMES) * _HOP - len(sound)))))
        yield from ((index, mel[start : start + _FRAMES]) for start in starts)


@functools.cache
def _mel_bands() -> Series:
    """Return the (201, 40) weights of each frequency in each band."""
    edges_mel = np.linspace(0, 15 + np.log(8.0) / (np.log(6.4) / 27), _MELS + 2)
    edges_hz = np.where(edges_mel < 15, edges_mel * 200 / 3, 1000 * np.exp((edges_mel - 15) * np.log(6.4) / 27))
    bins_hz = np.linspace(0, AUDIO_RATE_HZ / 2, _WINDOW // 2 + 1)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - bins_hz) / np.diff(edges_hz)[1:]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (edges_hz[2:] - edges_hz[:-2]), np.float32)


def _unit(vector: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


class _Tensor(NamedTuple):
    """The location of an array in the file."""

    key: str
    offset: int
    shape: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Reads torch's description of arrays and nothing else: names in the file are never imported."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return lambda storage, offset, shape, *_: _Tensor(storage[1], offset, tuple(shape))
            case "torch", "FloatStorage":
                return np.float32
            case _:
                raise pickle.UnpicklingError(f"it contains a {module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[Any, str]:
        return pid[1], pid[2]


def _read_tensors(file: BinaryIO) -> dict[str, Series]:
    """Return the arrays under ``model_state`` of a file in the torch format used before 2020."""
    magic, _, _ = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it is not in the torch format")
    tensors = _Unpickler(file).load()["model_state"]
    storages: dict[str, Series] = {}
    for key in _Unpickler(file).load():
        (count,) = np.frombuffer(file.read(8), "<i8")
        storages[key] = np.frombuffer(file.read(4 * int(count)), "<f4")
    arrays = {}
    for name, (key, offset, shape) in tensors.items():
        arrays[name] = storages[key][offset : offset + int(np.prod(shape))].reshape(shape)
    return arrays
