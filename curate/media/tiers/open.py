"""Read a file of tiers of any kind that is known, by the end of its name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from curate.errors import InvalidRow
from curate.media.tiers.carma import is_carma, read_carma
from curate.media.tiers.contents import TierFile
from curate.media.tiers.elan.read import read_eaf
from curate.media.tiers.lines import read_ctm, read_rttm
from curate.media.tiers.nova import read_nova
from curate.media.tiers.textgrid import read_textgrid

_READERS: Mapping[str, Callable[[Path], TierFile]] = {
    ".eaf": read_eaf,
    ".textgrid": read_textgrid,
    ".rttm": read_rttm,
    ".ctm": read_ctm,
    ".annotation": read_nova,
}
SUFFIXES = tuple(_READERS)
"""The ends of the names of files of tiers, in lower case; exports of CARMA end in .csv."""


def is_tier_file(path: Path) -> bool:
    """Return whether a file is one of tiers. Raises ``OSError`` if a CSV file cannot be opened."""
    suffix = path.suffix.lower()
    return suffix in _READERS or (suffix == ".csv" and is_carma(path))


def read_tier_file(path: Path) -> TierFile:
    """Return what a file of tiers holds. Raises ``InvalidRow`` if it cannot be read as a whole, and ``OSError``."""
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix) or (read_carma if suffix == ".csv" else None)
    if reader is None:
        raise InvalidRow(f"it is none of {', '.join(SUFFIXES)}")
    return reader(path)
