"""What became of a link: an outcome of a closed list, each with what it means for the next run."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from curate.sentences import count_of, verb_of

Outcome = Literal[
    "ok",
    "gone",
    "forbidden",
    "region",
    "robots",
    "bot_check",
    "throttled",
    "too_large",
    "wrong_type",
    "checksum",
    "private_address",
    "timeout",
    "unavailable",
    "forgotten",
    "invalid",
]
OUTCOMES: tuple[str, ...] = get_args(Outcome)
_WORDS = {
    "gone": "gone",
    "forbidden": "private",
    "region": "not for this region",
    "robots": "closed to this use by robots.txt or noai",
    "bot_check": "behind a check for bots",
    "throttled": "throttled",
    "too_large": "too large",
    "wrong_type": "of another type",
    "checksum": "other than their checksum",
    "private_address": "at private addresses",
    "timeout": "too slow",
    "unavailable": "out of reach",
    "forgotten": "forgotten",
    "invalid": "no links",
}
PASSING = frozenset({"throttled", "timeout", "unavailable", "bot_check"})
"""Outcomes that the next run tries again; others after a week, or with other settings."""
RETRY_DAYS = 7


class LinkFailed(Exception):
    """A link gives no file."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(outcome, detail)
        self.outcome, self.detail = outcome, detail


class Result(NamedTuple):
    """What is stored of a link, under the hash of its URL."""

    outcome: str
    detail: str = ""
    sha256: str = ""
    size_bytes: int = 0
    settings: str = ""
    """A hash of the settings that decided"""
    day: str = ""
    """When it was asked for, in UTC"""


def describe_outcomes(outcomes: Iterable[str]) -> str:
    """Return in a sentence how many links were fetched, and how many were not and why; empty without links."""
    counts = Counter(outcomes)
    total, fetched = counts.total(), counts.pop("ok", 0)
    if not total:
        return ""
    failures = ", ".join(f"{count:,} {_WORDS[name]}" for name, count in counts.most_common())
    sentence = f"of {count_of(total, 'link')}, {fetched:,} {verb_of(fetched, 'was', 'were')} fetched"
    return f"{sentence}; {total - fetched:,} gave no file ({failures})" if failures else sentence
