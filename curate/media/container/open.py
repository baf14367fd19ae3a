"""Open media files with PyAV, which no other module imports, and read their packets and decoded frames."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow

AUDIO_RATE_HZ = 16_000
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,flac,mp3,aac,aiff,au,caf,amr,"
    "h264,hevc,m4v,ivf,mxf,rm,dv,nut,ac3,eac3,ape,wv,tta,gxf,swf,obu"
)
"""Self-contained formats. Playlists and scripts are left out: they name other files or addresses to open."""
MAX_JUMP_S = 3600.0
"""A larger step between timestamps is damage rather than a pause; nothing after it is trusted."""
MAX_PIXELS = 8192 * 8192
MAX_DAMAGED_PACKETS = 500
"""Decoding of a stream ends after this many packets that cannot be decoded."""
INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Formats with one clock for the whole file; others may be several files, one after the other."""
_COUNTED = {"aac": (2, 0x3C), "mp3": (2, 0x0C)}
"""Formats without timestamps, and where the header of each of their packets has the sample rate."""
_LANGUAGE_CODES = {
    "cs": ("ces", "cze"), "de": ("deu", "ger"), "el": ("ell", "gre"), "es": ("spa",), "nl": ("nld", "dut"),
    "pl": ("pol",), "pt": ("por",), "sk": ("slk", "slo"), "sv": ("swe",), "tr": ("tur",), "zh": ("zho", "chi"),
    "ja": ("jpn",), "ga": ("gle",), "fa": ("fas", "per"), "mt": ("mlt",), "hy": ("hye", "arm"), "id": ("ind",),
}  # fmt: skip
"""ISO 639-2 codes that do not begin with the code of ISO 639-1"""
_RESTART_S, _NEAR_S = 1.0, 2.0
_UNREACHABLE = frozenset(
    {errno.EIO, errno.ENOENT, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EREMOTEIO}
)


@dataclass(frozen=True)
class MediaFile:
    """An open file; ``video`` is never cover art. Times count from where the file starts to play.

    Where the timestamps of a joined file start anew, they are continued.
    """

    path: Path
    container: Any
    video: Any | None
    audio: Any | None
    origin_s: float
    restarts_s: list[float] = field(default_factory=list)
    """Where the parts of a joined file begin, except the first, as far as it was read"""

    def choices(self) -> list[str]:
        """Return a sentence on which of several sound tracks is heard, if there are several."""
        tracks = self.container.streams.audio
        if len(tracks) < 2 or self.audio is None:
            return []
        number, language = tracks.index(self.audio) + 1, self.audio.language or "no language named"
        return [f"{self.path.name} has {len(tracks)} sound tracks: number {number} ({language}) is heard, no other"]

    @property
    def title(self) -> str | None:
        """The title from the metadata, at most 500 characters."""
        return _clean(self.container.metadata.get("title"))

    @property
    def is_counted(self) -> bool:
        """Whether the format has no timestamps, so that only samples tell the time."""
        return self.container.format.name in _COUNTED

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Yield packets up to where the file breaks. Raises ``InvalidRow`` (``unavailable``) if it is out of reach."""
        try:
            if self.container.format.name in INDEXED:
                yield from self.container.demux(*streams)
                check_reachable(self.path)
                return
            # All of sound and pictures, so that every pass continues the clock alike.
            clock = _Clock(self.restarts_s, self.origin_s)
            timed = [stream for stream in (self.video, self.audio) if stream is not None]
            for packet in self.container.demux(*{stream.index: stream for stream in (*timed, *streams)}.values()):
                clock.correct(packet)
                if packet.stream in streams:
                    yield packet
            check_reachable(self.path)
        except decode_errors() as error:
            check_reachable(self.path, error)

    def decoded(self, stream: Any) -> Iterator[Any]:
        """Yield the frames of one stream, skipping packets that cannot be decoded."""
        failures = 0
        for packet in self.packets(stream):
            try:
                yield from packet.decode()
            except decode_errors() as error:
                check_reachable(self.path, error)
                failures += 1
                if failures > MAX_DAMAGED_PACKETS:
                    return

    def measure_duration(self) -> float:
        """Return the seconds until the last packet ends, without decoding; 0 if the packets carry no times."""
        streams = [stream for stream in (self.video, self.audio) if stream is not None]
        ends = {stream.index: 0.0 for stream in streams}
        for packet in self.packets(*streams):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.size == 0 or packet.is_discard:
                continue
            index = packet.stream.index
            start_s = float(stamp * packet.time_base) - self.origin_s
            if -MAX_JUMP_S < start_s < ends[index] + MAX_JUMP_S:
                ends[index] = max(ends[index], start_s + float((packet.duration or 0) * packet.time_base))
        return max(ends.values(), default=0.0)

    def changes_rate(self) -> bool:
        """Return whether the sample rate of a format without timestamps changes midway, which makes its times wrong."""
        if self.audio is None or not self.is_counted:
            return False
        byte, mask = _COUNTED[self.container.format.name]
        headers = (memoryview(packet) for packet in self.packets(self.audio) if packet.size > byte)
        return len({header[byte] & mask for header in headers}) > 1


@dataclass
class _Clock:
    """Continues the timestamps of files that were joined: the clock of each part starts anew."""

    restarts_s: list[float]
    origin_s: float
    _last_s: dict[int, float] = field(default_factory=dict)
    _parts: dict[int, int] = field(default_factory=dict)
    _offsets_s: list[float] = field(default_factory=lambda: [0.0])
    _end_s: float = 0.0

    def correct(self, packet: Any) -> None:
        """Move the timestamps of a packet to where its part of the file goes on."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return
        index, base = packet.stream.index, packet.time_base
        time_s = float(stamp * base)
        part, last_s = self._parts.get(index, 0), self._last_s.get(index, time_s)
        if time_s < last_s - _RESTART_S:
            part += 1
            if part == len(self._offsets_s):
                self._offsets_s.append(self._end_s - time_s)
                if part > len(self.restarts_s):
                    self.restarts_s.append(self._end_s - self.origin_s)
        elif part and time_s > last_s + _RESTART_S and abs(time_s + self._offsets_s[part - 1] - self._end_s) < _NEAR_S:
            part -= 1  # A single wrong timestamp was no new part.
        self._parts[index], self._last_s[index] = part, time_s
        offset_s = self._offsets_s[part]
        if offset_s:
            ticks = round(offset_s / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        self._end_s = max(self._end_s, time_s + offset_s + float((packet.duration or 0) * base))


@contextmanager
def open_media(path: Path, *, threads: int = 1, language: str | None = None) -> Iterator[MediaFile]:
    """Open a media file; its video is decoded by ``threads`` threads.

    Of several sound tracks, the one in ``language`` is chosen, or else the default one, or else the first; never one
    for people who cannot see or hear, or with comments, if there is another.

    Raises ``InvalidRow`` (``not_media``, ``truncated``, ``unreadable``, ``unavailable``) if it cannot be opened as
    media.
    """
    av = pyav()
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    # PyAV 19 always reads metadata like this; PyAV 18, the last for Python 3.11, raises an error by default.
    lenient = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        container = av.open(f"file:{path.resolve()}", options=options, **lenient)
    except (av.PermissionError, av.IsADirectoryError) as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except decode_errors() as error:
        check_reachable(path, error)
        raise InvalidRow(f"{path.name} cannot be read as media", reason=_rejection_reason(path)) from error
    try:
        yield _select_streams(path, container, threads, language)
    finally:
        container.close()


def pyav() -> Any:
    """Return the PyAV module, imported on first use."""
    import av

    return av


def decode_errors() -> tuple[type[Exception], ...]:
    """Return what PyAV raises for damaged data, and for files out of reach (see ``check_reachable``)."""
    return (pyav().FFmpegError, ValueError, OSError)


def check_reachable(path: Path, error: Exception | None = None) -> None:
    """Raise ``InvalidRow`` (``unavailable``) if a file is out of reach now, or if that is what an error says."""
    problem = error if isinstance(error, OSError) and error.errno in _UNREACHABLE else None
    if problem is None:
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 1))
                file.read(1)
        except OSError as current:
            problem = current if current.errno in _UNREACHABLE else None
    if problem is not None:
        reach = f"{path.name} is out of reach: {problem.strerror}"
        raise InvalidRow(f"{reach}; mount its disk or put it back, then run again", reason="unavailable") from error


def _select_streams(path: Path, container: Any, threads: int, language: str | None) -> MediaFile:
    disposition = pyav().stream.Disposition
    still = disposition.attached_pic | disposition.timed_thumbnails
    videos = [s for s in container.streams.video if not s.disposition & still and s.codec_context is not None]
    extra = disposition.visual_impaired | disposition.hearing_impaired | disposition.comment | disposition.descriptions
    sounds = sorted(
        (s for s in container.streams.audio if s.codec_context is not None),
        key=lambda s: (not _speaks(s, language), bool(s.disposition & extra), not s.disposition & disposition.default),
    )
    for stream in videos[:1]:
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise too_large(path.name, width, height, MAX_PIXELS)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    for stream, count in ((videos[:1], threads), (sounds[:1], 1)):
        if stream:
            stream[0].codec_context.thread_count = count
            stream[0].codec_context.thread_type = "AUTO"
    start = container.start_time
    origin_s = 0.0 if start is None else start / pyav().time_base
    return MediaFile(path, container, videos[0] if videos else None, sounds[0] if sounds else None, origin_s)


def too_large(name: str, width: int, height: int, max_pixels: int) -> InvalidRow:
    """Return the error for pictures of more pixels than are read."""
    message = f"the picture of {name} has {width * height / 1e6:.0f} megapixels ({width}x{height})"
    limit = f"the limit is {max_pixels / 1e6:.0f}: make it smaller"
    return InvalidRow(f"{message}; {limit}", reason="unreadable")


def _rejection_reason(path: Path) -> str:
    """Return ``truncated`` for a file that starts like media."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return "unreadable"
    is_media = head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] in (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"fLaC")
    return "truncated" if is_media else "not_media"


def _speaks(stream: Any, language: str | None) -> bool:
    """Return whether a stream is in a language (ISO 639-1)."""
    code = (stream.language or "").lower()[:3]
    return language is not None and (code[:2] == language or code in _LANGUAGE_CODES.get(language, ()))


def _clean(text: str | None) -> str | None:
    text = (text or "").replace("\0", "").strip()
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:500] or None
