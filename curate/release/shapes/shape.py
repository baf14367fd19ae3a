"""What a shape is: a function that writes a release into a folder, and what it says about that."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from curate.release.shapes.released import ReleasedRows


@dataclass
class Written:
    """What was written, as counts; what was left out, as counts by reason; and how to load it.

    ``files`` has the pattern of the files of each split, if ``datasets`` can load them. ``guide`` is Markdown.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    files: Mapping[str, str] = field(default_factory=dict)
    guide: str = ""


class Shape(NamedTuple):
    """A shape by its name, what it is in a few words, and the function that writes it into an empty folder."""

    name: str
    meaning: str
    write: Callable[[ReleasedRows, Path], Written]
