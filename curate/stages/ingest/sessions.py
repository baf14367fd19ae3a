"""Sessions: which files are recordings of one event, and when each of them starts on its common clock."""

import math
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.corpus.kept import KEPT_COLUMNS, kept_values
from curate.errors import InvalidInput
from curate.sentences import count_of, nearest
from curate.stages.contract import Rejection
from curate.stages.ingest.patterns import check_pattern_runs, named_groups

_MAX_PATTERN_CHARS = 500
_MAX_OFFSET_S = 1e7
_MAX_NAMED = 3


class Session(BaseModel):
    """Which files are recordings of one event, such as two cameras or two microphones, and when each of them starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str | None = Field(default=None, max_length=_MAX_PATTERN_CHARS)
    """A regular expression on a file's whole name. Its group ``session`` names the session, ``part`` the camera or
    microphone: ``raw/(?P<session>S\\d+)_(?P<part>cam\\d)\\.mp4``. Files that it does not fit are in no session."""
    column: str | None = None
    """Instead of ``pattern``: a column with the session, which ``tables`` keep (``item: {keep: …}``)."""
    offset_s: dict[str, float] = {}
    """When files start, in seconds on the session's clock: by part, such as ``cam2: 1.35``, or by file, which comes
    first. A file that is not listed starts at 0."""
    offset_column: str | None = None
    """With ``column``: the kept column with that time."""

    @model_validator(mode="after")
    def _check(self) -> "Session":
        if (self.pattern is None) == (self.column is None):
            raise ValueError("name either `pattern`, for the names of files, or `column`, for what tables keep")
        if self.pattern is not None:
            check_pattern_runs(self.pattern)
            if "session" not in re.compile(self.pattern).groupindex:
                raise ValueError("pattern has no group (?P<session>…)")
            if self.offset_column is not None:
                raise ValueError("offset_column goes with `column`")
        elif self.offset_s and self.offset_column is not None:
            raise ValueError("give the times either in `offset_s` or in `offset_column`")
        for name, offset_s in self.offset_s.items():
            if not math.isfinite(offset_s) or abs(offset_s) > _MAX_OFFSET_S:
                raise ValueError(f"offset_s: {name} is {offset_s:g}, which is no time in seconds")
        return self


def check_sessions(session: Session, files: Sequence[str]) -> None:
    """Raise ``InvalidInput`` if the pattern fits no file, or a time is for a part or file that there is not."""
    if session.pattern is None:
        names, parts = set(files), set()
    else:
        groups = named_groups(files, session.pattern)
        names = {file for file, match in zip(files, groups, strict=True) if match is not None}
        parts = {match["part"] for match in groups if match is not None and "part" in match}
        if files and not names:
            raise InvalidInput(
                f"the pattern of `session` fits none of {count_of(len(files), 'file')}, such as {files[0]!r}",
                hint="it has to fit the whole name, with its folders",
            )
    unknown = [name for name in session.offset_s if name not in names and name not in parts]
    if unknown:
        known = sorted(parts) or sorted(names)
        raise InvalidInput(
            f"offset_s of `session` names {unknown[0]!r}, which is no part or file of a session"
            f"{nearest(unknown[0], known)}",
            hint=f"parts and files are {', '.join(known[:_MAX_NAMED])}{', …' if len(known) > _MAX_NAMED else ''}",
        )


def with_sessions(session: Session, sources: pa.Table) -> tuple[pa.Table, list[Rejection]]:
    """Return rows of ``sources`` with ``session`` and ``session_offset_s``, and a rejection for each without a time."""
    files = sources["file"].to_pylist()
    if session.pattern is not None:
        groups = named_groups(files, session.pattern)
        names = [match.get("session") or None if match else None for match in groups]
        parts = [match.get("part", "") if match else "" for match in groups]
    else:
        names, parts = _kept(sources, session.column), [""] * len(files)
    texts = _kept(sources, session.offset_column)
    offsets: list[float | None] = []
    rejections: list[Rejection] = []
    for file, name, part, text in zip(files, names, parts, texts, strict=True):
        offset_s = session.offset_s.get(file, session.offset_s.get(part, 0.0))
        number = _number(text) if session.offset_column is not None else offset_s
        offsets.append(None if name is None else number)
        if name is not None and number is None:
            detail = f"{file}: column {session.offset_column!r} holds {text!r}, which is no time"
            rejections.append(Rejection(file, file, "invalid", detail))
    columns = {"session": pa.array(names, pa.string()), "session_offset_s": pa.array(offsets, pa.float64())}
    for column, values in columns.items():
        sources = sources.set_column(sources.column_names.index(column), column, values)
    wrong = pa.array([rejection.subject for rejection in rejections], pa.string())
    return sources.filter(pc.invert(pc.is_in(sources["file"], value_set=wrong))), rejections


def _kept(sources: pa.Table, name: str | None) -> list[str | None]:
    """Return the values that sources keep of a column of their table."""
    values = kept_values(sources[KEPT_COLUMNS], name) if name is not None and sources.num_rows else None
    cells = values.to_pylist() if values is not None else [None] * sources.num_rows
    return [(cell or "").strip() or None for cell in cells]


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) <= _MAX_OFFSET_S else None
