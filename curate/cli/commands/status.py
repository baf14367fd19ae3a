"""``curate status``: what a workspace holds."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, recipe_of

if TYPE_CHECKING:
    from curate.pipeline import Status

_ID = re.compile(r"[0-9a-f]{16,64}(-\w+)*")


def status_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    rejected: Annotated[bool, typer.Option("--rejected", help="List every rejection, with its reason.")] = False,
    json: Json = False,
) -> None:
    """Show what the workspace holds: rows by table, rejections by reason, labels, releases."""
    from curate.cli.output import say, show_json, show_table
    from curate.pipeline import list_rejections, status
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    opened = Opened(workspace, create=False)
    rows = list_rejections(loaded, opened) if rejected else []
    if json:
        show_json({**status(loaded, opened)._asdict(), **({"rejected": rows} if rejected else {})})
    elif rejected:
        details = [(row["stage"], row["reason"], _describe(row)) for row in rows]
        show_table(["rejected by", "reason", "what and why"], details) if rows else say("Nothing was rejected.")
    else:
        _show(status(loaded, opened), workspace)


def _describe(row: Mapping[str, Any]) -> str:
    """Return the sentence on a rejection, with its file where the sentence does not name it."""
    subject, detail = row["subject"], row["detail"] or ""
    is_file = not _ID.fullmatch(subject)
    return f"{subject}: {detail}" if is_file and subject not in detail else detail or subject


def _show(state: "Status", workspace: str) -> None:
    from curate.cli.options import next_command
    from curate.cli.output import counted, say, shorten, show_table
    from curate.corpus.advice import advise
    from curate.llm.labellers.protocol import OUTCOMES

    say(f"recipe {state.recipe} in {state.workspace}\n")
    details = {
        "items": counted(state.units),
        "annotations": counted(state.annotations),
        "labels": ", ".join(f"{n:,} by {'people' if k == 'human' else 'models'}" for k, n in state.labels.items()),
    }
    show_table(["table", "rows", ""], [(name, rows, details.get(name, "")) for name, rows in state.tables.items()])
    if state.prelabels:
        outcomes = [outcome for outcome in OUTCOMES if any(outcome in counts for counts in state.prelabels.values())]
        rows = [(name, *(counts.get(outcome, 0) for outcome in outcomes)) for name, counts in state.prelabels.items()]
        say("")
        show_table(["labeller", *outcomes], rows)
        for name, counts in state.prelabels.items():
            if advice := advise(counts):
                say(f"next: {name}: {advice}")
    if state.cannot_judge:
        say(f"\ncannot be judged, people say: {counted(state.cannot_judge)}")
    if state.rejections:
        rejections = [
            (stage, reason, n, shorten(state.examples[stage][reason] or ""))
            for stage, reasons in state.rejections.items()
            for reason, n in reasons.items()
        ]
        say("")
        show_table(["rejected by", "reason", "rows", "for example"], rejections)
        say(f"`{next_command('status --rejected', workspace)}` lists all of them")
    for sentence in state.set_aside:
        say(f"\n{sentence}")
    say(f"\nreleases: {', '.join(state.releases) or 'none yet'}")
