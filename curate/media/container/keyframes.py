"""Which stretches of a video have to be decoded to see some of it."""

from bisect import bisect_right
from collections.abc import Sequence


def decoded_ranges(spans: Sequence[tuple[float, float]], keyframes: Sequence[float]) -> list[tuple[float, float]]:
    """From which keyframe to which time to decode; spans that share a keyframe's pictures are one range."""
    found: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        begin_s = keyframes[max(0, bisect_right(keyframes, start_s) - 1)]
        if found and begin_s < found[-1][1]:
            found[-1] = (found[-1][0], end_s)
        else:
            found.append((begin_s, end_s))
    return found
