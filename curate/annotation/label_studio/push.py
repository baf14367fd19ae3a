"""Push items, media and pre-labels to the annotation server."""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.label_studio.projects import Notes, ProjectKey, ensure_project, find_projects
from curate.annotation.label_studio.tasks import MEDIA, has_all, lacks_copy, to_prediction, to_task, variables_of
from curate.annotation.protocol import AnnotationServer, Project, Say, TaskState
from curate.corpus.splitting.components import seeded_fraction
from curate.corpus.view import Corpus
from curate.document import read_text
from curate.errors import CurateError, InvalidInput
from curate.labels import DEFAULT_LANGUAGE, Layout, compile_config, find_layout, parse_layout, to_context

BATCH = 250
REFILL_BATCH = 2000
"""Larger than ``BATCH``, since Label Studio reads the whole project each time."""


MakeCopies = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, str | CurateError]]
"""Makes the viewing copies of items; returns the blob of each, or why there is none, by ``item_id``."""


class PushCounts(NamedTuple):
    """The results of a push. ``waiting`` items are on the server and have no judgement.

    ``blind`` items show no proposal, by choice. ``problems`` name the items that were not sent because they cannot be
    shown, such as without their raw file.
    """

    added: int = 0
    refilled: int = 0
    waiting: int = 0
    judged: int = 0
    blind: int = 0
    problems: tuple[str, ...] = ()


class Push(NamedTuple):
    """The inputs of a push: see ``push``."""

    corpus: Corpus
    server: AnnotationServer
    name: str
    folder: Path
    settings: Mapping[str, Any]
    guideline_sha256: str
    language: str
    say: Say
    make_copies: MakeCopies
    blind_share: float
    seed: int


def push(
    corpus: Corpus,
    server: AnnotationServer,
    name: str,
    *,
    folder: Path,
    settings: Mapping[str, Any],
    make_copies: MakeCopies,
    guideline_sha256: str = "",
    language: str = DEFAULT_LANGUAGE,
    blind_share: float = 0.0,
    seed: int = 0,
    say: Say = lambda _: None,
) -> PushCounts:
    """Bring every item of the corpus, with its pre-label and media, to the project of its layout.

    Existing tasks are left alone; a changed pre-label replaces the old one if nobody has judged the item yet. ``name``
    is the server's permanent name, ``folder`` the recipe's folder, ``settings`` those of the projects,
    ``guideline_sha256`` the hash of the instructions in them, and ``language`` that of the questions. ``make_copies``
    makes the missing viewing copies of new items; those without are not sent. A ``blind_share`` of new items, drawn by
    ``seed`` and their ids, is sent without a pre-label, for good: each task says so itself. A push may be killed and
    repeated at any time. Raises ``InvalidInput`` for pre-labels that the label schema does not allow, and
    ``ServiceConflict`` for projects that were changed by hand.
    """
    job = Push(corpus, server, name, folder, settings, guideline_sha256, language, say, make_copies, blind_share, seed)
    items = _by_layout(corpus, folder)
    recipe = corpus.workspace.recipe or ""
    notes = Notes(corpus.workspace.local, name)
    projects = find_projects(server, recipe, corpus.labels.name, notes) if items else {}
    keys = {ProjectKey(recipe, corpus.labels.name, path.stem): path for path in items}
    counts = [_push_layout(job, key, path, items[path], projects.get(key)) for key, path in keys.items()]
    totals = (sum(column) for column in zip(*(count[:-1] for count in counts), strict=True)) if counts else ()
    return PushCounts(*totals)._replace(problems=tuple(problem for count in counts for problem in count.problems))


def _push_layout(
    job: Push, key: ProjectKey, path: Path, items: Sequence[dict[str, Any]], existing: Project | None
) -> PushCounts:
    layout = read_text(path)
    config = compile_config(job.corpus.labels, layout, name=str(path), language=job.language)
    variables = variables_of(layout)
    complete = [item for item in items if has_all(item, variables)]
    if len(complete) < len(items):
        job.say(f"{key.layout}: {len(items) - len(complete)} items lack what this layout shows, and are left out")
    items = complete
    predictions = _predictions(job.corpus, items, parse_layout(layout, name=str(path)))
    _check(job.server, config, predictions)
    notes = Notes(job.corpus.workspace.local, job.name)
    title = job.corpus.labels.title
    present_project = ensure_project(job.server, key, config, job.settings, title=title, existing=existing, notes=notes)
    project_id = present_project.project_id
    notes.add_guideline(key, job.guideline_sha256)
    states = _without_copies(job.server, project_id)
    new = [item for item in items if item["item_id"] not in states]
    blind = _blind_items(job, new) | {state.item_id for state in states.values() if state.is_blind}
    predictions = {item_id: prediction for item_id, prediction in predictions.items() if item_id not in blind}
    problems = _import(job, project_id, key.layout, new, variables, predictions, blind)
    new = [item for item in new if item["item_id"] not in problems]
    present_items = [item for item in items if item["item_id"] in states]
    job.server.share_media(project_id, job.corpus.workspace.blobs, _media_names(present_items, variables), job.say)
    present = [states[item["item_id"]] for item in present_items]
    refilled = _refill(job, project_id, present, predictions, all_of_them=present_project.is_form_changed)
    untouched = {state.item_id for state in present if not _is_begun(state)} | {item["item_id"] for item in new}
    _choose_labeller(
        job.server, project_id, existing, {p["model_version"] for i, p in predictions.items() if i in untouched}
    )
    judged = sum(bool(state.annotation_ids) for state in present)
    reasons = Counter(problems.values())
    summary = tuple(f"{count} of the items: {reason}" for reason, count in reasons.items())
    shown_blind = sum(item["item_id"] in blind for item in (*new, *present_items))
    return PushCounts(len(new), refilled, len(new) + len(present) - judged, judged, shown_blind, summary)


def _blind_items(job: Push, items: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the new items that nobody is shown a proposal for; a greater share adds to those of a smaller one."""
    ids = (item["item_id"] for item in items)
    # The words keep this draw apart from that of splits, which hashes the same ids.
    return {item_id for item_id in ids if seeded_fraction(f"blind {item_id}", job.seed) < job.blind_share}


def _import(
    job: Push,
    project_id: int,
    layout: str,
    items: Sequence[Mapping[str, Any]],
    variables: Iterable[str],
    predictions: Mapping[str, Any],
    blind: Container[str],
) -> dict[str, str]:
    """Add tasks in batches, media first, so that no annotator opens a task without its clip.

    Returns why items are left out, by their id.
    """
    problems: dict[str, str] = {}
    for start in range(0, len(items), BATCH):
        job.say(f"{layout}: {start} of {len(items)} items sent")
        batch, left_out = _with_copies(job, items[start : start + BATCH], "video" in variables)
        problems |= left_out
        names = _media_names(batch, variables)
        urls = job.server.share_media(project_id, job.corpus.workspace.blobs, names, job.say)
        tasks = [
            to_task(item, variables, urls, predictions.get(item["item_id"]), is_blind=item["item_id"] in blind)
            for item in batch
        ]
        job.server.import_tasks(project_id, tasks)
    if items:
        job.say(f"{layout}: {len(items) - len(problems)} of {len(items)} items sent")
    return problems


def _with_copies(
    job: Push, items: Sequence[Mapping[str, Any]], is_video_shown: bool
) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
    """Return the items that can be shown, with their viewing copies, and why others cannot, by their id."""
    copies = job.make_copies([item for item in items if lacks_copy(item)]) if is_video_shown else {}
    left_out = {item_id: copy.message for item_id, copy in copies.items() if isinstance(copy, CurateError)}
    included = [item for item in items if item["item_id"] not in left_out]
    return [{**item, "video": copies.get(item["item_id"], item["video"])} for item in included], left_out


def _media_names(items: Iterable[Mapping[str, Any]], variables: Iterable[str]) -> list[str]:
    """Return the blobs that tasks of these items show, as far as they are known."""
    used_variables = set(variables)
    return [item[column] for item in items for column in MEDIA if column in used_variables and item[column]]


def _refill(
    job: Push,
    project_id: int,
    states: Sequence[TaskState],
    predictions: Mapping[str, dict[str, Any]],
    *,
    all_of_them: bool,
) -> int:
    """Replace outdated predictions of tasks that nobody has begun, and return the number of tasks.

    ``all_of_them``: the form has changed, and may have other controls than those that are filled.
    """
    changed: dict[int, dict[str, Any] | None] = {}
    for state in states:
        prediction = predictions.get(state.item_id)
        prelabel_ids = {result["id"].partition(".")[0] for result in prediction["result"]} if prediction else set()
        labellers = {prediction["model_version"]} if prediction else set()
        is_outdated = state.prelabel_ids != prelabel_ids or state.labellers != labellers
        if not _is_begun(state) and (is_outdated or (all_of_them and prelabel_ids)):
            changed[state.task_id] = prediction
    task_ids = list(changed)
    for start in range(0, len(task_ids), REFILL_BATCH):
        job.say(f"{start} of {len(task_ids)} pre-labels replaced")
        job.server.replace_predictions(project_id, {i: changed[i] for i in task_ids[start : start + REFILL_BATCH]})
    if task_ids:
        job.say(f"{len(task_ids)} of {len(task_ids)} pre-labels replaced")
    return len(changed)


def _choose_labeller(
    server: AnnotationServer, project_id: int, existing: Project | None, labellers: Iterable[str]
) -> None:
    """Let the annotators' stream show predictions of one labeller, as soon as there are any."""
    names = sorted(labellers)
    if names and (existing is None or existing.settings.get("model_version") not in names):
        server.change_project(project_id, {"model_version": names[0]})


def _is_begun(state: TaskState) -> bool:
    return bool(state.annotation_ids) or state.has_draft


def _without_copies(server: AnnotationServer, project_id: int) -> dict[str, TaskState]:
    """Return the task of each item. A batch whose sender was killed may arrive twice: untouched copies are deleted."""
    by_item: dict[str, list[TaskState]] = defaultdict(list)
    for state in server.scan(project_id):
        if state.item_id:
            by_item[state.item_id].append(state)
    by_id: dict[str, TaskState] = {}
    copies: list[int] = []
    for item_id, states in by_item.items():
        first, *duplicates = sorted(states, key=lambda s: (not s.annotation_ids, not s.has_draft, s.task_id))
        by_id[item_id] = first
        copies += [s.task_id for s in duplicates if not _is_begun(s)]
    if copies:
        server.delete_tasks(project_id, copies)
    return by_id


def _by_layout(corpus: Corpus, folder: Path) -> dict[Path, list[dict[str, Any]]]:
    """Return the items of the label schema's units, by the file of their layout."""
    items: dict[Path, list[dict[str, Any]]] = defaultdict(list)
    paths: dict[tuple[str, str], Path] = {}
    for item in corpus.read("items").to_pylist():
        kind = (item["unit"], item["layout"])
        if item["unit"] in corpus.labels.units:
            paths[kind] = paths.get(kind) or find_layout(corpus.labels, *kind, user_folder=folder)
            items[paths[kind]].append(item)
    return dict(sorted(items.items()))


def _predictions(corpus: Corpus, items: Sequence[Mapping[str, Any]], layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the prediction of each item that has a usable pre-label; the last by id if it has several."""
    by_id = {item["item_id"]: item for item in items}
    usable = {
        row["item_id"]: row
        for row in corpus.read("prelabels").to_pylist()
        if row["final"] and row["outcome"] == "ok" and row["item_id"] in by_id
    }
    labeller = "+".join(sorted({row["labeller"] for row in usable.values()}))
    predictions: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for item_id, row in usable.items():
        try:
            prediction = to_prediction(row, corpus.labels, layout, to_context(by_id[item_id]), labeller)
        except ValueError as error:
            problems.append(f"pre-label {row['prelabel_id']} of item {item_id}: {error}")
            continue
        if prediction["result"]:
            predictions[item_id] = prediction
    _raise_for(problems)
    return predictions


def _check(server: AnnotationServer, config: str, predictions: Mapping[str, dict[str, Any]]) -> None:
    """Check predictions by the server's own rules: it would store an invalid label without showing it."""
    if server.check_predictions(config, list(predictions.values())):
        _raise_for([f"item {i}: {e}" for i, p in predictions.items() for e in server.check_predictions(config, [p])])


def _raise_for(problems: Sequence[str]) -> None:
    if problems:
        raise InvalidInput(
            f"{len(problems)} pre-labels cannot fill the form",
            problems=tuple(problems),
            hint="run the prelabel stage again with the present label schema",
        )
