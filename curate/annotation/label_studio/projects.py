"""One project for each recipe, label schema and layout, found again by a mark in its description."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from curate.annotation.protocol import AnnotationServer, Project
from curate.errors import InvalidInput, ServiceConflict, StorageFailed

_MARK = re.compile(r"curate:([^\s:#]+):([^\s:#]+):([^\s:#]+)#([0-9a-f]{16})")


class ProjectKey(NamedTuple):
    """What a project is for."""

    recipe: str
    labels: str
    layout: str


class Notes:
    """What is remembered of a server's projects between runs, in ``<workspace>/label_studio/projects/``.

    Losing it costs time and nothing else, as the marks on the server say the same.
    """

    def __init__(self, workspace_root: Path, server: str) -> None:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", server).strip("-")[:60]
        self.folder = workspace_root / "label_studio" / "projects" / name

    def path(self, key: ProjectKey, suffix: str = "json") -> Path:
        return self.folder / f"{key.labels}.{key.layout}.{suffix}"

    def read(self, key: ProjectKey) -> dict[str, Any]:
        try:
            found = json.loads(self.path(key).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, key: ProjectKey, **changed: Any) -> None:
        text = json.dumps({**self.read(key), **changed}, indent=1)
        self._write(self.path(key), text)

    def write_config(self, key: ProjectKey, config: str) -> Path:
        path = self.path(key, "xml")
        self._write(path, config)
        return path

    def _write(self, path: Path, text: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.write_text(text, "utf-8")
            new.replace(path)
        except OSError as error:
            raise StorageFailed(f"cannot write {path}: {error.strerror}") from error


def find_projects(server: AnnotationServer, recipe: str, labels: str) -> dict[ProjectKey, Project]:
    """The projects of a recipe and label schema on the server. Raises ``ServiceConflict`` when two claim one place."""
    found: dict[ProjectKey, Project] = {}
    for project in server.projects():
        mark = _MARK.search(project.description)
        if mark is None or (mark[1], mark[2]) != (recipe, labels):
            continue
        key = ProjectKey(recipe, labels, mark[3])
        if key in found:
            urls = " and ".join(server.project_url(p.project_id) for p in (found[key], project))
            raise ServiceConflict(
                f"two projects are marked as {mark[0].partition('#')[0]}: {urls}",
                hint="remove that mark from the description of the one that is a copy",
            )
        found[key] = project
    return found


def ensure_project(
    server: AnnotationServer,
    key: ProjectKey,
    config: str,
    settings: Mapping[str, Any],
    *,
    existing: Project | None,
    notes: Notes,
) -> int:
    """The id of the project for ``key``, made or brought up to date. A project changed by hand is left as it is.

    Raises ``ServiceConflict`` saying what was changed and how to go on.
    """
    mark = f"curate:{key.recipe}:{key.labels}:{key.layout}#{_fingerprint(config)}"
    wanted = {**settings, "description": mark, "label_config": config}
    if existing is None:
        _check_gone(server, key, notes)
        title = f"{key.recipe} · {key.layout}"[:50]
        existing = server.create_project({**wanted, "title": title})
        notes.write(key, project_id=existing.project_id)
        return existing.project_id
    notes.write(key, project_id=existing.project_id)
    url = server.project_url(existing.project_id)
    left = _MARK.search(existing.description)
    theirs = _fingerprint(existing.config)
    if theirs != _fingerprint(config) and (left is None or theirs != left[4]):
        path = notes.write_config(key, config)
        raise ServiceConflict(
            f"the labeling interface of {url} was changed by hand",
            hint=f"put the content of {path} back under Settings > Labeling Interface; "
            "to ask something else, give the label schema or layout a new name",
        )
    wanted["description"] = _MARK.sub(mark, existing.description, count=1)
    if theirs == _fingerprint(config):
        del wanted["label_config"]
    changed = {name: value for name, value in wanted.items() if existing.settings.get(name) != value}
    if changed:
        try:
            server.change_project(existing.project_id, changed)
        except InvalidInput as error:
            raise ServiceConflict(
                f"{url} does not take the present label schema or layout: {error.message}",
                hint="give the changed label schema a new version (.v2); its judgements then go into a new project",
            ) from error
    return existing.project_id


def _check_gone(server: AnnotationServer, key: ProjectKey, notes: Notes) -> None:
    """Stop where a project was made before and cannot be found by its mark any more."""
    before = notes.read(key).get("project_id")
    if not isinstance(before, int):
        return
    forget = f"to begin a new project, delete {notes.path(key)}"
    if server.has_project(before):
        mark = f"curate:{key.recipe}:{key.labels}:{key.layout}#0000000000000000"
        raise ServiceConflict(
            f"the description of {server.project_url(before)} lost its mark",
            hint=f"put `{mark}` back into it; or, {forget}",
        )
    raise ServiceConflict(
        f"project {before} ({key.layout}) was deleted on the server; judgements pulled before are kept", hint=forget
    )


def _fingerprint(config: str) -> str:
    """A hash of a config that does not depend on how its XML is written."""
    try:
        config = ET.canonicalize(config, strip_text=True)
    except ET.ParseError:
        config = config.strip()
    return hashlib.sha256(config.encode()).hexdigest()[:16]
