"""Whether subtitles are shown while they are spoken."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curate.media.container.decode import Span

MIN_OVERLAP = 0.5
MIN_GAIN, MIN_SHIFT_S = 0.15, 0.75
_STEP_S, _MAX_SHIFT_S = 0.05, 60.0


def describe_misfit(cues: Sequence[Span], speech: Sequence[Span]) -> str | None:
    """Return how far cues are from the speech that is detected, in one sentence; None if they fit or nothing is said.

    The overlap is measured against whichever of the two is shorter. Cues do not fit if it is below a half, or much
    better with all of them earlier or later.
    """
    if not cues or not speech:
        return None
    length = int((max(span.end_s for span in speech) + _MAX_SHIFT_S) / _STEP_S) + 2
    cue_mask, speech_mask = _mask(cues, length), _mask(speech, length)
    shorter = min(cue_mask.sum(), speech_mask.sum())
    if shorter <= 0:
        return None
    size = 1 << (2 * length - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(speech_mask, size) * np.conj(np.fft.rfft(cue_mask, size)), size) / shorter
    max_shift = min(int(_MAX_SHIFT_S / _STEP_S), length - 1)
    overlaps = np.concatenate([products[size - max_shift :], products[: max_shift + 1]])
    overlap = float(overlaps[max_shift])
    best = max(range(len(overlaps)), key=lambda index: (round(float(overlaps[index]), 2), -abs(index - max_shift)))
    shift_s, shifted = (best - max_shift) * _STEP_S, float(overlaps[best])
    is_shifted = shifted - overlap >= MIN_GAIN and abs(shift_s) >= MIN_SHIFT_S
    if overlap >= MIN_OVERLAP and not is_shifted:
        return None
    sentence = f"its cues overlap {overlap:.0%} of the detected speech"
    if not is_shifted:
        return sentence
    return f"{sentence}; {shifted:.0%} if they were {abs(shift_s):.1f} s {'later' if shift_s > 0 else 'earlier'}"


def _mask(spans: Sequence[Span], length: int) -> NDArray[np.float64]:
    mask = np.zeros(length)
    for span in spans:
        mask[int(span.start_s / _STEP_S) : max(int(span.end_s / _STEP_S), int(span.start_s / _STEP_S) + 1)] = 1.0
    return mask
