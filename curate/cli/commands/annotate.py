"""``curate annotate``: the loop in which people correct the labels."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.help import WholeHelp
from curate.cli.options import INCOMPLETE, WORKSPACE, Json, OptionalRecipe, Settings, Workspace, next_command, recipe_of
from curate.sentences import count_of

if TYPE_CHECKING:
    from curate.annotation.importing.settings import ExportFormat
    from curate.recipe import LoadedRecipe
    from curate.stages.annotate import Annotate

_MAX_PROBLEMS = 20


class ToolName(StrEnum):
    """The annotation tools whose exports can be imported, as in ``READERS``."""

    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"
    PRODIGY = "prodigy"
    DOCCANO = "doccano"
    COCO = "coco"
    CVAT = "cvat"
    VIA = "via"


class TierFormat(StrEnum):
    """The tools that timelines can be corrected in."""

    elan = "elan"
    textgrid = "textgrid"


app = typer.Typer(cls=WholeHelp, help="Let people correct the labels in Label Studio.", no_args_is_help=True)


@app.command("up")
def up_command(
    workspace: Workspace = WORKSPACE,
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1.", show_default="the last one, or any free")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Listen here for annotators at other desks.", show_default="127.0.0.1"),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The address under which annotators reach it, usually https.")
    ] = None,
    json: Json = False,
) -> None:
    """Install and start a Label Studio of this workspace's own, and show where it is.

    By default only this machine reaches it. For annotators at other desks, put a proxy with a certificate (TLS) in
    front, such as `caddy reverse-proxy --from labels.example.org --to 127.0.0.1:8080`, and start it with
    `--listen 127.0.0.1:8080 --public-url https://labels.example.org`. Listen on 0.0.0.0 only if the proxy runs on
    another machine, and let the firewall admit nobody else: without TLS, passwords and faces can be read on the way.
    """
    from curate.annotation.local_server.address import parse_address
    from curate.annotation.local_server.server import up
    from curate.cli.output import note, say, show_json
    from curate.errors import InvalidInput
    from curate.storage.workspace import Workspace as Opened

    if listen is not None and port is not None:
        raise InvalidInput("--port and --listen both name a port", hint="use --listen alone")
    address = parse_address(listen, public_url)
    info = up(Opened(workspace).local, port, address=address, say=note)
    if json:
        show_json({"url": info.public_url or info.url, "email": info.email, "started": info.started, "log": info.log})
        return
    say(f"Label Studio runs at {info.public_url or info.url}")
    if info.public_url.startswith("http://"):
        note("without https, passwords and recordings can be read on their way: put a proxy with TLS in front")
    say(f"login:    {info.email}")
    if info.created:
        say(f"password: {info.password}   (shown this once; kept in {info.log.parent / 'credentials.json'})")
    else:
        say(f"password: as shown the first time; kept in {info.log.parent / 'credentials.json'}")
    say(f"next:     {next_command('annotate push', workspace)}     (then correct the labels at the address above)")


@app.command("down")
def down_command(workspace: Workspace = WORKSPACE) -> None:
    """Stop the workspace's Label Studio; everything in it is kept."""
    from curate.annotation.local_server.server import down
    from curate.cli.output import say
    from curate.storage.workspace import Workspace as Opened

    say("Label Studio is stopped." if down(Opened(workspace, create=False).local) else "It was not running.")


@app.command("push")
def push_command(
    recipe: OptionalRecipe = None, workspace: Workspace = WORKSPACE, settings: Settings = None, json: Json = False
) -> None:
    """Send items, media and pre-labels to Label Studio; only what is not there yet."""
    from curate.annotation.local_server.connection import connection
    from curate.cli.output import note, say, show_json
    from curate.pipeline import make_tools, open_corpus
    from curate.pipeline.forget import resume as finish_forgetting
    from curate.stages.annotate import push
    from curate.storage.workspace import Workspace as Opened

    loaded, stage = _load(recipe, workspace, settings)
    opened = Opened(workspace, create=False)
    with opened.lock():
        reach = connection(opened.local)
        finish_forgetting(opened, say=note)
        counts = push(open_corpus(loaded, opened), make_tools(loaded, opened), stage, reach, say=note)
    if json:
        show_json({"url": reach.shown_url, **counts._asdict()})
        return
    added = count_of(counts.added, "item")
    say(f"{added} added, {counts.refilled:,} filled anew; {counts.waiting:,} wait at {reach.shown_url}")
    if counts.blind:
        say(f"{counts.blind:,} of {counts.waiting + counts.judged:,} on the server show no proposal (blind_share)")
    say(f"next: people correct them there; then {next_command('annotate pull', workspace)}")


@app.command("pull")
def pull_command(
    recipe: OptionalRecipe = None, workspace: Workspace = WORKSPACE, settings: Settings = None, json: Json = False
) -> None:
    """Bring every new judgement back from Label Studio."""
    from curate.annotation.local_server.connection import connection
    from curate.cli.output import counted, note, say, show_json
    from curate.pipeline import open_corpus
    from curate.pipeline.forget import resume as finish_forgetting
    from curate.stages.annotate import pull
    from curate.storage.workspace import Workspace as Opened

    loaded, _ = _load(recipe, workspace, settings)
    opened = Opened(workspace, create=False)
    with opened.lock():
        finish_forgetting(opened, say=note)
        counts = pull(open_corpus(loaded, opened), connection(opened.local), say=note)
    if json:
        show_json({"new": counts.new, **counts._asdict()})
        return
    if not counts.new:
        say("Nothing new since the last pull.")
        return
    say(counted({name: n for name, n in counts._asdict().items() if isinstance(n, int)}))
    say(f"next: {next_command(f'run {loaded.path}', workspace)}     (aggregates them and writes the next release)")


@app.command("import")
def import_command(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A table or a file of tiers; what `annotate export` wrote and people corrected: a folder; or with "
            "--format, an export of another tool: a file, folder or .zip.",
        ),
    ],
    mapping: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="A YAML file: what the columns of a table mean.",
            show_default="with --format, controls called like fields",
        ),
    ] = None,
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    name: Annotated[
        str | None, typer.Option(help="The name that the table goes by.", show_default="that of the file")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Withdraw what a table of this name had before and has no longer.")
    ] = False,
    rater: Annotated[
        str | None,
        typer.Option(help="Who corrected the files of `annotate export`.", show_default="the annotator of their tiers"),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if a row cannot be used.")] = False,
    tool: Annotated[ToolName | None, typer.Option("--format", help="The annotation tool that exported it.")] = None,
    json: Json = False,
) -> None:
    """Add judgements from a table to items that are in the workspace; the same table adds nothing twice.

    The mapping is that of `ingest: {tables: [...]}`, such as `{item_id: clip, rater: who, long: {emotion: label}}`.
    Items go by their id, the id in their corpus, or their raw file; in exports of annotation tools (`--format`), also
    by their text. Raters, times, skips and what answers started from are kept; what is not mapped is counted. The files
    that `annotate export` wrote need no mapping: each says which item it is of, and what its values started from.
    """
    from curate.cli.output import note, say, show_json
    from curate.pipeline import open_corpus
    from curate.recipe import load_recipe
    from curate.stages.tables.importing import import_table
    from curate.stages.tables.store import listed_counts
    from curate.stages.tier_files.returning import import_tiers
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), settings or (), check_sources=False)
    opened = Opened(workspace, create=False)
    with opened.lock():
        corpus = open_corpus(loaded, opened)
        form: ExportFormat | None = None if tool is None else tool.value
        if mapping is None and form is None:
            done = import_tiers(corpus, table, rater=rater, is_strict=strict)
        else:
            done = import_table(corpus, table, mapping, tool=form, name=name, replaces=replace, is_strict=strict)
    if json:
        show_json(done._asdict())
    else:
        if done.mapping and mapping is None:
            columns = ", ".join(f"{field} from {column}" for field, column in done.mapping["long"].items())
            say(f"read {columns}; items are named by {done.mapping['item_id']}")
        say(
            f"{count_of(done.judgements, 'judgement')} of {count_of(done.items, 'item')}: {done.created:,} new, "
            f"{done.updated:,} changed, {done.deleted:,} withdrawn"
        )
        if done.left_out:
            note(f"left out: {listed_counts(done.left_out)}")
        for problem in done.problems[:_MAX_PROBLEMS]:
            note(problem)
        if len(done.problems) > _MAX_PROBLEMS:
            note(f"and {len(done.problems) - _MAX_PROBLEMS:,} more rows that cannot be used: --json lists all")
        say(f"next: {next_command(f'run {loaded.path}', workspace)}     (aggregates them and writes the next release)")
    if done.problems:
        raise typer.Exit(INCOMPLETE)


@app.command("export")
def export_command(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="A new or empty folder.")],
    form: Annotated[TierFormat, typer.Option("--format", help="elan (.eaf files) or textgrid (Praat).")],
    recipe: OptionalRecipe = None,
    workspace: Workspace = WORKSPACE,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Write a file for each item to correct its timelines in ELAN or Praat; `annotate import` takes them back.

    The tier named like a field starts from the proposal; what raters and models said is beside it, in tiers of their
    own such as `mood@ann`, which are not read again. ELAN finds the recording where it is; Praat gets the sound.
    """
    from curate.cli.output import counted, note, say, show_json
    from curate.pipeline import make_tools, open_corpus
    from curate.recipe import load_recipe
    from curate.stages.tier_files.export import export_tiers
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), settings or (), check_sources=False)
    opened = Opened(workspace, create=False)
    written = export_tiers(open_corpus(loaded, opened), make_tools(loaded, opened).raw, form.value, to)
    if json:
        show_json(written._asdict())
        return
    say(f"{count_of(written.files, 'file')} in {written.folder}, {written.proposals:,} with a proposal")
    if written.unwritten:
        note(f"not written, since tiers hold timelines only: {', '.join(written.unwritten)}")
    if written.left_out:
        note(counted(written.left_out))
    command = next_command(f"annotate import {written.folder} --rater NAME", workspace)
    say(f"next: correct them in {'ELAN' if form.value == 'elan' else 'Praat'}; then {command}")


@app.command("status")
def status_command(
    recipe: OptionalRecipe = None, workspace: Workspace = WORKSPACE, settings: Settings = None, json: Json = False
) -> None:
    """Show how far the people are, project by project."""
    from curate.annotation.local_server.connection import connection
    from curate.annotation.local_server.server import state
    from curate.cli.output import counted, say, show_json, show_table
    from curate.pipeline import open_corpus
    from curate.stages.annotate import invitation, status
    from curate.storage.workspace import Workspace as Opened

    loaded, _ = _load(recipe, workspace, settings)
    opened = Opened(workspace, create=False)
    reach = connection(opened.local)
    projects = status(open_corpus(loaded, opened), reach)
    if json:
        show_json({"url": reach.shown_url, "local": reach.local, "projects": [p._asdict() for p in projects]})
        return
    process = state(opened.local) if reach.local else None
    say(f"Label Studio at {reach.shown_url}" + (f", process {process.pid}" if process else "") + "\n")
    rows = [
        (
            p.layout,
            p.tasks,
            p.blind,
            p.annotated,
            ", ".join(f"{who} {n}" for who, n in sorted(p.annotators.items())),
            p.url,
        )
        for p in projects
    ]
    show_table(["project", "items", "blind", "judged", "by", "address"], rows)
    for project in projects:
        if project.cannot_judge:
            say(f"\n{project.layout}: cannot be judged, people say: {counted(project.cannot_judge)}")
    say(f"\ninvite annotators with {invitation(reach)}")


def _load(recipe: Path | None, workspace: str, settings: list[str] | None) -> "tuple[LoadedRecipe, Annotate]":
    from curate.errors import InvalidInput
    from curate.recipe import load_recipe
    from curate.stages.annotate import Annotate

    loaded = load_recipe(recipe_of(recipe, workspace), settings or (), check_sources=False)
    stages = [stage for stage in loaded.recipe.stages if isinstance(stage, Annotate)]
    if not stages:
        raise InvalidInput(f"recipe {loaded.path} has no annotate stage", hint="add `- stage: annotate`")
    return loaded, stages[0]
