"""Every human act on the annotation server into ``annotations``."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from curate.annotation.label_studio.projects import Notes, find_projects
from curate.annotation.label_studio.tasks import Origin, to_deletion, to_row, to_time
from curate.annotation.protocol import AnnotationServer, Say, TaskState
from curate.corpus.view import Corpus
from curate.labels import ItemContext, to_context

_OVERLAP = timedelta(minutes=2)


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


def pull(corpus: Corpus, server: AnnotationServer, name: str, *, say: Say = lambda _: None) -> PullCounts:
    """Bring every act since the last pull into ``annotations``: judgements made, changed, skipped and deleted.

    The caller holds the workspace's lock. May be killed and repeated at any time. An act that the label schema does
    not allow is stored with its raw form, and listed in ``problems``.
    """
    stored = corpus.table("annotations").read()
    known: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in sorted(stored.to_pylist(), key=lambda r: (r["acted_at"], r["action"] == "deleted")):
        if row["server"] == name:
            known[row["project_id"]][row["server_annotation_id"]] = row
    found = find_projects(server, corpus.workspace.recipe or "", corpus.labels.name)
    users = server.users() if found else {}
    notes = Notes(corpus.workspace.local, name)
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
    for key, project in sorted(find_projects(server, corpus.workspace.recipe or "", corpus.labels.name).items()):
        states = server.scan(project.project_id)
        people = Counter(users.get(i, f"user {i}") for state in states for i in state.annotators)
        annotated = sum(bool(state.annotation_ids) for state in states)
        url = server.project_url(project.project_id)
        shown.append(ProjectStatus(key.layout, url, len(states), annotated, dict(sorted(people.items()))))
    return shown
