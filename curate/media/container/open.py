"""The only module that touches PyAV: opened media files, their packets, sound and pictures."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container.keyframes import decoded_ranges
from curate.media.container.planes import Picture, Planes, yuv_to_rgb
from curate.media.container.timeline import MAX_JUMP_S, Timeline

AUDIO_RATE_HZ = 16_000
MAX_PIXELS = 8192 * 8192
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,flac,mp3,aac,aiff,au,caf,amr,"
    "h264,hevc,m4v,ivf,mxf,rm,dv,nut,ac3,eac3,ape,wv,tta,gxf,swf,obu"
)
"""Formats that are one file of media. Playlists and scripts, which name other files to open, are left out."""
_TICKS = 90_000
_BT709, _UNKNOWN, _FULL_RANGE = 1, 2, 2
"""Numbers of ITU-T H.273 and FFmpeg for colour spaces and ranges."""
_RECOVERABLE_PACKETS = 500
_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_WELL_BEFORE_S = 5.0


class FirstFrame(NamedTuple):
    """Geometry of the first decodable frame: displayed size in pixels after rotation, and the rotation itself."""

    width: int
    height: int
    rotation_deg: int


class Caption(NamedTuple):
    """One subtitle of a text track: seconds from where the file starts to play, who speaks, ASS mark-up."""

    start_s: float
    end_s: float
    name: str
    text: str


@dataclass(frozen=True)
class Media:
    """An opened file. ``video`` is never cover art; times count from where the file starts to play."""

    path: Path
    container: Any
    video: Any | None
    audio: Any | None
    origin_s: float

    @property
    def title(self) -> str | None:
        return _clean(self.container.metadata.get("title"))

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Packets up to where the file breaks."""
        av = _av()
        try:
            yield from self.container.demux(*streams)
        except (av.FFmpegError, ValueError):
            return

    def decoded(self, stream: Any) -> Iterator[Any]:
        """Frames of one stream, passing over packets that cannot be decoded."""
        av, failures = _av(), 0
        for packet in self.packets(stream):
            try:
                yield from packet.decode()
            except (av.FFmpegError, ValueError):
                failures += 1
                if failures > _RECOVERABLE_PACKETS:
                    return

    def measure(self) -> float:
        """Seconds until the last packet ends, from every packet's header (no decoding); 0 where they carry no times."""
        streams = [s for s in (self.video, self.audio) if s is not None]
        ends = {s.index: 0.0 for s in streams}
        for packet in self.packets(*streams):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.size == 0:
                continue
            index = packet.stream.index
            start_s = float(stamp * packet.time_base) - self.origin_s
            if not -MAX_JUMP_S < start_s < ends[index] + MAX_JUMP_S:
                continue
            ends[index] = max(ends[index], start_s + float((packet.duration or 0) * packet.time_base))
        return max(ends.values(), default=0.0)

    def first_frame(self) -> FirstFrame | None:
        """Geometry of the first picture, or None where none can be decoded."""
        for frame in self.decoded(self.video):
            width, height = _shown_size(frame, _aspect(self.video))
            turns = _quarter_turns(frame)
            return FirstFrame(height, width, turns * 90) if turns % 2 else FirstFrame(width, height, turns * 90)
        return None

    def sound_start_s(self) -> float | None:
        """When the first audio frame that can be decoded is heard (0 where it has no time), or None where none can."""
        for frame in self.decoded(self.audio):
            return 0.0 if frame.time is None else max(0.0, float(frame.time) - self.origin_s)
        return None

    def sound(self, *, channels: int | None = None, until_s: float = math.inf) -> NDArray[np.int16]:
        """All sound as 16 kHz int16 whose sample 0 is second 0 of the file; holes are silence.

        Mixed to mono, (samples,); with ``channels``, the number that the stream has, each apart: (samples, channels).
        Stops soon after ``until_s``.
        """
        av = _av()
        layout = "mono" if channels is None or self.audio is None else self.audio.codec_context.layout.name
        resampler = partial(av.AudioResampler, format="s16", layout=layout, rate=AUDIO_RATE_HZ)
        line = Timeline(resampler, channels=channels or 1, rate_hz=AUDIO_RATE_HZ, broken=av.FFmpegError)
        for frame in self.decoded(self.audio):
            time_s = None if frame.time is None else frame.time - self.origin_s
            try:
                if line.length_s >= until_s or not line.feed(frame, time_s):
                    break
            except (_av().FFmpegError, ValueError):
                break
        return line.finish() if channels is None else line.finish().reshape(-1, channels)

    def captions(self, language: str | None = None) -> list[Caption]:
        """The lines of one text track: of ``language`` (ISO 639) where there is such, else the default or first."""
        streams = [s for s in self.container.streams.subtitles if s.codec_context is not None]
        default = _av().stream.Disposition.default
        wanted = (language or "")[:2].lower()

        def rank(stream: Any) -> tuple[bool, bool]:
            is_wanted = bool(wanted) and (stream.language or "").startswith(wanted)
            return not is_wanted, not stream.disposition & default

        for stream in sorted(streams, key=rank):
            lines = [line for packet in self.packets(stream) for line in self._lines(packet)]
            if lines:
                return lines
        return []

    def _lines(self, packet: Any) -> list[Caption]:
        if packet.pts is None or not packet.duration:
            return []
        start_s = float(packet.pts * packet.time_base) - self.origin_s
        try:
            # Pictures of text (DVD, Blu-ray) have no ``ass``.
            events = [rect.ass.decode("utf-8", "replace") for rect in packet.decode() if getattr(rect, "ass", None)]
        except (_av().FFmpegError, ValueError):
            return []
        fields = [event.split(",", 8) for event in events]
        end_s = start_s + float(packet.duration * packet.time_base)
        return [Caption(start_s, end_s, field[3], field[8]) for field in fields if len(field) == 9]

    def keyframes(self) -> list[float]:
        """When decoding can begin, in seconds and in order, from packet headers; empty where these are no use."""
        keys: list[float] = []
        for packet in self.packets(self.video):
            if packet.size and packet.pts is None:
                return []
            if packet.is_keyframe and packet.pts is not None:
                keys.append(float(packet.pts * packet.time_base) - self.origin_s)
        return keys if all(a < b for a, b in pairwise(keys)) else []

    def pictures(self, spans: Sequence[tuple[float, float]], keyframes: Sequence[float] = ()) -> Iterator[Picture]:
        """Frames shown in the spans, which are in order and apart; decodes from the keyframe before each to its end.

        Without ``keyframes`` all is decoded up to the end of the last span.
        """
        if self.video is None or not spans:
            return
        rate = float(self.video.average_rate or self.video.guessed_rate or 25)
        # A picture may outlive the opened file, the stream may not.
        place, aspect = 0, _aspect(self.video)
        for number, frame in enumerate(self._frames(decoded_ranges(spans, keyframes) if keyframes else [])):
            time_s = number / rate if frame.time is None else frame.time - self.origin_s
            while time_s >= spans[place][1]:
                place += 1
                if place == len(spans):
                    return
            if time_s >= spans[place][0] - 0.5 / rate:
                yield Picture(time_s, number, partial(_rgb, frame, aspect), partial(_planes, frame, aspect))

    def _frames(self, ranges: Sequence[tuple[float, float]]) -> Iterator[Any]:
        """Decoded frames of the ranges, each from a keyframe to a time; of all where there are no ranges."""
        if not ranges or self.video is None:
            yield from self.decoded(self.video)
            return
        waiting, failures = list(reversed(ranges)), 0
        is_feeding = False
        self._approach(ranges[0][0])
        for packet in self.packets(self.video):
            time_s = self._seconds(packet.dts if packet.dts is not None else packet.pts, packet)
            if is_feeding and packet.size and time_s >= waiting[-1][1]:
                yield from _decode(self.video, None) or ()
                self.video.codec_context.flush_buffers()
                waiting.pop()
                is_feeding = False
                if not waiting:
                    return
            if not is_feeding and packet.is_keyframe:
                is_feeding = self._seconds(packet.pts, packet) >= waiting[-1][0] - 1e-6
            if is_feeding:
                frames = _decode(self.video, packet)
                yield from frames or ()
                failures += frames is None
                if failures > _RECOVERABLE_PACKETS:
                    return

    def _approach(self, time_s: float) -> None:
        """Pass over, unread, what lies well before a keyframe, where the format tells how."""
        if self.video is None or time_s < _WELL_BEFORE_S or self.container.format.name not in _INDEXED:
            return
        stamp = int((time_s - _WELL_BEFORE_S + self.origin_s) / self.video.time_base)
        with suppress(_av().FFmpegError):
            self.container.seek(stamp, stream=self.video)

    def _seconds(self, stamp: int | None, packet: Any) -> float:
        return -math.inf if stamp is None else float(stamp * packet.time_base) - self.origin_s


@contextmanager
def open_media(path: Path, *, threads: int = 1) -> Iterator[Media]:
    """An opened media file, its pictures decoded by so many threads.

    Raises ``InvalidRow`` (``not_media``, ``truncated``, ``unreadable``) where it is none.
    """
    av = _av()
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    # PyAV 19 always reads metadata so; PyAV 18, the last for Python 3.11, raises unless it is asked to.
    lenient = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        container = av.open(f"file:{path.resolve()}", options=options, **lenient)
    except (av.PermissionError, av.FileNotFoundError, av.IsADirectoryError) as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except (av.FFmpegError, ValueError) as error:
        raise InvalidRow(f"{path.name} cannot be read as media", reason=_why_not(path)) from error
    try:
        yield _select(path, container, threads)
    finally:
        container.close()


def encode_flac(samples: NDArray[np.int16], rate_hz: int = AUDIO_RATE_HZ) -> bytes:
    """A FLAC file that holds exactly these mono samples; the same samples always give the same bytes."""
    return _encode(samples, rate_hz, "flac", codec="flac", layout="s16", block=4096)


def encode_mp3(samples: NDArray[np.int16], rate_hz: int = AUDIO_RATE_HZ) -> bytes:
    """An MP3 file of these mono samples, 40 kbit/s; the same samples always give the same bytes."""
    return _encode(samples, rate_hz, "mp3", codec="libmp3lame", layout="s16p", block=576, bit_rate=40_000)


def _encode(
    samples: NDArray[np.int16], rate_hz: int, kind: str, *, codec: str, layout: str, block: int, bit_rate: int = 0
) -> bytes:
    av = _av()
    sink = BytesIO()
    with av.open(sink, "w", format=kind, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate_hz)
        stream.codec_context.layout = "mono"
        stream.codec_context.format = layout
        if bit_rate:
            stream.codec_context.bit_rate = bit_rate
        for start in range(0, len(samples), block):
            part = np.ascontiguousarray(samples[start : start + block]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format=layout, layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


class SquareVideo:
    """An H.264 MP4 under way, of square pictures of one size, each at its own time."""

    def __init__(self, size_px: int) -> None:
        self._sink, self._began_s = BytesIO(), -1.0
        self._container = _av().open(self._sink, "w", format="mp4", options={"fflags": "+bitexact"})
        options = {"preset": "superfast", "crf": "21", "bf": "0", "threads": "1", "flags": "+bitexact"}
        self._stream = self._container.add_stream("libx264", rate=25, options=options)
        self._stream.width = self._stream.height = size_px
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)

    def add(self, time_s: float, square: Planes) -> None:
        """Add a picture; the first is shown at 0 s."""
        self._began_s = time_s if self._began_s < 0 else self._began_s
        frame = _av().VideoFrame.from_ndarray(square.packed(), format="yuv420p")
        frame.time_base, frame.pts = Fraction(1, _TICKS), round((time_s - self._began_s) * _TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        """The whole file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.getvalue()


def _av() -> Any:
    import av

    return av


def _select(path: Path, container: Any, threads: int) -> Media:
    art = _av().stream.Disposition.attached_pic | _av().stream.Disposition.timed_thumbnails
    videos = [s for s in container.streams.video if not s.disposition & art and s.codec_context is not None]
    sounds = [s for s in container.streams.audio if s.codec_context is not None]
    for stream, count in ((videos[:1], threads), (sounds[:1], 1)):
        if stream:
            stream[0].codec_context.thread_count = count
            stream[0].codec_context.thread_type = "AUTO"
    start = container.start_time
    origin_s = 0.0 if start is None else start / _av().time_base
    return Media(path, container, videos[0] if videos else None, sounds[0] if sounds else None, origin_s)


def _why_not(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return "unreadable"
    known = head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] in (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"fLaC")
    return "truncated" if known else "not_media"


def _aspect(stream: Any) -> float:
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0


def _shown_size(frame: Any, aspect: float) -> tuple[int, int]:
    return max(1, round(frame.width * aspect)), frame.height


def _quarter_turns(frame: Any) -> int:
    # A matrix that is none (it shrinks the picture to nothing) gives a number far outside the circle.
    return int(round(frame.rotation / 90) % 4) if abs(frame.rotation) <= 360 else 0


def _rgb(frame: Any, aspect: float) -> NDArray[np.uint8]:
    width, height = _shown_size(frame, aspect)
    if width * height > MAX_PIXELS:
        raise InvalidRow(f"a picture of {width}x{height} pixels is too large", reason="unreadable")
    try:
        picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    except (_av().FFmpegError, ValueError) as error:
        raise InvalidRow(f"a picture of format {frame.format.name} cannot be shown", reason="unreadable") from error
    return np.ascontiguousarray(np.rot90(picture, _quarter_turns(frame)))


def _planes(frame: Any, aspect: float) -> Planes:
    width, height = _shown_size(frame, aspect)
    if width * height > MAX_PIXELS:
        raise InvalidRow(f"a picture of {width}x{height} pixels is too large", reason="unreadable")
    turns, full_range = _quarter_turns(frame), frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    matrix = yuv_to_rgb(
        high_definition=frame.colorspace == _BT709 or (frame.colorspace == _UNKNOWN and height >= 720),
        full_range=full_range,
    )
    if frame.format.name not in ("yuv420p", "yuvj420p") or (frame.width, frame.height) != (width, height):
        try:
            frame = frame.reformat(width=width, height=height, format="yuvj420p" if full_range else "yuv420p")
        except (_av().FFmpegError, ValueError) as error:
            raise InvalidRow(f"a picture of format {frame.format.name} cannot be shown", reason="unreadable") from error
    planes = (np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height, : p.width] for p in frame.planes)
    y, u, v = (np.rot90(plane, turns) if turns else plane for plane in planes)
    return Planes(y, u, v, matrix)


def _decode(stream: Any, packet: Any) -> list[Any] | None:
    """The frames that a packet completes (all that are left for None), or None where it is damaged."""
    try:
        frames = list(stream.codec_context.decode(packet))
    except (_av().FFmpegError, ValueError):
        return None
    for frame in frames:
        if not frame.time_base:
            frame.time_base = stream.time_base
    return frames


def _clean(text: str | None) -> str | None:
    text = (text or "").replace("\0", "").strip()
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:500] or None
