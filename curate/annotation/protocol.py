"""What the loop needs of an annotation server; one implementation speaks to Label Studio."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from curate.storage.blobs import Blobs

Say = Callable[[str], None]


class Project(NamedTuple):
    """A project on the server, with what is compared to what was left there."""

    project_id: int
    description: str
    config: str
    settings: Mapping[str, Any]


class TaskState(NamedTuple):
    """How a task stands: its item, when it last changed, its judgements and its pre-label.

    ``filling`` are the pre-labels that fill its form, ``labellers`` who made them.
    """

    task_id: int
    item_id: str
    updated_at: str
    annotation_ids: frozenset[int]
    annotators: frozenset[int]
    has_draft: bool
    filling: frozenset[str]
    labellers: frozenset[str]


class AnnotationServer(Protocol):
    """A server that shows items to people. All methods raise the ``Service...`` errors of ``curate.errors``."""

    def projects(self) -> list[Project]:
        """Every project the key may see."""

    def has_project(self, project_id: int) -> bool:
        """Whether there is such a project."""

    def create_project(self, settings: Mapping[str, Any]) -> Project:
        """A new project."""

    def change_project(self, project_id: int, settings: Mapping[str, Any]) -> None:
        """Set some of a project's settings."""

    def share_media(self, project_id: int, blobs: Blobs, names: Iterable[str], say: Say) -> dict[str, str]:
        """The address under which the project's tasks show each blob, made reachable first."""

    def scan(self, project_id: int) -> list[TaskState]:
        """Every task of a project, at little cost."""

    def fetch(self, task_ids: Sequence[int], project_id: int) -> list[dict[str, Any]]:
        """Tasks with all of their annotations and predictions."""

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Add tasks, all or none."""

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Remove tasks."""

    def replace_predictions(self, project_id: int, by_task: Mapping[int, Mapping[str, Any] | None]) -> None:
        """Give tasks another prediction, or none, in place of those they have."""

    def check_predictions(self, config: str, predictions: Sequence[Mapping[str, Any]]) -> list[str]:
        """What is wrong with predictions for a project of this config, as the server would see it.

        Empty where the means to check are not installed: the server takes wrong predictions unseen.
        """

    def users(self) -> dict[int, str]:
        """The e-mail address of each user."""

    def invitation(self) -> str:
        """The address where an annotator makes an account."""

    def task_url(self, project_id: int, task_id: int) -> str:
        """Where a person sees a task."""

    def project_url(self, project_id: int) -> str:
        """Where a person sees a project."""
