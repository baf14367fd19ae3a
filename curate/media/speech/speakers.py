"""Read speaker turns from a user's RTTM or CSV file."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.media.container.decode import Span

SUFFIXES = (".rttm", ".csv")
MAX_BYTES = 20_000_000
MIN_SHARE = 0.5
"""The speaker of an item must have at least this share of all speech in it."""


class SpeakerTurn(NamedTuple):
    """One stretch of speech of one speaker."""

    span: Span
    speaker: str


def find_turn_file(path: Path, media: str) -> Path | None:
    """Return the file with the turns of a source: ``path`` itself, or ``<stem>.rttm`` or ``.csv`` in that folder."""
    if not path.is_dir():
        return path
    candidates = (path / (Path(media).stem + suffix) for suffix in SUFFIXES)
    return next((file for file in candidates if file.is_file()), None)


def turn_files(path: Path | None) -> list[Path]:
    """Return all files with turns: ``path`` itself, or those in that folder, sorted by name."""
    if path is None:
        return []
    files = [path] if path.is_file() else sorted(path.glob("*")) if path.is_dir() else []
    return [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]


def load_turns(path: Path, media: str) -> list[SpeakerTurn]:
    """Return the turns of one media file, in order of time, from an RTTM or CSV file that may cover several.

    RTTM lines are ``SPEAKER <file> <channel> <start> <length> <NA> <NA> <name> ...``; a CSV file has the columns
    ``start_s``, ``end_s``, ``speaker`` and, if it covers several files, ``file``. Files are matched by name with or
    without suffix. Raises ``InvalidRow`` with the line that cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRow(f"{path.name} is too large for a file of speaker turns", reason="invalid")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except UnicodeDecodeError as error:
        raise InvalidRow(f"{path.name} is not UTF-8 text", reason="invalid") from error
    lines = text.splitlines()
    turns = _rttm(path, lines) if path.suffix.lower() == ".rttm" else _csv(path, lines)
    names = {Path(media).name, Path(media).stem, media}
    return sorted(turn for file, turn in turns if file is None or file in names)


def dominant_speakers(turns: Sequence[SpeakerTurn], spans: Sequence[Span]) -> list[str | None]:
    """Return for each span the speaker who speaks longest in it; None if that is less than half of the speech there."""
    return [_dominant_speaker(turns, span) for span in spans]


def _dominant_speaker(turns: Sequence[SpeakerTurn], span: Span) -> str | None:
    seconds: dict[str, float] = {}
    for turn in turns:
        overlap_s = min(turn.span.end_s, span.end_s) - max(turn.span.start_s, span.start_s)
        if overlap_s > 0:
            seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + overlap_s
    longest = max(seconds, key=seconds.__getitem__, default=None)
    return longest if longest is not None and seconds[longest] >= MIN_SHARE * sum(seconds.values()) else None


def _rttm(path: Path, lines: Sequence[str]) -> Iterator[tuple[str | None, SpeakerTurn]]:
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";") or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise InvalidRow(f"{path.name}:{number}: a SPEAKER line has at least 8 fields", reason="invalid")
        start_s = _seconds(path, number, fields[3])
        yield fields[1], _turn(path, number, start_s, start_s + _seconds(path, number, fields[4]), fields[7])


def _csv(path: Path, lines: Sequence[str]) -> Iterator[tuple[str | None, SpeakerTurn]]:
    reader = csv.DictReader(lines)
    try:
        missing = {"start_s", "end_s", "speaker"} - set(reader.fieldnames or ())
        if missing:
            raise InvalidRow(f"{path.name} lacks the column {', '.join(sorted(missing))}", reason="invalid")
        for row in reader:
            start_s, end_s = (_seconds(path, reader.line_num, row[name]) for name in ("start_s", "end_s"))
            turn = _turn(path, reader.line_num, start_s, end_s, row["speaker"] or "")
            yield (row.get("file") or "").strip() or None, turn
    except csv.Error as error:
        raise InvalidRow(f"{path.name} cannot be read as CSV: {error}", reason="invalid") from error


def _seconds(path: Path, number: int, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRow(f"{path.name}:{number}: {text!r} is not a time in seconds", reason="invalid")
    return value


def _turn(path: Path, number: int, start_s: float, end_s: float, speaker: str) -> SpeakerTurn:
    speaker = " ".join(speaker.replace("\0", "").split())
    if not 0 <= start_s < end_s or not speaker:
        raise InvalidRow(
            f"{path.name}:{number}: not a turn: it needs a start, a later end and a name", reason="invalid"
        )
    return SpeakerTurn(Span(start_s, end_s), speaker)
