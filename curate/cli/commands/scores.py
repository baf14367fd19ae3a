"""``curate scores``: scores of texts and clips that people compared in pairs."""

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, recipe_of
from curate.errors import InvalidInput
from curate.sentences import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from curate.cli.figures import Figures
    from curate.consensus.scores import ScoreRow
    from curate.consensus.word_scores import WordScore

_GROUPS = "scores of different groups must not be compared: no comparison leads from one to the other"


def scores_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    blind_only: Annotated[
        bool, typer.Option("--blind-only", help="Leave out judgements whose form showed a proposal.")
    ] = False,
    words: Annotated[
        bool, typer.Option("--words", help="Score models' free words by those of people instead.")
    ] = False,
    wheels: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="TAXONOMY", help="With --words: an emotion wheel; may be given several times."),
    ] = None,
    level: Annotated[
        int | None, typer.Option("--level", min=1, max=20, help="With --words: the tier of a wheel, 1 being its roots.")
    ] = None,
    json: Json = False,
) -> None:
    """Score texts and clips that people compared in pairs: by Bradley and Terry, and by counts of best and worst.

    With --words, score models' free words: set precision, recall and F against the words of people, where words of one
    group of an emotion wheel count as the same.
    """
    from curate.cli.figures import show_figures
    from curate.cli.output import say, show_json
    from curate.pipeline.scores import score_pairs, score_words
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    opened = Opened(workspace, create=False)
    if words:
        _show_words(score_words(loaded, opened, wheels=wheels or (), level=level), json=json)
        return
    if wheels or level is not None:
        raise InvalidInput("--by and --level are of free words", hint="add --words")
    rows = score_pairs(loaded, opened, blind_only=blind_only)
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


def _show_words(rows: "Sequence[WordScore]", *, json: bool) -> None:
    from curate.cli.figures import show_figures
    from curate.cli.output import say, show_json

    if json:
        show_json({"rows": [row._asdict() for row in rows]})
    elif not rows:
        say("No item has both free words of a model and of people.")
    else:
        show_figures(_word_tables(rows))


def _word_tables(rows: "Sequence[WordScore]") -> "Iterator[Figures]":
    from curate.cli.figures import Figures, Line, interval_cell

    columns = ["", "items", "precision", "recall", "F", "95 % interval of F"]
    for (field, labeller), members in groupby(rows, key=lambda row: (row.field, row.labeller)):
        lines = [
            Line(
                (
                    row.wheel,
                    row.items,
                    *(f"{value:.3f}" for value in (row.precision, row.recall, row.f)),
                    interval_cell(row.low, row.high),
                ),
                f"{count_of(row.unknown, 'word')} that it does not know, each of which counts as itself"
                if row.unknown
                else "",
            )
            for row in members
        ]
        yield Figures(f"{field} by {labeller} against the words of people", columns, lines)


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
