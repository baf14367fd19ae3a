"""The part of a card on what turned out to be wrong."""

from collections.abc import Mapping, Sequence

from curate.hub.card_sections import code, escape
from curate.sentences import count_of

_MAX_SHOWN = 20


def errata_section(errata: Sequence[Mapping[str, str | None]]) -> str:
    """Return the errata as a list, newest first; empty if there is none. ``errata`` is oldest first."""
    if not errata:
        return ""
    lines = [
        f"- {_subject(erratum)}: {escape(erratum['text'] or '')} ({escape(erratum['added_on'] or '')})"
        for erratum in list(reversed(errata))[:_MAX_SHOWN]
    ]
    if len(errata) > _MAX_SHOWN:
        lines.append(f"- and {count_of(len(errata) - _MAX_SHOWN, 'more erratum')} in `errata.jsonl`")
    return "\n".join(["## Errata", "", "Known to be wrong, in this or an earlier version:", "", *lines])


def _subject(erratum: Mapping[str, str | None]) -> str:
    if erratum["item_id"]:
        return f"item `{code(erratum['item_id'])}`"
    return f"release `{code(erratum['release'] or '')}`"
