"""Files of tiers as tables: a row for each annotation, with its tier, people, times and text."""

import posixpath
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from curate.media.tiers.contents import Annotation, Fault, TierFile
from curate.media.tiers.open import read_tier_file
from curate.stages.tables.delimited import Row
from curate.stages.tables.documents import text_row

COLUMNS = (
    *("tier", "tier_type", "parent_tier", "participant", "annotator", "start_s", "end_s", "text", "parent", "id"),
    *("confidence", "media", "stem"),
)
"""The columns that every file of tiers has; ``media`` is the path of its recording, ``stem`` its own without suffix."""

_DIGITS = 6


def tier_rows(path: Path, file: str, columns: Collection[str]) -> Iterator[Row]:
    """Yield the annotations of a file with the cells of ``columns`` as text, None for those without; then its faults.

    ``file`` is its name as a table. Raises ``InvalidRow`` if it cannot be read as a whole.
    """
    tiers = read_tier_file(path)
    entries: list[Annotation | Fault] = sorted([*tiers.annotations, *tiers.faults], key=lambda entry: entry.line)
    # Rows are told apart by their lines: where several are in one line, they are counted instead.
    is_by_line = len({entry.line for entry in entries}) == len(entries)
    for number, entry in enumerate(entries, start=1):
        line = entry.line if is_by_line else number
        if isinstance(entry, Fault):
            yield Row(line, [], entry.sentence)
            continue
        cells = _cells(entry, tiers, file)
        yield text_row(line, [cells[name] or None for name in columns])


def recording_of(tiers: TierFile, file: str) -> str:
    """Return the path of the recording that a file names first, as seen from where ``file`` is; empty without one."""
    return _beside(tiers.media[0], file) if tiers.media else ""


def _cells(annotation: Annotation, tiers: TierFile, file: str) -> dict[str, str]:
    tier = tiers.tiers[annotation.tier]
    return {
        "tier": tier.name,
        "tier_type": tier.kind,
        "parent_tier": tier.parent,
        "participant": annotation.participant or tier.participant,
        "annotator": tier.annotator,
        "start_s": _seconds(annotation.start_s),
        "end_s": _seconds(annotation.end_s),
        "text": annotation.text,
        "parent": annotation.parent,
        "id": annotation.name,
        "confidence": annotation.confidence,
        "media": _beside(annotation.media, file) if annotation.media else recording_of(tiers, file),
        "stem": str(PurePosixPath(file).with_suffix("")),
    }


def _seconds(seconds: float) -> str:
    return repr(round(seconds, _DIGITS))


def _beside(media: str, file: str) -> str:
    """Return the path of a recording that is named as seen from the file; what leads outside is refused later."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), media)) if media else ""
