"""The checks that keep the code in shape: format, lint, types, layers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SLOW_FIRST

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        ("lint-imports",),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_gate(command):
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_files_to_begin_with_exist():
    assert [name for name in SLOW_FIRST if not (ROOT / "tests" / name).is_file()] == []


def test_modules_are_small():
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / "curate").rglob("*.py")}
    assert {path.name: n for path, n in lengths.items() if n > 400} == {}


def test_layers_in_the_readme_are_those_that_are_checked():
    import tomllib

    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"][1:]
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert " > ".join(layers) in text


def test_every_stage_is_kept_from_the_others():
    import tomllib

    from curate.stages import STAGES

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (apart,) = [contract for contract in contracts if contract["name"] == "No stage imports another"]
    assert set(apart["modules"]) == {".".join(kind.__module__.split(".")[:3]) for kind in STAGES}
