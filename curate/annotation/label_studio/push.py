"""Items, media and pre-labels to the annotation server."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.label_studio.projects import Notes, ProjectKey, ensure_project, find_projects
from curate.annotation.label_studio.tasks import MEDIA, has_all, shown_in, to_prediction, to_task
from curate.annotation.protocol import AnnotationServer, Project, Say, TaskState
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.labels import DEFAULT_LANGUAGE, Layout, compile_config, find_layout, parse_layout, to_context

BATCH = 250
REFILL_BATCH = 2000
"""Larger, as Label Studio looks at the whole project each time."""


class PushCounts(NamedTuple):
    """What a push did. ``waiting`` items are on the server and nobody has judged them."""

    added: int = 0
    refilled: int = 0
    waiting: int = 0
    judged: int = 0


class Push(NamedTuple):
    """What a push works with: the server and its lasting name, the recipe's folder, the projects' settings."""

    corpus: Corpus
    server: AnnotationServer
    name: str
    folder: Path
    settings: Mapping[str, Any]
    language: str
    say: Say


def push(
    corpus: Corpus,
    server: AnnotationServer,
    name: str,
    *,
    folder: Path,
    settings: Mapping[str, Any],
    language: str = DEFAULT_LANGUAGE,
    say: Say = lambda _: None,
) -> PushCounts:
    """Bring every item of the corpus, with its pre-label and media, to the project of its layout.

    What is there already is left alone; a pre-label that changed replaces the old one where nobody has judged yet.
    ``name`` is the server's lasting one, ``folder`` the recipe's, ``settings`` are of the projects, ``language`` of
    the questions. May be killed and repeated at any time. Raises ``InvalidInput`` for pre-labels that the label schema
    does not allow and ``ServiceConflict`` for projects changed by hand.
    """
    this = Push(corpus, server, name, folder, settings, language, say)
    items = _by_layout(corpus, folder)
    recipe = corpus.workspace.recipe or ""
    found = find_projects(server, recipe, corpus.labels.name) if items else {}
    keys = {ProjectKey(recipe, corpus.labels.name, path.stem): path for path in items}
    counts = [_push_layout(this, key, path, items[path], found.get(key)) for key, path in keys.items()]
    return PushCounts(*(sum(column) for column in zip(*counts, strict=True))) if counts else PushCounts()


def _push_layout(
    this: Push, key: ProjectKey, path: Path, items: Sequence[dict[str, Any]], existing: Project | None
) -> PushCounts:
    layout = path.read_text("utf-8")
    config = compile_config(this.corpus.labels, layout, name=str(path), language=this.language)
    shown = shown_in(layout)
    everything, items = items, [item for item in items if has_all(item, shown)]
    if len(items) < len(everything):
        this.say(f"{key.layout}: {len(everything) - len(items)} items lack what this layout shows, and are left out")
    predictions = _predictions(this.corpus, items, parse_layout(layout, name=str(path)))
    _check(this.server, config, predictions)
    notes = Notes(this.corpus.workspace.local, this.name)
    project_id = ensure_project(this.server, key, config, this.settings, existing=existing, notes=notes)
    states = _without_copies(this.server, project_id)
    new = [item for item in items if item["item_id"] not in states]
    _import(this, project_id, key.layout, new, shown, predictions)
    there = [states[item["item_id"]] for item in items if item["item_id"] in states]
    refilled = _refill(this, project_id, there, predictions)
    untouched = {state.item_id for state in there if not _is_begun(state)} | {item["item_id"] for item in new}
    _show(this.server, project_id, existing, {p["model_version"] for i, p in predictions.items() if i in untouched})
    judged = sum(bool(state.annotation_ids) for state in there)
    return PushCounts(len(new), refilled, len(items) - judged, judged)


def _import(
    this: Push,
    project_id: int,
    layout: str,
    items: Sequence[Mapping[str, Any]],
    shown: Iterable[str],
    predictions: Mapping[str, Any],
) -> None:
    """Add tasks in batches, each with its media first, so that no annotator meets a task without its clip."""
    columns = [name for name in MEDIA if name in shown]
    for at in range(0, len(items), BATCH):
        this.say(f"{layout}: {at} of {len(items)} items sent")
        batch = items[at : at + BATCH]
        names = [item[column] for item in batch for column in columns]
        urls = this.server.share_media(project_id, this.corpus.workspace.blobs, names, this.say)
        tasks = [to_task(item, shown, urls, predictions.get(item["item_id"])) for item in batch]
        this.server.import_tasks(project_id, tasks)


def _refill(this: Push, project_id: int, states: Sequence[TaskState], predictions: Mapping[str, dict[str, Any]]) -> int:
    """Replace the predictions that are no longer the current ones, where nobody has begun."""
    changed: dict[int, dict[str, Any] | None] = {}
    for state in states:
        prediction = predictions.get(state.item_id)
        filling = {result["id"].partition(".")[0] for result in prediction["result"]} if prediction else set()
        labellers = {prediction["model_version"]} if prediction else set()
        if not _is_begun(state) and (state.filling != filling or state.labellers != labellers):
            changed[state.task_id] = prediction
    task_ids = list(changed)
    for at in range(0, len(task_ids), REFILL_BATCH):
        this.say(f"{at} of {len(task_ids)} pre-labels replaced")
        this.server.replace_predictions(project_id, {i: changed[i] for i in task_ids[at : at + REFILL_BATCH]})
    return len(changed)


def _show(server: AnnotationServer, project_id: int, existing: Project | None, labellers: Iterable[str]) -> None:
    """Choose whose predictions the annotators' stream shows: those of one labeller only, and none before they exist."""
    names = sorted(labellers)
    if names and (existing is None or existing.settings.get("model_version") not in names):
        server.change_project(project_id, {"model_version": names[0]})


def _is_begun(state: TaskState) -> bool:
    return bool(state.annotation_ids) or state.has_draft


def _without_copies(server: AnnotationServer, project_id: int) -> dict[str, TaskState]:
    """The task of each item. A batch whose sender was killed may arrive twice: untouched copies are deleted."""
    by_item: dict[str, list[TaskState]] = defaultdict(list)
    for state in server.scan(project_id):
        if state.item_id:
            by_item[state.item_id].append(state)
    kept: dict[str, TaskState] = {}
    copies: list[int] = []
    for item_id, states in by_item.items():
        first, *others = sorted(states, key=lambda s: (not s.annotation_ids, not s.has_draft, s.task_id))
        kept[item_id] = first
        copies += [s.task_id for s in others if not _is_begun(s)]
    if copies:
        server.delete_tasks(project_id, copies)
    return kept


def _by_layout(corpus: Corpus, folder: Path) -> dict[Path, list[dict[str, Any]]]:
    """The items that the label schema is about, by the file of their layout."""
    found: dict[Path, list[dict[str, Any]]] = defaultdict(list)
    paths: dict[tuple[str, str], Path] = {}
    for item in corpus.read("items").to_pylist():
        kind = (item["unit"], item["layout"])
        if item["unit"] in corpus.labels.units:
            paths[kind] = paths.get(kind) or find_layout(corpus.labels, *kind, beside=folder)
            found[paths[kind]].append(item)
    return dict(sorted(found.items()))


def _predictions(corpus: Corpus, items: Sequence[Mapping[str, Any]], layout: Layout) -> dict[str, dict[str, Any]]:
    """The prediction of each item that has a usable pre-label; the last by id where it has several."""
    by_id = {item["item_id"]: item for item in items}
    usable = {
        row["item_id"]: row
        for row in corpus.read("prelabels").to_pylist()
        if row["final"] and row["outcome"] == "ok" and row["item_id"] in by_id
    }
    labeller = "+".join(sorted({row["labeller"] for row in usable.values()}))
    found: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for item_id, row in usable.items():
        try:
            prediction = to_prediction(row, corpus.labels, layout, to_context(by_id[item_id]), labeller)
        except ValueError as error:
            problems.append(f"pre-label {row['prelabel_id']} of item {item_id}: {error}")
            continue
        if prediction["result"]:
            found[item_id] = prediction
    _raise_for(problems)
    return found


def _check(server: AnnotationServer, config: str, predictions: Mapping[str, dict[str, Any]]) -> None:
    """Let the server's own rules have a say: it would store a wrong label unseen, and show nothing of it."""
    if server.check_predictions(config, list(predictions.values())):
        _raise_for([f"item {i}: {e}" for i, p in predictions.items() for e in server.check_predictions(config, [p])])


def _raise_for(problems: Sequence[str]) -> None:
    if problems:
        raise InvalidInput(
            f"{len(problems)} pre-labels cannot fill the form",
            problems=tuple(problems),
            hint="run the prelabel stage again with the present label schema",
        )
