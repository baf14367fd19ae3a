"""Heavy libraries have one importer each and are imported when they are needed, not before."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "curate"
HEAVY = ("av", "cv2", "datasets", "deltalake", "duckdb", "huggingface_hub", "insightface", "label_studio_sdk",
         "faster_whisper", "pocketsphinx", "py3langid", "onnx", "onnxruntime", "openai",
         "pydub", "ffmpeg", "nltk", "ray", "scipy", "textblob", "torch", "skimage", "fsspec", "s3fs", "botocore",
         "vaderSentiment")  # fmt: skip
ONE_IMPORTER = (
    "av",
    "cv2",
    "deltalake",
    "huggingface_hub",
    "insightface",
    "label_studio_sdk",
    "onnxruntime",
    "openai",
    "ray",
    "faster_whisper",
    "pocketsphinx",
    "py3langid",
    "fsspec",
    "botocore",
    "textblob",
    "vaderSentiment",
)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import curate",
        "import curate.cli.app",
        "import curate.recipe, curate.pipeline, curate.executors.local",
    ],
)
def test_nothing_heavy_is_imported(statement):
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_importing_curate_is_next_to_nothing():
    plain = loaded_by("import importlib.metadata, pathlib")
    assert loaded_by("import curate") - plain == {"curate"}


def test_help_needs_no_tables_and_no_schemas():
    code = (
        "import sys; sys.argv = ['curate', '--help']\nfrom curate.cli import main\ntry: main()\nexcept SystemExit: pass"
    )
    assert loaded_by(code).isdisjoint({*HEAVY, "pyarrow", "polars", "numpy", "pydantic"})


def test_every_heavy_library_has_one_importer():
    importers = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                importers[name.partition(".")[0]].add(str(path.relative_to(PACKAGE)))
    assert {name: importers[name] for name in ONE_IMPORTER if len(importers[name]) > 1} == {}
