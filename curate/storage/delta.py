"""Delta Lake tables: rows are appended and replaced in single transactions and read back as Arrow."""

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from curate.errors import WorkspaceUnusable
from curate.storage.columns import fill_columns, is_same_type
from curate.storage.folder import Folder
from curate.storage.panics import hiding_panics
from curate.storage.snapshot import Snapshot

_FILES_BEFORE_COMPACTION = 24
_LOG = "_delta_log"


class TableSpec(NamedTuple):
    """The shape of a table: its Arrow schema, the column whose values are unique, and where it is stored.

    A table whose columns depend on something else has one folder for each ``variant``.
    """

    name: str
    schema: pa.Schema
    key: str
    variant: str | None = None


class Table:
    """One table of a workspace. Reading needs no lock; committing is for the process that holds it."""

    def __init__(self, folder: Folder, spec: TableSpec) -> None:
        self.folder = folder
        self.spec = spec

    def read(
        self, columns: Sequence[str] | None = None, *, matching: tuple[str, Collection[str]] | None = None
    ) -> pa.Table:
        """Read all rows, or those with certain values of a column, with ``columns`` in the given order.

        Returns an empty table if nothing was committed yet.
        """
        with self.snapshot() as rows:
            return rows.read(self.spec.schema.names if columns is None else columns, matching=matching)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Yield the rows as they are now, whose columns can be read one after another."""
        from pyarrow import dataset

        delta = self._open()
        with self._errors():
            if delta is None:
                yield Snapshot(self.spec.schema, None)
                return
            # Arrow's own reader on the list of live files: the library's wrapper calls back into Python from threads
            # that outlive the interpreter and abort it.
            paths = [str(path) for path in self.folder.fetch(_file_names(delta))]
            stored_schema = _stored_schema(delta)
            del delta
            yield Snapshot(self.spec.schema, dataset.dataset(paths, schema=stored_schema, format="parquet"))

    def damages(self) -> list[str]:
        """Return what is wrong with the stored files: gone, of another size, or without the rows that were written."""
        try:
            delta = self._open()
            if delta is None:
                return []
            with self._errors():
                actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
        except WorkspaceUnusable as error:
            return [error.message]
        sizes = self.folder.sizes()
        return [f"{action['path']} {damage}" for action in actions if (damage := self._damage(action, sizes))]

    def _damage(self, action: Mapping[str, Any], sizes: Mapping[str, int]) -> str | None:
        """Return what is wrong with a file that was added to the table, by what the log says of it; None if nothing."""
        from pyarrow import parquet

        size, rows_written = action["size_bytes"], action["num_records"]
        if action["path"] not in sizes:
            return "is gone"
        if sizes[action["path"]] != size:
            return f"has {sizes[action['path']]:,} instead of {size:,} bytes"
        try:
            rows = parquet.read_table(io.BytesIO(self.folder.read(action["path"])))
        except (OSError, pa.ArrowException) as error:
            return f"cannot be read: {str(error).partition(chr(10))[0]}"
        if rows.num_rows != rows_written:
            return f"has {rows.num_rows:,} instead of {rows_written:,} rows"
        nulls = {name: action.get(f"null_count.{name}") for name in rows.column_names}
        wrong = [name for name, count in nulls.items() if count not in (None, rows[name].null_count)]
        return f"has other values of {wrong[0]} than were written" if wrong else None

    def stored_schema(self) -> pa.Schema | None:
        """Return the columns that are stored, whatever the spec says; None if nothing was committed yet."""
        delta = self._open()
        return None if delta is None else _stored_schema(delta)

    def read_stored(self) -> pa.Table:
        """Read all rows with the columns that are stored, whatever the spec says."""
        from pyarrow import dataset

        delta = self._open()
        with self._errors():
            paths = [str(path) for path in self.folder.fetch(_file_names(delta))]
            return dataset.dataset(paths, schema=_stored_schema(delta), format="parquet").to_table()

    def commit(
        self,
        rows: Sequence[Mapping[str, Any]] | pa.Table,
        *,
        replacing: Collection[str] = (),
        metadata: Mapping[str, str],
    ) -> None:
        """Append ``rows`` and drop every older row whose ``work`` is in ``replacing``, in one transaction.

        Columns that a table of rows does not have become null.
        """
        if not len(rows) and not replacing:
            return
        schema = self.spec.schema
        table = fill_columns(rows, schema) if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=schema)
        with self._errors():
            self._check_column_types()
            if replacing:
                works = {*replacing, *(table["work"].to_pylist())}
                quoted = ", ".join(f"'{work}'" for work in sorted(works))
                self._write(table, metadata, mode="overwrite", predicate=f"work IN ({quoted})")
            else:
                self._write(table, metadata, mode="append")

    def update(self, changes: pa.Table, *, metadata: Mapping[str, str]) -> None:
        """Set the columns of ``changes`` in the rows that have the same key and ``work``, in one transaction."""
        delta = self._open()
        if delta is None or not changes.num_rows:
            return
        keys = (self.spec.key, "work")
        assignments = {name: f"new.{name}" for name in changes.column_names if name not in keys}
        condition = " AND ".join(f"old.{name} = new.{name}" for name in keys)
        with self._errors():
            merge = delta.merge(
                changes, condition, "new", "old", merge_schema=True, commit_properties=_properties(metadata)
            )
            merge.when_matched_update(assignments).execute()

    def annotate(self, metadata: Mapping[str, str]) -> None:
        """Commit a transaction without rows, so that ``metadata`` becomes the newest, if the table exists."""
        if self._open() is not None:
            with self._errors():
                self._write(self.spec.schema.empty_table(), metadata, mode="append")

    def replace_all(self, table: pa.Table, *, metadata: Mapping[str, str]) -> None:
        """Make ``table`` the whole content, in one transaction; older versions stay readable by time travel."""
        with self._errors():
            self._write(table.cast(self.spec.schema), metadata, mode="overwrite", schema_mode="overwrite")

    def rewrite(self, rows: pa.Table) -> None:
        """Make ``rows``, which have the stored columns, the whole content, and end time travel: see ``purge``."""
        with self._errors():
            self._write(rows, {}, mode="overwrite", schema_mode="overwrite")
        self.purge()

    def purge(self) -> None:
        """Delete all that older versions left: data files, the log with its statistics, and unfinished writes.

        May be killed and repeated at any time; the present rows stay readable throughout.
        """
        delta = self._open()
        if delta is None:
            return
        with self._errors():
            delta.create_checkpoint()
            version = f"{delta.version():020d}"
            live_files = {*_file_names(delta), f"{_LOG}/_last_checkpoint"}
            for name in sorted(self.folder.sizes()):
                is_own = "/" not in name or name.startswith(f"{_LOG}/")
                if is_own and name not in live_files and not name.startswith(f"{_LOG}/{version}."):
                    self.folder.remove(name)
            self.folder.keep_copies(_file_names(delta))

    def compact(self) -> None:
        """Merge the many small files that frequent commits leave behind."""
        delta = self._open()
        if delta is None:
            return
        with self._errors():
            if len(delta.file_uris()) > _FILES_BEFORE_COMPACTION:
                delta.optimize.compact()
            self.folder.keep_copies(_file_names(delta))

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the newest transaction; empty if there is none."""
        delta = self._open()
        return {} if delta is None else {k: v for k, v in delta.history(1)[0].items() if isinstance(v, str)}

    def version(self) -> int | None:
        """Return the number of the newest transaction, or None if there is none."""
        delta = self._open()
        return None if delta is None else int(delta.version())

    def state(self) -> str | None:
        """Return what changes with every transaction, also if the table was made anew; None if there is none."""
        delta = self._open()
        return None if delta is None else f"{delta.metadata().id}:{delta.version()}"

    def _open(self) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with self._errors():
            try:
                return DeltaTable(self.folder.location, storage_options=self._options)
            except TableNotFoundError:
                return None

    def _write(
        self, table: pa.Table, metadata: Mapping[str, str], *, schema_mode: str = "merge", **options: Any
    ) -> None:
        from deltalake import write_deltalake

        write_deltalake(
            self.folder.location,
            table,
            schema_mode=schema_mode,
            storage_options=self._options,
            commit_properties=_properties(metadata),
            **options,
        )

    @property
    def _options(self) -> dict[str, str] | None:
        options = self.folder.delta_options
        return None if options is None else dict(options)

    def _check_column_types(self) -> None:
        delta = self._open()
        if delta is None:
            return
        stored = _stored_schema(delta)
        for field in self.spec.schema:
            if field.name in stored.names and not is_same_type(stored.field(field.name).type, field.type):
                raise WorkspaceUnusable(
                    f"table {self.spec.name} holds {field.name} as {stored.field(field.name).type}, "
                    f"and the label schema now says {field.type}",
                    hint="a published label schema is never edited: give the new one a new version (.v2), and carry "
                    "judgements over with `curate labels migrate --from`",
                )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise clear errors for a full or failing disk or store, and ``WorkspaceUnusable`` for a damaged table."""
        from deltalake.exceptions import DeltaError

        try:
            with self.folder.errors(), hiding_panics():
                yield
        except (DeltaError, pa.ArrowException, json.JSONDecodeError) as error:
            if storage_error := self.folder.to_error_in_text(str(error)):
                raise storage_error from error
            first_line = str(error).partition("\n")[0] or type(error).__name__
            raise WorkspaceUnusable(
                f"table {self.folder.location} cannot be used: {first_line}",
                hint="restore it from a copy, or delete this table and run again",
            ) from error


def _properties(metadata: Mapping[str, str]) -> Any:
    from deltalake import CommitProperties

    return CommitProperties(custom_metadata=dict(metadata))


def _stored_schema(delta: Any) -> pa.Schema:
    return pa.schema(delta.schema().to_arrow())


def _file_names(delta: Any) -> list[str]:
    return [PurePosixPath(uri).name for uri in delta.file_uris()]
