"""Who speaks when, as a user's RTTM or CSV file tells."""

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
"""A turn names an item's speaker where it covers this share of what is said in it by anyone."""


class SpeakerTurn(NamedTuple):
    """One stretch of speech of one speaker."""

    span: Span
    speaker: str


def find_turn_file(file: Path, media: str) -> Path | None:
    """The file that tells a source's speakers: the file itself, or ``<stem>.rttm`` or ``.csv`` in the folder."""
    if not file.is_dir():
        return file
    return next((path for s in SUFFIXES if (path := file / (Path(media).stem + s)).is_file()), None)


def turn_files(path: Path | None) -> list[Path]:
    """The files that tell speakers: the file itself, or those of a folder, by name."""
    if path is None:
        return []
    files = [path] if path.is_file() else sorted(path.glob("*")) if path.is_dir() else []
    return [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]


def load_turns(path: Path, media: str) -> list[SpeakerTurn]:
    """The turns of one media file, in order of time, from an RTTM or CSV file that may tell of many.

    RTTM lines are ``SPEAKER <file> <channel> <start> <length> <NA> <NA> <name> ...``; a CSV file has columns
    ``start_s``, ``end_s``, ``speaker`` and, where it tells of several files, ``file``. Files are matched by name with
    or without suffix. Raises ``InvalidRow`` naming the line that cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRow(f"{path.name} is too large for a file of speakers", reason="invalid")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except UnicodeDecodeError as error:
        raise InvalidRow(f"{path.name} is not UTF-8 text", reason="invalid") from error
    lines = text.splitlines()
    found = _rttm(path, lines) if path.suffix.lower() == ".rttm" else _csv(path, lines)
    names = {Path(media).name, Path(media).stem, media}
    return sorted(turn for file, turn in found if file is None or file in names)


def dominant_speakers(turns: Sequence[SpeakerTurn], spans: Sequence[Span]) -> list[str | None]:
    """For each span the speaker who speaks longest in it, where that is at least half of what is said there."""
    found: list[str | None] = []
    for span in spans:
        said: dict[str, float] = {}
        for turn in turns:
            shared = min(turn.span.end_s, span.end_s) - max(turn.span.start_s, span.start_s)
            if shared > 0:
                said[turn.speaker] = said.get(turn.speaker, 0.0) + shared
        first = max(said, key=said.__getitem__, default=None)
        found.append(first if first is not None and said[first] >= MIN_SHARE * sum(said.values()) else None)
    return found


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
            raise InvalidRow(f"{path.name} has no column {', '.join(sorted(missing))}", reason="invalid")
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
        raise InvalidRow(f"{path.name}:{number}: not a turn (start, end after it, and a name)", reason="invalid")
    return SpeakerTurn(Span(start_s, end_s), speaker)
