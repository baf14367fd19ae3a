"""Free memory before the sound of a long film is decoded."""

from curate.media.onnx import open_centerface
from curate.memory import trim_memory


def release_memory() -> None:
    """Unload the face model (100 MB; it is loaded again on demand) and return freed memory to the system."""
    open_centerface.cache_clear()
    trim_memory()
