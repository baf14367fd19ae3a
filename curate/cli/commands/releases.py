"""``curate releases`` and ``curate diff``: the versions of a corpus, and what changed between two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.options import WORKSPACE, Json, Workspace

if TYPE_CHECKING:
    from curate.release.diff import Difference

_MAX_ROWS = 20
Version = Annotated[
    str, typer.Argument(metavar="VERSION|FOLDER", help="A version in the workspace, or a release folder.")
]


def releases_command(workspace: Workspace = WORKSPACE, json: Json = False) -> None:
    """List the releases of the workspace, oldest first: version, items by split, label schema, what changed."""
    from curate.cli.output import counted, say, show_json, show_table
    from curate.release.versions import Releases
    from curate.storage.workspace import Workspace as Opened

    manifests = Releases(Opened(workspace, create=False).releases).manifests()
    if json:
        show_json([manifest.model_dump(mode="json", exclude={"files"}) for manifest in manifests])
        return
    if not manifests:
        say("no release yet")
        return
    rows = [
        (m.version, sum(m.splits.values()), counted(m.splits), m.label_schema, m.history[-1].reason) for m in manifests
    ]
    show_table(["version", "items", "by split", "label schema", "what changed"], rows)


def diff_command(
    before: Version,
    after: Version,
    workspace: Workspace = WORKSPACE,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write what changed as a page (HTML), too.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what changed from one release to another: items, labels from -> to, splits, judgements."""
    from curate.cli.output import say, show_json
    from curate.notebook.releases import find_release
    from curate.release.diff import compare_releases
    from curate.report.diff import write_diff

    difference = compare_releases(find_release(before, workspace), find_release(after, workspace))
    if page is not None:
        write_diff(page, difference)
    if json:
        relabelled = {name: [change._asdict() for change in changes] for name, changes in difference.relabelled.items()}
        item_changes = {name: [c._asdict() for c in getattr(difference, name)] for name in ("resplit", "changed_texts")}
        show_json(difference._asdict() | {"relabelled": relabelled} | item_changes)
    else:
        _show(difference)
        if page is not None:
            say(f"page: {page}")


def _show(difference: "Difference") -> None:
    from curate.cli.output import say, show_table

    versions = f"{difference.before} -> {difference.after}"
    if difference.kind == "none":
        say(f"{versions}: every row is the same")
        return
    say(f"{versions}: {difference.kind}: {'; '.join(difference.reasons())}")
    counts = [
        ("items", f"{difference.items_before:,} -> {difference.items_after:,}"),
        ("added", len(difference.added)),
        ("removed", len(difference.removed)),
        ("in another split", len(difference.resplit)),
        ("with another text", len(difference.changed_texts)),
        *((f"with other {name}", len(items)) for name, items in difference.changed.items()),
        *((f"relabelled: {name}", len(changes)) for name, changes in difference.relabelled.items()),
        *((f"column added: {name}", "") for name in difference.columns_added),
        *((f"column removed: {name}", "") for name in difference.columns_removed),
        *((f"column changed: {name}", "") for name in difference.columns_changed),
        *((f"signal {verb}: {name}", "") for name, verb in difference.signals.items()),
    ]
    show_table(["", "items"], counts)
    for name in difference.relabelled:
        steps = difference.steps(name)
        say("")
        rows = [(before or "none", after or "none", count) for before, after, count in steps[:_MAX_ROWS]]
        show_table([f"{name} from", "to", "items"], rows)
        if len(steps) > _MAX_ROWS:
            say(f"and {len(steps) - _MAX_ROWS:,} more; --json shows all")
