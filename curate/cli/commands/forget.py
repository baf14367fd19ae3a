"""``curate forget``: remove a person, source, item or rater for good."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.options import WORKSPACE, Json, Workspace, next_command
from curate.errors import InvalidInput

if TYPE_CHECKING:
    from curate.corpus.tombstones import Tombstones
    from curate.pipeline.forget import ForgetPlan, Scope
    from curate.storage.workspace import Workspace as Opened

_MAX_NAMED = 8


def forget_command(
    participant: Annotated[
        str | None, typer.Option(metavar="ID", help="A recorded person: participant of sources, or speaker by name.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="ID|FILE", help="A source, by its id or raw file.")] = None,
    item: Annotated[str | None, typer.Option(metavar="ID", help="One item.")] = None,
    annotator: Annotated[
        str | None, typer.Option(metavar="ID", help="A rater, by e-mail address or pseudonym.")
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Every source whose consent has expired.")] = False,
    derived: Annotated[
        bool, typer.Option("--derived", help="All that was forgotten in the corpora that items are derived from.")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept without what was forgotten.")] = "",
    unlink: Annotated[bool, typer.Option("--unlink", help="Keep the rater's judgements under a random name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish what was interrupted, or waits for the annotation server.")
    ] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="Also cut every tag on the Hub again; alone: without all forgotten so far."),
    ] = False,
    workspace: Workspace = WORKSPACE,
    json: Json = False,
) -> None:
    """Remove something from tables, media, replies, records, releases and Label Studio, and keep it out for good."""
    from curate.cli.output import note, say, show_json
    from curate.corpus.tombstones import Tombstones
    from curate.pipeline.forget import forget, plan_forgetting
    from curate.pipeline.forget import resume as finish
    from curate.pipeline.forget.scope import today
    from curate.storage.workspace import Workspace as Opened

    named = {"participant": participant, "source": source, "item": item, "annotator": annotator}
    opened = Opened(workspace, create=False)
    is_named = expired or derived or any(name is not None for name in named.values())
    if resume:
        if is_named or unlink or published or dry_run:
            raise InvalidInput("--resume only finishes what was begun", hint="use it alone")
        with opened.lock():
            waits = finish(opened, say=note).server_waits
        say("The annotation server still waits." if waits else "Nothing is left to forget.")
        return
    tell = note if json else say
    if published and not is_named:
        repo = _repo(opened)
        with opened.lock():
            Tombstones.read(opened).check_finished()
            _forget_published(opened, repo, Tombstones.read(opened), dry_run=dry_run, yes=yes, tell=tell)
        return
    scope = _scope(named, unlink, expired=expired, derived=derived)
    if not reason.strip() and not dry_run:
        raise InvalidInput("--reason is missing", hint="say why, without personal data: the reason is kept")
    repo = _repo(opened) if published else ""
    with opened.lock():
        Tombstones.read(opened).check_finished()
        parents = _parents(opened) if derived else []
        plan = plan_forgetting(opened, scope, reason.strip(), today=today(), parents=parents)
        if json:
            show_json(_document(plan))
        else:
            _show(plan)
        if dry_run or not plan.stones:
            if published:
                # Also if nothing is left to forget here: the Hub may have failed after it was forgotten.
                tombstones = Tombstones.read(opened).changed(plan.stones)
                _forget_published(opened, repo, tombstones, dry_run=dry_run, yes=yes, tell=tell)
            return
        if not yes and not _agrees():
            raise InvalidInput("nothing was removed", hint="add --yes to remove it, or --dry-run only to look")
        tombstones = forget(opened, plan, say=note)
        if published:
            _forget_published(opened, repo, tombstones, dry_run=False, yes=yes, tell=tell)
    if not json:
        say(f"Forgotten: {scope}." + (" The annotation server still waits." if tombstones.server_waits else ""))
        for name in plan.raw_files[:_MAX_NAMED]:
            say(f"raw file: {name} is as it was; what was forgotten in it is never ingested again")
        if len(plan.raw_files) > _MAX_NAMED:
            say(f"          and {len(plan.raw_files) - _MAX_NAMED:,} more")
        say(f"next:     remove it from raw files and backups; then {next_command('run RECIPE', workspace)}")


def _parents(opened: "Opened") -> "list[Tombstones]":
    """Return what was forgotten in the corpora that the recipe of a workspace derives from."""
    from curate.cli.options import recipe_of
    from curate.pipeline.parents import forgotten_in_parents
    from curate.recipe import load_recipe

    loaded = load_recipe(recipe_of(None, opened.location), check_sources=False)
    return forgotten_in_parents(loaded, opened)


def _scope(named: dict[str, str | None], unlink: bool, *, expired: bool, derived: bool) -> "Scope":
    from curate.pipeline.forget import Scope

    chosen = {kind: name for kind, name in named.items() if name is not None}
    if len(chosen) + expired + derived != 1:
        raise InvalidInput(
            "say what to forget, one thing at a time",
            hint="--participant, --source, --item, --annotator, --expired or --derived",
        )
    if unlink and "annotator" not in chosen:
        raise InvalidInput("--unlink keeps the judgements of a rater", hint="use it with --annotator")
    if expired or derived:
        return Scope("expired" if expired else "derived")
    ((kind, name),) = chosen.items()
    if not name.strip():
        raise InvalidInput(f"--{kind} is empty", hint="name what is to be forgotten")
    return Scope(kind, name, unlink)  # type: ignore[arg-type]


def _agrees() -> bool:
    return sys.stdin.isatty() and typer.confirm("Remove all of this for good?")


def _forget_published(
    opened: "Opened", repo: str, tombstones: "Tombstones", *, dry_run: bool, yes: bool, tell: Callable[[str], None]
) -> None:
    """Show what is done on the Hub, and do it."""
    from curate.cli.output import note
    from curate.pipeline.forget.published import forget_published, is_begun, plan_published
    from curate.pipeline.forget.scope import today

    plan = plan_published(opened, repo, tombstones)
    if not plan.is_needed and not is_begun(opened):
        tell(f"{plan.url}: no tag holds anything that was forgotten")
        return
    for step in plan.steps():
        tell(f"hub       {step}")
    for line in plan.only_support:
        tell(f"not here  {line}")
    if dry_run:
        return
    if not yes and not _agrees():
        raise InvalidInput("nothing was changed on the Hub", hint="add --yes, or --dry-run only to look")
    retrievable = forget_published(opened, repo, tombstones, today=today(), say=note)
    tell(f"{plan.url}: every tag was fetched again, and none holds anything that was forgotten")
    for line in retrievable:
        tell(f"ask support: {line}")


def _repo(opened: "Opened") -> str:
    from curate.cli.options import recipe_of
    from curate.recipe import load_recipe
    from curate.stages.publish import Publish

    loaded = load_recipe(recipe_of(None, opened.location), check_sources=False)
    stage = next((stage for stage in loaded.recipe.stages if isinstance(stage, Publish)), None)
    if stage is None:
        raise InvalidInput(f"recipe {loaded.path} has no publish stage", hint="add `- {stage: publish, repo: NAME}`")
    return stage.repo


def _document(plan: "ForgetPlan") -> dict[str, object]:
    return {
        "scope": plan.scope._asdict(),
        "rows": plan.rows,
        "masked": plan.masked,
        "media": plan.media,
        "unused_media": plan.unused_media,
        "replies": plan.replies._asdict(),
        "releases": [release._asdict() for release in plan.releases],
        "pages": list(plan.pages),
        "server": plan.server,
        "raw_files": list(plan.raw_files),
    }


def _show(plan: "ForgetPlan") -> None:
    from curate.cli.output import say, show_table
    from curate.sentences import count_of

    if not plan.stones:
        say("Nothing has expired." if plan.scope.kind == "expired" else "Nothing of it was forgotten there.")
        return
    paths = dict.fromkeys((*plan.rows, *plan.masked))
    show_table(
        ["table", "rows removed", "rows changed"],
        [(path, plan.rows.get(path, 0), plan.masked.get(path, 0)) for path in paths],
    )
    say(f"media     {count_of(plan.media, 'file')} of it, and {count_of(plan.unused_media, 'file')} that no row uses")
    cost = f"; asking for them again would cost about {plan.replies.usd:.2f} USD" if plan.replies.usd else ""
    noun = "stored reply" if plan.replies.replies == 1 else "stored replies"
    say(f"replies   {plan.replies.replies:,} {noun}: all that no other proposal rests on{cost}")
    for release in plan.releases:
        say(f"release   {release.version} is withdrawn (deleted): it holds {release}")
    if plan.pages:
        say(f"pages     {count_of(len(plan.pages), 'page')} of reports and previews, which can be made again")
    if plan.server:
        say(f"server    {plan.server}")
    say("history   older versions of all tables: they cannot be read any more")
