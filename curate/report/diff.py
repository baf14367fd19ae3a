"""What changed between two releases, as one HTML file that fetches and runs nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from curate.report.page import render_page, write_page
from curate.report.sections.labels import Bar
from curate.sentences import count_of

MAX_LISTED = 200
_MAX_STEPS = 40


class Change(Protocol):
    """One item whose value differs."""

    @property
    def item_id(self) -> str: ...
    @property
    def before(self) -> str | None: ...
    @property
    def after(self) -> str | None: ...


class Difference(Protocol):
    """The changes from one release to another: see ``curate.release.diff``."""

    @property
    def before(self) -> str: ...
    @property
    def after(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def items_before(self) -> int: ...
    @property
    def items_after(self) -> int: ...
    @property
    def added(self) -> Sequence[str]: ...
    @property
    def removed(self) -> Sequence[str]: ...
    @property
    def resplit(self) -> Sequence[Change]: ...
    @property
    def relabelled(self) -> Mapping[str, Sequence[Change]]: ...
    @property
    def changed_texts(self) -> Sequence[Change]: ...
    @property
    def changed(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def columns_added(self) -> Sequence[str]: ...
    @property
    def columns_removed(self) -> Sequence[str]: ...
    @property
    def columns_changed(self) -> Sequence[str]: ...
    def steps(self, field: str) -> list[tuple[str | None, str | None, int]]: ...
    def reasons(self) -> list[str]: ...


def write_diff(path: Path, difference: Difference) -> Path:
    """Write the page and return its path. Raises ``StorageFailed``."""
    return write_page(path, render_diff(difference), name="page of what changed")


def render_diff(difference: Difference) -> str:
    """Return the page; of each kind of change, the first 200 items are listed and all are counted."""
    columns = {
        "added": difference.columns_added,
        "removed": difference.columns_removed,
        "changed": difference.columns_changed,
    }
    items = {"added": difference.added, "removed": difference.removed}
    items |= {f"with other {name}": ids for name, ids in difference.changed.items()}
    return render_page(
        "diff.html",
        title=f"{difference.before} → {difference.after}",
        kind=difference.kind,
        reasons=difference.reasons(),
        tiles=_tiles(difference),
        relabelled=[_steps(name, changes, difference) for name, changes in difference.relabelled.items()],
        resplit=_changes("items in another split", difference.resplit, _counted(difference.resplit)),
        texts=_changes("items with another text", difference.changed_texts, []),
        columns=[(verb, names) for verb, names in columns.items() if names],
        items=[
            {"words": words, "count": len(ids), "ids": ids[:MAX_LISTED], "more": max(0, len(ids) - MAX_LISTED)}
            for words, ids in items.items()
            if ids
        ],
    )


def _tiles(difference: Difference) -> list[tuple[str, str]]:
    relabelled = sum(map(len, difference.relabelled.values()))
    counts = {
        "added": len(difference.added),
        "removed": len(difference.removed),
        "labels changed": relabelled,
        "in another split": len(difference.resplit),
        "with another text": len(difference.changed_texts),
    }
    items = ("items", f"{difference.items_before:,} → {difference.items_after:,}")
    return [items, *((name, f"{count:,}") for name, count in counts.items())]


def _steps(name: str, changes: Sequence[Change], difference: Difference) -> dict[str, Any]:
    steps = difference.steps(name)
    bars = [Bar(f"{before or 'none'} → {after or 'none'}", {"count": count}) for before, after, count in steps]
    return _changes(name, changes, bars[:_MAX_STEPS]) | {"more_steps": max(0, len(bars) - _MAX_STEPS)}


def _changes(name: str, changes: Sequence[Change], bars: Sequence[Bar]) -> dict[str, Any]:
    first = f"the first {MAX_LISTED} of " if len(changes) > MAX_LISTED else ""
    return {
        "name": name,
        "bars": bars,
        "changes": changes[:MAX_LISTED],
        "listed": f"{first}{count_of(len(changes), 'item')}",
        "more_steps": 0,
    }


def _counted(changes: Sequence[Change]) -> list[Bar]:
    counts = Counter(f"{change.before} → {change.after}" for change in changes)
    return [Bar(step, {"count": count}) for step, count in sorted(counts.items(), key=lambda entry: -entry[1])]
