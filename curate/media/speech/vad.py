"""Find utterances in 16 kHz sound (Silero VAD)."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Samples, Span
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.container.sample_store import release_pages
from curate.media.onnx import open_vad

HOP_S = 512 / AUDIO_RATE_HZ
SPEECH_THRESHOLD, HYSTERESIS = 0.5, 0.15
_HOP, _CONTEXT, _BLOCK = 512, 64, 1024
_USUAL_LEVEL, _MAX_DOUBLINGS = 3000.0, 6
_LOUD_WINDOWS, _LOUD_SHARE = 94, 0.1
"""The level of a recording is that of its loudest three seconds, or of a tenth of it if that is less: silence, however
long, does not count."""


class Utterance(NamedTuple):
    """One utterance and the share of it that is speech (0-1)."""

    span: Span
    share: float


def speech_probabilities(samples: Samples) -> NDArray[np.float32]:
    """Return the probability of speech for each window of 32 ms; the last window is padded with silence.

    A quiet recording, such as of far talk, is analysed louder.
    """
    session, scale = open_vad(), np.float32(_gain(samples) / 32768)
    state: dict[str, Any] = {name: np.zeros((1, 1, 128), np.float32) for name in ("h", "c")}
    tail: NDArray[np.float32] = np.zeros(_CONTEXT, np.float32)
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(samples), _HOP * _BLOCK):
        release_pages(samples)
        block = (samples[start : start + _HOP * _BLOCK].astype(np.float32) * scale).clip(-1, 1)
        windows = np.pad(block, (0, -len(block) % _HOP)).reshape(-1, _HOP)
        context = np.vstack([tail, windows[:-1, -_CONTEXT:]])
        probabilities, state["h"], state["c"] = session.run(None, {"input": np.hstack([context, windows]), **state})
        tail = windows[-1, -_CONTEXT:]
        parts.append(probabilities.reshape(-1))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _gain(samples: Samples) -> int:
    """Return the power of two, 1-64, that brings the loud parts of a recording nearest below the usual level."""
    levels: list[NDArray[np.float64]] = []
    for start in range(0, len(samples), _HOP * _BLOCK):
        release_pages(samples)
        block = samples[start : start + _HOP * _BLOCK].astype(np.float32)
        levels.append(np.sqrt((block[: len(block) // _HOP * _HOP].reshape(-1, _HOP) ** 2).mean(axis=1)))
    loudness = np.sort(np.concatenate([*levels, np.zeros(1)]))[::-1]
    level = float(loudness[min(_LOUD_WINDOWS, int(_LOUD_SHARE * len(loudness)))])
    return 1 << min(_MAX_DOUBLINGS, max(0, int(np.log2(_USUAL_LEVEL / max(level, 1.0)))))


def find_utterances(
    probabilities: NDArray[np.float32],
    *,
    duration_s: float,
    max_pause_s: float = 0.3,
    min_speech_s: float = 0.25,
    max_utterance_s: float = 15.0,
    pad_s: float = 0.1,
    threshold: float = SPEECH_THRESHOLD,
) -> list[Utterance]:
    """Return the utterances in order, without overlap, inside 0-``duration_s``.

    Speech begins at probability ``threshold`` and ends .15 below it; pauses up to ``max_pause_s`` stay inside an
    utterance. Longer ones than ``max_utterance_s`` are split at the window least like speech. Each is widened by
    ``pad_s``, but not beyond the middle of the gap to its neighbour.
    """
    runs = _join(_hysteresis(probabilities, threshold), round(max_pause_s / HOP_S))
    runs = [run for run in runs if (run[1] - run[0]) * HOP_S >= min_speech_s]
    runs = [part for run in runs for part in _split(probabilities, run, max(2, int(max_utterance_s / HOP_S)))]
    cores = [Span(start * HOP_S, min(end * HOP_S, duration_s)) for start, end in runs]
    cores = [core for core in cores if core.end_s > core.start_s]
    middles = [(a.end_s + b.start_s) / 2 for a, b in pairwise(cores)]
    bounds = [0.0, *middles, duration_s]
    utterances = []
    for core, min_s, max_s in zip(cores, bounds, bounds[1:], strict=False):
        span = Span(round(max(core.start_s - pad_s, min_s), 3), round(min(core.end_s + pad_s, max_s), 3))
        utterances.append(Utterance(span, speech_share(probabilities, span)))
    return utterances


def speech_share(probabilities: NDArray[np.float32], span: Span) -> float:
    """Return the share of a span that is speech (0-1)."""
    windows = probabilities[int(span.start_s / HOP_S) : max(1, round(span.end_s / HOP_S))]
    return float(np.mean(windows >= SPEECH_THRESHOLD)) if len(windows) else 0.0


def _hysteresis(probabilities: NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index, value in enumerate(probabilities.tolist()):
        if start is None and value >= threshold:
            start = index
        elif start is not None and value < threshold - HYSTERESIS:
            runs.append((start, index))
            start = None
    if start is not None:
        runs.append((start, len(probabilities)))
    return runs


def _join(runs: list[tuple[int, int]], pause: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] < pause:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _split(probabilities: NDArray[np.float32], run: tuple[int, int], max_length: int) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    start, end = run
    while end - start > max_length:
        earliest = start + max_length // 3
        latest = min(start + max_length, end - max_length // 6)
        boundary = earliest + int(np.argmin(probabilities[earliest:latest]))
        parts.append((start, boundary))
        start = boundary
    return [*parts, (start, end)]
