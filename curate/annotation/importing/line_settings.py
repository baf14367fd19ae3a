"""Text files whose lines follow patterns, as settings of a recipe."""

import re
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, model_validator

_MAX_PATTERN_CHARS = 500


class Lines(BaseModel):
    """Lines of a text file as rows: what their patterns take out of them are the columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str
    """A regular expression that a line must fit as a whole to be a row; each named group is a column."""
    under: str | None = None
    """A regular expression for lines that say what the rows below them are of, until the next such line; their named
    groups are columns of these rows, too. Rows below a line that fits nothing are rejected with it, as it may have been
    such a line."""
    skip: str | None = None
    """A regular expression for lines that are neither. A line that fits nothing is rejected."""

    @model_validator(mode="after")
    def _check(self) -> "Lines":
        for name, pattern in self.patterns():
            if len(pattern) > _MAX_PATTERN_CHARS:
                raise ValueError(f"the pattern {name} is longer than {_MAX_PATTERN_CHARS} characters")
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern {name} is not a regular expression: {error}") from error
        if not self.row_columns:
            raise ValueError("the pattern row has no named group such as (?P<rater>..)")
        if twice := [name for name in self.under_columns if name in self.row_columns]:
            raise ValueError(f"both row and under have a group {twice[0]}: give each a name of its own")
        return self

    def patterns(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each pattern, and the pattern."""
        for name in ("row", "under", "skip"):
            if (pattern := getattr(self, name)) is not None:
                yield name, pattern

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The columns that are taken out of the row itself."""
        return tuple(re.compile(self.row).groupindex)

    @property
    def under_columns(self) -> tuple[str, ...]:
        """The columns that are taken out of the line above that says what rows are of."""
        return tuple(re.compile(self.under).groupindex) if self.under is not None else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of the patterns."""
        return (*self.under_columns, *self.row_columns)
