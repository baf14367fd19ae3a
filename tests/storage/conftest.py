"""An object store, and machines that use it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curate.files import sha256_of
from tests.support.object_store import ObjectStore, machine_environment


@pytest.fixture(scope="package")
def store() -> Iterator[ObjectStore]:
    """A running object store."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    running = ObjectStore()
    yield running
    running.close()


@pytest.fixture
def here(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that makes this process the machine of that name, with files of its own in the returned folder."""

    def become(machine: str) -> Path:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        for name, value in machine_environment(store, tmp_path / machine).items():
            monkeypatch.setenv(name, value)
        return tmp_path / machine

    become("first")
    return become


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a workspace that no other test uses."""
    name = request.node.name
    return f"s3://corpora/{re.sub(r'[^a-z0-9_]+', '-', name)}-{sha256_of(name)[:8]}/w"
