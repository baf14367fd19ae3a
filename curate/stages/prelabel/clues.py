"""Clues: what several models tell of an item, each of what it can see, hear or read, for the one that labels it."""

from collections.abc import Sequence

from curate.stages.prelabel.rows import ProposalRecord

_NONE = "(nothing was told)"
_TYPICAL_CLUE = "x" * 400
"""Stands in for an answer that is not there yet, for estimates"""


def format_clues(records: Sequence[ProposalRecord]) -> str:
    """Return the clues as a prompt shows them: the name of each, and a line for each thing that it tells.

    One that was not given, such as of a voice where there is no sound, is named as such. Empty if none was given.
    """
    if not any(record.extras for record in records):
        return ""
    return "\n\n".join(f"[{record.labeller}]\n{_lines(record)}" for record in records)


def failed_clue(records: Sequence[ProposalRecord]) -> str:
    """Return which clue the next run asks for again and why, or nothing: labels must not rest on the others alone."""
    failed = next((record for record in records if record.outcome == "error"), None)
    return f"the clue {failed.labeller} failed: {failed.detail}" if failed else ""


def typical_clues(records: Sequence[ProposalRecord], extras: Sequence[Sequence[str]]) -> list[ProposalRecord]:
    """Return the records with texts of typical length where nothing was answered yet; ``extras`` name them."""
    return [
        record._replace(outcome="clue", extras=dict.fromkeys(names, _TYPICAL_CLUE))
        if record.outcome == "error"
        else record
        for record, names in zip(records, extras, strict=True)
    ]


def _lines(record: ProposalRecord) -> str:
    lines = [f"{name.replace('_', ' ')}: {' '.join(text.split())}" for name, text in record.extras.items()]
    return "\n".join(lines) or _NONE
