"""Large tables are on disk, and equal to what they would be in memory."""

import pyarrow as pa

from curate import memory
from curate.memory import drop_mapped_pages, release_memory
from curate.storage.spool import LARGE_ROWS, spool_columns, spool_table

ROWS = LARGE_ROWS
TABLE = pa.table(
    {
        "text": pa.chunked_array([[f"text {n}" for n in range(ROWS // 2)], ["é", None] * (ROWS // 4)]),
        "number": pa.array(range(ROWS)),
        "flag": pa.array([True, None] * (ROWS // 2)),
        "nothing": pa.nulls(ROWS, pa.string()),
        "entries": pa.array([[{"field": "a", "value": n / 2}] if n % 3 else None for n in range(ROWS)]),
        "bytes": pa.array([bytes([n % 256]) * 3 for n in range(ROWS)]),
    }
)


def test_a_large_table_is_the_same_on_disk_and_after_its_pages_were_dropped(tmp_path):
    spooled = spool_table(TABLE, tmp_path)
    assert spooled.schema == TABLE.schema
    assert spooled.equals(TABLE)
    for release in (drop_mapped_pages, release_memory):
        release()
        assert spooled.equals(TABLE)
    assert spooled.slice(ROWS - 2).to_pylist() == TABLE.slice(ROWS - 2).to_pylist()
    assert list(tmp_path.iterdir()) == []


def test_columns_take_no_memory_and_end_with_the_last_reference_to_them(tmp_path):
    before = pa.total_allocated_bytes()
    spooled = spool_columns(["text"], lambda name: pa.chunked_array([["x" * 1_000] * ROWS]), tmp_path)
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert spooled.nbytes > 1_000 * ROWS
    files = len(memory._mapped)
    column = spooled["text"]
    del spooled
    assert column[ROWS - 1].as_py() == "x" * 1_000
    del column
    assert len(memory._mapped) == files - 1


def test_a_small_table_stays_as_it_is(tmp_path):
    small = TABLE.slice(1)
    assert spool_table(small, tmp_path) is small


def test_without_a_folder_to_write_to_columns_stay_in_memory(tmp_path):
    assert spool_columns(["text"], TABLE.column, tmp_path / "missing").equals(TABLE.select(["text"]))


def test_a_disk_that_fills_up_costs_memory_and_no_rows(tmp_path, monkeypatch):
    written = []

    def new_stream(file, schema):
        if written:
            raise OSError(28, "No space left on device")
        written.append(schema)
        return open_stream(file, schema)

    open_stream = pa.ipc.new_stream
    monkeypatch.setattr(pa.ipc, "new_stream", new_stream)
    assert spool_table(TABLE, tmp_path).equals(TABLE)
