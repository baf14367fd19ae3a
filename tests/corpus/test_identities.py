"""The identity of work is that of its row as JSON, whatever the columns hold and however they are stored."""

import pyarrow as pa
import pytest

from curate.corpus.identity import json_rows, row_works
from curate.corpus.live import LiveWork, hash_works
from curate.files import canonical_json, digest

ROWS = pa.table(
    {
        "text": ['a "quoted" \\ line\n\u2028 50 %s', None, "", "\U0001f600 é", "%%"],
        "%d": pa.array([b"\x00\xff", None, b"", b"'\"", b"abc"], pa.binary()),
        "count": pa.array([1, None, -3, 2**40, 0], pa.int64()),
        "share": pa.array([0.1, None, float("inf"), 1e-9, -0.0]),
        "seen": [True, None, False, True, False],
        "nothing": pa.nulls(5, pa.list_(pa.string())),
        "turns": pa.array(
            [[{"b": "x", "a": 1}, None], None, [], [{"b": None, "a": None}], [{"b": "%s", "a": 2}]],
            pa.list_(pa.struct([("b", pa.string()), ("a", pa.int32())])),
        ),
        "box": pa.array([[1.0, 2.0], None, [0.5, 0.25], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float64(), 2)),
        "about": pa.array([{"n": ["x"]}, None, {"n": None}, {"n": []}, {"n": ["y", None]}]),
    }
)


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        ROWS.slice(1, 3),
        pa.concat_tables([ROWS.slice(3), ROWS.slice(0, 2)]),
        ROWS.select(["text"]),
        ROWS.slice(0, 0),
        ROWS.filter(pa.array([True, False, True, False, True])),
    ],
    ids=["whole", "slice", "chunks", "one column", "empty", "filtered"],
)
def test_columns_give_the_identities_of_their_rows(rows: pa.Table) -> None:
    dicts = rows.to_pylist()
    assert list(json_rows(rows)) == [canonical_json(row).decode() for row in dicts]
    assert row_works("stage:1", rows).to_pylist() == [digest(["stage:1", row]) for row in dicts]


def test_a_hash_of_identities_follows_from_their_order_alone() -> None:
    whole, parts = pa.chunked_array([["aa", "bb", "cc"]]), pa.chunked_array([["aa"], [], ["bb", "cc"]], pa.string())
    assert hash_works(whole) == hash_works(parts) == hash_works(whole.slice(0)) != hash_works(whole.slice(1))
    assert LiveWork.of(["aa", "bb"]).fingerprint != LiveWork.of(["aa"], ["bb"]).fingerprint
    assert LiveWork.of(["aa", "bb"]).among(["bb", "dd"]) == {"bb"}
