"""``curate labels migrate``: carry judgements over to a changed label schema."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, next_command
from curate.errors import InvalidInput

if TYPE_CHECKING:
    from curate.corpus.migrate import Migration


def migrate_command(
    file: Annotated[
        Path,
        typer.Option("--map", metavar="FILE", help="YAML: for each field what is renamed, merged, dropped, split."),
    ],
    recipe: OptionalRecipe = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Label schema that people judged under.", show_default="the recipe's own"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> None:
    """Carry stored judgements over to a changed label schema; what people said stays in the history."""
    from curate.cli.output import show_json
    from curate.corpus.migrate import plan_migration
    from curate.corpus.schema_fit import open_stored
    from curate.corpus.set_aside import judged_schemas
    from curate.corpus.tombstones import Tombstones
    from curate.labels import load_migration
    from curate.notebook.runs import load_remembered

    loaded, opened = load_remembered(recipe, workspace)
    opened.check_recipe(loaded.recipe.recipe)
    name = source or loaded.labels.name
    with opened.lock():
        Tombstones.read(opened).check_finished()
        schemas = judged_schemas(opened)
        stored = open_stored(opened, loaded.labels, name) if name in schemas else None
        if stored is None:
            schema_names = ", ".join(schemas)
            hint = f"name one with --from: {schema_names}" if schema_names else "there is nothing to migrate"
            raise InvalidInput(f"workspace {workspace} holds no judgements under label schema {name}", hint=hint)
        plan = plan_migration(opened, loaded.labels, load_migration(file, loaded.labels, tuple(stored.fields)), stored)
        if not dry_run:
            plan.commit()
    if json:
        fields = {field: counts._asdict() for field, counts in plan.fields.items()}
        facts = {"from": plan.source, "to": loaded.labels.name, "dry_run": dry_run, "acts": plan.acts.num_rows}
        show_json(
            {**facts, "fields": fields, "again": plan.reopened, "unasked": plan.unasked, "problems": plan.problems}
        )
    else:
        _show(plan, workspace, dry_run=dry_run)


def _show(plan: "Migration", workspace: str, *, dry_run: bool) -> None:
    from curate.cli.output import say, show_table
    from curate.sentences import count_of, verb_of

    if plan.fields:
        show_table(
            ["field", "kept", "converted", "left out", "to judge again"],
            [(name, *counts) for name, counts in plan.fields.items()],
        )
    for name, count in plan.unasked.items():
        say(f"{name}: {count_of(count, 'answer')} left out, because the question is asked no more in that case")
    for problem in plan.problems:
        say(f"not covered: {problem}")
    if plan.reopened:
        noun = f"{count_of(plan.reopened, 'judgement')} {verb_of(plan.reopened, 'has', 'have')}"
        pull, trace = (next_command(command, workspace) for command in ("annotate pull", "trace ITEM"))
        say(f"{noun} a part to be judged again: {pull} lists those on its server, {trace} shows why")
    if not plan.acts.num_rows:
        say("Nothing to migrate: this map was applied already, or changes nothing.")
    elif dry_run:
        say(f"{count_of(plan.acts.num_rows, 'act')} would be added; nothing was changed.")
    else:
        say(f"{count_of(plan.acts.num_rows, 'act')} added; what people said before stays in the history.")
        say(f"next: {next_command('run RECIPE', workspace)}")
