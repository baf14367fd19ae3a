"""``curate scores``: scores of texts and clips that people compared in pairs."""

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, recipe_of
from curate.sentences import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from curate.cli.figures import Figures
    from curate.consensus.scores import ScoreRow

_GROUPS = "scores of different groups must not be compared: no comparison leads from one to the other"


def scores_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    blind_only: Annotated[
        bool, typer.Option("--blind-only", help="Leave out judgements whose form showed a proposal.")
    ] = False,
    json: Json = False,
) -> None:
    """Score texts and clips that people compared in pairs: by Bradley and Terry, and by counts of best and worst."""
    from curate.cli.figures import show_figures
    from curate.cli.output import say, show_json
    from curate.pipeline.scores import score_pairs
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    rows = score_pairs(loaded, Opened(workspace, create=False), blind_only=blind_only)
    if json:
        show_json({"rows": [row._asdict() for row in rows]})
        return
    if not rows:
        say("Nobody has compared a pair yet.")
        return
    sizes = Counter((row.field, row.group) for row in rows)
    comparable = [row for row in rows if sizes[row.field, row.group] > 2]
    show_figures(_tables(comparable))
    if alone := sum(size == 2 for size in sizes.values()):
        of_pairs = "their scores repeat the preference, and --json has them"
        say(f"{count_of(alone, 'pair')} with nothing that occurs in another pair: {of_pairs}")


def _tables(rows: "Sequence[ScoreRow]") -> "Iterator[Figures]":
    from curate.cli.figures import Figures, Line, interval_cell
    from curate.cli.output import shorten

    groups = {field: {row.group for row in rows if row.field == field} for field in {row.field for row in rows}}
    for (field, group), members in groupby(rows, key=lambda row: (row.field, row.group)):
        several = len(groups[field]) > 1
        lines = [
            Line(
                (
                    shorten(row.thing),
                    f"{row.score:.3f}",
                    interval_cell(row.low, row.high),
                    f"{row.best_worst:.3f}",
                    row.comparisons,
                ),
                "; ".join(filter(None, (row.note, _GROUPS if several else ""))),
            )
            for row in members
        ]
        title = f"{field}{f', group {group}' if several else ''}: {count_of(len(lines), 'thing')}"
        yield Figures(title, ["", "score", "95 % interval", "best - worst", "comparisons"], lines)
