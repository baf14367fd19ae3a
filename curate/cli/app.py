"""The command tree. Nothing heavy is imported before a command runs."""

from typing import Annotated

import typer

from curate import __version__
from curate.cli.commands import (
    agreement,
    annotate,
    answers,
    audit,
    check,
    convert,
    doctor,
    errata,
    forget,
    labels,
    labels_migrate,
    plan,
    preview,
    recipes,
    releases,
    report,
    run,
    scores,
    status,
    trace,
    unlock,
    verify,
)
from curate.cli.help import MAX_HELP_WIDTH, WholeHelp
from curate.cli.limits import allow_open_files

app = typer.Typer(
    name="curate",
    cls=WholeHelp,
    help="Build human-corrected, traceable corpora for affective computing from raw video, audio and text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_HELP_WIDTH},
)
app.add_typer(annotate.app, name="annotate")
app.add_typer(audit.app, name="audit")
app.add_typer(errata.app, name="errata")
labels.app.command("migrate")(labels_migrate.migrate_command)
app.add_typer(labels.app, name="labels")
app.add_typer(recipes.app, name="recipes")
app.command("run")(run.run_command)
app.command("plan")(plan.plan_command)
app.command("check")(check.check_command)
app.command("status")(status.status_command)
app.command("releases")(releases.releases_command)
app.command("diff")(releases.diff_command)
app.command("answers")(answers.answers_command)
app.command("convert")(convert.convert_command)
app.command("scores")(scores.scores_command)
app.command("trace")(trace.trace_command)
app.command("demo")(run.demo_command)
app.command("preview")(preview.preview_command)
app.command("report")(report.report_command)
app.command("verify")(verify.verify_command)
app.command("forget")(forget.forget_command)
app.command("unlock")(unlock.unlock_command)
app.command("agreement")(agreement.agreement_command)
app.command("doctor")(doctor.doctor_command)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"curate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Define the options of curate itself, and prepare its process."""
    allow_open_files()
