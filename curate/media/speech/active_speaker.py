"""Whose face speaks: the motion of each mouth held against the loudness of the speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Samples, Span
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.faces.watch import FaceTrack, Watched

Verdict = Literal["speaker face", "off screen", "uncertain"]
Series = NDArray[np.float64]

_RATE_HZ = 25
_HOP = AUDIO_RATE_HZ // _RATE_HZ
_SMOOTH = 5
_PAD_S = 0.3
_LAGS_S = np.arange(-0.24, 0.25, 0.04)
_MIN_S = 0.4
_MIN_SAMPLES = 5
_SPEAKS, _SILENT, _MARGIN = 0.3, 0.22, 0.1


class Speaking(NamedTuple):
    """Who is heard in one span: the place of the speaker's track, where uncertain of the likeliest; None off screen."""

    track: int | None
    outcome: Verdict
    score: float
    """0-1: how sure the outcome is; where uncertain, 0-0.5: how sure it is that the face is the speaker's"""


class ActiveSpeaker(Protocol):
    """Tells for each span which of the tracks speaks; a learned model is one more class with this method."""

    @property
    def name(self) -> str:
        """What is recorded as the method."""

    def who_speaks(self, watched: Watched, samples: Samples, spans: Sequence[Span]) -> list[Speaking]:
        """One answer for each span, in order."""


def who_speaks(watched: Watched, samples: Samples, spans: Sequence[Span]) -> list[Speaking]:
    """One answer for each span, in order, from the motion of the mouths (no model needed)."""
    return MouthMotionSpeaker().who_speaks(watched, samples, spans)


@dataclass(frozen=True)
class MouthMotionSpeaker:
    """The face whose mouth moves, and moves with the loudness of the speech, a lag of up to a quarter second allowed.

    Off screen: no face is seen, or no mouth moves. Uncertain: two faces about as likely, or too short or too little
    seen to tell, where the face seen most is the likeliest.
    """

    name: str = "mouth_motion"

    def who_speaks(self, watched: Watched, samples: Samples, spans: Sequence[Span]) -> list[Speaking]:
        stills = [_still(track) for track in watched.tracks]
        return [self._one(watched.tracks, stills, samples, span) for span in spans]

    def _one(self, tracks: Sequence[FaceTrack], stills: Sequence[float], samples: Samples, span: Span) -> Speaking:
        here = [i for i, track in enumerate(tracks) if _overlaps(track, span)]
        if not here:
            return Speaking(None, "off screen", 1.0)
        most_seen = max(here, key=lambda i: (tracks[i].looks_in(span), tracks[i].size_px))
        if span.end_s - span.start_s < _MIN_S:
            return Speaking(most_seen, "uncertain", 0.0)
        loudness = _loudness(samples, span)
        marks = {i: _mark(tracks[i], stills[i], loudness, span) for i in here}
        seen = {i: mark for i, mark in marks.items() if mark is not None}
        if not seen:
            return Speaking(most_seen, "uncertain", 0.0)
        best = max(seen, key=lambda i: seen[i])
        margin = seen[best] - max((mark for i, mark in seen.items() if i != best), default=0.0)
        if seen[best] < _SILENT:
            return Speaking(None, "off screen", round(1 - seen[best] / _SILENT, 3))
        if seen[best] >= _SPEAKS and margin >= _MARGIN:
            return Speaking(best, "speaker face", round(min(1.0, 0.5 * seen[best] + margin), 3))
        likely = min(1.0, seen[best] / _SPEAKS) * min(1.0, margin / _MARGIN)
        return Speaking(best, "uncertain", round(0.5 * likely, 3))


def _overlaps(track: FaceTrack, span: Span) -> bool:
    return track.track.times_s[0] < span.end_s and track.track.times_s[-1] > span.start_s


def _moves(track: FaceTrack) -> Series:
    """How much more the mouth changes than the rest of the face, at each sample."""
    return np.maximum(np.array(track.mouth.mouth, np.float64) - np.array(track.mouth.rest, np.float64), 0)


def _still(track: FaceTrack) -> float:
    """How much this mouth seems to move while it does not."""
    moves = _moves(track)
    return max(float(np.percentile(_smooth(moves, 3), 20)), 0.015) if len(moves) else 0.015


def _loudness(samples: Samples, span: Span) -> Series:
    """Loudness on a grid from well before the span to well after it, 25 a second."""
    reach_s = _PAD_S + float(_LAGS_S[-1]) + 0.1
    count = round((span.end_s - span.start_s + 2 * reach_s) * _RATE_HZ)
    start = round((span.start_s - reach_s) * AUDIO_RATE_HZ)
    padded = np.zeros(count * _HOP, np.float64)
    low, high = max(0, start), min(len(samples), start + len(padded))
    if high > low:
        padded[low - start : high - start] = samples[low:high]
    power = np.sqrt((padded.reshape(count, _HOP) ** 2).mean(axis=1))
    return _smooth(np.sqrt(power), _SMOOTH)


def _mark(track: FaceTrack, still: float, loudness: Series, span: Span) -> float | None:
    """0-1: how well this mouth fits the speech; None where too little of it is seen."""
    times = np.array(track.mouth.times_s)
    inside = (times >= span.start_s) & (times < span.end_s)
    if inside.sum() < _MIN_SAMPLES:
        return None
    share = float(np.ptp(times[inside])) / (span.end_s - span.start_s)
    grid = np.arange(span.start_s - _PAD_S, span.end_s + _PAD_S, 1 / _RATE_HZ)
    grid = grid[(grid >= times[0]) & (grid <= times[-1])]
    if len(grid) < _MIN_S * _RATE_HZ:
        return None
    moves = _smooth(np.interp(grid, times, _moves(track)), _SMOOTH)
    gap = _smooth(np.interp(grid, times, np.array(track.mouth.gap, np.float64)), _SMOOTH)
    begin_s = span.start_s - _PAD_S - float(_LAGS_S[-1]) - 0.1
    at = begin_s + (np.arange(len(loudness)) + 0.5) / _RATE_HZ
    heard = [_standard(np.interp(grid + lag, at, loudness)) for lag in _LAGS_S]
    fits = [max(float((_standard(one) * sound).mean()) for sound in heard) for one in (moves, gap)]
    fit = max(0.0, 0.75 * fits[0] + 0.25 * fits[1])
    level = float(moves[(grid >= span.start_s) & (grid < span.end_s)].mean())
    alive = 0.5 * np.clip((level / still - 1.5) / 2, 0, 1) + 0.5 * np.clip((level - 0.05) / 0.12, 0, 1)
    return float((0.6 * fit + 0.4 * alive) * min(1.0, share / 0.6))


def _smooth(series: Series, width: int) -> Series:
    if len(series) < width:
        return series
    return np.asarray(
        np.convolve(np.pad(series, width // 2, mode="edge"), np.ones(width) / width, mode="valid"), np.float64
    )


def _standard(series: Series) -> Series:
    spread = float(series.std())
    return (series - series.mean()) / spread if spread > 1e-9 else np.zeros_like(series)
