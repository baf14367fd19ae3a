"""The only module that touches PyAV: opened media files, their packets, sound and pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow

AUDIO_RATE_HZ = 16_000
MAX_JUMP_S = 600.0
"""A step in the timestamps beyond this is damage, not a pause; what follows it is not trusted."""
MAX_PIXELS = 8192 * 8192
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,flac,mp3,aac,aiff,au,caf,amr,"
    "h264,hevc,m4v,ivf,mxf,rm,dv,nut,ac3,eac3,ape,wv,tta,gxf,swf,obu"
)
"""Formats that are one file of media. Playlists and scripts, which name other files to open, are left out."""
_SLACK_S = 0.04
_RECOVERABLE_PACKETS = 500


class Picture(NamedTuple):
    """One decoded frame that has not been converted; ``to_rgb`` gives upright (height, width, 3) uint8."""

    time_s: float
    number: int
    """Counts the frames of one reading."""
    to_rgb: Callable[[], NDArray[np.uint8]]


class FirstFrame(NamedTuple):
    """Geometry of the first decodable frame: displayed size in pixels after rotation, and the rotation itself."""

    width: int
    height: int
    rotation_deg: int


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
            width, height = _shown_size(frame, self.video)
            turns = _quarter_turns(frame)
            return FirstFrame(height, width, turns * 90) if turns % 2 else FirstFrame(width, height, turns * 90)
        return None

    def sound_start_s(self) -> float | None:
        """When the first audio frame that can be decoded is heard (0 where it has no time), or None where none can."""
        for frame in self.decoded(self.audio):
            return 0.0 if frame.time is None else max(0.0, float(frame.time) - self.origin_s)
        return None

    def sound(self) -> NDArray[np.int16]:
        """All sound as 16 kHz mono int16 whose sample 0 is second 0 of the file; holes are silence."""
        line = _Timeline()
        for frame in self.decoded(self.audio):
            time_s = None if frame.time is None else frame.time - self.origin_s
            try:
                if not line.feed(frame, time_s):
                    break
            except (_av().FFmpegError, ValueError):
                break
        return line.finish()

    def pictures(self, start_s: float, end_s: float) -> Iterator[Picture]:
        """Frames shown between two times, in order; seeks when the start is not near the beginning."""
        av = _av()
        stream = self.video
        if stream is None:
            return
        if start_s > 1.0:
            try:
                self.container.seek(int((start_s + self.origin_s) * av.time_base), backward=True)
            except (av.FFmpegError, ValueError):
                return
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        for index, frame in enumerate(self.decoded(stream)):
            time_s = index / rate if frame.time is None else frame.time - self.origin_s
            if time_s >= end_s:
                return
            if time_s >= start_s - 0.5 / rate:
                yield Picture(time_s, index, partial(_rgb, frame, stream))


@contextmanager
def open_media(path: Path) -> Iterator[Media]:
    """An opened media file; raises ``InvalidRow`` (``not_media``, ``truncated``, ``unreadable``) where it is none."""
    av = _av()
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(f"file:{path.resolve()}", options=options, metadata_errors="replace")
    except (av.PermissionError, av.FileNotFoundError, av.IsADirectoryError) as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except (av.FFmpegError, ValueError) as error:
        raise InvalidRow(f"{path.name} cannot be read as media", reason=_why_not(path)) from error
    try:
        yield _select(path, container)
    finally:
        container.close()


def encode_flac(samples: NDArray[np.int16], rate_hz: int = AUDIO_RATE_HZ) -> bytes:
    """A FLAC file that holds exactly these mono samples; the same samples always give the same bytes."""
    av = _av()
    sink = BytesIO()
    with av.open(sink, "w", format="flac", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("flac", rate=rate_hz)
        stream.codec_context.layout = "mono"
        stream.codec_context.format = "s16"
        for start in range(0, len(samples), 4096):
            block = np.ascontiguousarray(samples[start : start + 4096]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


class _Timeline:
    """Puts resampled sound where its timestamps say."""

    def __init__(self) -> None:
        self._samples = bytearray()
        self._at = 0
        self._resampler: Any = None
        self._shape: tuple[Any, ...] = ()
        self._expected_s = 0.0

    def feed(self, frame: Any, time_s: float | None) -> bool:
        """Add a frame; False once the timestamps cannot be trusted any more."""
        av = _av()
        start_s = self._expected_s if time_s is None else time_s
        shape = (frame.sample_rate, frame.format.name, frame.layout.name)
        if start_s > self._expected_s + MAX_JUMP_S:
            return False
        if self._resampler is None or shape != self._shape or abs(start_s - self._expected_s) > _SLACK_S:
            self._drain()
            backwards = start_s < self._expected_s - 1.0 and self._resampler is not None
            self._begin(len(self._samples) / 2 / AUDIO_RATE_HZ if backwards else start_s)
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE_HZ)
            self._shape, self._expected_s = shape, start_s
        frame.pts = None
        self._write(self._resampler.resample(frame))
        self._expected_s += frame.samples / frame.sample_rate
        return True

    def finish(self) -> NDArray[np.int16]:
        self._drain()
        return np.frombuffer(self._samples, np.int16)

    def _begin(self, start_s: float) -> None:
        self._at = round(start_s * AUDIO_RATE_HZ)
        missing = self._at - len(self._samples) // 2
        if missing > 0:
            self._samples.extend(bytes(2 * missing))

    def _drain(self) -> None:
        if self._resampler is not None:
            with suppress(_av().FFmpegError):
                self._write(self._resampler.resample(None))

    def _write(self, frames: list[Any]) -> None:
        for frame in frames:
            data = frame.to_ndarray().astype(np.int16, copy=False).reshape(-1)
            if self._at < 0:
                data, self._at = data[-self._at :], min(0, self._at + len(data))
            self._samples[2 * self._at : 2 * (self._at + len(data))] = data.tobytes()
            self._at += len(data)


def _av() -> Any:
    import av

    return av


def _select(path: Path, container: Any) -> Media:
    art = _av().stream.Disposition.attached_pic | _av().stream.Disposition.timed_thumbnails
    videos = [s for s in container.streams.video if not s.disposition & art and s.codec_context is not None]
    sounds = [s for s in container.streams.audio if s.codec_context is not None]
    for stream in (*videos[:1], *sounds[:1]):
        stream.codec_context.thread_count = 1
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


def _shown_size(frame: Any, stream: Any) -> tuple[int, int]:
    aspect = float(stream.sample_aspect_ratio or 1)
    aspect = aspect if 0.25 <= aspect <= 4 else 1.0
    return max(1, round(frame.width * aspect)), frame.height


def _quarter_turns(frame: Any) -> int:
    # A matrix that is none (it shrinks the picture to nothing) gives a number far outside the circle.
    return int(round(frame.rotation / 90) % 4) if abs(frame.rotation) <= 360 else 0


def _rgb(frame: Any, stream: Any) -> NDArray[np.uint8]:
    width, height = _shown_size(frame, stream)
    if width * height > MAX_PIXELS:
        raise InvalidRow(f"a picture of {width}x{height} pixels is too large", reason="unreadable")
    try:
        picture = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    except (_av().FFmpegError, ValueError) as error:
        raise InvalidRow(f"a picture of format {frame.format.name} cannot be shown", reason="unreadable") from error
    return np.ascontiguousarray(np.rot90(picture, _quarter_turns(frame)))


def _clean(text: str | None) -> str | None:
    text = (text or "").replace("\0", "").strip()
    return text.encode("utf-8", "replace").decode("utf-8")[:500] or None
