"""Transcripts from subtitle files: cues with their speakers, and the words of a stretch of time."""

import codecs
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.media.decode import Span

SUFFIXES = (".srt", ".vtt")
MAX_BYTES = 20_000_000
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_LEGACY = (
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp932",
    "gb18030",
    "cp949",
    "big5",
)
"""What subtitle files are written in where it is not Unicode; short texts fit many rarer encodings by chance."""
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_PREFIX = re.compile(r"^\s*[-–—]?\s*([^\W\d_][^:\n]{0,39}):\s+")


class Cue(NamedTuple):
    """One subtitle: a span, what is said, and who says it where the file tells."""

    span: Span
    text: str
    speaker: str | None


class Words(NamedTuple):
    """What is said in a stretch of time and by whom; both None where the transcript is silent."""

    text: str | None
    speaker: str | None


def find_sidecar(media: Path) -> Path | None:
    """The subtitle file beside a media file: ``stem.srt``, ``stem.vtt``, else ``stem.<language>.srt`` by name."""
    exact = [media.with_suffix(suffix) for suffix in SUFFIXES]
    for path in exact:
        if path.is_file():
            return path
    prefix = media.stem + "."
    try:
        beside = sorted(path for path in media.parent.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError:
        return None
    named = [p for p in beside if p.name.startswith(prefix) and re.fullmatch(r"[\w-]{2,12}", p.stem[len(prefix) :])]
    upper = [p for p in beside if p.stem == media.stem]
    return next((path for path in (*upper, *named) if path.is_file()), None)


def load_cues(path: Path) -> list[Cue]:
    """The cues of an SRT or VTT file in order of time, tags removed; cues without text or length are left out.

    Speakers come from VTT voices (``<v Mary>``) and from prefixes in capitals (``MARY: ...``). Any encoding is read.
    Raises ``InvalidRow`` where the file cannot be read as subtitles.
    """
    import pysubs2

    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRow(f"{path.name} is too large for a subtitle file", reason="invalid")
        content = _decode(path.read_bytes())
    except OSError as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    is_vtt = content.lstrip().startswith("WEBVTT")
    try:
        options = {"keep_html_tags": True, "keep_unknown_html_tags": True}
        events = pysubs2.SSAFile.from_string(content, format_="vtt" if is_vtt else "srt", **options).events
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError, OverflowError) as error:
        raise InvalidRow(f"{path.name} cannot be read as subtitles: {error}", reason="invalid") from error
    cues = [cue for event in events for cue in _to_cues(event.start / 1000, event.end / 1000, event.text)]
    if not cues and content.strip() not in ("", "WEBVTT"):
        raise InvalidRow(f"{path.name} holds no subtitle", reason="invalid")
    return sorted(cues, key=lambda cue: cue.span)


def words_of(cues: Sequence[Cue], spans: Sequence[Span]) -> list[Words]:
    """For each span the cues that overlap it more than any other span does, joined in order of time.

    The speaker is the one with most of the text; a cue that overlaps no span is left out.
    """
    chosen: list[list[Cue]] = [[] for _ in spans]
    for cue in cues:
        overlaps = [_overlap_s(cue.span, span) for span in spans]
        best = max(range(len(spans)), key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] > 0:
            chosen[best].append(cue)
    return [_join(mine) for mine in chosen]


def _join(cues: Sequence[Cue]) -> Words:
    said: dict[str, int] = {}
    for cue in cues:
        if cue.speaker:
            said[cue.speaker] = said.get(cue.speaker, 0) + len(cue.text)
    text = " ".join(cue.text for cue in cues)
    return Words(text or None, max(said, key=said.__getitem__) if said else None)


def _overlap_s(a: Span, b: Span) -> float:
    return min(a.end_s, b.end_s) - max(a.start_s, b.start_s)


def _decode(raw: bytes) -> str:
    for bom, encoding in _BOMS.items():
        if raw.startswith(bom):
            return raw.decode(encoding, "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        guesses = from_bytes(raw, cp_isolation=list(_LEGACY))
        best = guesses.best()
        likely = [one for one in guesses if best is not None and one.chaos <= best.chaos + 0.05]
        chosen = next((one for one in likely if one.encoding == "cp1252"), best)
        return str(chosen) if chosen is not None else raw.decode("cp1252", "replace")


def _to_cues(start_s: float, end_s: float, marked_up: str) -> list[Cue]:
    if not 0 <= start_s < end_s:
        return []
    marked_up = marked_up.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").replace("\0", "")
    voices = list(_VOICE.finditer(marked_up))
    if not voices:
        return _plain_cue(Span(start_s, end_s), marked_up, None)
    cues = _plain_cue(Span(start_s, end_s), marked_up[: voices[0].start()], None)
    for voice, after in zip(voices, [*voices[1:], None], strict=True):
        part = marked_up[voice.end() : after.start() if after else None]
        cues += _plain_cue(Span(start_s, end_s), part, _tidy(voice.group(1)) or None)
    return cues


def _plain_cue(span: Span, marked_up: str, speaker: str | None) -> list[Cue]:
    text = html.unescape(_TAG.sub("", marked_up))
    prefix = _PREFIX.match(text)
    if speaker is None and prefix and prefix.group(1).isupper():
        speaker, text = _tidy(prefix.group(1)), text[prefix.end() :]
    lines = [re.sub(r"^\s*[-–—]\s+", "", line) for line in text.splitlines()]
    text = _tidy(" ".join(lines))
    return [Cue(span, text, speaker)] if text else []


def _tidy(text: str) -> str:
    return " ".join(html.unescape(text).split())
