"""Remove from the annotation server what was forgotten: tasks of items, annotations of raters, and media."""

from typing import NamedTuple

from curate.annotation.label_studio.payloads import is_id, records
from curate.annotation.label_studio.projects import Notes, recipe_projects
from curate.annotation.protocol import AnnotationServer
from curate.corpus.tombstones import Tombstones
from curate.storage.workspace import Workspace


class ServerCounts(NamedTuple):
    """What the server holds of something forgotten."""

    tasks: int = 0
    annotations: int = 0

    def __str__(self) -> str:
        counts = ((self.tasks, "task"), (self.annotations, "other judgement"))
        return " and ".join(f"{number:,} {noun}{'' if number == 1 else 's'}" for number, noun in counts)


def forget_on_server(
    workspace: Workspace, server: AnnotationServer, name: str, tombstones: Tombstones, *, dry_run: bool = False
) -> ServerCounts:
    """Delete every task of a forgotten item and every annotation of a forgotten rater, and return how many.

    ``name`` is the server's permanent name. With ``dry_run`` they are only counted. Media that the workspace does not
    hold any more are removed as well, unless tasks of another recipe show them. May be killed and repeated at any time.
    """
    users = server.users()
    forgotten = {i for i, email in users.items() if tombstones.holds("annotator", [email])}
    tasks = annotations = 0
    projects = recipe_projects(server, workspace.recipe or "", Notes(workspace.local, name))
    for project in projects:
        states = server.scan(project.project_id)
        items = tombstones.holds("item", {state.item_id for state in states if state.item_id})
        task_ids = [state.task_id for state in states if state.item_id in items]
        judged = [s.task_id for s in states if s.item_id not in items and s.annotators & forgotten]
        fetched = server.fetch(judged, project.project_id).tasks if judged else []
        acts = [act for task in fetched for act in records(task["annotations"]) if act.get("completed_by") in forgotten]
        annotation_ids = [act["id"] for act in acts if is_id(act.get("id"))]
        if not dry_run:
            server.delete_tasks(project.project_id, task_ids)
            server.delete_annotations(annotation_ids)
        tasks, annotations = tasks + len(task_ids), annotations + len(annotation_ids)
    if not dry_run:
        project_ids = {project.project_id for project in projects}
        server.remove_media(workspace.blobs, workspace.blobs.stored(), project_ids)
    return ServerCounts(tasks, annotations)
