"""Open media files with PyAV, which no other module imports, and read their packets and decoded frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow

AUDIO_RATE_HZ = 16_000
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,flac,mp3,aac,aiff,au,caf,amr,"
    "h264,hevc,m4v,ivf,mxf,rm,dv,nut,ac3,eac3,ape,wv,tta,gxf,swf,obu"
)
"""Self-contained formats. Playlists and scripts are left out: they name other files or addresses to open."""
MAX_JUMP_S = 600.0
"""A larger step between timestamps is damage rather than a pause; nothing after it is trusted."""
MAX_DAMAGED_PACKETS = 500
"""Decoding of a stream ends after this many packets that cannot be decoded."""


@dataclass(frozen=True)
class MediaFile:
    """An open file; ``video`` is never cover art. Times count from where the file starts to play."""

    path: Path
    container: Any
    video: Any | None
    audio: Any | None
    origin_s: float

    @property
    def title(self) -> str | None:
        """The title from the metadata, at most 500 characters."""
        return _clean(self.container.metadata.get("title"))

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Yield packets up to where the file breaks."""
        try:
            yield from self.container.demux(*streams)
        except decode_errors():
            return

    def decoded(self, stream: Any) -> Iterator[Any]:
        """Yield the frames of one stream, skipping packets that cannot be decoded."""
        failures = 0
        for packet in self.packets(stream):
            try:
                yield from packet.decode()
            except decode_errors():
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


@contextmanager
def open_media(path: Path, *, threads: int = 1) -> Iterator[MediaFile]:
    """Open a media file; its video is decoded by ``threads`` threads.

    Raises ``InvalidRow`` (``not_media``, ``truncated``, ``unreadable``) if it cannot be opened as media.
    """
    av = pyav()
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    # PyAV 19 always reads metadata like this; PyAV 18, the last for Python 3.11, raises an error by default.
    lenient = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        container = av.open(f"file:{path.resolve()}", options=options, **lenient)
    except (av.PermissionError, av.FileNotFoundError, av.IsADirectoryError) as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except decode_errors() as error:
        raise InvalidRow(f"{path.name} cannot be read as media", reason=_rejection_reason(path)) from error
    try:
        yield _select_streams(path, container, threads)
    finally:
        container.close()


def pyav() -> Any:
    """Return the PyAV module, imported on first use."""
    import av

    return av


def decode_errors() -> tuple[type[Exception], ...]:
    """Return what PyAV raises for damaged data."""
    return (pyav().FFmpegError, ValueError)


def _select_streams(path: Path, container: Any, threads: int) -> MediaFile:
    disposition = pyav().stream.Disposition
    still = disposition.attached_pic | disposition.timed_thumbnails
    videos = [s for s in container.streams.video if not s.disposition & still and s.codec_context is not None]
    sounds = [s for s in container.streams.audio if s.codec_context is not None]
    for stream, count in ((videos[:1], threads), (sounds[:1], 1)):
        if stream:
            stream[0].codec_context.thread_count = count
            stream[0].codec_context.thread_type = "AUTO"
    start = container.start_time
    origin_s = 0.0 if start is None else start / pyav().time_base
    return MediaFile(path, container, videos[0] if videos else None, sounds[0] if sounds else None, origin_s)


def _rejection_reason(path: Path) -> str:
    """Return ``truncated`` for a file that starts like media."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return "unreadable"
    is_media = head[4:8] in (b"ftyp", b"moov", b"mdat") or head[:4] in (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"fLaC")
    return "truncated" if is_media else "not_media"


def _clean(text: str | None) -> str | None:
    text = (text or "").replace("\0", "").strip()
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:500] or None
