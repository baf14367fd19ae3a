"""The settings of signals: which files they are in, whose they are, and how their columns and clock are read."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.annotation.importing.settings import FILE_COLUMN, check_pattern
from curate.annotation.importing.value_settings import Globs, Template, Text
from curate.sentences import nearest
from curate.stages.ingest.patterns import check_pattern_runs

Format = Literal["openface", "py-feat", "opensmile", "coded", "csv", "npy"]
Figure = Literal["mean", "maximum", "present_share"]
PARTS = ("stem", "folder", "name")
"""What ``media`` may name of a signal's file: its name without suffix, its folder, and its name."""


class Signal(BaseModel):
    """Files with values over time, such as those of OpenFace, and the media that each of them is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """What the signal is called in tables and releases, such as ``openface``."""
    files: Annotated[Globs, Field(min_length=1)]
    """Globs of its files (.csv, .tsv, .txt, .arff, .npy), relative as those of ``ingest``. Each is of one medium,
    unless ``medium_column`` names that of each row."""
    format: Format | None = None
    """What wrote the files; by default what their header shows. ``coded`` is a table of action units that people coded:
    ``frame,1,2,4`` with 0-5 or A-E, and 9 where nothing can be coded."""
    tool: str | None = Field(default=None, min_length=1, max_length=100)
    """The tool and its version, such as ``OpenFace 2.2.0``, for the data card; by default what the format says."""
    media: Template | None = None
    """The raw file that a file belongs to, such as ``raw/{stem}.mp4``: ``{stem}``, ``{name}`` and ``{folder}`` are
    those of the signal's file, other names in braces groups of ``extract``. By default the medium with the same stem.
    """
    medium_column: Text | None = None
    """For a table of several media, such as functionals by openSMILE: the column that names the medium of each row.
    ``media`` and ``extract`` then take its cells apart instead of the file's name."""
    extract: dict[str, str] = {}
    """A regular expression on ``<file>``, the signal's file; its named groups are for ``media``."""
    columns: tuple[str, ...] = ()
    """Names of the columns, if the first line has none; of an .npy file always, or else they are c0, c1, …"""
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    """What separates cells; by default the character that gives the most columns."""
    keep: Globs = ()
    """The columns to keep, with ``*`` for any characters, such as ``AU*_r``. By default all values; of OpenFace and
    py-feat those of action units, head and gaze, and emotions."""
    time: Text | None = None
    """The column with the time of each row; by default that of the format, or ``timestamp``, ``time`` or ``time_s``."""
    rate_hz: float | None = Field(default=None, gt=0, le=1_000_000)
    """Rows a second, for files without times; where frames are counted, by default the medium's own frame rate."""
    first_frame: int | None = Field(default=None, ge=0, le=1_000_000)
    """The number of the medium's first frame, where frames are counted: by default 1 in coded files, else 0"""
    offset_s: float = Field(default=0.0, ge=-1e7, le=1e7)
    """When the signal's clock shows 0, in seconds from the start of the medium."""
    time_scale: float = Field(default=1.0, gt=0, le=1e6)
    """Seconds of the medium for each unit of the signal's clock: 0.001 for milliseconds, 1.0002 for a slow clock"""
    tolerance_s: float | None = Field(default=None, ge=0)
    """By how much signal and medium may differ in length; by default 0.25 s, or 2 % of the medium if that is more."""
    track: Text | None = None
    """The column that tells several faces apart; by default ``face_id``. Each is a track of its own."""
    confidence: Text | None = None
    """The column that says how sure the tool was; by default that of the format."""
    min_confidence: float | None = None
    """Values of rows below it are missing, and so are those of rows that the tool marks as failed."""
    summary: tuple[Figure, ...] = ()
    """What releases also say of each column in each item, over the values that are not missing."""

    @model_validator(mode="after")
    def _check(self) -> "Signal":
        if unknown := [column for column in self.extract if column != FILE_COLUMN]:
            raise ValueError(f"extract is for {FILE_COLUMN}, the name of the signal's file, and not for {unknown[0]!r}")
        for column, pattern in self.extract.items():
            check_pattern(column, pattern)
            check_pattern_runs(pattern)
        parts = (*PARTS, *(name for pattern in self.extract.values() for name in re.compile(pattern).groupindex))
        if self.media is not None:
            if self.media.template is None:
                raise ValueError("media is a text with names in braces, such as 'raw/{stem}.mp4'")
            for name in self.media.columns:
                if name not in parts:
                    raise ValueError(f"media: {name!r} is not known{nearest(name, parts)}; known: {', '.join(parts)}")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns: give each column a name of its own")
        return self
