"""A stand-in annotation server: the part of Label Studio's REST interface that curate uses, kept in memory."""

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

ADMINISTRATOR = "admin@example.com"
KEY = "fake-key"

Json = Any
Params = Mapping[str, str]


class Response(NamedTuple):
    """An HTTP response: status, and a body that is sent as JSON, or as it is where it is bytes."""

    status: int
    body: Json = None


class FakeLabelStudio:
    """An annotation server for tests and rehearsals, reached over HTTP like the real one.

    Everything that people do on a real server's pages is a method here: ``judge``, ``revise``, ``delete_annotation``.
    ``snapshot`` and ``restore`` play a database that is restored from a copy; ``before_page`` is called before a page
    of tasks is listed, so that a test can change the project while it is read.
    """

    def __init__(self) -> None:
        self.projects: dict[int, dict[str, Json]] = {}
        self.tasks: dict[int, dict[str, Json]] = {}
        self.users: dict[int, str] = {1: ADMINISTRATOR}
        self.storages: list[dict[str, Json]] = []
        self.uploads: dict[int, dict[str, bytes]] = {}
        self.before_page: Callable[[int, int], None] = lambda project_id, page: None
        self._last_id = 100
        self._clock = datetime.now(UTC)
        self._lock = threading.RLock()

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[str]:
        """Serve on 127.0.0.1 until the block ends, and yield the address; ``KEY`` is the administrator's key."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                response = fake.handle(self.command, self.path, self.headers, self.rfile.read(length))
                is_page = isinstance(response.body, bytes)
                body = response.body if is_page else json.dumps(response.body).encode()
                self.send_response(response.status)
                self.send_header("Content-Type", "text/html" if is_page else "application/json")
                self.send_header("Content-Length", str(len(body) if response.status != 204 else 0))
                self.end_headers()
                if response.status != 204:
                    self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Write nothing: the caller's terminal is not this server's log."""

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    # What people do

    def sign_up(self, email: str) -> int:
        """Add an annotator and return the user id."""
        with self._lock:
            user_id = max(self.users) + 1
            self.users[user_id] = email
            return user_id

    def judge(self, task_id: int, result: Json, *, user_id: int | None = 1, **values: Json) -> int:
        """Submit an annotation and return its id; ``was_cancelled=True`` skips the task."""
        with self._lock:
            task, now = self.tasks[task_id], self._now()
            annotation = {
                "id": self._next_id(),
                "task": task_id,
                "completed_by": user_id,
                "result": result,
                "was_cancelled": False,
                "lead_time": 2.5,
                "created_at": now,
                "updated_at": now,
                **values,
            }
            task["annotations"].append(annotation)
            task["updated_at"] = now
            return int(annotation["id"])

    def revise(self, annotation_id: int, **values: Json) -> None:
        """Change an annotation, such as its ``result``."""
        with self._lock:
            task, annotation = self._annotation(annotation_id)
            annotation.update(values, updated_at=self._now())
            task["updated_at"] = annotation["updated_at"]

    def delete_annotation(self, annotation_id: int) -> None:
        """Delete an annotation."""
        with self._lock:
            task, annotation = self._annotation(annotation_id)
            task["annotations"].remove(annotation)
            task["updated_at"] = self._now()

    def snapshot(self) -> Json:
        """Return a copy of the database."""
        with self._lock:
            return copy.deepcopy((self.projects, self.tasks, self.users, self.uploads))

    def restore(self, snapshot: Json) -> None:
        """Restore the database from a ``snapshot``."""
        with self._lock:
            self.projects, self.tasks, self.users, self.uploads = copy.deepcopy(snapshot)

    # The REST interface

    def handle(self, method: str, target: str, headers: Message, body: bytes) -> Response:
        """Answer one request as Label Studio would."""
        url = urlsplit(target)
        params = {name: values[-1] for name, values in parse_qs(url.query).items()}
        path = url.path.rstrip("/")
        if path == "/health":
            return Response(200, {"status": "UP"})
        if headers.get("Authorization") not in (f"Token {KEY}", f"Bearer {KEY}"):
            return Response(401, {"detail": "Invalid token."})
        if path.startswith("/data/upload/"):
            return self._uploaded_file(path.removeprefix("/data/"))
        is_form = headers.get("Content-Type", "").startswith("multipart/")
        content = body if is_form or not body else json.loads(body)
        with self._lock:
            for pattern, route_method, answer in self._routes():
                if method == route_method and (match := re.fullmatch(pattern, path)):
                    try:
                        return answer(params, content, *map(int, match.groups()))
                    except KeyError:
                        return Response(404, {"detail": "Not found."})
        return Response(404, b"<html>Page not found</html>")

    def _routes(self) -> tuple[tuple[str, str, Callable[..., Response]], ...]:
        return (
            (r"/api/projects", "GET", self._list_projects),
            (r"/api/projects", "POST", self._create_project),
            (r"/api/projects/(\d+)", "GET", lambda p, c, i: Response(200, self.projects[i])),
            (r"/api/projects/(\d+)", "PATCH", self._change_project),
            (r"/api/projects/(\d+)", "DELETE", self._delete_project),
            (r"/api/projects/(\d+)/import", "POST", self._import),
            (r"/api/projects/(\d+)/import/predictions", "POST", self._import_predictions),
            (r"/api/projects/(\d+)/file-uploads", "GET", self._list_uploads),
            (r"/api/import/file-upload/(\d+)", "DELETE", self._delete_upload),
            (r"/api/tasks", "GET", self._list_tasks),
            (r"/api/tasks/(\d+)", "GET", lambda p, c, i: Response(200, self.tasks[i])),
            (r"/api/tasks/(\d+)", "DELETE", self._delete_task),
            (r"/api/tasks/(\d+)/annotations", "POST", self._submit),
            (r"/api/annotations/(\d+)", "PATCH", self._revise),
            (r"/api/annotations/(\d+)", "DELETE", self._delete),
            (r"/api/dm/actions", "POST", self._act),
            (r"/api/current-user/whoami", "GET", lambda p, c: Response(200, {"id": 1, "email": ADMINISTRATOR})),
            (r"/api/users", "GET", lambda p, c: Response(200, [{"id": i, "email": e} for i, e in self.users.items()])),
            (r"/api/invite", "GET", lambda p, c: Response(200, {"invite_url": "/user/signup/?token=fake"})),
            (r"/api/storages/localfiles", "GET", self._list_storages),
            (r"/api/storages/localfiles", "POST", self._add_storage),
        )

    def _list_projects(self, params: Params, content: Json) -> Response:
        page, size = int(params.get("page", 1)), int(params.get("page_size", 30))
        projects = list(self.projects.values())
        rest = len(projects) > page * size
        next_page = f"/api/projects/?page={page + 1}&page_size={size}" if rest else None
        return Response(200, {"results": projects[(page - 1) * size : page * size], "next": next_page})

    def _create_project(self, params: Params, content: Json) -> Response:
        project = {"description": "", "label_config": "<View></View>", **content, "id": self._next_id()}
        project["created_by"] = {"id": 1, "email": ADMINISTRATOR}
        self.projects[project["id"]] = project
        return Response(201, project)

    def _change_project(self, params: Params, content: Json, project_id: int) -> Response:
        self.projects[project_id].update(content)
        return Response(200, self.projects[project_id])

    def _delete_project(self, params: Params, content: Json, project_id: int) -> Response:
        del self.projects[project_id]
        self.tasks = {task_id: task for task_id, task in self.tasks.items() if task["project"] != project_id}
        return Response(204)

    def _import(self, params: Params, content: Json, project_id: int) -> Response:
        project = self.projects[project_id]
        if isinstance(content, bytes):
            return self._upload(content, project_id)
        for entry in content:
            now = self._now()
            task_id = self._next_id()
            self.tasks[task_id] = {
                "id": task_id,
                "project": project["id"],
                "data": entry["data"],
                "annotations": [],
                "predictions": [{**prediction, "created_at": now} for prediction in entry.get("predictions") or ()],
                "updated_at": now,
                "draft_exists": False,
            }
        return Response(201, {"task_count": len(content)})

    def _import_predictions(self, params: Params, content: Json, project_id: int) -> Response:
        for prediction in content:
            task = self.tasks[prediction["task"]]
            task["updated_at"] = self._now()
            task["predictions"].append({**prediction, "created_at": task["updated_at"]})
        return Response(201, {"created": len(content)})

    def _upload(self, form: bytes, project_id: int) -> Response:
        head, _, rest = form.partition(b"\r\n\r\n")
        name = re.search(rb'filename="([^"]+)"', head)
        boundary = form.partition(b"\r\n")[0]
        if name is None:
            return Response(400, {"detail": "No file was sent."})
        path = f"upload/{project_id}/{self._next_id():08x}-{name[1].decode()}"
        self.uploads.setdefault(project_id, {})[path] = rest.rpartition(b"\r\n" + boundary)[0]
        return Response(201, {"file_upload_ids": [self._last_id]})

    def _list_uploads(self, params: Params, content: Json, project_id: int) -> Response:
        files = self.uploads.get(project_id, {})
        return Response(200, [{"id": _upload_id(path), "file": path} for path in files])

    def _delete_upload(self, params: Params, content: Json, upload_id: int) -> Response:
        for files in self.uploads.values():
            for path in [path for path in files if _upload_id(path) == upload_id]:
                del files[path]
                return Response(204)
        return Response(404, {"detail": "Not found."})

    def _uploaded_file(self, path: str) -> Response:
        files = {name: data for uploads in self.uploads.values() for name, data in uploads.items()}
        return Response(200, files[path]) if path in files else Response(404, {"detail": "Not found."})

    def _list_tasks(self, params: Params, content: Json) -> Response:
        project_id, page, size = int(params["project"]), int(params.get("page", 1)), int(params.get("page_size", 30))
        self.before_page(project_id, page)
        tasks = [task for task in self.tasks.values() if task["project"] == self.projects[project_id]["id"]]
        if "query" in params:
            wanted = set(json.loads(params["query"])["selectedItems"]["included"])
            tasks = [task for task in tasks if task["id"] in wanted]
        start = (page - 1) * size
        if page > 1 and start >= len(tasks):
            return Response(404, {"detail": "Invalid page."})
        listed = [_with_counts(task) for task in tasks[start : start + size]]
        return Response(200, {"tasks": listed, "total": len(tasks)})

    def _delete_task(self, params: Params, content: Json, task_id: int) -> Response:
        del self.tasks[task_id]
        return Response(204)

    def _submit(self, params: Params, content: Json, task_id: int) -> Response:
        annotation_id = self.judge(task_id, content.pop("result"), user_id=content.pop("completed_by", 1), **content)
        return Response(201, self._annotation(annotation_id)[1])

    def _revise(self, params: Params, content: Json, annotation_id: int) -> Response:
        self.revise(annotation_id, **content)
        return Response(200, self._annotation(annotation_id)[1])

    def _delete(self, params: Params, content: Json, annotation_id: int) -> Response:
        self.delete_annotation(annotation_id)
        return Response(204)

    def _act(self, params: Params, content: Json) -> Response:
        for task_id in content["selectedItems"]["included"]:
            if params["id"] == "delete_tasks":
                self.tasks.pop(task_id, None)
            elif params["id"] == "delete_tasks_predictions" and task_id in self.tasks:
                self.tasks[task_id].update(predictions=[], updated_at=self._now())
        return Response(200, {"processed_items": len(content["selectedItems"]["included"])})

    def _list_storages(self, params: Params, content: Json) -> Response:
        project_id = int(params["project"])
        return Response(200, [storage for storage in self.storages if storage["project"] == project_id])

    def _add_storage(self, params: Params, content: Json) -> Response:
        self.storages.append(content)
        return Response(201, content)

    def _annotation(self, annotation_id: int) -> tuple[dict[str, Json], dict[str, Json]]:
        for task in self.tasks.values():
            for annotation in task["annotations"]:
                if annotation["id"] == annotation_id:
                    return task, annotation
        raise KeyError(annotation_id)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _now(self) -> str:
        """Return the present time; no two calls return the same."""
        self._clock = max(self._clock + timedelta(microseconds=1), datetime.now(UTC))
        return self._clock.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _upload_id(path: str) -> int:
    return int(path.rpartition("/")[2].partition("-")[0], 16)


def _with_counts(task: Mapping[str, Json]) -> dict[str, Json]:
    """Return a task with the columns that Label Studio's data manager adds."""
    annotations, predictions = task["annotations"], task["predictions"]
    return {
        **task,
        "annotations_ids": ",".join(str(annotation["id"]) for annotation in annotations),
        "annotators": sorted({a["completed_by"] for a in annotations if isinstance(a["completed_by"], int)}),
        "predictions_results": str([prediction["result"] for prediction in predictions]),
        "predictions_model_versions": ",".join(p.get("model_version") or "" for p in predictions),
    }
