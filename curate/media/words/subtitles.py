"""Read subtitles, next to a media file or inside it: cues with speakers and, if the format has them, word times."""

import codecs
import html
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.media.container.captions import read_captions
from curate.media.container.decode import Span
from curate.media.container.open import open_media
from curate.media.words.spread import Word, spread_words

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
MAX_BYTES = 20_000_000
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_LEGACY = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("cp932", "gb18030", "cp949", "big5"),
)
"""Encodings of subtitle files that are not Unicode. Rarer ones are left out, as short texts fit many by chance."""
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_STAMP = re.compile(r"<(?:(\d+):)?(\d\d):(\d\d)\.(\d{3})>")
_MARK = re.compile(r"<t (\d+)>")
_KARAOKE = re.compile(r"\{[^}]*\\[kK][fo]?(\d+)[^}]*\}")
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}")
_PREFIX = re.compile(r"^\s*[-–—]?\s*([^\W\d_][^:\n]{0,39}):\s+")


class Cue(NamedTuple):
    """One subtitle: its span and text, and its speaker and word times if the file has them."""

    span: Span
    text: str
    speaker: str | None
    words: tuple[Word, ...] = ()


def find_sidecar(media: Path) -> Path | None:
    """Return the subtitle file next to a media file: ``stem.srt``, ``stem.vtt``, else ``stem.<language>.srt``."""
    for suffix in SUFFIXES:
        if (path := media.with_suffix(suffix)).is_file():
            return path
    prefix = media.stem + "."
    try:
        subtitles = sorted(path for path in media.parent.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError:
        return None
    is_language = re.compile(r"[\w-]{2,12}").fullmatch
    same_stem = [path for path in subtitles if path.stem == media.stem]
    localized = [path for path in subtitles if path.name.startswith(prefix) and is_language(path.stem[len(prefix) :])]
    return next((path for path in (*same_stem, *localized) if path.is_file()), None)


def load_cues(path: Path) -> list[Cue]:
    """Return the cues of an SRT, VTT or ASS file in order of time, tags removed; empty ones are dropped.

    Speakers come from VTT voices (``<v Mary>``), names of ASS events and prefixes in capitals (``MARY: ...``); word
    times from VTT time stamps and ASS karaoke marks. Any encoding is read. Raises ``InvalidRow`` if the file cannot be
    read as subtitles.
    """
    import pysubs2

    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRow(f"{path.name} is too large for a subtitle file", reason="invalid")
        content = _decode(path.read_bytes())
    except OSError as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    kind = _kind(content)
    # pysubs2 takes any line with two time stamps as the head of a cue.
    content = _STAMP.sub(_to_mark, content)
    try:
        options = {} if kind == "ass" else {"keep_html_tags": True, "keep_unknown_html_tags": True}
        events = pysubs2.SSAFile.from_string(content, format_=kind, **options).events
    except (pysubs2.Pysubs2Error, ValueError, KeyError, IndexError, OverflowError) as error:
        raise InvalidRow(f"{path.name} cannot be read as subtitles: {error}", reason="invalid") from error
    cues = [
        cue
        for event in events
        if not event.is_comment
        for cue in _to_cues(event.start / 1000, event.end / 1000, event.text, event.name)
    ]
    if not cues and content.strip() not in ("", "WEBVTT") and kind != "ass":
        raise InvalidRow(f"{path.name} holds no subtitle", reason="invalid")
    return sorted(cues, key=lambda cue: cue.span)


def embedded_cues(path: Path, *, language: str | None = None) -> list[Cue]:
    """Return the cues of a text track inside a media file, in order of time; empty without one.

    Of several tracks it reads one in ``language`` (ISO 639), else the default track, else the first.
    """
    with open_media(path) as media:
        captions = read_captions(media, language)
    cues = [cue for event in captions for cue in _to_cues(event.start_s, event.end_s, event.text, event.name)]
    return sorted(cues, key=lambda cue: (cue.span, cue.text, cue.speaker or "", cue.words))


def _kind(content: str) -> str:
    start = content.lstrip()
    return "vtt" if start.startswith("WEBVTT") else "ass" if start[:200].lower().startswith("[script info]") else "srt"


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
        likely = [guess for guess in guesses if best is not None and guess.chaos <= best.chaos + 0.05]
        chosen = next((guess for guess in likely if guess.encoding == "cp1252"), best)
        return str(chosen) if chosen is not None else raw.decode("cp1252", "replace")


def _to_cues(start_s: float, end_s: float, marked_up: str, name: str = "") -> list[Cue]:
    if not 0 <= start_s < end_s or _DRAWING.search(marked_up):
        return []
    span = Span(start_s, end_s)
    marked_up = marked_up.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").replace("\0", "")
    voices = list(_VOICE.finditer(marked_up))
    if not voices:
        return _plain_cue(span, marked_up, _tidy(name) or None)
    cues = _plain_cue(span, marked_up[: voices[0].start()], None)
    for voice, after in zip(voices, [*voices[1:], None], strict=True):
        part = marked_up[voice.end() : after.start() if after else None]
        cues += _plain_cue(span, part, _tidy(voice.group(1)) or None)
    return cues


def _plain_cue(span: Span, marked_up: str, speaker: str | None) -> list[Cue]:
    text = html.unescape(_TAG.sub("", marked_up))
    prefix = _PREFIX.match(text)
    if speaker is None and prefix and prefix.group(1).isupper():
        speaker, text = _tidy(prefix.group(1)), text[prefix.end() :]
    text = _tidy(" ".join(re.sub(r"^\s*[-–—]\s+", "", line) for line in text.splitlines()))
    if not text:
        return []
    words = tuple(_timed_words(span, marked_up))
    # Word times hold only if no speaker prefix and no dash was removed.
    return [Cue(span, text, speaker, words if " ".join(word.text for word in words) == text else ())]


def _to_mark(stamp: re.Match[str]) -> str:
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in stamp.groups())
    return f"<t {((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds}>"


def _timed_words(span: Span, marked_up: str) -> list[Word]:
    """Return the words between the time marks of a cue; empty without valid marks."""
    stamps = list(_MARK.finditer(marked_up))
    if stamps:
        times = [int(stamp[1]) / 1000 for stamp in stamps]
        starts, texts = [span.start_s, *times], _split_at(marked_up, stamps, keep_head=True)
    else:
        marks = list(_KARAOKE.finditer(marked_up))
        if not marks:
            return []
        lengths = [int(mark[1]) / 100 for mark in marks]
        starts = [span.start_s + sum(lengths[:index]) for index in range(len(marks))]
        texts = _split_at(marked_up, marks, keep_head=False)
    edges = [*(min(max(start, span.start_s), span.end_s) for start in starts), span.end_s]
    if edges != sorted(edges):
        return []
    plain = [_tidy(html.unescape(_TAG.sub("", text))) for text in texts]
    bounds = pairwise(edges)
    return [
        word
        for text, (start_s, end_s) in zip(plain, bounds, strict=True)
        for word in spread_words(text, [Span(start_s, end_s)])
    ]


def _split_at(text: str, marks: list[re.Match[str]], *, keep_head: bool) -> list[str]:
    parts = [
        text[mark.end() : after] for mark, after in zip(marks, [*(m.start() for m in marks[1:]), None], strict=True)
    ]
    return [text[: marks[0].start()], *parts] if keep_head else parts


def _tidy(text: str) -> str:
    return " ".join(html.unescape(text).split())
