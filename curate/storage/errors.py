"""Failures of a disk as errors that name the folder."""

import errno
import re

from curate.errors import StorageFailed

_DISK_FAILURE = re.compile(r"no space left|read-only file system|permission denied|quota exceeded", re.IGNORECASE)


def disk_error(location: str, error: OSError) -> StorageFailed:
    """Return the error for a disk that is full, read-only or failing below ``location``."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "free some space and run again" if is_full else "check the disk and its permissions, then run again"
    return StorageFailed(f"cannot use {location}: {error.strerror or error}", hint=hint)


def disk_error_in_text(location: str, text: str) -> StorageFailed | None:
    """Return the same for libraries that report the system's error as text only; None if it is about something else."""
    match = _DISK_FAILURE.search(text)
    return match and StorageFailed(f"cannot write {location}: {match[0].lower()}", hint="fix that, then run again")
