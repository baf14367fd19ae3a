"""The history of a release: each version with counts of what changed, and the change log."""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from curate.release.semver import FIRST, Kind, VersionName


class Step(BaseModel):
    """One version in the history of a release, with counts of what differs from the version before."""

    model_config = ConfigDict(frozen=True)

    version: VersionName
    kind: Kind
    """``major`` for the first release"""
    reason: str
    """What changed, as part of a sentence: ``12 items added, 3 relabelled``"""
    items: int
    added: int = 0
    removed: int = 0
    resplit: int = 0
    changed: dict[str, int] = {}
    """Items whose value differs, by column that describes them"""
    relabelled: dict[str, int] = {}
    """Items whose label differs, by field"""
    judgements: int = 0
    """Items whose judgements or pre-label differ"""
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    errata: int = 0
    """Errata added since the version before"""


def first_step(items: int, *, version: str | None = None) -> Step:
    """Return the step of a first release, which is 1.0.0 unless it is given another ``version``."""
    return Step(version=version or str(FIRST), kind="major", reason=f"first release, {in_items(items)}", items=items)


def change_log(history: Sequence[Step]) -> str:
    """Return the text of ``CHANGELOG.md``: every version with what changed, newest first."""
    return "# Changes\n" + "".join(f"\n## {step.version}\n\n{_entry(step)}\n" for step in reversed(history))


def _entry(step: Step) -> str:
    lines = [
        *counted([("item added", "items added", step.added), ("item removed", "items removed", step.removed)]),
        *counted([("item in another split", "items in another split", step.resplit)]),
        *(f"`{name}` relabelled for {in_items(count)}" for name, count in step.relabelled.items()),
        *(f"`{name}` differs for {in_items(count)}" for name, count in step.changed.items()),
        *([f"judgements or pre-labels of {in_items(step.judgements)} differ"] if step.judgements else []),
        *(f"column `{name}` added" for name in step.columns_added),
        *(f"column `{name}` removed" for name in step.columns_removed),
        *counted([("erratum added", "errata added", step.errata)]),
    ]
    head = f"{step.reason[:1].upper()}{step.reason[1:]}; {in_items(step.items)} in all." if lines else f"{step.reason}."
    return "\n".join([f"{head[:1].upper()}{head[1:]}", *(["", *(f"- {line}" for line in lines)] if lines else [])])


def counted(counts: Iterable[tuple[str, str, int]]) -> list[str]:
    """Return phrases such as ``3 items added`` from singular, plural and number, without those of 0."""
    return [f"{count:,} {singular if count == 1 else plural}" for singular, plural, count in counts if count]


def in_items(count: int) -> str:
    """Return ``1 item`` or ``3 items``."""
    return f"{count:,} item{'s' * (count != 1)}"
