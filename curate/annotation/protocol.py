"""The protocol of an annotation server; ``label_studio.client`` implements it."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from curate.storage.blobs import Blobs

Say = Callable[[str], None]


class Project(NamedTuple):
    """A project on the server, with the text, config and settings that it has there."""

    project_id: int
    description: str
    config: str
    settings: Mapping[str, Any]
    is_own: bool = True
    """Whether the user of this key created it; anybody can copy a description."""


class TaskState(NamedTuple):
    """The state of a task: its item, time of last change, judgements and pre-labels.

    ``prelabel_ids`` are the pre-labels that fill its form; ``labellers`` are those who made them. ``updated_at`` is
    empty if the server names no credible time. ``is_blind``: the task was sent to be judged without a proposal.
    """

    task_id: int
    item_id: str
    updated_at: str
    annotation_ids: frozenset[int]
    annotators: frozenset[int]
    has_draft: bool
    prelabel_ids: frozenset[str]
    labellers: frozenset[str]
    is_blind: bool = False


class Fetched(NamedTuple):
    """Tasks as the server describes them, and what is wrong with those that cannot be read, by their ids."""

    tasks: list[dict[str, Any]]
    unreadable: dict[int, str]


class AnnotationServer(Protocol):
    """A server that shows items to people. Every method may raise the ``Service...`` errors of ``curate.errors``."""

    def projects(self) -> list[Project]:
        """Return every project that the key gives access to."""

    def has_project(self, project_id: int) -> bool:
        """Return whether the project exists."""

    def create_project(self, settings: Mapping[str, Any]) -> Project:
        """Create a project and return it."""

    def change_project(self, project_id: int, settings: Mapping[str, Any]) -> None:
        """Change some settings of a project."""

    def share_media(self, project_id: int, blobs: Blobs, names: Iterable[str], say: Say) -> dict[str, str]:
        """Make blobs available to the project's tasks and return the address of each by name."""

    def scan(self, project_id: int) -> list[TaskState]:
        """Return the state of every task of a project, without its annotations.

        A task may be missing if others are deleted meanwhile.
        """

    def fetch(self, task_ids: Sequence[int], project_id: int) -> Fetched:
        """Return those of the tasks that exist, with all of their annotations and predictions."""

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Add all of the tasks, or none."""

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Delete tasks."""

    def delete_annotations(self, annotation_ids: Iterable[int]) -> None:
        """Delete annotations; one that does not exist is no error."""

    def remove_media(self, blobs: Blobs, kept_blobs: Container[str], project_ids: Container[int]) -> int:
        """Remove shared media other than the blobs of these names, and return how many files were removed.

        What is shown by a project other than those of ``project_ids`` stays: it is another workspace's.
        """

    def replace_predictions(self, project_id: int, by_task: Mapping[int, Mapping[str, Any] | None]) -> None:
        """Replace the predictions of tasks by another one each, or by none."""

    def check_predictions(self, config: str, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return what the server would find wrong with predictions in a project with this config.

        The list is also empty where the means to check are not installed.
        """

    def users(self) -> dict[int, str]:
        """Return the e-mail address of each user by id."""

    def invitation(self) -> str:
        """Return the address where an annotator creates an account."""

    def task_url(self, project_id: int, task_id: int) -> str:
        """Return the address of the page that shows a task."""

    def project_url(self, project_id: int) -> str:
        """Return the address of the page that shows a project."""
