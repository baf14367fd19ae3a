"""Tables take in columns that older versions lacked, and change columns in place."""

import pyarrow as pa
import pytest

from curate.corpus.spec import table_spec
from curate.labels import load_labels
from curate.storage.delta import Table
from curate.storage.folder import DiskFolder


@pytest.fixture
def items(tmp_path):
    """A table of items as an older version left it, without some columns, opened by this one."""
    spec = table_spec("items", load_labels("utterance_emotion.v1"))
    old = pa.schema([field for field in spec.schema if field.name not in ("repeats", "face_identity")])
    rows = [{"item_id": name, "source_id": "s", "text": name * 3, "work": f"w{name}"} for name in "abc"]
    Table(DiskFolder(tmp_path / "items"), spec._replace(schema=old)).commit(rows, metadata={})
    return Table(DiskFolder(tmp_path / "items"), spec)


def content(table: Table, column: str) -> dict[str, str | None]:
    rows = table.read(["item_id", column])
    return dict(zip(rows["item_id"].to_pylist(), rows[column].to_pylist(), strict=True))


def test_rows_with_new_columns_replace_old_ones(items):
    items.commit([{"item_id": "a", "work": "x", "face_identity": "p"}], replacing={"wa"}, metadata={})
    assert content(items, "face_identity") == {"a": "p", "b": None, "c": None}
    assert content(items, "text") == {"a": None, "b": "bbb", "c": "ccc"}


def test_a_new_column_is_filled_in_where_key_and_work_fit(items):
    version = items.version()
    changes = pa.table({"item_id": ["a", "b"], "work": ["wa", "another"], "repeats": ["c", "c"]})
    items.update(changes, metadata={"people": "1"})
    assert content(items, "repeats") == {"a": "c", "b": None, "c": None}
    assert content(items, "text") == {"a": "aaa", "b": "bbb", "c": "ccc"}
    assert items.metadata()["people"] == "1"
    assert items.version() == version + 1
    items.update(changes.slice(0, 0), metadata={})
    assert items.version() == version + 1
