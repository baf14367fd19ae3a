"""``curate audit``: whether a model may replace a rater, and whom models and raters judge differently."""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.help import WholeHelp
from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, next_command, recipe_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from curate.cli.figures import Figures, Line
    from curate.consensus.audit.rows import AuditRow
    from curate.pipeline.audit import Audit

app = typer.Typer(
    cls=WholeHelp, no_args_is_help=True, help="Compare proposals with people who saw none, and raters with each other."
)

_INLINE = frozenset(
    {"judgements_needed", "small_groups", "reliability", "advantage", "model_error", "model_shift", "rater_shift"}
)
"""Measures whose notes are short, and stand next to them"""
Labeller = Annotated[
    str | None,
    typer.Option(
        metavar="LABELLER", help="Whose proposals, by its name in the recipe.", show_default="those that people see"
    ),
]
LabelField = Annotated[
    str | None, typer.Option(metavar="FIELD", help="A field of the label schema.", show_default="all fields")
]
Arm = Annotated[
    str | None, typer.Option(metavar="ARM", help="Only judgements of this arm.", show_default="all judgements")
]
Draws = Annotated[
    int, typer.Option(min=0, max=100_000, metavar="N", help="Draws for bootstrapped intervals; 0 for none.")
]


@app.command("model")
def model_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    labeller: Labeller = None,
    field: LabelField = None,
    arm: Arm = None,
    bootstrap: Draws = 1_000,
    epsilon: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Worth of a person beyond a model: 0.2 for experts, 0.1 for crowds."
        ),
    ] = 0.2,
    interval: Annotated[
        float | None,
        typer.Option(
            min=1e-6, metavar="WIDTH", help="Say how many judgements are missing for intervals of this width."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show whether a model may replace a rater, how near it is to people, and label shares from few judgements."""
    from curate.consensus.audit.rows import Options
    from curate.pipeline.audit import audit_model
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    options = Options(bootstrap, epsilon, interval)
    audit = audit_model(
        loaded, Opened(workspace, create=False), labeller=labeller, field=field, arm=arm, options=options
    )
    _show(audit, workspace, audit.rows, json=json)


@app.command("bias")
def bias_command(
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A column of items or sources, or split; may be repeated.",
            show_default="participant, speaker, language and collection, where there are two",
        ),
    ] = None,
    labeller: Labeller = None,
    field: LabelField = None,
    arm: Arm = None,
    bootstrap: Draws = 1_000,
    json: Json = False,
) -> None:
    """Show for which groups of items a model errs more than for others, or models and raters lean to other answers."""
    from curate.consensus.audit.corrections import LEVEL
    from curate.consensus.audit.rows import Options
    from curate.pipeline.audit import audit_bias
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    opened = Opened(workspace, create=False)
    audit = audit_bias(loaded, opened, by=by or (), labeller=labeller, field=field, arm=arm, options=Options(bootstrap))
    # Raters, groups and labels multiply: of raters, only differences are shown here, all of them with --json.
    reported = [row for row in audit.rows if row.measure != "rater_shift" or (row.p is not None and row.p <= LEVEL)]
    _show(audit, workspace, reported, json=json)
    if not json and audit.rows:
        _summarise(audit.rows)


def _show(audit: "Audit", workspace: str, rows: "Sequence[AuditRow]", *, json: bool) -> None:
    from curate.cli.figures import show_figures
    from curate.cli.output import say, show_json

    if json:
        show_json({"rows": [row._asdict() for row in audit.rows]})
    elif not audit.judgements:
        say(f"Nobody has judged an item yet; see `{next_command('annotate status', workspace)}`.")
    elif not audit.proposals:
        say("No model has proposed labels; add a prelabel stage to the recipe.")
    elif not audit.rows:
        say("Nothing to compare: there is no item that people judged and a labeller has an answer for.")
    else:
        show_figures(_tables(rows))


def _tables(rows: "Sequence[AuditRow]") -> "Iterator[Figures]":
    """Yield a table for each field and topic; notes that all rows of a field share are in its first one alone."""
    from itertools import groupby

    from curate.cli.figures import Figures
    from curate.consensus.audit.rows import TOPICS

    for field, members in groupby(rows, key=lambda row: row.field):
        of_field = list(members)
        notes = [row.note.split("; ") for row in of_field]
        shared = [note for note in notes[0] if all(note in row_notes for row_notes in notes)]
        for topic, words in TOPICS.items():
            topic_rows = [row for row in of_field if row.measure in words]
            if topic_rows:
                title, repeated = f"{field}: {topic}", shared if topic_rows[0] is not of_field[0] else []
                lines = [_line(row, repeated) for row in topic_rows]
                yield Figures(title, _columns(topic_rows[0]), lines, inline=topic_rows[0].measure in _INLINE)


def _columns(row: "AuditRow") -> list[str]:
    match row.measure:
        case "judgements_needed":
            return ["", "judgements"]
        case "small_groups":
            return ["", "groups", "items"]
        case "reliability":
            return ["score", "mean", "agree"]
        case _:
            return ["", "value", "95 % interval", "p", "items"]


def _line(row: "AuditRow", repeated: "Sequence[str]") -> "Line":
    from curate.cli.figures import Line, interval_cell
    from curate.consensus.audit.rows import figure_name

    note = "; ".join(note for note in row.note.split("; ") if note not in repeated)
    value = "-" if row.value is None else f"{row.value:.3f}"
    count = "-" if row.value is None else f"{row.value:,.0f}"
    name = figure_name(row)
    match row.measure:
        case "judgements_needed":
            return Line((name, count), note)
        case "small_groups":
            return Line((", ".join(row.group), count, row.items), note)
        case "reliability":
            lower, upper, score = (row.group[key] for key in ("from", "to", "score"))
            return Line((f"{lower:.3f} to {upper:.3f}", f"{score:.3f}", value), note)
        case _:
            p = "" if row.p is None else "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"
            return Line((name, value, interval_cell(row.low, row.high), p, row.items), note)


def _summarise(rows: "Sequence[AuditRow]") -> None:
    from curate.cli.output import say
    from curate.consensus.audit.corrections import LEVEL

    say("")
    for noun, measures in (("the model", ("model_error", "model_shift")), ("raters", ("rater_shift",))):
        p_values = [row.p for row in rows if row.measure in measures and row.p is not None]
        significant = sum(p <= LEVEL for p in p_values)
        if p_values:
            counted = f"{significant:,} of {len(p_values):,} comparisons of {noun}"
            say(f"{counted} show a difference (p at most {LEVEL:g} after Holm)")
