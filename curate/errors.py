"""Every error that a user can cause, named by the reaction it needs.

CurateError
├── InvalidInput         correct the named files; lists every problem with its place
├── InvalidRow           this one row cannot be used: it becomes a rejection and the rest goes on
├── MissingDependency    install or provide something
├── WorkspaceBusy        wait until the other run has ended
├── WorkspaceUnusable    use another workspace, or a newer curate
├── StorageFailed        free, unlock or mount the disk, then run again
├── ServiceUnavailable   start the service, or try again later
├── ServiceRefused       check the key and its rights
├── ServiceConflict      the other side was changed by hand: decide, then run again
└── Interrupted          nothing, or raise the limit: the user stopped the run, and finished work is kept

All survive pickling: the message comes first, everything else is a keyword with a default.
"""

from collections.abc import Callable
from typing import Any


class CurateError(Exception):
    """A failure, with a sentence for the user and the next step in ``hint`` if there is one."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _rebuild, (type(self), self.message, {k: v for k, v in self.__dict__.items() if k != "message"})


def _rebuild(kind: type[CurateError], message: str, attributes: dict[str, Any]) -> CurateError:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


class InvalidInput(CurateError):
    """A recipe, schema, setting or data file must be corrected; ``problems`` holds one line for each mistake."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class InvalidRow(CurateError):
    """One input cannot be used; ``reason`` is from the closed list ``curate.stages.contract.REASONS``."""

    def __init__(self, message: str, *, reason: str = "invalid", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class MissingDependency(CurateError):
    """A program, package, model or key is missing."""


class WorkspaceBusy(CurateError):
    """Another process is writing to the workspace."""


class WorkspaceUnusable(CurateError):
    """The workspace is from a newer version, belongs to another recipe, or is damaged."""


class StorageFailed(CurateError):
    """The disk is full, read-only, not mounted or failing."""


class ServiceUnavailable(CurateError):
    """A server does not answer, or not in time."""


class ServiceRefused(CurateError):
    """A server answers that this key lacks the right."""


class ServiceConflict(CurateError):
    """The state on the server is not what was left there, and guessing would lose work."""


class Interrupted(CurateError):
    """The user stopped the run, directly or by a limit that was reached; finished work is kept."""

    exit_code = 130
