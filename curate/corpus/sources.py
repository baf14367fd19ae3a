"""Where the raw file of a source is on this machine."""

from pathlib import Path

from curate.errors import StorageFailed


class SourceMissing(StorageFailed):
    """A raw file that a stage needs is no longer where it was found."""


def source_path(folder: Path, name: str) -> Path:
    """Return the path of a raw file, given the recipe's folder and the name in ``sources`` (``file``, or a sidecar).

    Raises ``SourceMissing`` if it cannot be read, so that a disk that is not mounted never counts as broken media.
    """
    path = folder / name
    try:
        path.stat()
    except OSError as error:
        raise SourceMissing(
            f"raw file {path} cannot be read: {error.strerror}",
            hint="put it back or mount its disk, then run again; what is stored is kept",
        ) from error
    return path
