"""Files are written whole or not at all, and hashes stay what they were: they are identities of stored work."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curate.errors import StorageFailed
from curate.files import (
    canonical_json,
    digest,
    read_json_object,
    replace_whole,
    sha256_of,
    sha256_of_file,
    write_whole,
)


def test_identities_never_change() -> None:
    value = {"b": [1, 2.5, None, True], "a": {"é": "\ud83d", "t": datetime(2024, 1, 2, tzinfo=UTC)}}
    assert canonical_json(value) == (
        b'{"a":{"t":"2024-01-02 00:00:00+00:00","\xc3\xa9":"\xed\xa0\xbd"},"b":[1,2.5,null,true]}'
    )
    assert digest(value) == sha256_of(canonical_json(value))
    assert digest({"x": 1}) == "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22"
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_bytes_text_and_files_hash_alike(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("é".encode())
    assert sha256_of("é") == sha256_of("é".encode()) == sha256_of_file(tmp_path / "a")


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_whole(path, "{}", sync=True)
    write_whole(path, b'{"a": 1}', mode=0o600)
    assert read_json_object(path) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["a.json"]


def write_half(path: Path) -> None:
    with replace_whole(path) as partial:
        partial.write_text("half")
        raise OSError(28, "No space left on device")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, "old")
    with pytest.raises(StorageFailed, match="No space left on device") as failure:
        write_half(path)
    assert str(path) in failure.value.message
    assert failure.value.hint
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [".", "/"])
def test_a_path_without_a_name_is_refused_in_a_sentence(path: str) -> None:
    with pytest.raises(StorageFailed, match="Is a directory"):
        write_whole(Path(path), "x")


@pytest.mark.parametrize("content", [None, "", "[1]", "{", "\xff", "[" * 100_000])
def test_what_is_not_a_json_object_reads_as_empty(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "a").write_bytes(content.encode("latin-1"))
    assert read_json_object(tmp_path / "a") == {}
