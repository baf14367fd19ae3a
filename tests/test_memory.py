"""Memory goes back to the system, and what nobody uses is not loaded."""

import subprocess
import sys

import pytest

from curate.memory import map_file, release_memory, trim_memory
from tests.support.builders import make_recipe

PANDAS = """
import sys
from curate.memory import keep_pandas_out
keep_pandas_out()
import pyarrow as pa
from pyarrow import dataset
assert "pandas" not in sys.modules
assert pa.array([1, None]).to_pylist() == pa.array([1, None], pa.int64()).to_pylist()
assert pa.Table.from_pylist([{"a": 1}]).to_pylist() == [{"a": 1}]
assert "pandas" not in sys.modules
keep_pandas_out()
assert pa.table({"a": [1, 2]}).to_pandas()["a"].tolist() == [1, 2]
import pandas
keep_pandas_out()
assert pa.table({"a": pandas.Series([1, 2])})["a"].to_pylist() == [1, 2]
"""
RUN = """
import sys
sys.argv[1:] = {command}
from curate.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""


def test_arrow_makes_arrays_without_pandas_and_still_converts_to_it():
    pytest.importorskip("pandas")
    subprocess.run([sys.executable, "-c", PANDAS], check=True)


def test_a_mapped_file_reads_the_same_after_memory_was_released(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1_000)
    with path.open("rb") as file:
        mapped = map_file(file)
    for release in (release_memory, trim_memory):
        release()
        assert mapped[255_000:255_256] == bytes((n % 256) for n in range(255_000, 255_256))
    with pytest.raises(TypeError):
        mapped[0] = 1
    mapped.close()
    release_memory()


def test_a_run_loads_no_pandas(tmp_path):
    (tmp_path / "posts.jsonl").write_text('{"text": "What a day!"}\n')
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "posts.jsonl"}, {"stage": "preprocess"})
    command = ["run", str(recipe), "-w", str(tmp_path / "ws"), "--workers", "1"]
    code = f"{RUN.format(command=command)}\nassert 'pyarrow' in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
