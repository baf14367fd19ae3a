"""Find whose face speaks: compare the motion of each mouth with the loudness of the speech."""

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
_SMOOTH = 5
_PAD_S = 0.3
_LAGS_S = np.arange(-0.24, 0.25, 0.04)
_REACH_S = _PAD_S + float(_LAGS_S[-1]) + 0.1
"""How far beyond a span its loudness is needed."""
_MIN_S = 0.4
_MIN_SAMPLES = 5
_SPEAKING, _SILENT, _MARGIN = 0.3, 0.22, 0.1


class ActiveSpeaker(NamedTuple):
    """The speaker of one span: the index of the track, the most likely one if uncertain; None if off screen."""

    track: int | None
    outcome: Outcome
    score: float
    """0-1: confidence in the outcome; if uncertain, 0-0.5: confidence that this face speaks"""


def find_active_speakers(tracks: Sequence[FaceTrack], samples: Samples, spans: Sequence[Span]) -> list[ActiveSpeaker]:
    """Return the active speaker of each span of 16 kHz sound, from the motion of the mouths.

    The speaker is the face whose mouth moves, and moves with the loudness of the speech at a lag of up to a quarter
    second. ``off screen``: no face is visible, or no mouth moves. ``uncertain``: two faces are about equally likely, or
    the span is too short or the mouths are visible too briefly; in the latter cases the track is the most visible face.
    """
    still_levels = [_still_level(track) for track in tracks]
    return [_find(tracks, still_levels, samples, span) for span in spans]


def _find(tracks: Sequence[FaceTrack], still_levels: Sequence[float], samples: Samples, span: Span) -> ActiveSpeaker:
    visible = [i for i, track in enumerate(tracks) if _overlaps(track, span)]
    if not visible:
        return ActiveSpeaker(None, "off screen", 1.0)
    most_visible = max(visible, key=lambda i: (tracks[i].detections_in(span), tracks[i].size_px))
    if span.end_s - span.start_s < _MIN_S:
        return ActiveSpeaker(most_visible, "uncertain", 0.0)
    loudness = _loudness(samples, span)
    fits = {i: _fit(tracks[i], still_levels[i], loudness, span) for i in visible}
    scores = {i: fit for i, fit in fits.items() if fit is not None}
    if not scores:
        return ActiveSpeaker(most_visible, "uncertain", 0.0)
    best = max(scores, key=lambda i: scores[i])
    margin = scores[best] - max((score for i, score in scores.items() if i != best), default=0.0)
    if scores[best] < _SILENT:
        return ActiveSpeaker(None, "off screen", round(1 - scores[best] / _SILENT, 3))
    if scores[best] >= _SPEAKING and margin >= _MARGIN:
        return ActiveSpeaker(best, "speaker face", round(min(1.0, 0.5 * scores[best] + margin), 3))
    likelihood = min(1.0, scores[best] / _SPEAKING) * min(1.0, margin / _MARGIN)
    return ActiveSpeaker(best, "uncertain", round(0.5 * likelihood, 3))


def _overlaps(track: FaceTrack, span: Span) -> bool:
    return track.track.times_s[0] < span.end_s and track.track.times_s[-1] > span.start_s


def _motion(track: FaceTrack) -> Series:
    """Return how much more the mouth changes than the rest of the face, at each sample."""
    return np.maximum(np.array(track.mouth.mouth, np.float64) - np.array(track.mouth.rest, np.float64), 0)


def _still_level(track: FaceTrack) -> float:
    """Return the motion that is measured while this mouth is at rest."""
    motion = _motion(track)
    return max(float(np.percentile(_smooth(motion, 3), 20)), 0.015) if len(motion) else 0.015


def _loudness(samples: Samples, span: Span) -> Series:
    """Return the loudness from ``_REACH_S`` before the span to as long after it, 25 values per second."""
    count = round((span.end_s - span.start_s + 2 * _REACH_S) * _RATE_HZ)
    start = round((span.start_s - _REACH_S) * AUDIO_RATE_HZ)
    padded = np.zeros(count * _HOP, np.float64)
    first, last = max(0, start), min(len(samples), start + len(padded))
    if last > first:
        padded[first - start : last - start] = samples[first:last]
    power = np.sqrt((padded.reshape(count, _HOP) ** 2).mean(axis=1))
    return _smooth(np.sqrt(power), _SMOOTH)


def _fit(track: FaceTrack, still_level: float, loudness: Series, span: Span) -> float | None:
    """Return how well this mouth fits the speech, 0-1; None if too little of it is visible."""
    times = np.array(track.mouth.times_s)
    inside = (times >= span.start_s) & (times < span.end_s)
    if inside.sum() < _MIN_SAMPLES:
        return None
    visible_share = float(np.ptp(times[inside])) / (span.end_s - span.start_s)
    grid = np.arange(span.start_s - _PAD_S, span.end_s + _PAD_S, 1 / _RATE_HZ)
    grid = grid[(grid >= times[0]) & (grid <= times[-1])]
    if len(grid) < _MIN_S * _RATE_HZ:
        return None
    motion = _smooth(np.interp(grid, times, _motion(track)), _SMOOTH)
    gap = _smooth(np.interp(grid, times, np.array(track.mouth.gap, np.float64)), _SMOOTH)
    start_s = span.start_s - _PAD_S - float(_LAGS_S[-1]) - 0.1
    loudness_times = start_s + (np.arange(len(loudness)) + 0.5) / _RATE_HZ
    lagged = [_standardize(np.interp(grid + lag, loudness_times, loudness)) for lag in _LAGS_S]
    correlations = [max(float((_standardize(s) * sound).mean()) for sound in lagged) for s in (motion, gap)]
    correlation = max(0.0, 0.75 * correlations[0] + 0.25 * correlations[1])
    level = float(motion[(grid >= span.start_s) & (grid < span.end_s)].mean())
    activity = 0.5 * np.clip((level / still_level - 1.5) / 2, 0, 1) + 0.5 * np.clip((level - 0.05) / 0.12, 0, 1)
    return float((0.6 * correlation + 0.4 * activity) * min(1.0, visible_share / 0.6))


def _smooth(series: Series, width: int) -> Series:
    if len(series) < width:
        return series
    return np.asarray(
        np.convolve(np.pad(series, width // 2, mode="edge"), np.ones(width) / width, mode="valid"), np.float64
    )


def _standardize(series: Series) -> Series:
    deviation = float(series.std())
    return (series - series.mean()) / deviation if deviation > 1e-9 else np.zeros_like(series)
