"""The media that a workspace's own Label Studio serves: links to blobs, or copies of them."""

from collections.abc import Container
from pathlib import Path

from curate.annotation.local_server.process import MEDIA
from curate.storage.blobs import Blobs


def shared_folder(blobs: Blobs) -> Path:
    """Return the folder of the shared media, below the only one whose files the server serves."""
    return blobs.root.parent.resolve() / "label_studio" / MEDIA / blobs.root.name


def remove_shared(blobs: Blobs, kept_blobs: Container[str]) -> int:
    """Remove shared media other than the blobs of these names, and return how many files were removed."""
    folder, removed = shared_folder(blobs), 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        if not path.is_dir() and path.relative_to(folder).as_posix() not in kept_blobs:
            path.unlink()
            removed += 1
    return removed
