"""How many files may be open at a time: tables, workers and servers need more than some systems allow at first."""

from contextlib import suppress

from curate.errors import MissingDependency

NEEDED = 256
_WANTED = 4096


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as it may. Raises ``MissingDependency`` if that is too few."""
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    if soft != resource.RLIM_INFINITY and soft < NEEDED:
        raise MissingDependency(
            f"only {soft} files may be open at a time here, and curate needs {NEEDED}",
            hint=f"raise the limit, such as with `ulimit -n {_WANTED}`, or in /etc/security/limits.conf",
        )
