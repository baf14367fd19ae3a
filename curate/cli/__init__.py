"""The command line: parse, one public call, print."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType


def main() -> None:
    """Run ``curate`` and end the process with its exit code."""
    from curate.cli.app import app
    from curate.cli.output import error_document, show_error, show_json
    from curate.errors import CurateError

    try:
        app(prog_name="curate")
    except CurateError as error:
        if "--json" in sys.argv:
            show_json(error_document(error))
        show_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has what it wanted; Python must not complain about it while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


class StopFlag:
    """True once the user asked to stop: the first Ctrl-C lets the row in hand finish, a second one does not.

    ``heard`` tells the user so; it is called by the signal's handler.
    """

    def __init__(self, heard: Callable[[], None] = lambda: None) -> None:
        self._asked = False
        self._heard = heard

    def __call__(self) -> bool:
        return self._asked

    def install(self) -> None:
        """Listen to Ctrl-C and to SIGTERM."""
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._heard()
