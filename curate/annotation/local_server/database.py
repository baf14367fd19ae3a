"""The database of a workspace's own Label Studio, as a file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from curate.errors import ServiceUnavailable

_TIMEOUT_S = 30.0


def vacuum(workspace_root: Path) -> None:
    """Rewrite the database so that nothing of deleted rows stays in its free pages; does nothing without one.

    A running server waits meanwhile. Raises ``ServiceUnavailable`` if the server does not let go of it.
    """
    path = workspace_root / "label_studio" / "data" / "label_studio.sqlite3"
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=_TIMEOUT_S, isolation_level=None)) as database:
            database.execute("PRAGMA secure_delete=ON")
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise ServiceUnavailable(
            f"{path} cannot be rewritten: {error}", hint="`curate annotate down`, then `curate forget --resume`"
        ) from error
