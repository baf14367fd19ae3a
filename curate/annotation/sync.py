"""There and back: items to the annotation server, and every human act into ``annotations``."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.projects import Notes, ProjectKey, ensure_project, find_projects
from curate.annotation.protocol import AnnotationServer, Project, Say, TaskState
from curate.annotation.tasks import MEDIA, Origin, to_context, to_deletion, to_prediction, to_row, to_task, to_time
from curate.assets import find_asset
from curate.errors import InvalidInput
from curate.labels import ItemContext, Layout, compile_config, parse_layout
from curate.storage.corpus import Corpus

BATCH = 250
_OVERLAP = timedelta(minutes=2)


class PushCounts(NamedTuple):
    """What a push did. ``waiting`` items are on the server and nobody has judged them."""

    added: int = 0
    refilled: int = 0
    waiting: int = 0
    judged: int = 0


class PullCounts(NamedTuple):
    """The acts that were new, and what in them the label schema does not allow (stored all the same)."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    deleted: int = 0
    problems: tuple[str, ...] = ()

    @property
    def new(self) -> int:
        return self.created + self.updated + self.skipped + self.deleted


class ProjectStatus(NamedTuple):
    """How far the people are with one project; ``annotators`` holds the number of items of each."""

    layout: str
    url: str
    tasks: int
    annotated: int
    annotators: dict[str, int]


def push(
    corpus: Corpus,
    server: AnnotationServer,
    name: str,
    *,
    folder: Path,
    settings: Mapping[str, Any],
    say: Say = lambda _: None,
) -> PushCounts:
    """Bring every item of the corpus, with its pre-label and media, to the project of its layout.

    What is there already is left alone; a pre-label that changed replaces the old one where nobody has judged yet.
    ``name`` is the server's lasting one, ``folder`` the recipe's, ``settings`` are of the projects. May be killed and
    repeated at any time. Raises ``InvalidInput`` for pre-labels that the label schema does not allow and
    ``ServiceConflict`` for projects changed by hand.
    """
    items = _by_layout(corpus)
    found = find_projects(server, _recipe(corpus), corpus.labels.name) if items else {}
    counts = PushCounts()
    for layout, rows in items.items():
        key = ProjectKey(_recipe(corpus), corpus.labels.name, layout)
        counts = _add(counts, _push_layout(corpus, server, key, found.get(key), rows, name, folder, settings, say))
    return counts


def _push_layout(
    corpus: Corpus,
    server: AnnotationServer,
    key: ProjectKey,
    existing: Project | None,
    items: list[dict[str, Any]],
    name: str,
    folder: Path,
    settings: Mapping[str, Any],
    say: Say,
) -> PushCounts:
    path = find_asset("annotation_ui_configs", key.layout, suffix=".xml", beside=folder)
    layout = path.read_text("utf-8")
    config = compile_config(corpus.labels, layout, name=str(path))
    predictions = _predictions(corpus, items, parse_layout(layout, name=str(path)))
    _check(server, config, predictions)
    notes = Notes(corpus.workspace.root, name)
    project_id = ensure_project(server, key, config, settings, existing=existing, notes=notes)
    states = _without_copies(server, project_id)
    new = [item for item in items if item["item_id"] not in states]
    _import(corpus, server, project_id, key.layout, new, predictions, say)
    there = [states[item["item_id"]] for item in items if item["item_id"] in states]
    refilled = _refill(server, project_id, there, predictions)
    untouched = {s.item_id for s in there if not _is_begun(s)} | {item["item_id"] for item in new}
    shown = {p["model_version"] for item_id, p in predictions.items() if item_id in untouched}
    if shown and (existing is None or existing.settings.get("model_version") not in shown):
        # The annotators' stream shows the predictions of one version only, and none before they exist.
        server.change_project(project_id, {"model_version": shown.pop()})
    judged = sum(bool(state.annotation_ids) for state in there)
    return PushCounts(len(new), refilled, len(items) - judged, judged)


def _import(
    corpus: Corpus,
    server: AnnotationServer,
    project_id: int,
    layout: str,
    items: Sequence[Mapping[str, Any]],
    predictions: Mapping[str, dict[str, Any]],
    say: Say,
) -> None:
    """Add tasks in batches, each with its media first, so that no annotator meets a task without its clip."""
    column = MEDIA.get(layout)
    for at in range(0, len(items), BATCH):
        say(f"{layout}: {at} of {len(items)} items sent")
        batch = items[at : at + BATCH]
        names = [item[column] for item in batch if column and item[column]]
        urls = server.share_media(project_id, corpus.workspace.blobs, names, say)
        tasks = [
            to_task(item, urls.get(item[column]) if column else None, predictions.get(item["item_id"]))
            for item in batch
        ]
        server.import_tasks(project_id, tasks)


def _refill(
    server: AnnotationServer,
    project_id: int,
    states: Sequence[TaskState],
    predictions: Mapping[str, dict[str, Any]],
) -> int:
    """Replace the predictions that are no longer the current ones, where nobody has begun."""
    changed: dict[int, dict[str, Any] | None] = {}
    for state in states:
        prediction = predictions.get(state.item_id)
        filling = {result["id"].partition(".")[0] for result in prediction["result"]} if prediction else set()
        labellers = {prediction["model_version"]} if prediction else set()
        if not _is_begun(state) and (state.filling != filling or state.labellers != labellers):
            changed[state.task_id] = prediction
    task_ids = list(changed)
    for at in range(0, len(task_ids), BATCH):
        server.replace_predictions(project_id, {i: changed[i] for i in task_ids[at : at + BATCH]})
    return len(changed)


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


def pull(corpus: Corpus, server: AnnotationServer, name: str, *, say: Say = lambda _: None) -> PullCounts:
    """Bring every act since the last pull into ``annotations``: judgements made, changed, skipped and deleted.

    The caller holds the workspace's lock. May be killed and repeated at any time. An act that the label schema does
    not allow is stored with its raw form, and listed in ``problems``.
    """
    stored = corpus.workspace.table("annotations", corpus.labels).read()
    known: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in sorted(stored.to_pylist(), key=lambda r: (r["acted_at"], r["action"] == "deleted")):
        if row["server"] == name:
            known[row["project_id"]][row["server_annotation_id"]] = row
    found = find_projects(server, _recipe(corpus), corpus.labels.name)
    users = server.users() if found else {}
    notes = Notes(corpus.workspace.root, name)
    counts: Counter[str] = Counter()
    problems: list[str] = []
    for key, project in sorted(found.items()):
        say(f"{key.layout}: looking for new judgements")
        origin = Origin(name, project.project_id, users)
        mark = notes.read(key).get("pulled_to")
        states = [state for state in server.scan(project.project_id) if state.item_id]
        before = {i: row for i, row in known[project.project_id].items() if row["action"] != "deleted"}
        rows, wrong = _changed_rows(corpus, server, origin, states, known[project.project_id], mark)
        there = {i for state in states for i in state.annotation_ids}
        now = datetime.now(UTC)
        rows += [to_deletion(row, corpus.labels, now) for i, row in before.items() if i not in there]
        fresh = {row["annotation_id"]: row for row in rows}
        stored_ids = set(stored["annotation_id"].to_pylist())
        counts.update(row["action"] for i, row in fresh.items() if i not in stored_ids)
        problems += [text for annotation_id, text in wrong if annotation_id not in stored_ids]
        corpus.append("annotations", list(fresh.values()), metadata={"stage": "annotate", "server": name})
        if states:
            notes.write(key, project_id=project.project_id, pulled_to=max(state.updated_at for state in states))
    return PullCounts(
        counts["created"], counts["updated"], counts["skipped"], counts["deleted"], tuple(dict.fromkeys(problems))
    )


def _changed_rows(
    corpus: Corpus,
    server: AnnotationServer,
    origin: Origin,
    states: Sequence[TaskState],
    known: Mapping[int, Mapping[str, Any]],
    mark: str | None,
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """The rows of every task that may have changed, and what is wrong in them by row."""
    ids_by_task: dict[int, set[int]] = defaultdict(set)
    for annotation_id, row in known.items():
        if row["action"] != "deleted":
            ids_by_task[row["task_id"]].add(annotation_id)
    # Two changes may become visible in another order than their times say, hence the overlap.
    since = to_time(mark) - _OVERLAP if mark else datetime.min.replace(tzinfo=UTC)
    wanted = [
        state.task_id
        for state in states
        if state.annotation_ids
        and (state.annotation_ids != ids_by_task[state.task_id] or to_time(state.updated_at) >= since)
    ]
    rows: list[dict[str, Any]] = []
    wrong: list[tuple[str, str]] = []
    items = {item["item_id"]: item for item in corpus.read("items").to_pylist()} if wanted else {}
    for task in server.fetch(wanted, origin.project_id):
        url = server.task_url(origin.project_id, task["id"])
        item = items.get(task["data"]["item_id"])
        context = to_context(item) if item else ItemContext()
        for annotation in task["annotations"]:
            row, problems = to_row(annotation, task, context, corpus.labels, origin, known=annotation["id"] in known)
            rows.append(row)
            wrong += [(row["annotation_id"], f"{url}: {row['annotator']}: {problem}") for problem in problems]
    return rows, wrong


def status(corpus: Corpus, server: AnnotationServer) -> list[ProjectStatus]:
    """How far each project is, as the server says now."""
    users = server.users()
    shown: list[ProjectStatus] = []
    for key, project in sorted(find_projects(server, _recipe(corpus), corpus.labels.name).items()):
        states = server.scan(project.project_id)
        people = Counter(users.get(i, f"user {i}") for state in states for i in state.annotators)
        annotated = sum(bool(state.annotation_ids) for state in states)
        url = server.project_url(project.project_id)
        shown.append(ProjectStatus(key.layout, url, len(states), annotated, dict(sorted(people.items()))))
    return shown


def _by_layout(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """The items that the label schema is about, by layout. Raises nothing: an item without its media stays out."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in corpus.read("items").to_pylist():
        layout = item["layout"]
        if item["unit"] in corpus.labels.units and (layout not in MEDIA or item[MEDIA[layout]]):
            found[layout].append(item)
    return dict(sorted(found.items()))


def _predictions(corpus: Corpus, items: Sequence[Mapping[str, Any]], layout: Layout) -> dict[str, dict[str, Any]]:
    """The prediction of each item that has a usable pre-label; the last by id where it has several."""
    by_id = {item["item_id"]: item for item in items}
    usable = {
        row["item_id"]: row
        for row in corpus.read("prelabels").to_pylist()
        if row["outcome"] == "ok" and row["item_id"] in by_id
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


def _recipe(corpus: Corpus) -> str:
    return corpus.workspace.recipe or "corpus"


def _add(one: PushCounts, other: PushCounts) -> PushCounts:
    return PushCounts(*(a + b for a, b in zip(one, other, strict=True)))
