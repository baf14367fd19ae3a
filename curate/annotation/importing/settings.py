"""The mapping language: what the columns of a table mean, as settings of a recipe."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.annotation.importing.item_settings import Item, repeated
from curate.annotation.importing.line_settings import Lines
from curate.annotation.importing.paths import parse_path
from curate.annotation.importing.stretch_settings import Stretches
from curate.annotation.importing.turn_settings import SpanMarks
from curate.annotation.importing.value_settings import Column, Globs, Map, Names, Template, Texts, Value
from curate.corpus.hub_names import DATASET

ExportFormat = Literal["label-studio", "argilla", "prodigy", "doccano", "coco", "cvat", "via"]
"""The annotation tools whose exports can be read."""
Offsets = Literal["characters", "utf16", "bytes"]
RATER_COLUMN = "<rater>"
"""A column that every export has: who judged; blank where it does not say."""
FILE_COLUMN = "<file>"
"""A column that every table has: the name of its file."""
INDEX_COLUMN, CELL = "<index>", "<cell>"
"""A column with the place of a row below the names of the columns, from 0, counting blank and unusable lines, too; and
one with the cells that ``unpivot`` makes rows of."""
FORMS = ("long", "wide", "votes", "ticks", "spans", "stretches")
"""The forms in which a table may hold judgements."""
_MAX_PATTERN_CHARS = 500


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _check_rows(path: str | None) -> str | None:
    if path is not None:
        parse_path(path)
    return path


Rows = Annotated[str | None, AfterValidator(_check_rows)]


class Join(_Settings):
    """Another table whose columns are added to the rows that it has a row for."""

    table: str
    """The file of the other table, or a glob."""
    by: Names
    """Columns of this table and the columns of the other that hold the same."""
    take: dict[str, str] = {}
    """Columns of the other table under names of one's own, such as one that both have."""
    columns: tuple[str, ...] = ()
    """Names of the other table's columns, if its first line has none."""
    sheet: str | None = None
    """The sheet of an Excel file or table of an audformat database, if it has several."""
    rows: Rows = None
    """Where the rows of a JSON file are, if they are not the file's own; see ``rows`` of tables."""
    lines: Lines | None = None
    """Which lines of a text file are rows, if it has no cells; see ``lines`` of tables."""


class KnownBad(_Settings):
    """Rows that are left out, and why; they are counted."""

    when: dict[str, Texts] = {}
    """The values of columns that all have to fit."""
    same: tuple[str, ...] = ()
    """Columns that all have to hold the same."""
    reason: str = Field(min_length=1, max_length=300)
    """Why they are left out, for the rejection."""

    @model_validator(mode="after")
    def _check(self) -> "KnownBad":
        if not self.when and len(self.same) < 2:
            raise ValueError("name values in `when`, or two columns or more in `same`")
        return self


class Ticks(_Settings):
    """Labels that are ticked or not: a row for each label, or a column for each label."""

    label: Column | None = None
    """The label that a row is about."""
    value: Column | None = None
    """Whether it is ticked: true, yes, 1 or x."""
    columns: Names = {}
    """Columns that are ticked or not, and the labels they are for."""
    intensity: Map = {}
    """If the field asks how strong each label is: what the cells of ``columns`` say of it, such as
    ``{0: null, 1: weak}``. Null or a blank cell: the label is not there. Cells that are not listed stay as
    they are."""

    @model_validator(mode="after")
    def _check(self) -> "Ticks":
        if (self.label is None) != (self.value is None) or (self.label is None) == (not self.columns):
            raise ValueError("name either `label` and `value` (a row for each label) or `columns` (one for each label)")
        return self


class HubTable(_Settings):
    """The Parquet files of a data set on the Hugging Face Hub, or those that the Hub converted it to. No code runs."""

    dataset: str = Field(pattern=rf"^{DATASET}$")
    """Its full name, such as ``acme/interviews``."""
    revision: str = Field(default="main", min_length=1, max_length=200, pattern=r"^[^\s?#]+$")
    """A commit, tag or branch. The workspace stays at the commit that a branch was when it was first read."""
    config: str | None = None
    """The configuration, if the data set has several."""
    split: str | None = None
    """The split; without it, all of them."""

    def __str__(self) -> str:
        return f"hf://datasets/{self.dataset}@{self.revision}"


class Table(_Settings):
    """A table and what its columns mean: items, judgements of them, or both."""

    table: Globs = ()
    """Files (globs) of one shape: .csv, .tsv, .json, .jsonl, .parquet, or Excel's .xlsx, .xls and .ods; cells are read
    as text; ``<index>`` is the place of a row, from 0. Files of tiers (ELAN's .eaf, Praat's .TextGrid, .rttm, .ctm,
    NOVA's .annotation, .csv of CARMA) have a row for each annotation, with the columns tier, tier_type, parent_tier,
    participant, annotator, start_s, end_s, text, parent, id, confidence, media (the path of the recording that it
    names) and stem (its own path without suffix). A cell of a Parquet file that holds a picture or sound is a path for
    ``media``. Shards of WebDataset (.tar) have a row
    for each sample: ``__key__``, a column for each suffix, and ``json.<name>``. An audformat database is its
    ``db.yaml``: it has columns ``file``, ``start_s`` and ``end_s``, ``<split>``, those of ``sheet``, and what is known
    of labels, such as ``speaker.gender``."""
    hub: Annotated[
        HubTable | None,
        BeforeValidator(
            lambda v: {"dataset": v} if isinstance(v, str) else v, json_schema_input_type=HubTable | str | None
        ),
    ] = None
    """Instead of ``table``: a data set on the Hugging Face Hub."""
    files: Globs = ()
    """Instead of ``table``: raw files (globs) whose folders and names say something. Each is a row with the column
    ``<file>`` only, which ``extract`` takes apart."""
    format: ExportFormat | None = None
    """The annotation tool whose exports the files are. Each answer of a rater is a row with a column for each control
    (field or question), for what the task says, and ``<rater>`` and ``<media>``, the name of its file."""
    frame_rate_hz: float | None = Field(default=None, gt=0, le=1_000)
    """The frames per second of the videos, if the export counts frames."""
    offsets: Offsets | None = None
    """How the export counts places in texts, if it neither quotes them nor is clear about it."""
    columns: tuple[str, ...] = ()
    """Names of the columns, if the first line has none, or of the members of rows that are JSON lists."""
    sheet: str | None = None
    """The sheet of an Excel file, or table of an audformat database, if it has several. Hidden sheets are read only if
    they are named. An id with leading zeros keeps them if its cell is text or has a format such as 00000; the format
    cannot be read in .xls files."""
    rows: Rows = None
    """Where the rows of a JSON, JSON lines or Parquet file are, as a path of JMESPath to lists within its objects, such
    as ``dialogues[].turns[]``. Columns are then members of a row, paths in it such as ``speaker.name``, ``^id`` for the
    member ``id`` of the object that holds the row, ``^^id`` of what holds that, ``<index>`` for its place in its list
    from 0 (of what is in no list: in its file), ``<list>`` for that of its list in a list of lists,
    ``^labels[<index>]`` for the member of another list at the row's place, ``<key>`` for the name of the member it is
    in, and ``<value>`` for a row that is a text or number."""
    lines: Lines | None = None
    """Which lines of a text file are rows, if they are not cells with something between them. Columns are the named
    groups of the patterns."""
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    """What separates cells; by default the character that gives most of the columns used."""
    quotes: bool = True
    """Whether quotation marks enclose cells; if not, they are characters like any other."""
    where: dict[str, Texts] = {}
    """What columns hold in the rows that this mapping is about, such as ``{tier: [anger, joy*]}``: ``*`` stands for any
    characters. Other rows are for other mappings."""
    ragged: bool = False
    """Whether rows may have other numbers of cells than the first line: cells beyond it are not read, missing ones are
    blank. If not, such rows are rejected, since a text with a delimiter might have moved their cells."""
    unpivot: str | None = None
    """A regular expression on names of columns, such as ``sample_(?P<ms>\\d+)ms``: each cell of a column that fits as a
    whole becomes a row with the column ``<cell>`` and one for each named group. Blank cells become none."""
    matches: dict[str, str] = {}
    """Regular expressions that fit several times in a cell: each time becomes a row, with a column for each named
    group. Between them there is only punctuation."""
    extract: dict[str, str] = {}
    """Regular expressions on columns; each named group becomes a column."""
    join: tuple[Join, ...] = ()
    """Other tables with further columns of the rows."""
    known_bad: tuple[KnownBad, ...] = ()
    """Rows that are left out."""
    item: Item | None = None
    """The items that the rows are about."""
    item_id: Template | None = None
    """Instead of ``item``: the ids of items that are in other tables, or in the workspace."""
    arm: Column | None = None
    """What raters were shown, such as voice."""
    rater: Column | None = None
    """Who judged; without it, judgements are those of unnamed raters."""
    long: dict[str, Column] = {}
    """By field: the value of a table with a row for each judgement."""
    wide: dict[str, Names] = {}
    """By field: columns with a rater's judgements each, and the raters' names."""
    votes: dict[str, Names] = {}
    """By field: columns with numbers of votes, and the labels they are for."""
    ticks: dict[str, Ticks] = {}
    """By field: which labels are ticked."""
    stretches: dict[str, Stretches] = {}
    """By field: which stretches of time rows mark, for timelines and traces; two raters may cut as they like."""
    spans: dict[str, SpanMarks] = {}
    """By field: which words of the item's text or dialogue rows mark."""

    @model_validator(mode="after")
    def _check(self) -> "Table":
        if sum(map(bool, (self.table, self.files, self.hub))) != 1:
            raise ValueError("name either `table`, `hub`, or `files` whose names say something")
        self._check_format()
        if self.files and (self.join or self.columns):
            raise ValueError("files have no columns but <file> and what `extract` takes out of it")
        if self.lines is not None and (self.columns or self.rows or self.sheet or self.delimiter or self.files):
            raise ValueError(
                "`lines` name the columns of a text file: leave out columns, rows, sheet, delimiter, files"
            )
        forms = [name for name in FORMS if getattr(self, name)]
        if len(forms) > 1:
            raise ValueError(f"judgements are either {' or '.join(forms)}: put the others into an entry of their own")
        if self.rater is not None and forms and forms[0] in ("wide", "votes"):
            raise ValueError(f"rater is for rows of one rater; in {forms[0]} tables the columns say who judged")
        if (self.item is None) == (self.item_id is None):
            raise ValueError("name `item` if the table has the items, or `item_id` if it has only their ids")
        if self.rater is None and any(ticks.label is not None for ticks in self.ticks.values()):
            raise ValueError("name the rater: a row for each label says which ticks are one judgement only with them")
        if not forms and self.item is None:
            raise ValueError(
                f"the table gives neither items nor judgements: add {', '.join(FORMS[:-1])} or {FORMS[-1]}"
            )
        if self.stretches and self.rater is None:
            raise ValueError("name the rater: only then it shows which stretches are one judgement")
        if self.spans and (self.item is None or (self.item.text is None and self.item.dialogue is None)):
            raise ValueError("spans are of words that the same table has: name `item` with `text` or `dialogue`")
        for field, columns in self.wide.items():
            if (rater := repeated(columns.values())) is not None:
                raise ValueError(f"two columns of {field} are judgements of rater {rater!r}: a rater judges once")
        for column, pattern in (*self.extract.items(), *self.matches.items()):
            check_pattern(column, pattern)
        if self.unpivot is not None:
            check_pattern("unpivot", self.unpivot)
        if self.files and (self.unpivot or self.matches):
            raise ValueError("files have no cells: take their names apart with `extract`")
        return self

    def _check_format(self) -> None:
        if self.format is None:
            if self.frame_rate_hz is not None or self.offsets is not None:
                raise ValueError("frame_rate_hz and offsets are for exports of annotation tools: name their `format`")
            return
        if not self.table:
            raise ValueError("an export of an annotation tool is a file: name it in `table`")
        if self.columns or self.delimiter or not self.quotes or self.ragged or self.sheet or self.rows:
            raise ValueError(
                "with a format, columns are known: leave out columns, delimiter, quotes, ragged, sheet and rows"
            )
        if self.wide or self.votes or self.ticks or self.spans or self.stretches:
            raise ValueError("each row of an export is one judgement: name its fields in `long`")

    @property
    def judge(self) -> Value | None:
        """Who judged: ``rater``, or in exports of annotation tools whoever they name."""
        return self.rater or (Value(column=RATER_COLUMN) if self.format is not None else None)

    @property
    def places(self) -> tuple[str | HubTable, ...]:
        """Where the files are: globs, or a data set."""
        return self.table if self.hub is None else (self.hub,)

    @property
    def has_judgements(self) -> bool:
        """Whether the table holds judgements."""
        return any(getattr(self, form) for form in FORMS)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the label schema that are judged."""
        return tuple(name for form in FORMS for name in getattr(self, form))

    @property
    def extracted(self) -> tuple[str, ...]:
        """The columns that ``extract``, ``unpivot`` and ``matches`` add."""
        patterns = (*self.extract.values(), *self.matches.values(), self.unpivot or "")
        cells = (CELL,) if self.unpivot is not None else ()
        return (*(name for pattern in patterns for name in re.compile(pattern).groupindex), *cells)

    def columns_used(self) -> dict[str, str]:
        """Return the columns that the mapping reads after joins, each with the setting that names it first."""
        used: dict[str, str] = {}
        facts = [("item_id", self.item_id), ("arm", self.arm), ("rater", self.judge)]
        names = [(column, setting) for setting, value in facts if value is not None for column in value.columns]
        names += [*self.item.columns_read()] if self.item is not None else []
        values: list[tuple[str, Value | None]] = []
        values += [(f"long.{name}", value) for name, value in self.long.items()]
        for name, ticks in self.ticks.items():
            values += [(f"ticks.{name}.label", ticks.label), (f"ticks.{name}.value", ticks.value)]
        names += [(column, setting) for setting, value in values if value is not None for column in value.columns]
        names += [(column, f"{form}.{name}") for form, name, columns in self._column_maps() for column in columns]
        names += [(column, f"spans.{name}") for name, marks in self.spans.items() for column in marks.columns_read]
        names += [
            (column, f"stretches.{name}") for name, marks in self.stretches.items() for column in marks.columns_read
        ]
        names += [(column, "where") for column in self.where]
        names += [(column, "known_bad") for bad in self.known_bad for column in (*bad.when, *bad.same)]
        names += [(column, "join") for join in self.join for column in join.by]
        for column, setting in names:
            used.setdefault(column, setting)
        for name in self.extracted:
            used.pop(name, None)
        for column in self.matches:
            used.setdefault(column, "matches")
        for column in self.extract:
            if column not in self.extracted:
                used.setdefault(column, "extract")
        return used

    @property
    def judged_columns(self) -> tuple[str, ...]:
        """The columns that hold judgements."""
        long = [column for value in self.long.values() for column in value.columns]
        maps = [column for _, _, columns in self._column_maps() for column in columns]
        pairs = [(ticks.label, ticks.value) for ticks in self.ticks.values()]
        ticked = [name for pair in pairs for value in pair if value is not None for name in value.columns]
        return tuple(dict.fromkeys([*long, *maps, *ticked]))

    def _column_maps(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        yield from (("wide", name, columns) for name, columns in self.wide.items())
        yield from (("votes", name, columns) for name, columns in self.votes.items())
        yield from (("ticks", name, ticks.columns) for name, ticks in self.ticks.items())


def check_pattern(column: str, pattern: str) -> None:
    """Raise ``ValueError`` unless a pattern for a column is a regular expression with named groups, and short."""
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise ValueError(f"the pattern for {column!r} is longer than {_MAX_PATTERN_CHARS} characters")
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"the pattern for {column!r} is not a regular expression: {error}") from error
    if not groups:
        raise ValueError(f"the pattern for {column!r} has no named group such as (?P<speaker>..)")
