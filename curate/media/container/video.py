"""Decode the pictures of an open file: only around the wanted spans, and converted only when asked for."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container.open import (
    INDEXED,
    MAX_DAMAGED_PACKETS,
    MAX_JUMP_S,
    MAX_PIXELS,
    MediaFile,
    check_reachable,
    decode_errors,
    pyav,
    too_large,
)
from curate.media.container.planes import Colour, DecodedFrame, Planes

_STANDARDS: dict[int, Literal["bt601", "bt709", "bt2020"]] = {
    1: "bt709",
    5: "bt601",
    6: "bt601",
    4: "bt601",
    7: "bt709",
    9: "bt2020",
    10: "bt2020",
}
"""Colour spaces by their code in ITU-T H.273."""
_UNSPECIFIED, _RGB, _FULL_RANGE, _LIMITED_RANGE, _SWS_BT601 = 2, 0, 2, 1, 5
"""Codes of ITU-T H.273 and FFmpeg."""
_PLANAR = ("yuv420p", "yuvj420p")
_SEEK_MARGIN_S = 5.0
_HIGH_DEFINITION_PX = 720
_ROUNDED_PX = 4
"""Sizes that differ by less are of one shape."""
_EARLY_S = 1.0
_DENSE_S, _MAX_SPARSE_S = 0.067, 0.13
"""Only frames shorter than the first are left out, and only as long as no others are further apart than the second."""
_LONG_S, REPEAT_S = 0.5, 0.1
"""A picture that is shown for longer is repeated this often, so that it is there whenever it is looked for."""


class Orientation(NamedTuple):
    """How a decoded frame becomes upright: transposed first, then mirrored."""

    is_transposed: bool = False
    is_mirrored: bool = False
    is_upside_down: bool = False


class FrameGeometry(NamedTuple):
    """Displayed size in pixels, upright, the rotation itself, and how frames with FFmpeg's ``angle`` become upright."""

    width: int
    height: int
    rotation_deg: int
    angle: float = 0.0
    orientation: Orientation = Orientation()


def first_geometry(media: MediaFile) -> FrameGeometry | None:
    """Return the geometry of the first frame that decodes, or None if none does. All others are shown in its size."""
    for frame in media.decoded(media.video):
        orientation = _orientation(frame)
        width, height = _upright_size(frame, _pixel_aspect(media.video), orientation)
        # A degenerate display matrix gives a number far outside the circle.
        turns = int(round(frame.rotation / 90) % 4) if abs(frame.rotation) <= 360 else 0
        if width * height > MAX_PIXELS:
            raise too_large(media.path.name, width, height, MAX_PIXELS)
        return FrameGeometry(width, height, turns * 90, frame.rotation, orientation)
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
    media: MediaFile,
    spans: Sequence[tuple[float, float]],
    keyframes: Sequence[float],
    geometry: FrameGeometry,
    *,
    repeat: bool = False,
    sparse: bool = False,
) -> Iterator[DecodedFrame]:
    """Yield the frames displayed in the spans, which are in order and do not touch, all of one size.

    Decodes from the keyframe before each span to its end; without ``keyframes``, from the start of the file to the end
    of the last span. With ``repeat``, a picture displayed for longer than half a second is repeated. With ``sparse``,
    frames that no other frame is decoded from are left out, if there are keyframes.
    """
    if media.video is None or not spans:
        return
    rate = float(media.video.average_rate or media.video.guessed_rate or 25)
    # A decoded frame may outlive the open file; the stream may not.
    index, aspect, name = 0, _pixel_aspect(media.video), media.path.name
    frames = _frames(media, _decoded_ranges(spans, keyframes) if keyframes else [], sparse=sparse)
    for number, (time_s, frame) in enumerate(_timed(frames, media.origin_s, rate, repeat)):
        while time_s >= spans[index][1]:
            index += 1
            if index == len(spans):
                return
        if time_s >= spans[index][0] - 0.5 / rate:
            to_planes = partial(_to_planes, frame, aspect, geometry, name)
            part = bisect_right(media.restarts_s, time_s)
            yield DecodedFrame(time_s, number, partial(_to_rgb, to_planes), to_planes, part)


def _timed(frames: Iterator[Any], origin_s: float, rate: float, repeat: bool) -> Iterator[tuple[float, Any]]:
    """Yield the frames with their times, those that are long on screen again and again if they are to be repeated.

    A number among the frames is the time until which the last one is known to be displayed.
    """
    last, last_s, number = None, 0.0, 0
    for frame in frames:
        is_end = isinstance(frame, float)
        time_s = frame if is_end else number / rate if frame.time is None else frame.time - origin_s
        if repeat and last is not None:
            yield from _repeat(last, last_s, time_s)
        last, last_s = None if is_end else frame, time_s
        if not is_end:
            number += 1
            yield time_s, frame
    if repeat and last is not None and last.duration and last.time_base:
        yield from _repeat(last, last_s, last_s + float(last.duration * last.time_base))


def _repeat(frame: Any, start_s: float, end_s: float) -> Iterator[tuple[float, Any]]:
    if _LONG_S < end_s - start_s < MAX_JUMP_S:
        yield from ((start_s + step * REPEAT_S, frame) for step in range(1, math.ceil((end_s - start_s) / REPEAT_S)))


class _Range(NamedTuple):
    """From which keyframe to which time to decode, and from when on frames are wanted."""

    keyframe_s: float
    wanted_s: float
    end_s: float


def _decoded_ranges(spans: Sequence[tuple[float, float]], keyframes: Sequence[float]) -> list[_Range]:
    """Return what to decode; spans between the same keyframes share a range."""
    ranges: list[_Range] = []
    for start_s, end_s in spans:
        keyframe_s = keyframes[max(0, bisect_right(keyframes, start_s) - 1)]
        if ranges and keyframe_s < ranges[-1].end_s:
            ranges[-1] = ranges[-1]._replace(end_s=end_s)
        else:
            ranges.append(_Range(keyframe_s, start_s, end_s))
    return ranges


def _frames(media: MediaFile, ranges: Sequence[_Range], *, sparse: bool) -> Iterator[Any]:
    """Yield the decoded frames of the ranges, each from a keyframe to a time, which follows; all without ranges.

    Packets are read in order, and the decoder sees only those of a range: it is fed from the keyframe on, and drained
    and flushed at the first packet past the end. Before the wanted frames and with ``sparse``, frames that no other one
    needs are skipped, unless they are long on screen; once ``sparse`` leaves a long gap, no more of the wanted ones.
    """
    if not ranges or media.video is None:
        yield from media.decoded(media.video)
        return
    pending, failures, last_s = list(reversed(ranges)), 0, math.inf
    is_feeding = False
    _seek_before(media, ranges[0].keyframe_s)
    for packet in media.packets(media.video):
        time_s = _seconds(media, packet.dts if packet.dts is not None else packet.pts, packet)
        if is_feeding and packet.size and time_s >= pending[-1].end_s:
            yield from _decode(media, None) or ()
            media.video.codec_context.flush_buffers()
            yield float(pending.pop().end_s)
            is_feeding, last_s = False, math.inf
            if not pending:
                return
        if not is_feeding and packet.is_keyframe:
            is_feeding = _seconds(media, packet.pts, packet) >= pending[-1].keyframe_s - 1e-6
        if is_feeding:
            is_early = _seconds(media, packet.pts, packet) < pending[-1].wanted_s - _EARLY_S
            max_s = _LONG_S if is_early else _DENSE_S if sparse else -1.0
            may_skip = (packet.duration or 0) * packet.time_base <= max_s
            media.video.codec_context.skip_frame = "NONREF" if may_skip else "DEFAULT"
            frames = _decode(media, packet)
            for frame in frames or ():
                frame_s = _seconds(media, frame.pts, frame)
                sparse, last_s = sparse and frame_s - last_s <= _MAX_SPARSE_S, frame_s
                yield frame
            failures += frames is None
            if failures > MAX_DAMAGED_PACKETS:
                return


def _seek_before(media: MediaFile, time_s: float) -> None:
    """Skip packets well before a keyframe, in formats with an index."""
    if media.video is None or time_s < _SEEK_MARGIN_S or media.container.format.name not in INDEXED:
        return
    stamp = int((time_s - _SEEK_MARGIN_S + media.origin_s) / media.video.time_base)
    with suppress(pyav().FFmpegError):
        media.container.seek(stamp, stream=media.video)


def _seconds(media: MediaFile, stamp: int | None, packet: Any) -> float:
    return -math.inf if stamp is None else float(stamp * packet.time_base) - media.origin_s


def _decode(media: MediaFile, packet: Any) -> list[Any] | None:
    """Return the frames that a packet completes (None drains the decoder), or None if it is damaged."""
    stream: Any = media.video
    try:
        frames = list(stream.codec_context.decode(packet))
    except decode_errors() as error:
        check_reachable(media.path, error)
        return None
    for frame in frames:
        if not frame.time_base:
            frame.time_base = stream.time_base
    return frames


def _pixel_aspect(stream: Any) -> float:
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0


def _upright_size(frame: Any, aspect: float, orientation: Orientation) -> tuple[int, int]:
    size = max(1, round(frame.width * aspect)), int(frame.height)
    return (size[1], size[0]) if orientation.is_transposed else size


def _orientation(frame: Any) -> Orientation:
    """Return the orientation of a frame's display matrix; raises ``InvalidRow`` if that is no quarter turn."""
    try:
        stored = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # side data that this PyAV does not know
        stored = None
    if stored is None:
        return Orientation(False, False, False)
    a, b, _, c, d = np.frombuffer(bytes(stored)[:36], np.int32)[:5].astype(float) / 65536
    if abs(a * d - b * c) < 1e-6:
        return Orientation(False, False, False)
    if max(abs(b), abs(c)) < 0.1 * min(abs(a), abs(d)):
        return Orientation(False, a < 0, d < 0)
    if max(abs(a), abs(d)) < 0.1 * min(abs(b), abs(c)):
        return Orientation(True, c < 0, b < 0)
    raise InvalidRow(
        f"the picture is turned by {abs(frame.rotation)} degrees, not by a quarter turn: convert it with ffmpeg first",
        reason="unreadable",
    )


def _upright(plane: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    plane = plane.T if orientation.is_transposed else plane
    return plane[:: -1 if orientation.is_upside_down else 1, :: -1 if orientation.is_mirrored else 1]


def _to_rgb(to_planes: Callable[[], Planes]) -> NDArray[np.uint8]:
    planes = to_planes()
    return planes.rgb(planes.width, planes.height)


def _to_planes(frame: Any, aspect: float, geometry: FrameGeometry, name: str) -> Planes:
    """Return the frame as it is shown: of the size of the first one, with black beside a picture of another shape."""
    # Side data keep their frame alive until the garbage collector comes by, so they are rarely looked at.
    orientation = geometry.orientation if frame.rotation == geometry.angle else _orientation(frame)
    size, upright = (geometry.width, geometry.height), _upright_size(frame, aspect, orientation)
    if upright == size and frame.format.name in _PLANAR:
        # Stretching wide pixels takes longer than decoding them.
        planes, colour = _convert(frame, (frame.width, frame.height))
        y, u, v = (_upright(plane, orientation) for plane in planes)
        return Planes(y, u, v, colour, None if y.shape == size[::-1] else size)
    if upright != size:
        if upright[0] * upright[1] > MAX_PIXELS:
            raise too_large(name, *upright, MAX_PIXELS)
        scale = min(size[0] / upright[0], size[1] / upright[1])
        fitted = max(2, round(upright[0] * scale)), max(2, round(upright[1] * scale))
        size = size if abs(fitted[0] - size[0]) + abs(fitted[1] - size[1]) <= _ROUNDED_PX else fitted
    planes, colour = _convert(frame, size[::-1] if orientation.is_transposed else size)
    y, u, v = (_upright(plane, orientation) for plane in planes)
    if size != (geometry.width, geometry.height):
        x0, y0 = (geometry.width - size[0]) // 4 * 2, (geometry.height - size[1]) // 4 * 2
        y = _pad(y, (geometry.height, geometry.width), (y0, x0), 0 if colour.is_full_range else 16)
        half = ((geometry.height + 1) // 2, (geometry.width + 1) // 2)
        u, v = (_pad(plane, half, (y0 // 2, x0 // 2), 128) for plane in (u, v))
    return Planes(y, u, v, colour)


def _pad(plane: NDArray[np.uint8], shape: tuple[int, int], corner: tuple[int, int], value: int) -> NDArray[np.uint8]:
    padded = np.full(shape, value, np.uint8)
    rows, columns = min(plane.shape[0], shape[0] - corner[0]), min(plane.shape[1], shape[1] - corner[1])
    padded[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = plane[:rows, :columns]
    return padded


def _convert(frame: Any, size: tuple[int, int]) -> tuple[list[NDArray[np.uint8]], Colour]:
    """Return y, u and v of a frame at a size, not upright yet, and what they mean."""
    is_full = frame.color_range == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray"))
    is_rgb = frame.format.is_rgb or frame.format.has_palette
    if is_rgb:
        colour, ranges = Colour("bt601", False), (_FULL_RANGE, _LIMITED_RANGE)
    else:
        default: Any = "bt709" if frame.height >= _HIGH_DEFINITION_PX else "bt601"
        standard = default if frame.colorspace in (_UNSPECIFIED, _RGB) else _STANDARDS.get(frame.colorspace)
        if standard is None:
            raise InvalidRow(f"colours of type {frame.colorspace} (ITU-T H.273) are not supported", reason="unreadable")
        colour, ranges = Colour(standard, is_full), (2, 2) if is_full else (1, 1)
    if frame.format.name not in _PLANAR or (frame.width, frame.height) != size:
        spaces = {"dst_colorspace": _SWS_BT601} if is_rgb else {}
        try:
            frame = frame.reformat(*size, "yuv420p", src_color_range=ranges[0], dst_color_range=ranges[1], **spaces)
        except decode_errors() as error:
            raise InvalidRow(f"a picture of format {frame.format.name} cannot be shown", reason="unreadable") from error
    rows = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width] for p in frame.planes)
    return list(rows), colour
