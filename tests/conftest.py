"""What every test may use: the shared data, and builders of small inputs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.builders import make_posts
from tests.support.fork_server import run_forked

# Machines are shared: how long an example takes says nothing about it.
settings.register_profile("curate", deadline=None)
settings.load_profile("curate")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where Python is told to write no bytecode, each of the many processes would compile everything anew."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        base = tmp_path_factory.getbasetemp()
        base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
        os.environ["PYTHONPYCACHEPREFIX"] = str(base / "bytecode")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, speech and label data."""
    folder = Path(os.environ.get("CURATE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (set CURATE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def opencv() -> None:
    """Skip tests of InsightFace where OpenCV lacks a system library."""
    result = subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"OpenCV cannot be imported: {result.stderr.strip().splitlines()[-1]}")


@pytest.fixture
def run_curate(tmp_path, monkeypatch):
    """Runs the command line in a process of its own, in an empty folder: gives the finished process."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CURATE_W", "LABEL_STUDIO", "HF_"))}
        environment = {**environment, "COLUMNS": "120", **(env or {})}
        return run_forked([str(argument) for argument in arguments], cwd=tmp_path, env=environment, timeout_s=120)

    return run


@pytest.fixture
def posts_recipe(tmp_path) -> Path:
    """A recipe of six text posts, without any media: as fast as a run can be."""
    return make_posts(tmp_path / "posts", 6)


SLOW_FIRST = (
    "annotation/test_screens.py",  # installs Label Studio, for which the other files would wait
    "pipeline/test_recovery.py",
    "llm/test_kill.py",
    "cli/test_cli.py",
    "stages/test_preprocess_chunks.py",
    "storage/test_s3_runs.py",
    "executors/test_executors.py",
    "test_gates.py",
    "hub/test_publish.py",
    "stages/test_preprocess.py",
    "stages/test_preprocess_sound.py",
    "annotation/test_server.py",
    "annotation/test_fields_in_form.py",
    "annotation/test_sync.py",
    "annotation/test_end_to_end.py",
    "test_readme.py",
    "test_wheel.py",
)
"""Files that take long, which workers begin first: one that is left to the end keeps a single worker busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow files; their tests stay in their order."""
    rank = {str(ROOT / "tests" / name): index for index, name in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: rank.get(str(item.path), len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With CURATE_TEST_ALL a test that skips itself has failed: there, everything is to run."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CURATE_TEST_ALL"):
        report.outcome = "failed"
    return report
