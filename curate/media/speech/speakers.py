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
_RTTM_FIELDS = 10
_MAX_NAMED = 3
MIN_SHARE = 0.5
"""The speaker of an item must have at least this share of all speech in it."""


class SpeakerTurn(NamedTuple):
    """One stretch of speech of one speaker."""

    span: Span
    speaker: str


class SpeakerTurns(NamedTuple):
    """The turns of one media file, in order of time, and one sentence for everything that cannot be used."""

    turns: list[SpeakerTurn]
    problems: list[str]


def find_turn_file(file: Path, media: str) -> tuple[Path, bool] | None:
    """Return the file that names a source's speakers, and whether its place says that it is only of this source.

    That is the file itself, or ``<stem>.rttm`` or ``.csv`` in the folder, in the same subfolder as the source if there
    is one.
    """
    if not file.is_dir():
        return file, False
    parents = Path(media).parent.parts
    for folder in [Path(*parents[start:]) for start in range(len(parents))]:
        if (named := _named(file / folder, Path(media).stem)) is not None:
            return named, True
    named = _named(file, Path(media).stem)
    return None if named is None else (named, False)


def _named(folder: Path, stem: str) -> Path | None:
    files = [path for path in turn_files(folder) if path.stem == stem and path.parent == folder]
    return min(files, key=lambda path: SUFFIXES.index(path.suffix.lower()), default=None)


def turn_files(path: Path | None) -> list[Path]:
    """Return the files that name speakers: the file itself, or those in a folder and its subfolders, by name."""
    if path is None:
        return []
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    return [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]


def load_turns(
    path: Path, media: str, *, namesakes: Sequence[str] = (), is_only_of_media: bool = False
) -> SpeakerTurns:
    """Return the turns of one media file, from an RTTM or CSV file that may be about many.

    RTTM lines are ``SPEAKER <file> <channel> <start> <length> <NA> <NA> <name> <confidence> <NA>``; a CSV file has
    columns ``start_s``, ``end_s``, ``speaker`` and, if it is about several files, ``file``. Files are matched by path
    or name, with or without suffix. ``namesakes`` are other media with the same stem: for them and ``media``, a name
    without its folder names no file, unless the place of the file says which. A line that cannot be read is left out.
    Raises ``InvalidRow`` if that holds for the whole file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidRow(f"{path.name} is too large for a file of speaker turns", reason="invalid")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidRow(f"{path.name} cannot be opened: {error.strerror}", reason="unreadable") from error
    except UnicodeDecodeError as error:
        raise InvalidRow(f"{path.name} is not UTF-8 text", reason="invalid") from error
    problems: list[str] = []
    lines = text.splitlines()
    turns_of_files = list(_rttm(lines, problems) if path.suffix.lower() == ".rttm" else _csv(path, lines, problems))
    problems = [_listed(f"{path.name}: not read", problems)] if problems else []
    by_file: dict[str | None, list[SpeakerTurn]] = {}
    for file, turn in turns_of_files:
        by_file.setdefault(file, []).append(turn)
    full = {media, str(Path(media).with_suffix(""))}
    short = {Path(media).name, Path(media).stem} - full
    rivals = [] if is_only_of_media else [namesake for namesake in namesakes if namesake != media]
    ambiguous = sorted(name for name in by_file if name in short) if rivals else []
    if rivals and None in by_file and path.stem == Path(media).stem:
        ambiguous.append(path.stem)
        by_file.pop(None)
    if ambiguous:
        stems = " and ".join(str(Path(name).with_suffix("")) for name in sorted([media, *rivals])[:_MAX_NAMED])
        problems.append(f"{path.name}: {ambiguous[0]} is ambiguous: write {stems}")
    names = full if rivals else full | short
    turns = sorted(turn for name, of_file in by_file.items() if name is None or name in names for turn in of_file)
    if not turns and not ambiguous:
        named_files = sorted(name for name in by_file if name is not None)
        content = (
            f"it names {', '.join(named_files[:_MAX_NAMED])}" if named_files else "it has no turn that can be read"
        )
        problems.append(f"{path.name} names no turn of {Path(media).name}: {content}")
    return SpeakerTurns(turns, problems)


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


def _rttm(lines: Sequence[str], problems: list[str]) -> Iterator[tuple[str | None, SpeakerTurn]]:
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";") or fields[0] != "SPEAKER":
            continue
        try:
            yield fields[1], rttm_turn(fields)
        except (ValueError, IndexError) as error:
            problems.append(f"line {number}: {error}" if fields[1:] else f"line {number}: nothing follows SPEAKER")


def rttm_turn(fields: Sequence[str]) -> SpeakerTurn:
    """Return the turn of an RTTM line. A name has spaces where all that surrounds it is ``<NA>``."""
    if len(fields) < 8:
        raise ValueError(f"a SPEAKER line has at least 8 fields, not {len(fields)}")
    name, rest = fields[7], fields[8:]
    if len(fields) > _RTTM_FIELDS and all(field == "<NA>" for field in (*fields[5:7], *fields[-2:])):
        name, rest = " ".join(fields[7:-2]), fields[-2:]
    if len(rest) > 2 or not all(_is_number(field) or field == "<NA>" for field in rest):
        raise ValueError(f"{fields[7]!r} is followed by {' '.join(rest)[:40]!r}: a name has no spaces in RTTM")
    start_s = _seconds(fields[3])
    return _turn(start_s, start_s + _seconds(fields[4]), name)


def _csv(path: Path, lines: Sequence[str], problems: list[str]) -> Iterator[tuple[str | None, SpeakerTurn]]:
    reader = csv.DictReader(lines)
    try:
        missing = {"start_s", "end_s", "speaker"} - set(reader.fieldnames or ())
        if missing:
            raise InvalidRow(f"{path.name} lacks the column {', '.join(sorted(missing))}", reason="invalid")
        for row in reader:
            try:
                if row.get(None):
                    raise ValueError("more cells than columns")
                turn = _turn(_seconds(row["start_s"]), _seconds(row["end_s"]), row["speaker"] or "")
            except ValueError as error:
                problems.append(f"line {reader.line_num}: {error}")
            else:
                yield (row.get("file") or "").strip() or None, turn
    except csv.Error as error:
        raise InvalidRow(f"{path.name} cannot be read as CSV: {error}", reason="invalid") from error


def _listed(subject: str, problems: Sequence[str]) -> str:
    more = f"; and {len(problems) - _MAX_NAMED} more" if len(problems) > _MAX_NAMED else ""
    return f"{subject}: {'; '.join(problems[:_MAX_NAMED])}{more}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _seconds(text: str | None) -> float:
    if not _is_number(text or ""):
        raise ValueError(f"{text!r} is not a time in seconds")
    return float(text or "")


def _turn(start_s: float, end_s: float, speaker: str) -> SpeakerTurn:
    speaker = " ".join(speaker.replace("\0", "").split())
    if not 0 <= start_s < end_s or not speaker or speaker == "<NA>":
        raise ValueError("not a turn (start, end after it, and a name)")
    return SpeakerTurn(Span(start_s, end_s), speaker)
