"""Ctrl-C and SIGTERM: the first lets a run finish what is under way, the second stops it at once."""

import signal
from collections.abc import Callable
from types import FrameType


class StopFlag:
    """Is true once the user asked to stop. ``notify`` is called then, by the signal's handler."""

    def __init__(self, notify: Callable[[], None] = lambda: None) -> None:
        self._is_set = False
        self._notify = notify

    def __call__(self) -> bool:
        return self._is_set

    def install(self) -> None:
        """Listen to SIGINT and SIGTERM from now on."""
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_set:
            raise KeyboardInterrupt
        self._is_set = True
        self._notify()
