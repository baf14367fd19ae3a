"""Delta Lake tables: appended and replaced in single transactions, read back as Arrow."""

import errno
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate.corpus.spec import TableSpec
from curate.errors import StorageFailed, WorkspaceUnusable
from curate.storage.s3.client import is_url
from curate.storage.s3.errors import to_error

if TYPE_CHECKING:
    from curate.storage.folder import Folder

_FILES_BEFORE_COMPACTION = 24
_PATIENCE = {"connect_timeout": "10s", "timeout": "60s", "max_retries": "4", "retry_timeout": "60s"}
_NO_SPACE = re.compile(r"no space left|read-only file system|permission denied|quota exceeded", re.IGNORECASE)


class Table:
    """One table of a workspace. Reading needs no lock; committing is for the driver that holds it."""

    def __init__(self, folder: "Folder", spec: TableSpec) -> None:
        self.folder = folder
        self.spec = spec

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows (of the named columns, in their order), or an empty table where nothing was committed yet."""
        from pyarrow import dataset

        schema = self.spec.schema if columns is None else pa.schema([self.spec.schema.field(c) for c in columns])
        delta = self._open()
        if delta is None:
            return schema.empty_table()
        with storage_errors(self.folder.place):
            # Arrow's own reader on the list of live files: the library's wrapper calls back into Python from threads
            # that outlive the interpreter and abort it.
            stored = pa.schema(delta.schema().to_arrow())
            live = dataset.dataset(self._live_files(delta), schema=stored, format="parquet")
            known = [name for name in schema.names if name in live.schema.names]
            table = live.to_table(columns=known)
        arrays = [
            table[field.name].cast(field.type) if field.name in known else pa.nulls(table.num_rows, field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def commit(
        self, rows: Sequence[Mapping[str, Any]], *, replacing: Collection[str] = (), metadata: Mapping[str, str]
    ) -> None:
        """Append ``rows`` and drop every older row whose ``work`` is in ``replacing``, in one transaction."""
        from deltalake import CommitProperties

        if not rows and not replacing:
            return
        table = pa.Table.from_pylist(list(rows), schema=self.spec.schema)
        properties = CommitProperties(custom_metadata=dict(metadata))
        with storage_errors(self.folder.place):
            self._admit_columns()
            if replacing:
                works = {*replacing, *(table["work"].to_pylist())}
                listed = ", ".join(f"'{work}'" for work in sorted(works))
                predicate = f"work IN ({listed})"
                self._write(table, mode="overwrite", predicate=predicate, commit_properties=properties)
            else:
                self._write(table, mode="append", commit_properties=properties)

    def update(self, changes: pa.Table, *, metadata: Mapping[str, str]) -> None:
        """Set columns of the rows with the key and ``work`` of a row of ``changes``, in one transaction."""
        from deltalake import CommitProperties

        delta = self._open()
        if delta is None or not changes.num_rows:
            return
        by = (self.spec.key, "work")
        matched = {name: f"new.{name}" for name in changes.column_names if name not in by}
        with storage_errors(self.folder.place):
            same = " AND ".join(f"old.{name} = new.{name}" for name in by)
            properties = CommitProperties(custom_metadata=dict(metadata))
            merging = delta.merge(changes, same, "new", "old", merge_schema=True, commit_properties=properties)
            merging.when_matched_update(matched).execute()

    def replace_all(self, table: pa.Table, *, metadata: Mapping[str, str]) -> None:
        """Make ``table`` the whole content, in one transaction; older versions stay readable by time travel."""
        from deltalake import CommitProperties

        with storage_errors(self.folder.place):
            properties = CommitProperties(custom_metadata=dict(metadata))
            table = table.cast(self.spec.schema)
            self._write(table, mode="overwrite", schema="overwrite", commit_properties=properties)

    def compact(self) -> None:
        """Merge the many small files that frequent commits leave behind."""
        delta = self._open()
        if delta is None:
            return
        with storage_errors(self.folder.place):
            if len(delta.file_uris()) > _FILES_BEFORE_COMPACTION:
                delta.optimize.compact()
            self.folder.forget_but(_names(delta))

    def metadata(self) -> dict[str, str]:
        """What the newest transaction said of itself; empty where there is none."""
        delta = self._open()
        return {} if delta is None else {k: v for k, v in delta.history(1)[0].items() if isinstance(v, str)}

    def version(self) -> int | None:
        """The number of the newest transaction, or None where there is none."""
        delta = self._open()
        return None if delta is None else int(delta.version())

    def _open(self) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with storage_errors(self.folder.place):
            try:
                return DeltaTable(self.folder.place, storage_options=self._options)
            except TableNotFoundError:
                return None

    def _write(self, table: pa.Table, *, schema: str = "merge", **how: Any) -> None:
        from deltalake import write_deltalake

        write_deltalake(self.folder.place, table, schema_mode=schema, storage_options=self._options, **how)

    @property
    def _options(self) -> dict[str, str] | None:
        # Keys and the address of the server come from the environment, which the library reads itself.
        return _PATIENCE if is_url(self.folder.place) else None

    def _live_files(self, delta: Any) -> list[str]:
        """The files of the newest version on this disk; a file never changes, so that a copy is one for good."""
        return [str(path) for path in self.folder.fetch(_names(delta))]

    def _admit_columns(self) -> None:
        delta = self._open()
        if delta is None:
            return
        stored = pa.schema(delta.schema().to_arrow())
        for field in self.spec.schema:
            if field.name in stored.names and not _same_type(stored.field(field.name).type, field.type):
                raise WorkspaceUnusable(
                    f"table {self.spec.name} holds {field.name} as {stored.field(field.name).type}, "
                    f"and the label schema now says {field.type}",
                    hint="a published label schema is never edited: give the new one a new version (.v2)",
                )


def _names(delta: Any) -> list[str]:
    return [PurePosixPath(uri).name for uri in delta.file_uris()]


def _same_type(one: pa.DataType, other: pa.DataType) -> bool:
    # Delta names the members of a list "element" where Arrow says "item".
    if pa.types.is_list(one) and pa.types.is_list(other):
        return _same_type(one.value_type, other.value_type)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        names = [field.name for field in one] == [field.name for field in other]
        return names and all(_same_type(a.type, b.type) for a, b in zip(one, other, strict=True))
    return bool(one == other)


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Turn a full, read-only or damaged disk below ``place``, or a store that cannot be used, into one clear error."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except OSError as error:
        if is_url(place):
            raise to_error(place, error) from error
        reason = error.strerror or str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space and run again" if full else "check the disk and its permissions, then run again"
        raise StorageFailed(f"cannot use {place}: {reason}", hint=hint) from error
    except (DeltaError, pa.ArrowException, json.JSONDecodeError) as error:
        if is_url(place) and not isinstance(failure := to_error(place, error), StorageFailed):
            raise failure from error
        if found := _NO_SPACE.search(str(error)):
            raise StorageFailed(f"cannot write {place}: {found[0].lower()}", hint="mend that and run again") from error
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WorkspaceUnusable(
            f"table {place} cannot be used: {first}", hint="restore it from a copy, or delete this table and run again"
        ) from error
