"""Subtitles, in a file or as a text track: cues with their speakers and, if there are any, word times."""

from pathlib import Path
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.media.container.captions import read_captions
from curate.media.container.open import open_media
from curate.media.words.cue_files import CueEvent, read_ass, read_srt, read_vtt
from curate.media.words.encodings import decode_text
from curate.media.words.markup import Cue, to_cues

MAX_BYTES = 20_000_000
_MAX_NAMED = 3


class Subtitles(NamedTuple):
    """The cues of a file in order of time, and one sentence for everything about it that may be wrong."""

    cues: list[Cue]
    problems: list[str]


def load_cues(path: Path, *, language: str | None = None) -> Subtitles:
    """Return the cues of an SRT, VTT or ASS file, without tags; cues without text are left out.

    Speakers come from VTT voices (``<v Mary>``), the names of ASS events and prefixes in capitals (``MARY: ...``); word
    times from VTT time stamps and ASS karaoke marks. ``language`` (ISO 639-1) helps to tell legacy encodings apart.
    Raises ``InvalidRow`` if the file cannot be read as subtitles.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRow(f"{path.name} is too large for a subtitle file", reason="invalid")
        content, doubt = decode_text(path.read_bytes(), language=language)
    except OSError as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    kind = _kind(content, path)
    try:
        events, problems = {"ass": read_ass, "srt": read_srt, "vtt": read_vtt}[kind](content)
    except ValueError as error:
        raise InvalidRow(f"{path.name} cannot be read as subtitles: {error}", reason="invalid") from error
    cues = to_cues(events, is_ass=kind == "ass")
    if not events and not problems and kind == "srt" and content.strip("\ufeff \t\r\n"):
        raise InvalidRow(f"{path.name} has no subtitle", reason="invalid")
    sentences = [f"{path.name} {doubt}"] if doubt else []
    if problems:
        more = f"; and {len(problems) - _MAX_NAMED} more" if len(problems) > _MAX_NAMED else ""
        sentences.append(f"{path.name}: left out {'; '.join(problems[:_MAX_NAMED])}{more}")
    if sentences and not cues:
        raise InvalidRow("; ".join(sentences), reason="invalid")
    return Subtitles(cues, sentences)


def embedded_cues(path: Path, *, language: str | None = None) -> list[Cue]:
    """Return the cues of a text track inside a media file, in order of time; empty if there is none.

    Of several tracks it takes one in ``language`` (ISO 639), else the one marked as the default, else the first.
    """
    with open_media(path) as media:
        captions = read_captions(media, language)
    events = [CueEvent(caption.start_s, caption.end_s, caption.text, caption.name) for caption in captions]
    usable = [event for event in events if 0 <= event.start_s < event.end_s]
    return to_cues(sorted(usable, key=lambda event: (event.start_s, event.end_s)), is_ass=True)


def _kind(content: str, path: Path) -> str:
    start = content.lstrip("\ufeff \t\r\n")
    if start.startswith("WEBVTT"):
        return "vtt"
    if start[:200].lower().startswith("[script info]") or path.suffix.lower() in (".ass", ".ssa"):
        return "ass" if "[events]" in start.lower() or start.startswith("[") else "srt"
    return "vtt" if path.suffix.lower() == ".vtt" else "srt"
