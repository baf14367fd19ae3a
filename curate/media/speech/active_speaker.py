"""Find whose face speaks: compare the motion of each mouth with the sound of the speech."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Samples, Span
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.faces.face_track import FaceTrack

Outcome = Literal["speaker face", "off screen", "uncertain"]
Series = NDArray[np.float64]

_RATE_HZ = 25
_HOP = AUDIO_RATE_HZ // _RATE_HZ
_SMOOTH = 3
_PAD_S = 0.3
_LAGS_S = np.arange(-0.08, 0.21, 0.04)
"""Lips open up to 0.2 s before they are heard; films are often out of step by a frame or two."""
_REACH_S = _PAD_S + float(_LAGS_S[-1]) + 0.1
"""How far beyond a span its sound is needed."""
_SPEECH_HZ = (1000.0, 3500.0)
_MIN_S = 0.4
_NEAR_S = 0.126
"""A sample tells of the mouth up to this long before and after: half the longest gap between samples."""
_MIN_SAMPLES = 5
_MIN_MOTION = 0.015
_SURE = 0.8
_PSEUDO_SPANS, _ROUNDS = 0.25, 20
_PRIORS = (0.1, 0.9)
"""However rarely a face speaks in other spans, it may speak in this one."""
_FIT_OF_OTHERS, _FIT_OF_SPEAKERS, _DEVIATION = 0.135, 0.48, 0.133
"""Fit of a mouth to 3 s of speech of somebody else and of its own, and the deviation of both. In shorter speech the
first and the last grow with the square root of 3 s / length. Measured on talking heads, each with its own sound and
with that of 40 others."""
_MAX_RATIO = 4.0
"""Of 3 s of speech; in proportion to their length, shorter ones count less."""


class ActiveSpeaker(NamedTuple):
    """The speaker of one span: the index of the track, the most likely one if uncertain; None if off screen."""

    track: int | None
    outcome: Outcome
    score: float
    """0-1: confidence in the outcome; if uncertain, 0-0.5: confidence that this face speaks"""


class _Sound(NamedTuple):
    """The sound in and around a span, 25 values per second."""

    times_s: Series
    onsets: Series
    """How much louder it gets: lips move at the start of syllables"""
    voice: Series
    """Loudness between 1 and 3.5 kHz, which an open mouth lets pass"""
    change: Series
    """How fast that changes"""


def find_active_speakers(tracks: Sequence[FaceTrack], samples: Samples, spans: Sequence[Span]) -> list[ActiveSpeaker]:
    """Return the active speaker of each span of 16 kHz sound, from the motion of the mouths.

    The fit of a mouth is the mean correlation, at the best lags, of its motion with the onsets of the sound and of its
    darkness with the voice. It is weighed against the fit of mouths to speech that is not their own, and by how
    often each face, or nobody visible, speaks in the other spans. ``off screen``: no face is visible, or most likely
    none of them speaks. ``uncertain``: the evidence is weak, such as in short spans; the track is the likeliest face,
    or the most visible one if no mouth can be examined.
    """
    evidence = [_evidence(tracks, samples, span) for span in spans]
    posteriors = _posteriors(evidence, len(tracks))
    return [_decide(tracks, span, posterior) for span, posterior in zip(spans, posteriors, strict=True)]


def _evidence(tracks: Sequence[FaceTrack], samples: Samples, span: Span) -> dict[int, float]:
    """Return for each visible face that can be examined the log likelihood ratio of its speaking."""
    visible = [index for index, track in enumerate(tracks) if _overlaps(track, span)]
    if not visible or span.end_s - span.start_s < _MIN_S:
        return {}
    sound = _analyse(samples, span)
    ratios = {index: _log_ratio(tracks[index], sound, span) for index in visible}
    return {index: ratio for index, ratio in ratios.items() if ratio is not None}


def _posteriors(evidence: Sequence[dict[int, float]], count: int) -> list[dict[int, float]]:
    """Return for each span the probability that each face that can be examined speaks.

    How often each face speaks, and nobody visible while it is there, is learned from the other spans by expectation
    maximization. Spans without a face in common do not matter to each other.
    """
    present = np.zeros((len(evidence), count))
    ratios = np.zeros_like(present)
    for row, row_ratios, by_face in zip(present, ratios, evidence, strict=True):
        row[[*by_face]], row_ratios[[*by_face]] = 1, [*by_face.values()]
    speaks, silent = np.zeros_like(present), np.zeros((len(evidence), 1))
    chances = present.sum(axis=0) - present
    faces = present.sum(axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        silences = present @ (present.T @ silent) - faces * silent
        weight = _share(speaks.sum(axis=0) - speaks, chances)
        # More faces fit by chance more often.
        likelihoods = present * weight / np.maximum(faces, 1) * np.exp(ratios)
        nobody = _share(silences, (present * chances).sum(axis=1, keepdims=True))
        total = likelihoods.sum(axis=1, keepdims=True) + nobody
        speaks, silent = likelihoods / total, nobody / total
    return [{index: float(row[index]) for index in by_face} for row, by_face in zip(speaks, evidence, strict=True)]


def _share(times: Series, chances: Series) -> Series:
    return np.asarray((times + _PSEUDO_SPANS / 2) / (chances + _PSEUDO_SPANS)).clip(*_PRIORS)


def _decide(tracks: Sequence[FaceTrack], span: Span, posterior: dict[int, float]) -> ActiveSpeaker:
    visible = [index for index, track in enumerate(tracks) if _overlaps(track, span)]
    if not visible:
        return ActiveSpeaker(None, "off screen", 1.0)
    if not posterior:
        most_visible = max(visible, key=lambda i: (tracks[i].detections_in(span), tracks[i].size_px))
        return ActiveSpeaker(most_visible, "uncertain", 0.0)
    best = max(posterior, key=lambda index: posterior[index])
    nobody = 1 - sum(posterior.values())
    if posterior[best] >= _SURE:
        return ActiveSpeaker(best, "speaker face", round(posterior[best], 3))
    if nobody >= _SURE and len(posterior) == len(visible):
        return ActiveSpeaker(None, "off screen", round(nobody, 3))
    return ActiveSpeaker(best, "uncertain", round(min(0.5, posterior[best]), 3))


def _overlaps(track: FaceTrack, span: Span) -> bool:
    return track.track.times_s[0] < span.end_s and track.track.times_s[-1] > span.start_s


def _analyse(samples: Samples, span: Span) -> _Sound:
    """Return the sound from ``_REACH_S`` before the span to as long after it."""
    count = round((span.end_s - span.start_s + 2 * _REACH_S) * _RATE_HZ)
    start = round((span.start_s - _REACH_S) * AUDIO_RATE_HZ)
    padded = np.zeros(count * _HOP)
    first, last = max(0, start), min(len(samples), start + len(padded))
    if last > first:
        padded[first - start : last - start] = samples[first:last]
    frames = padded.reshape(count, _HOP)
    loudness = _smooth(np.sqrt(np.sqrt((frames**2).mean(axis=1))))
    onsets = np.maximum(np.gradient(loudness), 0)
    lower, upper = (round(hz * _HOP / AUDIO_RATE_HZ) for hz in _SPEECH_HZ)
    power = (np.abs(np.fft.rfft(frames * np.hanning(_HOP), axis=1)[:, lower:upper]) ** 2).sum(axis=1)
    voice = _smooth(power**0.25)
    times_s = span.start_s - _REACH_S + (np.arange(count) + 0.5) / _RATE_HZ
    return _Sound(times_s, _smooth(onsets), voice, _smooth(np.abs(np.gradient(voice))))


def _log_ratio(track: FaceTrack, sound: _Sound, span: Span) -> float | None:
    """Return the log likelihood ratio of this face speaking; None if too little of it is visible or heard."""
    times_s = np.array(track.mouth.times_s)
    if ((times_s >= span.start_s) & (times_s < span.end_s)).sum() < _MIN_SAMPLES or not sound.voice.any():
        return None
    grid = np.arange(span.start_s - _PAD_S, span.end_s + _PAD_S, 1 / _RATE_HZ)
    grid = grid[(grid >= times_s[0]) & (grid <= times_s[-1])]
    after = np.searchsorted(times_s, grid).clip(1, len(times_s) - 1)
    # Where pictures are rare, nothing is known of the mouth between them.
    grid = grid[np.minimum(np.abs(grid - times_s[after - 1]), np.abs(grid - times_s[after])) <= _NEAR_S]
    if len(grid) < _MIN_S * _RATE_HZ:
        return None
    motion, darkness = (
        _smooth(np.interp(grid, times_s, np.array(x))) for x in (track.mouth.motion, track.mouth.darkness)
    )
    fit = 0.0
    if motion.mean() >= _MIN_MOTION:
        onsets, voice, change = (_at_lags(sound.times_s, series, grid) for series in sound[1:])
        opening = [
            (_correlation(darkness, a) + _correlation(darkness, b)) / 2 for a, b in zip(voice, change, strict=True)
        ]
        fit = (max(_correlation(motion, lagged) for lagged in onsets) + max(opening)) / 2
    share = len(grid) / (3.0 * _RATE_HZ)
    silent_fit, deviation = _FIT_OF_OTHERS / share**0.5, _DEVIATION / share**0.5
    ratio = (_FIT_OF_SPEAKERS - silent_fit) / deviation**2 * (fit - (silent_fit + _FIT_OF_SPEAKERS) / 2)
    return float(np.clip(ratio, -_MAX_RATIO * share, _MAX_RATIO * share))


def _at_lags(times_s: Series, series: Series, grid: Series) -> list[Series]:
    return [np.interp(grid + lag_s, times_s, series) for lag_s in _LAGS_S]


def _smooth(series: Series) -> Series:
    if len(series) < _SMOOTH:
        return series
    padded = np.pad(series, _SMOOTH // 2, mode="edge")
    return np.asarray(np.convolve(padded, np.ones(_SMOOTH) / _SMOOTH, mode="valid"), np.float64)


def _correlation(a: Series, b: Series) -> float:
    deviations = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean()) / deviations if deviations > 1e-9 else 0.0
