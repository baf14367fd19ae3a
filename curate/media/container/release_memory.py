"""Make room for the sound of a long film."""

import ctypes
import gc
from contextlib import suppress

from curate.media.onnx import open_centerface


def make_room() -> None:
    """Let go of the face model (100 MB; loaded again when it is wanted) and of what is freed but kept at hand."""
    open_centerface.cache_clear()
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        # Only glibc has it, and only glibc needs it.
        ctypes.CDLL(None).malloc_trim(0)
