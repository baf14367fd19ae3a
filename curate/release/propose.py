"""Propose the version of a release by what differs from the one before, with the reason."""

from typing import NamedTuple

from curate.labels.columns import ITEM_COLUMNS
from curate.release.diff import Difference
from curate.release.history import Step
from curate.release.semver import Kind, parse_version
from curate.sentences import count_of

_MAX_REASONS = 6


class Proposal(NamedTuple):
    """The version that fits a change, what kind of change it is, and why."""

    version: str
    kind: Kind
    reason: str


def propose(difference: Difference, *, newest: str, errata: int = 0) -> Proposal:
    """Return the version after ``newest`` that fits a change, and the reason; ``errata`` counts those that are new."""
    kind: Kind = "patch" if difference.kind == "none" else difference.kind
    reasons = [*difference.reasons(), *([f"{count_of(errata, 'erratum')} added"] if errata else [])]
    reasons = reasons or ["the rows are the same, what is said of them differs"]
    more = len(reasons) - _MAX_REASONS
    reason = ", ".join(reasons[:_MAX_REASONS]) + (f" and {count_of(more, 'more difference')}" if more > 0 else "")
    return Proposal(str(parse_version(newest).after(kind)), kind, reason)


def next_step(difference: Difference, *, newest: str, errata: int = 0, version: str | None = None) -> Step:
    """Return the step that ``difference`` makes, with the version proposed after ``newest`` unless one is given."""
    proposal = propose(difference, newest=newest, errata=errata)
    reason = proposal.reason
    if version is not None and parse_version(version) < parse_version(proposal.version):
        reason += f"; a {proposal.kind} change, for which {proposal.version} was proposed"
    changed = {name: len(items) for name, items in difference.changed.items()}
    changed["text"] = len(difference.changed_texts)
    return Step(
        version=version or proposal.version,
        kind=proposal.kind,
        reason=reason,
        items=difference.items_after,
        added=len(difference.added),
        removed=len(difference.removed),
        resplit=len(difference.resplit),
        changed={name: changed[name] for name in ITEM_COLUMNS if changed.get(name)},
        relabelled={name: len(changes) for name, changes in difference.relabelled.items()},
        judgements=len(difference.changed.get("judgements", ())),
        columns_added=tuple(difference.columns_added),
        columns_removed=tuple(difference.columns_removed),
        columns_changed=tuple(difference.columns_changed),
        errata=errata,
    )
