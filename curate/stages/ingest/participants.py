"""Who a file is of, as its name says."""

import re
from collections.abc import Iterable

_MAX_PATTERN_CHARS = 500


def check_participant_pattern(pattern: str) -> str:
    """Return the pattern. Raises ``ValueError`` unless it is a regular expression with one group."""
    import polars as pl

    if len(pattern) > _MAX_PATTERN_CHARS:
        raise ValueError(f"it is longer than {_MAX_PATTERN_CHARS} characters")
    try:
        groups = re.compile(pattern).groups
        pl.Series([""]).str.extract(pattern, 1)
    except (re.error, pl.exceptions.PolarsError) as error:
        raise ValueError(f"it is not a regular expression: {error}") from error
    if groups != 1:
        raise ValueError(rf"it has {groups} groups: put one round what names the person, such as raw/(P\d+)_")
    return pattern


def participants_of(files: Iterable[str], pattern: str | None) -> list[str | None]:
    """Return the participant in each file name, in time that grows with its length only; None where none is named."""
    import polars as pl

    names = list(files)
    if pattern is None:
        return [None] * len(names)
    participants: list[str | None] = pl.Series(names, dtype=pl.String).str.extract(pattern, 1).to_list()
    return [name or None for name in participants]
