"""Propose the version of a release by what differs from the one before, with the reason."""

from collections.abc import Sequence
from typing import NamedTuple

from curate.release.diff import Difference
from curate.release.history import Step, counted
from curate.release.semver import Kind, parse_version

_MAX_NAMED = 4


class Proposal(NamedTuple):
    """The version that fits a change, what kind of change it is, and why."""

    version: str
    kind: Kind
    reason: str


def next_step(difference: Difference, *, newest: str, errata: int = 0, version: str | None = None) -> Step:
    """Return the step that ``difference`` makes, with its version proposed by what changed unless it is given.

    The proposal follows on ``newest``, the greatest version in use; ``errata`` counts those that are new.
    """
    proposal = propose(difference, newest=newest, errata=errata)
    reason = proposal.reason
    if version is not None and parse_version(version) < parse_version(proposal.version):
        reason += f" (a {proposal.kind} change, for which {proposal.version} was proposed)"
    return Step(
        version=version or proposal.version,
        kind=proposal.kind,
        reason=reason,
        items=difference.items_after,
        added=len(difference.added),
        removed=len(difference.removed),
        resplit=len(difference.resplit),
        changed={name: len(items) for name, items in difference.changed.items()},
        relabelled={name: len(changes) for name, changes in difference.relabelled.items()},
        judgements=len({*difference.changed_judgements, *difference.changed_prelabels}),
        columns_added=tuple(difference.columns_added),
        columns_removed=tuple(difference.columns_removed),
        errata=errata,
    )


def propose(difference: Difference, *, newest: str, errata: int = 0) -> Proposal:
    """Return the version after ``newest`` that fits a change, and the reason."""
    kind: Kind = "patch" if difference.kind == "none" else difference.kind
    return Proposal(str(parse_version(newest).after(kind)), kind, _reason(difference, errata))


def _reason(difference: Difference, errata: int) -> str:
    relabelled = {change.item_id for changes in difference.relabelled.values() for change in changes}
    changed = {item for items in difference.changed.values() for item in items}
    parts = [
        *(["another label schema"] if difference.is_other_schema else []),
        *_named("column", "columns", difference.columns_removed, "removed"),
        *_named("column", "columns", difference.columns_changed, "of another kind"),
        *_named("column", "columns", difference.columns_added, "added"),
        *counted([("item added", "items added", len(difference.added))]),
        *counted([("item removed", "items removed", len(difference.removed))]),
        *counted([("item in another split", "items in another split", len(difference.resplit))]),
        *counted([("item with other content", "items with other content", len(changed))]),
        *counted([("item relabelled", "items relabelled", len(relabelled))]),
    ]
    if not parts:
        others = {*difference.changed_judgements, *difference.changed_prelabels}
        word = "with other judgements or pre-labels"
        parts += counted([(f"item {word}", f"items {word}", len(others))])
    parts += counted([("erratum added", "errata added", errata)])
    if not parts:
        parts = ["what lies behind labels differs" if difference.kind != "none" else "the content is the same"]
    return ", ".join(parts)


def _named(singular: str, plural: str, names: Sequence[str], verb: str) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:_MAX_NAMED]) + (f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")
    return [f"{singular if len(names) == 1 else plural} {shown} {verb}"]
