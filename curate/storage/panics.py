"""Keep the backtraces of libraries in Rust off the terminal; the error itself is raised as well."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDERR = 2
_PANIC = re.compile(rb"\n?thread '[^\n]*panicked at .*?(?:\nnote: [^\n]*(?:\n|\Z)|\Z)", re.DOTALL)
_capturing = threading.Lock()


@contextmanager
def hiding_panics() -> Iterator[None]:
    """Print to stderr only after the block, and without backtraces of Rust if the block raises."""
    if not _capturing.acquire(blocking=False):
        yield
        return
    try:
        yield from _capture()
    finally:
        _capturing.release()


def _capture() -> Iterator[None]:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        terminal, file = os.dup(_STDERR), tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    except OSError:  # there is no stderr, or no room for what is printed there
        yield
        return
    os.dup2(file.fileno(), _STDERR)
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os.dup2(terminal, _STDERR)
        os.close(terminal)
        with file:
            file.seek(0)
            printed = file.read()
        with suppress(OSError):
            os.write(_STDERR, printed if is_whole else _PANIC.sub(b"", printed))
