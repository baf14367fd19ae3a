"""Decode the pictures of an open file: only around the wanted spans, and converted only when asked for."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container.open import MAX_DAMAGED_PACKETS, MediaFile, decode_errors, pyav
from curate.media.container.planes import DecodedFrame, Planes, yuv_to_rgb

MAX_PIXELS = 8192 * 8192
_BT709, _UNKNOWN, _FULL_RANGE = 1, 2, 2
"""Codes of ITU-T H.273 and FFmpeg for colour spaces and ranges."""
SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_SEEK_MARGIN_S = 5.0


class FrameGeometry(NamedTuple):
    """Displayed size in pixels, after rotation, and the rotation itself."""

    width: int
    height: int
    rotation_deg: int


def first_geometry(media: MediaFile) -> FrameGeometry | None:
    """Return the geometry of the first frame that decodes, or None if none does."""
    for frame in media.decoded(media.video):
        width, height = _display_size(frame, _pixel_aspect(media.video))
        turns = _quarter_turns(frame)
        return FrameGeometry(height, width, turns * 90) if turns % 2 else FrameGeometry(width, height, turns * 90)
    return None


def find_keyframes(media: MediaFile) -> list[float]:
    """Return the times at which decoding can begin, in order, from packet headers; empty if these are unusable."""
    times_s: list[float] = []
    for packet in media.packets(media.video):
        if packet.size and packet.pts is None:
            return []
        if packet.is_keyframe and packet.pts is not None:
            times_s.append(float(packet.pts * packet.time_base) - media.origin_s)
    return times_s if all(a < b for a, b in pairwise(times_s)) else []


def decode_video(
    media: MediaFile, spans: Sequence[tuple[float, float]], keyframes: Sequence[float] = ()
) -> Iterator[DecodedFrame]:
    """Yield the frames displayed in the spans, which are in order and do not touch.

    Decodes from the keyframe before each span to its end; without ``keyframes``, from the start of the file to the end
    of the last span.
    """
    if media.video is None or not spans:
        return
    rate = float(media.video.average_rate or media.video.guessed_rate or 25)
    # A decoded frame may outlive the open file; the stream may not.
    index, aspect = 0, _pixel_aspect(media.video)
    for number, frame in enumerate(_frames(media, _decoded_ranges(spans, keyframes) if keyframes else [])):
        time_s = number / rate if frame.time is None else frame.time - media.origin_s
        while time_s >= spans[index][1]:
            index += 1
            if index == len(spans):
                return
        if time_s >= spans[index][0] - 0.5 / rate:
            yield DecodedFrame(time_s, number, partial(_to_rgb, frame, aspect), partial(_to_planes, frame, aspect))


def _decoded_ranges(spans: Sequence[tuple[float, float]], keyframes: Sequence[float]) -> list[tuple[float, float]]:
    """Return from which keyframe to which time to decode; spans between the same keyframes share a range."""
    ranges: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        keyframe_s = keyframes[max(0, bisect_right(keyframes, start_s) - 1)]
        if ranges and keyframe_s < ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], end_s)
        else:
            ranges.append((keyframe_s, end_s))
    return ranges


def _frames(media: MediaFile, ranges: Sequence[tuple[float, float]]) -> Iterator[Any]:
    """Yield the decoded frames of the ranges, each from a keyframe to a time; all frames without ranges.

    Packets are read in order, and the decoder sees only those of a range: it is fed from the keyframe on, and drained
    and flushed at the first packet past the end.
    """
    if not ranges or media.video is None:
        yield from media.decoded(media.video)
        return
    pending, failures = list(reversed(ranges)), 0
    is_feeding = False
    _seek_before(media, ranges[0][0])
    for packet in media.packets(media.video):
        time_s = _seconds(media, packet.dts if packet.dts is not None else packet.pts, packet)
        if is_feeding and packet.size and time_s >= pending[-1][1]:
            yield from _decode(media.video, None) or ()
            media.video.codec_context.flush_buffers()
            pending.pop()
            is_feeding = False
            if not pending:
                return
        if not is_feeding and packet.is_keyframe:
            is_feeding = _seconds(media, packet.pts, packet) >= pending[-1][0] - 1e-6
        if is_feeding:
            frames = _decode(media.video, packet)
            yield from frames or ()
            failures += frames is None
            if failures > MAX_DAMAGED_PACKETS:
                return


def _seek_before(media: MediaFile, time_s: float) -> None:
    """Skip packets well before a keyframe, in formats with an index."""
    if media.video is None or time_s < _SEEK_MARGIN_S or media.container.format.name not in SEEKABLE:
        return
    stamp = int((time_s - _SEEK_MARGIN_S + media.origin_s) / media.video.time_base)
    with suppress(pyav().FFmpegError):
        media.container.seek(stamp, stream=media.video)


def _seconds(media: MediaFile, stamp: int | None, packet: Any) -> float:
    return -math.inf if stamp is None else float(stamp * packet.time_base) - media.origin_s


def _decode(stream: Any, packet: Any) -> list[Any] | None:
    """Return the frames that a packet completes (None drains the decoder), or None if it is damaged."""
    try:
        frames = list(stream.codec_context.decode(packet))
    except decode_errors():
        return None
    for frame in frames:
        if not frame.time_base:
            frame.time_base = stream.time_base
    return frames


def _pixel_aspect(stream: Any) -> float:
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0


def _display_size(frame: Any, aspect: float) -> tuple[int, int]:
    return max(1, round(frame.width * aspect)), frame.height


def _quarter_turns(frame: Any) -> int:
    # A degenerate display matrix (one that shrinks the picture to nothing) gives a number far outside the circle.
    return int(round(frame.rotation / 90) % 4) if abs(frame.rotation) <= 360 else 0


def _to_rgb(frame: Any, aspect: float) -> NDArray[np.uint8]:
    picture = _reformat(frame, _checked_size(frame, aspect), "rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, _quarter_turns(frame)))


def _to_planes(frame: Any, aspect: float) -> Planes:
    width, height = _checked_size(frame, aspect)
    turns, is_full_range = _quarter_turns(frame), frame.color_range == _FULL_RANGE or frame.format.name[:4] == "yuvj"
    is_bt709 = frame.colorspace == _BT709 or (frame.colorspace == _UNKNOWN and height >= 720)
    matrix = yuv_to_rgb(high_definition=is_bt709, full_range=is_full_range)
    if frame.format.name not in ("yuv420p", "yuvj420p") or (frame.width, frame.height) != (width, height):
        frame = _reformat(frame, (width, height), "yuvj420p" if is_full_range else "yuv420p")
    planes = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width] for p in frame.planes)
    y, u, v = (np.rot90(plane, turns) if turns else plane for plane in planes)
    return Planes(y, u, v, matrix)


def _checked_size(frame: Any, aspect: float) -> tuple[int, int]:
    width, height = _display_size(frame, aspect)
    if width * height > MAX_PIXELS:
        raise InvalidRow(f"a picture of {width}x{height} pixels is too large", reason="unreadable")
    return width, height


def _reformat(frame: Any, size: tuple[int, int], pixel_format: str) -> Any:
    try:
        return frame.reformat(width=size[0], height=size[1], format=pixel_format)
    except decode_errors() as error:
        raise InvalidRow(f"a picture of format {frame.format.name} cannot be shown", reason="unreadable") from error
