"""Read RTTM (who speaks when) and CTM (words with their times): text files with a line for each stretch."""

from collections.abc import Callable, Sequence
from pathlib import Path

from curate.errors import InvalidRow
from curate.media.speech.speakers import rttm_turn
from curate.media.tiers.contents import (
    MAX_ANNOTATIONS,
    MAX_BYTES,
    QUOTED,
    Annotation,
    Fault,
    Tier,
    TierFile,
    checked_seconds,
    text_problem,
    time_problem,
)
from curate.media.words.encodings import guess_encoding

_RTTM_TYPES_READ = "SPEAKER"
_MIN_CTM_FIELDS = 5


def read_rttm(path: Path) -> TierFile:
    """Return the turns of a file: a tier for each speaker, whose name is the text. Only SPEAKER lines are read.

    Raises ``InvalidRow`` if the file as a whole cannot be read, and ``OSError``.
    """
    return _read(path, _rttm_annotation)


def read_ctm(path: Path) -> TierFile:
    """Return the words of a file: a tier for each channel.

    Lines are ``<file> <channel> <start> <length> <word> [<confidence> [<type> [<speaker>]]]``. Raises as ``read_rttm``.
    """
    return _read(path, _ctm_annotation)


def load_lines(path: Path) -> list[str]:
    """Return the lines of a text file, in its encoding. Raises ``InvalidRow`` if that is unclear, and ``OSError``."""
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRow(f"it is longer than {MAX_BYTES // 10**6} MB: split it")
    content = path.read_bytes()
    encoding, doubt = guess_encoding(content)
    if doubt:
        raise InvalidRow(f"it {doubt}")
    try:
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidRow(f"it is damaged {error.encoding} text (byte {error.start})") from error


def _read(path: Path, read: Callable[[int, Sequence[str]], Annotation | None]) -> TierFile:
    tiers: dict[str, Tier] = {}
    annotations: list[Annotation] = []
    faults: list[Fault] = []
    for line, text in enumerate(load_lines(path), start=1):
        fields = text.split()
        if not fields or fields[0].startswith(";"):
            continue
        try:
            annotation = read(line, fields)
            if annotation is None:
                continue
            if problem := time_problem(annotation.start_s, annotation.end_s) or text_problem(annotation.text):
                raise ValueError(problem)
        except ValueError as error:
            faults.append(Fault(line, f"line {line}: {error}"))
            continue
        annotations.append(annotation)
        tiers.setdefault(annotation.tier, Tier(annotation.tier))
        if len(annotations) > MAX_ANNOTATIONS:
            raise InvalidRow(f"it has more than {MAX_ANNOTATIONS:,} lines: split it")
    return TierFile(tiers, annotations, faults)


def _rttm_annotation(line: int, fields: Sequence[str]) -> Annotation | None:
    if fields[0] != _RTTM_TYPES_READ:
        return None
    turn = rttm_turn(fields)
    confidence = fields[8] if len(fields) > 8 and fields[8] != "<NA>" else ""
    return Annotation(
        line, turn.speaker, *turn.span, turn.speaker, confidence=confidence, media=fields[1], participant=turn.speaker
    )


def _ctm_annotation(line: int, fields: Sequence[str]) -> Annotation:
    if len(fields) < _MIN_CTM_FIELDS:
        raise ValueError(
            f"a line has at least {_MIN_CTM_FIELDS} fields, not {len(fields)}: {' '.join(fields)[:QUOTED]!r}"
        )
    media, channel, start, length, word, *rest = fields
    start_s = checked_seconds(start)
    end_s = round(start_s + checked_seconds(length), 6)
    confidence = rest[0] if rest and rest[0].upper() != "NA" else ""
    speaker = rest[2] if len(rest) > 2 else ""
    return Annotation(line, channel, start_s, end_s, word, confidence=confidence, media=media, participant=speaker)
