"""The lock on an object store admits one process, and a process that could not take it leaves none behind."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ServiceUnavailable, WorkspaceBusy, WorkspaceUnusable
from curate.storage.s3.client import S3Prefix
from curate.storage.workspace import Workspace
from tests.support.object_store import ObjectStore

pytestmark = pytest.mark.usefixtures("here")


def test_one_writer_at_a_time(url: str, store: ObjectStore) -> None:
    opened = Workspace(url)
    with opened.lock():
        with pytest.raises(WorkspaceBusy, match=f"is in use by process {os.getpid()} on "), Workspace(url).lock():
            pass
        with pytest.raises(WorkspaceBusy, match="which may still be running"):
            opened.unlock()
        files, name = store.files(), f"{url}/.lock"
        theirs = {**json.loads(files.cat_file(name)), "host": "elsewhere", "token": "theirs"}
        files.pipe_file(name, json.dumps(theirs).encode())
    with pytest.raises(WorkspaceBusy, match="on elsewhere since"), opened.lock():
        pass
    assert "elsewhere" in (opened.unlock(certain=True) or "")
    with opened.lock():
        pass
    assert not files.exists(name)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"pid": "1", "host": 3}', b'{"pid": 1e99}'])
def test_a_damaged_lock_is_a_lock(url: str, store: ObjectStore, content: bytes) -> None:
    opened = Workspace(url)
    store.files().pipe_file(f"{url}/.lock", content)
    with pytest.raises(WorkspaceBusy), opened.lock():
        pass
    assert opened.unlock(certain=True)
    assert opened.unlock() is None


def test_a_store_that_overwrites_cannot_hold_a_workspace(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Workspace(url)
    monkeypatch.setattr(S3Prefix, "create", lambda self, name, data: self.write(name, data) is None)
    with pytest.raises(WorkspaceUnusable, match="overwrites objects that exist"), opened.lock():
        pass
    assert opened.unlock() is None


def test_a_lock_whose_reply_was_lost_is_ours(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, create = Workspace(url), S3Prefix.create
    monkeypatch.setattr(S3Prefix, "create", lambda self, name, data: create(self, name, data) and False)
    with opened.lock():
        pass
    assert opened.unlock() is None


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("is_written", [False, True])
def test_a_network_error_leaves_no_lock_behind(
    url: str, monkeypatch: pytest.MonkeyPatch, failing: int, is_written: bool
) -> None:
    opened, create = Workspace(url), S3Prefix.create
    calls = 0

    def fail(self: S3Prefix, name: str, data: bytes) -> Any:
        nonlocal calls
        calls += 1
        written = create(self, name, data) if calls != failing or is_written else False
        if calls == failing:
            raise ServiceUnavailable("the store does not answer")
        return written

    monkeypatch.setattr(S3Prefix, "create", fail)
    with pytest.raises(ServiceUnavailable), opened.lock():
        pass
    assert opened.unlock() is None
    with opened.lock():
        pass


def test_a_failed_attempt_leaves_the_lock_of_another_process(
    url: str, store: ObjectStore, here: Callable[[str], Path]
) -> None:
    store.files().pipe_file(f"{url}/.lock", json.dumps({"host": "elsewhere", "pid": 1, "token": "theirs"}).encode())
    opened = Workspace(url)
    with pytest.raises(WorkspaceBusy), opened.lock():
        pass
    assert "elsewhere" in (opened.unlock(certain=True) or "")
