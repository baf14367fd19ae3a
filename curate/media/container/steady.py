"""The pictures of a span of a video at a constant frame rate, whatever the rate of the video."""

import math
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from curate.errors import InvalidRow
from curate.media.container.decode import Span, decode_frames
from curate.media.container.planes import Planes

_LEAD_IN_S = 1.0
_ROUNDING_S = 1e-4


def steady_pictures(path: Path, span: Span, *, rate: Fraction, size: tuple[int, int]) -> Iterator[Planes]:
    """Yield what a player shows from the start of a span on, once per frame of ``rate``, scaled to an even ``size``.

    Each picture of the video appears within half a frame of its time. Raises ``InvalidRow`` (``truncated``) if none
    can be decoded.
    """
    count = max(1, math.ceil((span.end_s - span.start_s - _ROUNDING_S) * rate))
    done = 0
    # The picture on screen at the start may be from well before it.
    with closing(decode_frames(path, [Span(max(0.0, span.start_s - _LEAD_IN_S), span.end_s)], repeat=True)) as frames:
        waiting = None
        for frame in frames:
            begins = round((frame.time_s - span.start_s) * rate)
            if waiting is not None and min(begins, count) > done:
                picture = waiting.to_planes().resize(*size)
                yield from [picture] * (min(begins, count) - done)
                done = min(begins, count)
            waiting = frame
        if waiting is None:
            raise InvalidRow(f"{path.name} has no picture that can be decoded", reason="truncated")
        if done < count:
            yield from [waiting.to_planes().resize(*size)] * (count - done)
