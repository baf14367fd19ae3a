"""The annotation server that is a Label Studio. The only importer of its SDK, whose checks are used where it is."""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from curate.annotation.label_studio.answers import to_project, to_state
from curate.annotation.label_studio.payloads import is_id, is_text, records, task_problem
from curate.annotation.local_server.connection import Connection
from curate.annotation.local_server.media import remove_shared, shared_folder
from curate.annotation.protocol import Fetched, Project, Say, TaskState
from curate.errors import CurateError, InvalidInput, ServiceRefused, ServiceUnavailable
from curate.storage.blobs import Blobs

if TYPE_CHECKING:
    from curate.annotation.label_studio.http import LabelStudioHttp

_PAGE = 1000
_CHUNK = 250
_MAX_PAGES = 10_000
_MAX_UNREADABLE = 20
_MEDIA_MARK = "curate-media:"
# Without a list of fields, Label Studio counts tasks and judgements of every project, which takes most of the time.
_PROJECT = (
    "id,title,description,label_config,created_by,model_version,maximum_annotations,expert_instruction,"
    "show_instruction,show_collab_predictions,show_skip_button,enable_empty_annotation"
)
_STATE = "id,updated_at,annotations_ids,annotators,draft_exists,predictions_results,predictions_model_versions,data"
_UPLOADED = re.compile(r"upload/\d+/[0-9a-f]{8}-(([0-9a-f]{2})[0-9a-f]{62}\.[a-z0-9]+)")


class ServerFault(ServiceUnavailable):
    """The server answers that it cannot answer this request; others may succeed."""


class LabelStudioServer:
    """The ``AnnotationServer`` over Label Studio's REST interface."""

    def __init__(self, connection: Connection, say: Say = lambda _: None) -> None:
        self.connection, self._say = connection, say

    def projects(self) -> list[Project]:
        projects: dict[int, Project] = {}
        for page in range(1, _MAX_PAGES + 1):
            params = {"page": page, "page_size": 100, "include": _PROJECT}
            answer = self._object("api/projects/", params=params)
            listed = [
                to_project(project, self._user_id)
                for project in records(self._list(answer, "results", "api/projects/"))
            ]
            new = {project.project_id: project for project in listed if project and project.project_id not in projects}
            projects |= new
            # A server that always names a next page would never be done.
            if not answer.get("next") or not new:
                break
        return list(projects.values())

    def has_project(self, project_id: int) -> bool:
        return self._call("GET", f"api/projects/{project_id}/", missing_ok=True) is not None

    def create_project(self, settings: Mapping[str, Any]) -> Project:
        project = to_project(self._call("POST", "api/projects/", content=settings), None)
        if project is None:
            raise self._nonsense("api/projects/")
        return project

    def change_project(self, project_id: int, settings: Mapping[str, Any]) -> None:
        self._call("PATCH", f"api/projects/{project_id}/", content=settings)

    def share_media(self, project_id: int, blobs: Blobs, names: Iterable[str], say: Say) -> dict[str, str]:
        wanted = sorted(set(names))
        prefix = urlsplit(self.connection.url).path.rstrip("/")
        if not wanted:
            return {}
        if self.connection.local:
            # Label Studio serves no files directly in its document root, only those of folders below.
            folder = shared_folder(blobs)
            blobs.share(wanted, folder)
            self._expose(project_id, folder)
            return {name: f"{prefix}/data/local-files/?d={folder.name}/{name}" for name in wanted}
        store = self._media_project
        uploaded = self._uploaded(store)
        missing = [name for name in wanted if name not in uploaded]
        for done, name in enumerate(missing):
            if done % 50 == 0:
                say(f"uploading media: {done} of {len(missing)}")
            file = {"file": (PurePosixPath(name).name, blobs.read(name))}
            self._call("POST", f"api/projects/{store}/import", params={"commit_to_project": "false"}, files=file)
        if missing:
            say(f"uploading media: {len(missing)} of {len(missing)}")
            uploaded = self._uploaded(store)
        lost = [name for name in wanted if name not in uploaded]
        if lost:
            raise ServiceUnavailable(
                f"{self.connection.url} did not keep {len(lost)} uploaded files, such as {lost[0]}"
            )
        return {name: f"{prefix}/data/{uploaded[name]}" for name in wanted}

    def scan(self, project_id: int) -> list[TaskState]:
        states: dict[int, TaskState] = {}
        for tasks in self._task_pages(project_id, _STATE):
            states.update((state.task_id, state) for state in map(to_state, tasks) if state)
        return [states[task_id] for task_id in sorted(states)]

    def _task_pages(self, project_id: int, columns: str) -> Iterator[list[dict[str, Any]]]:
        """Yield the tasks of a project page by page, with some of their columns."""
        task_ids: set[int] = set()
        total, page = 1, 0
        while page * _PAGE < total and page < _MAX_PAGES:
            page += 1
            params = {"project": project_id, "page": page, "page_size": _PAGE, "fields": "all", "include": columns}
            answer = self._call("GET", "api/tasks/", params=params, missing_ok=page > 1)
            if answer is None:
                break
            if not isinstance(answer, dict) or not is_id(answer.get("total")):
                raise self._nonsense("api/tasks/")
            tasks = [task for task in records(self._list(answer, "tasks", "api/tasks/")) if is_id(task.get("id"))]
            yield tasks
            ids = {task["id"] for task in tasks}
            total = answer["total"] if ids - task_ids else 0
            task_ids |= ids

    def fetch(self, task_ids: Sequence[int], project_id: int) -> Fetched:
        fetched, has_failed = Fetched([], {}), False
        batches = [list(task_ids[start : start + _CHUNK]) for start in reversed(range(0, len(task_ids), _CHUNK))]
        while batches:
            batch = batches.pop()
            selected = {"selectedItems": {"all": False, "included": batch}}
            params = {"project": project_id, "page_size": _CHUNK, "fields": "all", "query": json.dumps(selected)}
            try:
                answer = self._object("api/tasks/", params=params, once=has_failed)
            except ServerFault as error:
                has_failed = True
                # One task that the server cannot write as JSON fails its whole batch: find it.
                if len(batch) > 1:
                    batches += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
                    continue
                fetched.unreadable[batch[0]] = f"the server fails: {error.message}"
                if len(fetched.unreadable) > _MAX_UNREADABLE and not fetched.tasks:
                    raise
                continue
            listed = self._list(answer, "tasks", "api/tasks/")
            ids = {task["id"] for task in records(listed) if is_id(task.get("id"))}
            if len(ids) < len(listed):
                # What is no task may stand for one that was asked for, which is not gone then.
                fetched.unreadable.update(dict.fromkeys(set(batch) - ids, "the answer holds something else than tasks"))
            for task in records(listed):
                if is_id(task.get("id")) and task["id"] in batch:
                    if problem := task_problem(task):
                        fetched.unreadable[task["id"]] = problem
                    else:
                        fetched.tasks.append(task)
        return fetched

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        self._call("POST", f"api/projects/{project_id}/import", content=list(tasks))

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        self._act("delete_tasks", project_id, task_ids)

    def delete_annotations(self, annotation_ids: Iterable[int]) -> None:
        for annotation_id in annotation_ids:
            self._call("DELETE", f"api/annotations/{annotation_id}/", missing_ok=True)

    def remove_media(self, blobs: Blobs, kept_blobs: Container[str], project_ids: Container[int]) -> int:
        if self.connection.local:
            return remove_shared(blobs, kept_blobs)
        projects = self.projects()
        surplus: dict[str, int] = {}
        for store in (project for project in projects if project.is_own and _is_media_store(project)):
            for file in self._uploads(store.project_id):
                match = _UPLOADED.fullmatch(str(file.get("file")))
                if match and is_id(file.get("id")) and f"{match[2]}/{match[1]}" not in kept_blobs:
                    surplus[match[0]] = file["id"]
        # Workspaces that use the server with the same key keep their files in the same project.
        for project in projects:
            if surplus and project.project_id not in project_ids and not _is_media_store(project):
                for path in self._media_of(project.project_id):
                    surplus.pop(path, None)
        for file_id in surplus.values():
            self._call("DELETE", f"api/import/file-upload/{file_id}", missing_ok=True)
        return len(surplus)

    def replace_predictions(self, project_id: int, by_task: Mapping[int, Mapping[str, Any] | None]) -> None:
        if by_task:
            self._act("delete_tasks_predictions", project_id, list(by_task))
        new = [{"task": task_id, **prediction} for task_id, prediction in by_task.items() if prediction]
        if new:
            self._call("POST", f"api/projects/{project_id}/import/predictions", content=new)

    def check_predictions(self, config: str, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        if find_spec("label_studio_sdk") is None:
            return []
        from label_studio_sdk.label_interface import LabelInterface

        interface = LabelInterface(config)
        errors = (interface.validate_prediction(dict(prediction), return_errors=True) for prediction in predictions)
        return [str(error) for prediction_errors in errors for error in prediction_errors]

    def users(self) -> dict[int, str]:
        users = self._call("GET", "api/users/")
        if not isinstance(users, list):
            # Without names, the judgements of a person would be those of another rater.
            raise self._nonsense("api/users/")
        return {
            user["id"]: user["email"]
            for user in records(users)
            if is_id(user.get("id")) and is_text(user.get("email")) and user["email"]
        }

    def invitation(self) -> str:
        path = str(self._object("api/invite").get("invite_url") or "")
        if not path:
            raise self._nonsense("api/invite")
        return path if path.startswith("http") else f"{self.connection.shown_url}{path}"

    def task_url(self, project_id: int, task_id: int) -> str:
        return f"{self.connection.shown_url}/projects/{project_id}/data?task={task_id}"

    def project_url(self, project_id: int) -> str:
        return f"{self.connection.shown_url}/projects/{project_id}/data"

    def _expose(self, project_id: int, folder: Path) -> None:
        """Give the project access to the shared media. A storage object is all that this takes."""
        storages = records(self._call("GET", "api/storages/localfiles", params={"project": project_id}))
        if all(storage.get("path") != str(folder) for storage in storages):
            settings = {"project": project_id, "title": "curate media", "path": str(folder), "use_blob_urls": True}
            self._call("POST", "api/storages/localfiles", content=settings)

    @cached_property
    def _media_project(self) -> int:
        """The project for uploaded files: Label Studio accepts none in projects with several data keys."""
        ids = sorted(p.project_id for p in self.projects() if p.is_own and _is_media_store(p))
        description = f"Nothing to judge here: the other projects show files kept here. {_MEDIA_MARK}"
        settings = {"title": "(files, nothing to judge)", "description": description}
        return ids[0] if ids else self.create_project(settings).project_id

    def _uploads(self, project_id: int) -> list[dict[str, Any]]:
        files = self._call("GET", f"api/projects/{project_id}/file-uploads", params={"all": "true"})
        return list(records(files))

    def _uploaded(self, project_id: int) -> dict[str, str]:
        paths = (str(file.get("file")) for file in self._uploads(project_id))
        matches = ((_UPLOADED.fullmatch(path), path) for path in paths)
        return {f"{match[2]}/{match[1]}": path for match, path in matches if match}

    def _media_of(self, project_id: int) -> Iterator[str]:
        """Yield the uploaded files that the tasks of a project show."""
        for task in (task for tasks in self._task_pages(project_id, "id,data") for task in tasks):
            values = task["data"].values() if isinstance(task.get("data"), dict) else ()
            matches = (_UPLOADED.search(value) for value in values if isinstance(value, str))
            yield from (match[0] for match in matches if match)

    def _act(self, action: str, project_id: int, task_ids: Sequence[int]) -> None:
        for start in range(0, len(task_ids), _PAGE):
            selected = {"all": False, "included": list(task_ids[start : start + _PAGE])}
            params = {"id": action, "project": project_id}
            self._call("POST", "api/dm/actions/", params=params, content={"selectedItems": selected})

    @cached_property
    def _user_id(self) -> int | None:
        """The user of this key; None if the server has no such page."""
        user = self._call("GET", "api/current-user/whoami", missing_ok=True)
        if user is None:
            return None
        if not isinstance(user, dict) or not is_id(user.get("id")):
            raise self._nonsense("api/current-user/whoami")
        return int(user["id"])

    def _object(self, path: str, *, params: Mapping[str, Any] | None = None, once: bool = False) -> dict[str, Any]:
        """Return an answer that must be a JSON object."""
        answer = self._call("GET", path, params=params, once=once)
        if not isinstance(answer, dict):
            raise self._nonsense(path)
        return answer

    def _list(self, answer: Mapping[str, Any], name: str, path: str) -> list[Any]:
        values = answer.get(name)
        if not isinstance(values, list):
            raise self._nonsense(path)
        return values

    def _nonsense(self, path: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{self.connection.url}/{path} answered with something else than a Label Studio does",
            hint="check that LABEL_STUDIO_URL is the address of a Label Studio, and its version",
        )

    @cached_property
    def _http(self) -> "LabelStudioHttp":
        from curate.annotation.label_studio.http import LabelStudioHttp
        from curate.retries import RetryPolicy

        policy = RetryPolicy(say=self._say)
        reach, is_remote = self.connection, not self.connection.local
        return LabelStudioHttp(reach.url, reach.api_key, trust_env=is_remote, policy=policy)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: Any = None,
        files: Mapping[str, Any] | None = None,
        missing_ok: bool = False,
        once: bool = False,
    ) -> Any:
        """Return the JSON of an answer; None for an empty one to a write, and with ``missing_ok`` for a 404."""
        import httpx

        try:
            answer = self._http.request(method, path, params=params, content=content, files=files, once=once)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise ServiceUnavailable(
                f"Label Studio at {self.connection.url} does not answer: {error or type(error).__name__}",
                hint=_start_hint(self.connection),
            ) from error
        except httpx.HTTPStatusError as error:
            raise self._failure(error.response, "api/token/refresh/") from error
        if answer.status_code == 404 and missing_ok and _is_json(answer):
            return None
        if answer.status_code >= 300 or (answer.content and not _is_json(answer)):
            raise self._failure(answer, path)
        if not answer.content and method != "GET":
            return None
        try:
            value = answer.json()
        except (ValueError, RecursionError) as error:
            raise self._nonsense(path) from error
        if value is None and method == "GET":
            raise self._nonsense(path)
        return value

    def _refused(self, detail: str) -> ServiceRefused:
        setting = (
            "LABEL_STUDIO_API_KEY" if not self.connection.local else "label_studio/credentials.json of the workspace"
        )
        return ServiceRefused(
            f"Label Studio at {self.connection.url} refuses the key: {detail}",
            hint=f"check {setting}; Label Studio shows a key under Account & Settings",
        )

    def _failure(self, answer: Any, path: str) -> CurateError:
        """Return the error for an unexpected answer."""
        address = f"{self.connection.url}/{path}"
        if not _is_json(answer):
            kind = ServerFault if answer.status_code >= 500 else ServiceUnavailable
            return kind(
                f"{address} answered {answer.status_code} with a page instead of data",
                hint="check that LABEL_STUDIO_URL is the address of a Label Studio",
            )
        try:
            body = answer.json()
        except (ValueError, RecursionError):
            body = answer.text[:300]
        detail = str(body.get("detail", body) if isinstance(body, dict) else body)
        errors = body.get("validation_errors") if isinstance(body, dict) else None
        detail = f"{detail} {errors}" if errors else detail
        if answer.status_code in (401, 403):
            return self._refused(detail)
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            kind = ServerFault if answer.status_code >= 500 else ServiceUnavailable
            return kind(f"{address} failed ({answer.status_code}): {detail}"[:600], hint="try again later")
        return InvalidInput(f"{address} does not accept this ({answer.status_code}): {detail}"[:1000])


def _is_media_store(project: Project) -> bool:
    return _MEDIA_MARK in project.description


def _start_hint(connection: Connection) -> str:
    if connection.local:
        return "start it with `curate annotate up`"
    return "check LABEL_STUDIO_URL and that the server runs"


def _is_json(answer: Any) -> bool:
    return bool(answer.headers.get("content-type", "").startswith("application/json"))
