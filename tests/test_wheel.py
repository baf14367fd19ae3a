"""The wheel holds all that is needed, and runs outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        sample = sum(i.file_size for i in archive.infolist() if "_assets/recipes/quickstart/" in i.filename)
    for folder in ("schemas", "recipes", "annotation_ui_configs", "data_cards"):
        tracked = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True).stdout.split(
            "\n"
        )
        shipped = {f"curate/_assets/{name}" for name in tracked if name and not Path(name).name.startswith("make_")}
        assert shipped, f"{folder} is empty"
        assert shipped <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"curate"}
    assert not [name for name in names if "test" in name.casefold() or name.endswith((".pyc", ".so"))]
    assert 0 < sample < 1_500_000
    assert "curate/llm/labellers/goemotions.v1.npz" in names


def test_demo_from_the_wheel_outside_the_checkout(wheel, tmp_path):
    """The wheel itself is installed into a new environment; only its dependencies come from this one."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    site = next(home.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CURATE"))}
    command = [str(home / "bin" / "python"), "-m", "curate", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    where = subprocess.run(
        [command[0], "-c", "import curate; print(curate.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    ).stdout
    assert where.startswith(str(home)), "the checkout was used instead of the wheel"
    assert (tmp_path / "curate-workspace" / "releases" / "1.0.0" / "manifest.json").is_file()
    assert "curate annotate up" in done.stdout
