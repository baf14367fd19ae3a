"""Files of tiers as tables: a row for each annotation, with its tier, people, times and text."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from curate.errors import InvalidRow
from curate.media.tiers.contents import Annotation, TierFile
from curate.media.tiers.open import SUFFIXES, is_tier_file, read_tier_file
from curate.media.words.encodings import is_unicode
from curate.stages.tables.delimited import Row

COLUMNS = ("tier", "tier_type", "parent_tier", "participant", "annotator", "start_s", "end_s", "text", "parent", "id")
COLUMNS += ("confidence", "media", "stem")
"""The columns that every file of tiers has; ``media`` is the path of its recording, ``stem`` its own without suffix."""

__all__ = ["COLUMNS", "SUFFIXES", "is_tier_file", "tier_rows"]
_DIGITS = 6


def tier_rows(path: Path, file: str, columns: Collection[str]) -> Iterator[Row]:
    """Yield the annotations of a file with the cells of ``columns`` as text, None for those without; then its faults.

    ``file`` is its name as a table. Raises ``InvalidRow`` if it cannot be read as a whole.
    """
    tiers = read_tier_file(path)
    for annotation in tiers.annotations:
        cells = _cells(annotation, tiers, file)
        values = [cells[name] or None for name in columns]
        if all(value is None or is_unicode(value) for value in values):
            yield Row(annotation.line, values)  # type: ignore[arg-type]
        else:
            yield Row(annotation.line, [], "it is not Unicode text")
    for fault in tiers.faults:
        yield Row(fault.line, [], fault.sentence)


def _cells(annotation: Annotation, tiers: TierFile, file: str) -> dict[str, str]:
    tier = tiers.tiers[annotation.tier]
    media = annotation.media or (tiers.media[0] if tiers.media else "")
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
        "media": _beside(media, file),
        "stem": str(PurePosixPath(file).with_suffix("")),
    }


def _seconds(seconds: float) -> str:
    return repr(round(seconds, _DIGITS))


def _beside(media: str, file: str) -> str:
    """Return the path of a recording that is named as seen from the file; what leads outside is refused later."""
    import posixpath

    return posixpath.normpath(posixpath.join(posixpath.dirname(file), media)) if media else ""
