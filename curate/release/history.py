"""The history of a release: each version with counts of what changed, and the change log."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from curate.release.semver import FIRST, Kind, VersionName, parse_version
from curate.sentences import count_of, verb_of


class Step(BaseModel):
    """One version in the history of a release, with counts of what differs from the version before."""

    model_config = ConfigDict(frozen=True)

    version: VersionName
    kind: Kind
    """``major`` for the first release"""
    reason: str
    """What changed, as part of a sentence: ``12 items added, 3 labels of emotion``"""
    items: int
    added: int = 0
    removed: int = 0
    resplit: int = 0
    changed: dict[str, int] = {}
    """Items whose value differs, by column that describes them"""
    relabelled: dict[str, int] = {}
    """Items whose label differs, by field"""
    judgements: int = 0
    """Items whose judgements differ"""
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_changed: tuple[str, ...] = ()
    errata: int = 0
    """Errata added since the version before"""


def first_step(items: int, *, version: str | None = None) -> Step:
    """Return the step of a first release, which is 1.0.0 unless it is given another ``version``."""
    reason = f"first release, {count_of(items, 'item')}"
    return Step(version=version or str(FIRST), kind="major", reason=reason, items=items)


def step_after_withdrawal(withdrawn: str, newest: str, items: int, *, is_same_schema: bool) -> Step:
    """Return the step after a release that was withdrawn and cannot be compared with any more.

    ``newest`` is the greatest version in use; the new one is minor, or major under another label schema.
    """
    kind: Kind = "minor" if is_same_schema else "major"
    reason = f"{withdrawn} was withdrawn, because parts of it had to be forgotten"
    return Step(version=str(parse_version(newest).after(kind)), kind=kind, reason=reason, items=items)


def change_log(history: Sequence[Step]) -> str:
    """Return the text of ``CHANGELOG.md``: every version with what changed, newest first."""
    return "# Changes\n" + "".join(f"\n## {step.version}\n\n{_entry(step)}\n" for step in reversed(history))


def _entry(step: Step) -> str:
    lines = list(_lines(step))
    head = f"{step.reason[:1].upper()}{step.reason[1:]}"
    if not lines:
        return f"{head}."
    return "\n".join([f"{head}; {count_of(step.items, 'item')} in all.", "", *(f"- {line}" for line in lines)])


def _lines(step: Step) -> Iterator[str]:
    for count, noun, verb in (
        (step.added, "item", "added"),
        (step.removed, "item", "removed"),
        (step.resplit, "item", "in another split"),
    ):
        if count:
            yield f"{count_of(count, noun)} {verb}"
    yield from (f"{count_of(count, 'item')} relabelled: `{name}`" for name, count in step.relabelled.items())
    yield from (f"{count_of(count, 'item')} with other `{name}`" for name, count in step.changed.items())
    if step.judgements:
        yield f"{count_of(step.judgements, 'item')} with other judgements"
    for verb, names in (
        ("added", step.columns_added),
        ("removed", step.columns_removed),
        ("of another kind", step.columns_changed),
    ):
        if names:
            columns = ", ".join(f"`{name}`" for name in names)
            yield f"{verb_of(len(names), 'column', 'columns')} {verb}: {columns}"
    if step.errata:
        yield f"{count_of(step.errata, 'erratum')} added: see `errata.jsonl`"
