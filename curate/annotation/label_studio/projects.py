"""One project for each recipe, label schema and layout, identified by a mark in its description."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from curate.annotation.label_studio.payloads import to_credible_time
from curate.annotation.protocol import AnnotationServer, Project
from curate.errors import InvalidInput, ServiceConflict
from curate.files import read_json_object, sha256_of, write_whole

_MARK = re.compile(r"curate:([^\s:#]+):([^\s:#]+):([^\s:#]+)#([0-9a-f]{16})")


_MAX_TITLE = 50
_MIN_TITLE = 12


class ProjectKey(NamedTuple):
    """The recipe, label schema and layout of a project."""

    recipe: str
    labels: str
    layout: str


class PresentProject(NamedTuple):
    """A project that is up to date, and whether its form had to be changed."""

    project_id: int
    is_form_changed: bool = False


class Notes:
    """Facts about a server's projects that are kept between runs, in ``<workspace>/label_studio/projects/``.

    Losing them costs only time: the marks on the server hold the same facts.
    """

    def __init__(self, workspace_root: Path, server: str) -> None:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", server).strip("-")[:60]
        self.folder = workspace_root / "label_studio" / "projects" / name

    def path(self, key: ProjectKey, suffix: str = "json") -> Path:
        """Return the file of a project's notes."""
        return self.folder / f"{key.labels}.{key.layout}.{suffix}"

    def read(self, key: ProjectKey) -> dict[str, Any]:
        """Return the notes about a project; empty if there are none or the file is damaged."""
        return read_json_object(self.path(key))

    def write(self, key: ProjectKey, **changed: Any) -> None:
        """Change some of the notes about a project."""
        write_whole(self.path(key), json.dumps({**self.read(key), **changed}, indent=1))

    def add_guideline(self, key: ProjectKey, sha256: str) -> None:
        """Note that annotators of a project have other instructions from now on."""
        stored = self.read(key).get("guidelines")
        guidelines = stored if isinstance(stored, list) else []
        if sha256 != (guidelines[-1][1] if guidelines else ""):
            self.write(key, guidelines=[*guidelines, [datetime.now(UTC).isoformat(), sha256]])

    def guidelines(self, key: ProjectKey) -> list[tuple[datetime, str]]:
        """Return the hashes of the instructions that a project has had, each with the time of its first."""
        stored = self.read(key).get("guidelines")
        pairs = [entry for entry in stored if isinstance(entry, list)] if isinstance(stored, list) else []
        times = [(to_credible_time(entry[0]), str(entry[1])) for entry in pairs if len(entry) == 2]
        return [(time, sha256) for time, sha256 in times if time is not None]

    def write_config(self, key: ProjectKey, config: str) -> Path:
        """Write a labeling config for a person to copy, and return its file."""
        path = self.path(key, "xml")
        write_whole(path, config)
        return path


def find_projects(
    server: AnnotationServer, recipe: str, labels: str, notes: Notes | None = None
) -> dict[ProjectKey, Project]:
    """Return the projects of a recipe and label schema on the server.

    A mark counts in projects that the key's user created, and in those of ``notes``: anybody can copy one.

    Raises ``ServiceConflict`` if two projects have the same mark.
    """
    projects: dict[ProjectKey, Project] = {}
    for project in server.projects():
        mark = _MARK.search(project.description)
        if mark is None or (mark[1], mark[2]) != (recipe, labels):
            continue
        key = ProjectKey(recipe, labels, mark[3])
        if not project.is_own and (notes is None or notes.read(key).get("project_id") != project.project_id):
            continue
        if key in projects:
            urls = " and ".join(server.project_url(p.project_id) for p in (projects[key], project))
            raise ServiceConflict(
                f"two projects have the mark {mark[0].partition('#')[0]}: {urls}",
                hint="remove the mark from the description of the copy",
            )
        projects[key] = project
    return projects


def recipe_projects(server: AnnotationServer, recipe: str, notes: Notes) -> list[Project]:
    """Return the projects of a recipe on the server, of all label schemas and copies included."""
    marked = [(project, _MARK.search(project.description)) for project in server.projects()]
    return [
        project
        for project, mark in marked
        if mark is not None
        and mark[1] == recipe
        and (project.is_own or notes.read(ProjectKey(recipe, mark[2], mark[3])).get("project_id") == project.project_id)
    ]


def ensure_project(
    server: AnnotationServer,
    key: ProjectKey,
    config: str,
    settings: Mapping[str, Any],
    *,
    title: str = "",
    existing: Project | None,
    notes: Notes,
) -> PresentProject:
    """Create the project for ``key`` or bring it up to date, and return it.

    ``title`` says what is judged, for the list in which annotators choose. A project that was changed by hand is left
    alone. Raises ``ServiceConflict`` with the change and the next step.
    """
    mark = f"curate:{key.recipe}:{key.labels}:{key.layout}#{_fingerprint(config)}"
    wanted = {**settings, "description": mark, "label_config": config}
    if existing is None:
        _check_gone(server, key, notes)
        names = {"title": _short_title(title, key), "description": f"{title or key.labels}. {mark}"}
        existing = server.create_project({**wanted, **names})
        notes.write(key, project_id=existing.project_id)
        return PresentProject(existing.project_id)
    notes.write(key, project_id=existing.project_id)
    url = server.project_url(existing.project_id)
    mark_there = _MARK.search(existing.description)
    current = _fingerprint(existing.config)
    if current != _fingerprint(config) and (mark_there is None or current != mark_there[4]):
        path = notes.write_config(key, config)
        raise ServiceConflict(
            f"the labeling interface of {url} was changed by hand",
            hint=f"paste the content of {path} under Settings > Labeling Interface; "
            "to ask something else, give the label schema or layout a new name",
        )
    wanted["description"] = _MARK.sub(mark, existing.description, count=1)
    if current == _fingerprint(config):
        del wanted["label_config"]
    changed = {name: value for name, value in wanted.items() if existing.settings.get(name) != value}
    if changed:
        try:
            server.change_project(existing.project_id, changed)
        except InvalidInput as error:
            raise ServiceConflict(
                f"{url} does not accept the present label schema or layout: {error.message}",
                hint="give the changed label schema a new version (.v2); its judgements then go into a new project",
            ) from error
    return PresentProject(existing.project_id, is_form_changed="label_config" in changed)


def _short_title(title: str, key: ProjectKey) -> str:
    """Return a title of at most 50 characters: what is judged, of which recipe, and in which layout."""
    suffix = f"{key.recipe} · {key.layout}"[:50]
    room = _MAX_TITLE - len(suffix) - 3
    if not title or room < _MIN_TITLE:
        return suffix
    return f"{title if len(title) <= room else title[: room - 1].rstrip() + '…'} · {suffix}"


def _check_gone(server: AnnotationServer, key: ProjectKey, notes: Notes) -> None:
    """Raise ``ServiceConflict`` if a project was created before and its mark is gone."""
    before = notes.read(key).get("project_id")
    if not isinstance(before, int):
        return
    start_anew = f"to begin a new project, delete {notes.path(key)}"
    if server.has_project(before):
        mark = f"curate:{key.recipe}:{key.labels}:{key.layout}#0000000000000000"
        raise ServiceConflict(
            f"the description of {server.project_url(before)} lost its mark",
            hint=f"put `{mark}` back into it; or, {start_anew}",
        )
    raise ServiceConflict(
        f"project {before} ({key.layout}) was deleted on the server; judgements pulled before are kept", hint=start_anew
    )


def _fingerprint(config: str) -> str:
    """Return a hash of a config that does not depend on the formatting of its XML."""
    try:
        config = ET.canonicalize(config, strip_text=True)
    except ET.ParseError:
        config = config.strip()
    return sha256_of(config)[:16]
