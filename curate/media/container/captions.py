"""Read the text tracks of an open file."""

from typing import Any, NamedTuple

from curate.media.container.open import MediaFile, decode_errors, pyav


class Caption(NamedTuple):
    """One event of a text track: times in seconds, the name of the speaker, and text with ASS mark-up."""

    start_s: float
    end_s: float
    name: str
    text: str


def read_captions(media: MediaFile, language: str | None = None) -> list[Caption]:
    """Return the events of one text track: one in ``language`` (ISO 639) if any, else the default, else the first."""
    streams = [stream for stream in media.container.streams.subtitles if stream.codec_context is not None]
    default = pyav().stream.Disposition.default
    prefix = (language or "")[:2].lower()

    def rank(stream: Any) -> tuple[bool, bool]:
        is_preferred = bool(prefix) and (stream.language or "").startswith(prefix)
        return not is_preferred, not stream.disposition & default

    for stream in sorted(streams, key=rank):
        captions = [caption for packet in media.packets(stream) for caption in _decode(packet, media.origin_s)]
        if captions:
            return captions
    return []


def _decode(packet: Any, origin_s: float) -> list[Caption]:
    if packet.pts is None or not packet.duration:
        return []
    start_s = float(packet.pts * packet.time_base) - origin_s
    try:
        # Bitmap subtitles (DVD, Blu-ray) have no ``ass``.
        events = [rect.ass.decode("utf-8", "replace") for rect in packet.decode() if getattr(rect, "ass", None)]
    except decode_errors():
        return []
    fields = [event.split(",", 8) for event in events]
    end_s = start_s + float(packet.duration * packet.time_base)
    return [Caption(start_s, end_s, field[3], field[8]) for field in fields if len(field) == 9]
