"""What the names of files say, by regular expressions with named groups."""

import re
from collections.abc import Sequence


def check_pattern_runs(pattern: str) -> str:
    """Return the pattern. Raises ``ValueError`` if it is none, or one whose time is not bounded by its text."""
    import polars as pl

    try:
        re.compile(pattern)
        pl.Series([""]).str.extract_groups(pattern)
    except (re.error, pl.exceptions.PolarsError) as error:
        raise ValueError(f"it is not a regular expression: {str(error).partition(chr(10))[0]}") from error
    return pattern


def named_groups(names: Sequence[str], pattern: str) -> list[dict[str, str] | None]:
    """Return the named groups of each name as a whole, without those that match nothing; None if it does not fit.

    The time grows with the length of the names only.
    """
    import polars as pl

    groups = list(re.compile(pattern).groupindex)
    anchored = f"^(?:{pattern})$"
    series = pl.Series(names, dtype=pl.String)
    fits = series.str.contains(anchored).to_list()
    matches = series.str.extract_groups(anchored).struct.unnest().select(groups).to_dicts() if groups and names else []
    matches = matches or [{} for _ in names]
    return [
        {name: text for name, text in row.items() if text is not None} if is_fit else None
        for row, is_fit in zip(matches, fits, strict=True)
    ]
