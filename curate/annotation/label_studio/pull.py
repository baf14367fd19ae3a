"""Pull every human act from the annotation server into ``annotations``."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow.compute as pc

from curate.annotation.label_studio.payloads import annotation_problem, to_credible_time, to_time
from curate.annotation.label_studio.projects import Notes, find_projects
from curate.annotation.label_studio.tasks import Origin, to_judgement
from curate.annotation.protocol import AnnotationServer, Say, TaskState
from curate.corpus.judgements import UNJUDGED_COLUMNS, count_cannot_judge, newest_acts, to_deletion
from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.labels import ItemContext, to_context

_OVERLAP = timedelta(minutes=2)


class PullCounts(NamedTuple):
    """The number of new acts by kind, and every way in which current judgements do not fit the label schema."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    deleted: int = 0
    restored: int = 0
    cannot_judge: int = 0
    problems: tuple[str, ...] = ()

    @property
    def new(self) -> int:
        """The number of new acts."""
        return self.created + self.updated + self.skipped + self.deleted + self.restored + self.cannot_judge


class ProjectStatus(NamedTuple):
    """The progress of one project; ``annotators`` holds the number of judged items of each.

    ``blind`` counts the tasks that show no proposal, and ``cannot_judge`` the pulled judgements that say so, by their
    reason.
    """

    layout: str
    url: str
    tasks: int
    blind: int
    annotated: int
    annotators: dict[str, int]
    cannot_judge: dict[str, int]


def pull(corpus: Corpus, server: AnnotationServer, name: str, *, say: Say = lambda _: None) -> PullCounts:
    """Append every act since the last pull to ``annotations``: judgements created, updated, skipped, deleted, restored.

    ``name`` is the server's permanent name. The caller holds the workspace's lock. A pull may be killed and repeated at
    any time. An act that the label schema does not allow is stored with its raw form and its problems.

    A judgement counts as deleted only if a second request, for its task alone, does not return it either: listings
    skip tasks when others are deleted meanwhile. If it is seen again later, a ``restored`` act follows.
    """
    stored = corpus.table("annotations").read()
    stored_ids = set(stored["annotation_id"].to_pylist())
    acts_there = newest_acts(stored.filter(pc.equal(stored["server"], name))).to_pylist()
    newest = {act["judgement_id"]: act for act in acts_there}
    notes, tombstones = Notes(corpus.workspace.local, name), Tombstones.read(corpus.workspace)
    projects = find_projects(server, corpus.workspace.recipe or "", corpus.labels.name, notes)
    users = server.users() if projects else {}
    counts: Counter[str] = Counter()
    unreadable: list[str] = []
    for key, project in sorted(projects.items()):
        say(f"{key.layout}: looking for new judgements")
        origin = Origin(name, project.project_id, users, notes.guidelines(key))
        acts = {i: act for i, act in newest.items() if act["project_id"] == project.project_id}
        states = [state for state in server.scan(project.project_id) if state.item_id]
        rows = _new_acts(corpus, server, origin, states, acts, notes.read(key).get("pulled_to"), unreadable)
        new = {row["annotation_id"]: row for row in rows if row["annotation_id"] not in stored_ids}
        fresh = _without_forgotten(new, tombstones)
        counts.update(row["action"] for row in fresh.values())
        newest.update((row["judgement_id"], row) for row in fresh.values())
        corpus.append("annotations", list(fresh.values()), metadata={"stage": "annotate", "server": name})
        if times := [state.updated_at for state in states if state.updated_at]:
            notes.write(key, project_id=project.project_id, pulled_to=max(times, key=to_time))
    problems = (
        f"{server.task_url(act['project_id'], act['task_id'])}: {act['annotator']}: {problem}"
        for act in newest.values()
        for problem in act["misfits"] or ()
    )
    return PullCounts(**counts, problems=tuple(dict.fromkeys([*problems, *unreadable])))


def _without_forgotten(rows: Mapping[str, dict[str, Any]], tombstones: Tombstones) -> dict[str, dict[str, Any]]:
    """Return the acts that are not of a forgotten rater or upon a forgotten item."""
    raters = tombstones.holds("annotator", {row["annotator"] for row in rows.values() if row["annotator"]})
    items = tombstones.holds("item", {row["item_id"] for row in rows.values()})
    return {key: row for key, row in rows.items() if row["annotator"] not in raters and row["item_id"] not in items}


def _new_acts(
    corpus: Corpus,
    server: AnnotationServer,
    origin: Origin,
    states: Sequence[TaskState],
    newest: Mapping[str, Mapping[str, Any]],
    mark: Any,
    unreadable: list[str],
) -> list[dict[str, Any]]:
    """Return the acts upon tasks that changed since ``mark``, and the deletions of judgements that are gone.

    What cannot be read is set aside and named in ``unreadable``; it never counts as deleted.
    """
    live = [act for act in newest.values() if act["action"] != "deleted"]
    live_by_task: dict[int, set[int]] = defaultdict(set)
    for act in live:
        live_by_task[act["task_id"]].add(act["server_annotation_id"])
    # Two changes may become visible in another order than their times say, hence the overlap.
    pulled_to = to_credible_time(mark)
    changed_after = pulled_to - _OVERLAP if pulled_to else datetime.min.replace(tzinfo=UTC)
    changed = {
        state.task_id
        for state in states
        if state.annotation_ids
        and (
            state.annotation_ids != live_by_task[state.task_id]
            or not state.updated_at
            or to_time(state.updated_at) >= changed_after
        )
    }
    listed = {annotation_id for state in states for annotation_id in state.annotation_ids}
    missing = [act for act in live if act["server_annotation_id"] not in listed]
    task_ids = sorted(changed | {act["task_id"] for act in missing})
    items = {item["item_id"]: item for item in corpus.read("items").to_pylist()} if task_ids else {}
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    fetched = server.fetch(task_ids, origin.project_id)
    set_aside: set[int] = set()
    for task_id, problem in fetched.unreadable.items():
        unreadable.append(f"{server.task_url(origin.project_id, task_id)} cannot be read: {problem}")
    for task in fetched.tasks:
        item = items.get(task["data"]["item_id"])
        context = to_context(item) if item else ItemContext()
        for annotation in task["annotations"]:
            if problem := annotation_problem(annotation):
                url = server.task_url(origin.project_id, task["id"])
                unreadable.append(f"{url}: one of its annotations cannot be read: {problem}")
                set_aside.add(task["id"])
                continue
            judgement = to_judgement(annotation, task, context, corpus.labels, origin, newest, now=now)
            rows.append(judgement.to_row(corpus.labels))
    present = {row["judgement_id"] for row in rows}
    set_aside |= fetched.unreadable.keys()
    gone = [act for act in missing if act["judgement_id"] not in present and act["task_id"] not in set_aside]
    return rows + [to_deletion(act, corpus.labels, now) for act in gone]


def status(corpus: Corpus, server: AnnotationServer, name: str) -> list[ProjectStatus]:
    """Return the present progress of each project."""
    users = server.users()
    progress: list[ProjectStatus] = []
    notes = Notes(corpus.workspace.local, name)
    projects = find_projects(server, corpus.workspace.recipe or "", corpus.labels.name, notes)
    acts = corpus.read("annotations", (*UNJUDGED_COLUMNS, "server", "project_id")) if projects else None
    for key, project in sorted(projects.items()):
        states = server.scan(project.project_id)
        people = Counter(users.get(i, f"user {i}") for state in states for i in state.annotators)
        annotated = sum(bool(state.annotation_ids) for state in states)
        blind = sum(state.is_blind for state in states)
        url = server.project_url(project.project_id)
        is_here = acts and pc.and_(pc.equal(acts["server"], name), pc.equal(acts["project_id"], project.project_id))
        unjudged = count_cannot_judge(acts.filter(is_here)) if acts else {}
        people_sorted = dict(sorted(people.items()))
        progress.append(ProjectStatus(key.layout, url, len(states), blind, annotated, people_sorted, unjudged))
    return progress
