"""Copies of remote objects are limited in size."""

import os

from curate.storage.cache import CacheLimit


def test_copies_are_bounded(tmp_path):
    for day in range(10):
        path = tmp_path / f"{day:02}" / "blob"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        os.utime(path, (day, day))
    os.utime(tmp_path / "00" / "blob")
    CacheLimit(tmp_path, max_bytes=500).add(100)
    kept = sorted(path.parent.name for path in tmp_path.glob("*/*"))
    assert kept == ["00", "07", "08", "09"], "those unused for longest are deleted"
