"""Large tables on disk: written column by column to an unnamed temporary file, and mapped into memory."""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from curate.memory import map_file

LARGE_ROWS = 50_000
"""Tables with fewer rows stay in memory."""
_ALIGNMENT = 64


def spool_columns(names: Iterable[str], read: Callable[[str], pa.ChunkedArray], folder: Path) -> pa.Table:
    """Return the columns that ``read`` returns for ``names``; only one of them is in memory at a time.

    They are in a file without a name in ``folder``, which takes as much of the disk as the table of memory and is gone
    with the last reference to a column. Without room for it, the columns stay in memory.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    places: dict[str, tuple[int, int]] = {}
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed below; its pages stay mapped)
    except OSError:
        return pa.table({name: read(name) for name in names})
    with closing(file):
        names = list(names)
        for name in names:
            values = read(name)
            start = -(-file.seek(0, 2) // _ALIGNMENT) * _ALIGNMENT
            try:
                file.seek(start)
                with pa.ipc.new_stream(file, pa.schema([(name, values.type)])) as writer:
                    writer.write_table(pa.table({name: values}))
                file.flush()
                places[name] = start, file.tell() - start
            except OSError:
                columns[name] = values
            del values
        if places:
            mapped = pa.py_buffer(map_file(file))
            for name, (start, length) in places.items():
                with pa.ipc.open_stream(mapped.slice(start, length)) as stream:
                    columns[name] = stream.read_all()[name]
    return pa.table({name: columns[name] for name in names})


def spool_table(table: pa.Table, folder: Path) -> pa.Table:
    """Return a table that is on disk, if it is large; see ``spool_columns``."""
    return spool_columns(table.column_names, table.column, folder) if table.num_rows >= LARGE_ROWS else table
