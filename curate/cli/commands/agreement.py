"""``curate agreement``: how far the people who judged a corpus agree."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, next_command, recipe_of
from curate.sentences import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from curate.consensus.agreement.rows import AgreementRow


class Over(StrEnum):
    """What an interval generalises to."""

    ITEMS = "items"
    RATERS = "raters"


def agreement_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="arm|rater|label|group|collection|split|COLUMN",
            help="Measure each group apart; COLUMN is any of annotations, items or sources.",
            show_default="all judgements together",
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=100_000, metavar="N", help="Draws for 95 % intervals; 0 for no intervals.")
    ] = 0,
    over: Annotated[
        Over,
        typer.Option(help="items: bootstrap intervals for other items; raters: jackknife intervals for other raters."),
    ] = Over.ITEMS,
    measures: Annotated[
        bool, typer.Option("--measures", help="Show which measures fit which fields, and what they say.")
    ] = False,
    json: Json = False,
) -> None:
    """Show how far people agree on each field, with measures that fit its type and why a figure is undefined."""
    from curate.cli.output import say, show_json
    from curate.pipeline.agreement import measure_agreement
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    if measures:
        _show_measures(json=json)
        return
    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    opened = Opened(workspace, create=False)
    agreement = measure_agreement(loaded, opened, by=by, draws=bootstrap, over=over.value)
    if json:
        show_json({"rows": [row._asdict() for row in agreement.rows]})
        return
    if not agreement.judgements:
        say(f"Nobody has judged an item yet; see `{next_command('annotate status', workspace)}`.")
        return
    _show_rows(agreement.rows, with_intervals=bootstrap > 0 or over is Over.RATERS)


def _show_measures(*, json: bool) -> None:
    from curate.cli.output import show_json, show_table
    from curate.consensus.agreement.measures import MEASURES

    rows = [(kind, measure.name, measure.meaning) for kind, fitting in MEASURES.items() for measure in fitting]
    if json:
        show_json({"measures": [dict(zip(("values", "measure", "meaning"), row, strict=True)) for row in rows]})
        return
    cells = [
        (kind if i == 0 or rows[i - 1][0] != kind else "", name, meaning)
        for i, (kind, name, meaning) in enumerate(rows)
    ]
    show_table(["values", "measure", "says"], cells)


def _show_rows(rows: "Iterable[AgreementRow]", *, with_intervals: bool) -> None:
    from itertools import groupby

    from curate.cli.figures import Figures, Line, interval_cell, show_figures

    def line(row: "AgreementRow") -> Line:
        value = "-" if row.value is None else f"{row.value:.3f}"
        intervals = [interval_cell(row.low, row.high)] if with_intervals else []
        return Line((_name(row), value, *intervals), row.note)

    columns = ["measure", "value", *(["95 % interval"] if with_intervals else [])]
    grouped = groupby(rows, key=_heading)
    show_figures(Figures(_title(*heading), columns, [line(row) for row in members]) for heading, members in grouped)


def _name(row: "AgreementRow") -> str:
    inner = ("rater",) if row.measure == "lag_s" else ("tolerance",)
    parts = [str(row.group[key]) for key in inner if key in row.group]
    return f"{row.measure} ({', '.join(parts)})" if parts else row.measure


def _title(field: str, items: int, judgements: int, raters: int, group: tuple[tuple[str, Any], ...]) -> str:
    of_group = "".join(f", {value}" if key == "values" else f", {key} {value}" for key, value in group)
    named = count_of(raters, "rater") if raters else "raters not named"
    return f"{field}{of_group}: {count_of(judgements, 'judgement')} of {count_of(items, 'item')}, {named}"


def _heading(row: "AgreementRow") -> tuple[Any, ...]:
    """Return what rows of one table have in common."""
    inner = {"tolerance"} | ({"rater"} if row.measure == "lag_s" else set())
    group = tuple((key, value) for key, value in row.group.items() if key not in inner)
    return row.field, row.items, row.judgements, row.raters, group
