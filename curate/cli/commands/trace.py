"""``curate trace``: where the label of one item comes from."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.options import WORKSPACE, Json, OptionalRecipe, Workspace, recipe_of

if TYPE_CHECKING:
    from curate.labels import LabelSchema
    from curate.pipeline import Trace

Item = Annotated[str, typer.Argument(metavar="ITEM", help="The id of an item, or its beginning.")]


def trace_command(
    item: Item, recipe: OptionalRecipe = None, workspace: Workspace = WORKSPACE, json: Json = False
) -> None:
    """Show where the label of an item comes from: raw file, face, proposals, every human act, releases."""
    from curate.cli.output import say, show_json
    from curate.pipeline import trace
    from curate.recipe import load_recipe
    from curate.storage.workspace import Workspace as Opened

    loaded = load_recipe(recipe_of(recipe, workspace), check_sources=False)
    traced = trace(loaded, Opened(workspace, create=False), item)
    if json:
        show_json(traced._asdict())
        return
    for line in _lines(traced, loaded.labels):
        say(line)


def _lines(traced: "Trace", labels: "LabelSchema") -> Iterator[str]:
    item, source = traced.item, traced.source or {}
    yield f"item {item['item_id']} ({item['unit']})"
    is_derived = source.get("kind") == "derived"
    yield f"  {'derived as' if is_derived else 'raw file  '} {source.get('file') or 'not known'}{_span(item)}"
    yield f"  content    {item['source_id']}"
    yield f"  licence    {source.get('licence') or 'not stated'}; collection {source.get('collection') or 'not stated'}"
    for parent in source.get("parents") or ():
        judgements = f" (judgements {', '.join(parent['judgements'])})" if parent["judgements"] else ""
        yield f"  made from  item {parent['item_id']} of corpus {parent['corpus']}{judgements}"
    if item["repeats"]:
        yield f"  left out   it repeats item {item['repeats']}"
    if item["text"]:
        yield f"  text       {item['text']!r} from {item['text_source'] or 'an unknown place'}"
    if item["speaker"]:
        yield f"  speaker    {item['speaker']} from {item['speaker_source'] or 'an unknown place'}"
    if traced.face is not None:
        outcome = item["face_outcome"] or "of nobody who speaks"
        yield f"  face       {traced.face['face_id']} by {traced.face['detector']}; {outcome}"
    for proposal in traced.prelabels:
        yield from _proposal(proposal, labels)
    for act in traced.acts:
        origins = {entry["field"]: entry["origin"] for entry in act["origins"] or ()}
        yield f"{act['acted_at'] or 'at an unknown time'}  {act['annotator']} {act['action']} {act['annotation_id']}"
        yield from (f"    {line} ({origins.get(name, 'manual')})" for name, line in _values(act, labels))
        yield from (f"    does not fit: {misfit}" for misfit in act["misfits"] or ())
    if traced.label is None:
        yield "no label yet"
    else:
        by = f"{traced.label['raters']} people" if traced.label["label_source"] == "human" else "a model"
        yield f"label by {by} ({traced.label['method']}), based on {', '.join(traced.label['evidence'] or ())}"
        yield from (f"    {line}" for _, line in _values(traced.label, labels))
    releases = ", ".join(f"{version} ({split})" for version, split in traced.releases.items())
    yield f"releases: {releases or 'none'}"


def _proposal(proposal: Mapping[str, Any], labels: "LabelSchema") -> Iterator[str]:
    from curate.cli.output import shorten

    model = proposal["model_answered"] or proposal["model"] or "no model"
    cost = "" if proposal["usd"] is None else f", ${proposal['usd']:.6f}"
    yield f"{proposal['answered_at'] or 'pre-label'}  {proposal['labeller']} ({model}): {proposal['outcome']}{cost}"
    if proposal["prompt"]:
        prompt = f"{proposal['prompt']} {(proposal['prompt_sha256'] or '')[:12]}"
        yield f"    prompt {prompt}, request {proposal['request_key']}"
    if proposal["detail"]:
        yield f"    {proposal['detail']}"
    if proposal["outcome"] == "clue":
        yield from (f"    {extra['name']}: {shorten(extra['text'])}" for extra in proposal["extras"] or ())
    yield from (f"    {line}" for _, line in _values(proposal, labels))


def _values(row: Mapping[str, Any], labels: "LabelSchema") -> Iterator[tuple[str, str]]:
    for name, field in labels.fields.items():
        if row[name] is not None:
            yield name, f"{name}: {', '.join(field.show(row[name]))}"


def _span(item: Mapping[str, Any]) -> str:
    if item["start_s"] is None or item["end_s"] is None:
        return ""
    return f", {item['start_s']:.2f} s to {item['end_s']:.2f} s"
