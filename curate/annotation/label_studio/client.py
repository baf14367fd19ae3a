"""The annotation server that is a Label Studio. The only importer of its SDK, whose checks are used where it is."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from curate.annotation.local_server.connection import Connection
from curate.annotation.local_server.process import MEDIA
from curate.annotation.protocol import Project, Say, TaskState
from curate.errors import CurateError, InvalidInput, ServiceRefused, ServiceUnavailable
from curate.storage.blobs import Blobs

if TYPE_CHECKING:
    from curate.annotation.label_studio.http import LabelStudioHttp

_PAGE = 1000
_CHUNK = 250
_MEDIA_MARK = "curate-media:"
_STATE = "id,updated_at,annotations_ids,annotators,draft_exists,predictions_results,predictions_model_versions,data"
_PRELABEL_ID = re.compile(r"\bid['\"]?: ['\"]?([0-9a-zA-Z_-]+)\.")
_UPLOADED = re.compile(r"upload/\d+/[0-9a-f]{8}-(([0-9a-f]{2})[0-9a-f]{62}\.[a-z0-9]+)")


class LabelStudioServer:
    """The ``AnnotationServer`` over Label Studio's REST interface."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def projects(self) -> list[Project]:
        projects: list[Project] = []
        while True:
            answer = self._call("GET", "api/projects/", params={"page": len(projects) // 100 + 1, "page_size": 100})
            projects += [_project(project) for project in answer["results"]]
            if not answer.get("next") or not answer["results"]:
                return projects

    def has_project(self, project_id: int) -> bool:
        return self._call("GET", f"api/projects/{project_id}/", missing_ok=True) is not None

    def create_project(self, settings: Mapping[str, Any]) -> Project:
        return _project(self._call("POST", "api/projects/", content=settings))

    def change_project(self, project_id: int, settings: Mapping[str, Any]) -> None:
        self._call("PATCH", f"api/projects/{project_id}/", content=settings)

    def share_media(self, project_id: int, blobs: Blobs, names: Iterable[str], say: Say) -> dict[str, str]:
        wanted = sorted(set(names))
        prefix = urlsplit(self.connection.url).path.rstrip("/")
        if not wanted:
            return {}
        if self.connection.local:
            # Label Studio serves no files directly in its document root, only those of folders below.
            folder = blobs.root.parent.resolve() / "label_studio" / MEDIA / blobs.root.name
            blobs.share(wanted, folder)
            self._expose(project_id, folder)
            return {name: f"{prefix}/data/local-files/?d={folder.name}/{name}" for name in wanted}
        store = self._media_project()
        uploaded = self._uploaded(store)
        missing = [name for name in wanted if name not in uploaded]
        for done, name in enumerate(missing):
            if done % 50 == 0:
                say(f"uploading media: {done} of {len(missing)}")
            file = {"file": (PurePosixPath(name).name, blobs.read(name))}
            self._call("POST", f"api/projects/{store}/import", params={"commit_to_project": "false"}, files=file)
        if missing:
            uploaded = self._uploaded(store)
        lost = [name for name in wanted if name not in uploaded]
        if lost:
            raise ServiceUnavailable(
                f"{self.connection.url} did not keep {len(lost)} uploaded files, such as {lost[0]}"
            )
        return {name: f"{prefix}/data/{uploaded[name]}" for name in wanted}

    def scan(self, project_id: int) -> list[TaskState]:
        states: dict[int, TaskState] = {}
        total, page = 1, 0
        while page * _PAGE < total:
            page += 1
            params = {"project": project_id, "page": page, "page_size": _PAGE, "fields": "all", "include": _STATE}
            answer = self._call("GET", "api/tasks/", params=params, missing_ok=page > 1)
            if answer is None:
                break
            total = answer["total"]
            states.update((task["id"], _state(task)) for task in answer["tasks"])
        return [states[task_id] for task_id in sorted(states)]

    def fetch(self, task_ids: Sequence[int], project_id: int) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = []
        for start in range(0, len(task_ids), _CHUNK):
            selected = {"selectedItems": {"all": False, "included": list(task_ids[start : start + _CHUNK])}}
            params = {"project": project_id, "page_size": _CHUNK, "fields": "all", "query": json.dumps(selected)}
            tasks += self._call("GET", "api/tasks/", params=params)["tasks"]
        return tasks

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        self._call("POST", f"api/projects/{project_id}/import", content=list(tasks))

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        self._act("delete_tasks", project_id, task_ids)

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
        return {user["id"]: user["email"] for user in self._call("GET", "api/users/")}

    def invitation(self) -> str:
        path = str(self._call("GET", "api/invite")["invite_url"])
        return path if path.startswith("http") else f"{self.connection.url}{path}"

    def task_url(self, project_id: int, task_id: int) -> str:
        return f"{self.connection.url}/projects/{project_id}/data?task={task_id}"

    def project_url(self, project_id: int) -> str:
        return f"{self.connection.url}/projects/{project_id}/data"

    def _expose(self, project_id: int, folder: Path) -> None:
        """Give the project access to the shared media. A storage object is all that this takes."""
        storages = self._call("GET", "api/storages/localfiles", params={"project": project_id})
        if all(storage["path"] != str(folder) for storage in storages):
            settings = {"project": project_id, "title": "curate media", "path": str(folder), "use_blob_urls": True}
            self._call("POST", "api/storages/localfiles", content=settings)

    def _media_project(self) -> int:
        """Return the project for uploaded files: Label Studio accepts none in projects with several data keys."""
        ids = sorted(project.project_id for project in self.projects() if _MEDIA_MARK in project.description)
        settings = {"title": "Media of curate", "description": f"{_MEDIA_MARK} the other projects show files kept here"}
        return ids[0] if ids else self.create_project(settings).project_id

    def _uploaded(self, project_id: int) -> dict[str, str]:
        files = self._call("GET", f"api/projects/{project_id}/file-uploads", params={"all": "true"})
        matches = ((_UPLOADED.fullmatch(file["file"]), file["file"]) for file in files)
        return {f"{match[2]}/{match[1]}": path for match, path in matches if match}

    def _act(self, action: str, project_id: int, task_ids: Sequence[int]) -> None:
        for start in range(0, len(task_ids), _PAGE):
            selected = {"all": False, "included": list(task_ids[start : start + _PAGE])}
            params = {"id": action, "project": project_id}
            self._call("POST", "api/dm/actions/", params=params, content={"selectedItems": selected})

    @cached_property
    def _http(self) -> "LabelStudioHttp":
        from curate.annotation.label_studio.http import LabelStudioHttp

        return LabelStudioHttp(self.connection.url, self.connection.api_key, trust_env=not self.connection.local)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: Any = None,
        files: Mapping[str, Any] | None = None,
        missing_ok: bool = False,
    ) -> Any:
        """Return the JSON of an answer; None for an empty one, and with ``missing_ok`` for a 404."""
        import httpx

        try:
            answer = self._http.request(method, path, params=params, content=content, files=files)
        except (httpx.TransportError, httpx.InvalidURL) as error:
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
        return answer.json() if answer.content else None

    def _refused(self, detail: str) -> ServiceRefused:
        place = (
            "LABEL_STUDIO_API_KEY" if not self.connection.local else "label_studio/credentials.json of the workspace"
        )
        return ServiceRefused(
            f"Label Studio at {self.connection.url} refuses the key: {detail}",
            hint=f"check {place}; Label Studio shows a key under Account & Settings",
        )

    def _failure(self, answer: Any, path: str) -> CurateError:
        """Return the error for an unexpected answer."""
        address = f"{self.connection.url}/{path}"
        if not _is_json(answer):
            return ServiceUnavailable(
                f"{address} answered {answer.status_code} with a page instead of data",
                hint="check that LABEL_STUDIO_URL is the address of a Label Studio",
            )
        body = answer.json()
        detail = str(body.get("detail", body) if isinstance(body, dict) else body)
        errors = body.get("validation_errors") if isinstance(body, dict) else None
        detail = f"{detail} {errors}" if errors else detail
        if answer.status_code in (401, 403):
            return self._refused(detail)
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            return ServiceUnavailable(
                f"{address} failed ({answer.status_code}): {detail}"[:600], hint="try again later"
            )
        return InvalidInput(f"{address} does not accept this ({answer.status_code}): {detail}"[:1000])


def _start_hint(connection: Connection) -> str:
    if connection.local:
        return "start it with `curate annotate up`"
    return "check LABEL_STUDIO_URL and that the server runs"


def _is_json(answer: Any) -> bool:
    return bool(answer.headers.get("content-type", "").startswith("application/json"))


def _project(answer: Mapping[str, Any]) -> Project:
    return Project(answer["id"], answer.get("description") or "", answer.get("label_config") or "", answer)


def _state(task: Mapping[str, Any]) -> TaskState:
    ids, versions = task.get("annotations_ids") or "", task.get("predictions_model_versions") or ""
    item_id = task["data"].get("item_id") if isinstance(task["data"], dict) else None
    return TaskState(
        task["id"],
        item_id if isinstance(item_id, str) else "",
        task["updated_at"],
        frozenset(int(part) for part in (ids.split(",") if isinstance(ids, str) else ids) if part),
        frozenset(user if isinstance(user, int) else user["user_id"] for user in task.get("annotators") or ()),
        bool(task.get("draft_exists")),
        frozenset(_PRELABEL_ID.findall(str(task.get("predictions_results") or ""))),
        frozenset(name for name in (versions.split(",") if isinstance(versions, str) else versions) if name),
    )
