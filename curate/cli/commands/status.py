"""``curate status``: what a workspace holds."""

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, recipe_of


def status_command(recipe: OptionalRecipe = None, workspace: Workspace = WORKSPACE, json: Json = False) -> None:
    """Show what the workspace holds: rows by table, rejections by reason, labels, releases."""
    from curate.cli.output import counted, say, show_json, show_table
    from curate.corpus.advice import advise
    from curate.llm.labellers.protocol import OUTCOMES
    from curate.pipeline import status
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    state = status(loaded, Opened(workspace, create=False))
    if json:
        show_json(state._asdict())
        return
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
    if state.rejections:
        rejections = [
            (stage, reason, n) for stage, reasons in state.rejections.items() for reason, n in reasons.items()
        ]
        say("")
        show_table(["rejected by", "reason", "rows"], rejections)
    say(f"\nreleases: {', '.join(state.releases) or 'none yet'}")
