"""Cut a span out of an H.264 file without encoding its pictures again."""

import struct
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.media.container.open import AUDIO_RATE_HZ, INDEXED, MediaFile, decode_errors, open_media, pyav
from curate.media.container.video import FrameGeometry

MAX_HEIGHT_PX = 720
MAX_BYTES = 24_000_000
"""Of one copy: more is encoded to fewer bytes, since every annotator loads it."""
_FRAME_SIZE = 1024
_JITTER_S = 0.002
"""Matroska has times in whole milliseconds."""


def can_copy_pictures(media: MediaFile, geometry: FrameGeometry, *, max_rate_hz: Fraction) -> bool:
    """Return whether browsers show the pictures of a file as they are: H.264, 8 bits, upright, at most 720p."""
    video = media.video
    if video is None or video.codec_context.name != "h264" or media.container.format.name not in INDEXED:
        return False
    context, rate = video.codec_context, video.guessed_rate
    is_plain = context.pix_fmt in ("yuv420p", "yuvj420p") and (video.sample_aspect_ratio or 1) == 1
    is_upright = not any(geometry.orientation) and (geometry.width, geometry.height) == (context.width, context.height)
    is_small = geometry.height <= MAX_HEIGHT_PX and not (geometry.width % 2 or geometry.height % 2)
    is_steady = bool(rate) and rate <= max_rate_hz * Fraction(1001, 1000)
    return is_plain and is_upright and is_small and is_steady


def copy_pictures(
    path: Path, span: tuple[float, float], sound: NDArray[np.int16] | None, *, rate_hz: Fraction
) -> bytes | None:
    """Return an MP4 with the pictures of a span as they are, and with ``sound`` (16 kHz mono) as AAC.

    The file begins with the keyframe before the span, and its edit list makes players start with the frame nearest to
    the start of the span and stop at its end. None if the span is not suitable: its frames do not come at ``rate_hz``,
    it has no keyframe before it, or the copy would be too large.
    """
    try:
        with open_media(path) as media, tempfile.TemporaryDirectory(prefix="curate-") as folder:
            packets = _packets(media, *span)
            times_s = sorted(_time(media, packet) for packet in packets)
            shown_s = [time_s for time_s in times_s if span[0] - 0.5 / rate_hz <= time_s < span[1]]
            is_steady = all(abs(b - a - 1 / rate_hz) <= _JITTER_S for a, b in pairwise(shown_s))
            if not shown_s or shown_s[0] > span[0] + 0.5 / rate_hz + _JITTER_S or not is_steady:
                return None
            if sum(packet.size for packet in packets) > MAX_BYTES:
                return None
            first = min(packets, key=lambda packet: abs(_time(media, packet) - span[0])).pts
            target = Path(folder) / "copy.mp4"
            _write(target, media, packets, first, sound)
            return _limit_duration(bytearray(target.read_bytes()), span[1] - span[0])
    except decode_errors():
        return None


def _packets(media: MediaFile, start_s: float, end_s: float) -> list[Any]:
    """Return the packets from the last keyframe at or before the start, in decoding order; empty without one."""
    if media.video is None:
        return []
    media.container.seek(int((start_s + media.origin_s) / media.video.time_base), stream=media.video)
    packets: list[Any] = []
    for packet in media.packets(media.video):
        if packet.pts is None:
            break
        if packet.dts is not None and float(packet.dts * packet.time_base) - media.origin_s >= end_s:
            break
        if packet.is_keyframe and _time(media, packet) <= start_s + 1e-6:
            packets = []
        packets.append(packet)
    return _with_dts(packets) if packets and packets[0].is_keyframe else []


def _with_dts(packets: list[Any]) -> list[Any]:
    """Return the packets with the decoding times that Matroska leaves out after seeking; none if they stay unknown."""
    first_dated = next((index for index, packet in enumerate(packets) if packet.dts is not None), None)
    if first_dated is None or any(packet.dts is None for packet in packets[first_dated:]):
        return []
    for index in reversed(range(first_dated)):
        packets[index].dts = packets[index + 1].dts - (packets[index].duration or 1)
    return packets


def _time(media: MediaFile, packet: Any) -> float:
    return float(packet.pts * packet.time_base) - media.origin_s


def _write(target: Path, media: MediaFile, packets: list[Any], first: int, sound: NDArray[np.int16] | None) -> None:
    options = {"movflags": "+faststart", "fflags": "+bitexact", "avoid_negative_ts": "disabled"}
    with pyav().open(str(target), "w", format="mp4", options=options) as container:
        video = container.add_stream_from_template(media.video)
        audio = None if sound is None else container.add_stream("aac", rate=AUDIO_RATE_HZ)
        if audio is not None:
            audio.codec_context.layout, audio.codec_context.bit_rate = "mono", 64_000
        for packet in packets:
            packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, video
            container.mux(packet)
        if audio is not None and sound is not None:
            for start in range(0, len(sound), _FRAME_SIZE):
                block = np.ascontiguousarray(sound[start : start + _FRAME_SIZE]).reshape(1, -1)
                frame = pyav().AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, start, Fraction(1, AUDIO_RATE_HZ)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def _limit_duration(mp4: bytearray, seconds: float) -> bytes:
    """Shorten what is played of each track to ``seconds``: frames after the end are there only to decode others.

    Durations in ``mvhd``, ``tkhd`` and ``elst`` (ISO 14496-12) count in the time scale of the movie.
    """
    moov = next(box for box in _boxes(mp4, 0, len(mp4)) if box[0] == b"moov")
    inside = {name: (start, end) for name, start, end in _boxes(mp4, *moov[1:]) if name == b"mvhd"}
    mvhd = inside[b"mvhd"][0]
    limit = round(seconds * struct.unpack_from(">I", mp4, mvhd + 12)[0])
    offsets = [mvhd + 16]
    for track in (box for box in _boxes(mp4, *moov[1:]) if box[0] == b"trak"):
        for name, start, end in _boxes(mp4, *track[1:]):
            if name == b"tkhd":
                offsets.append(start + 20)
            elif name == b"edts":
                offsets.append(next(_boxes(mp4, start, end))[1] + 8)
    for offset in offsets:
        struct.pack_into(">I", mp4, offset, min(limit, struct.unpack_from(">I", mp4, offset)[0]))
    return bytes(mp4)


def _boxes(mp4: bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box, and where its content starts and ends."""
    while start + 8 <= end:
        size = struct.unpack_from(">I", mp4, start)[0]
        yield bytes(mp4[start + 4 : start + 8]), start + 8, start + size
        start += max(8, size)
