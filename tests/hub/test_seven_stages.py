"""All seven stages by one recipe and one command, the last of them to a server that speaks the Hub's protocol."""

import json
import shutil
import subprocess
import sys

import yaml
from pyarrow import parquet

from curate.assets import shipped_folder
from tests.support.hub_double import TOKEN, HubDouble

READ_BACK = """
import json, sys
import datasets
rows = datasets.load_dataset("tester/quickstart", revision=sys.argv[1], split="train", cache_dir=sys.argv[2])
rows = rows.cast_column("audio", datasets.Audio(decode=False)).cast_column("face", datasets.Image(decode=False))
sound = [len(row["audio"]["bytes"]) for row in rows if row["audio"]]
print(json.dumps([len(rows), sorted(row["item_id"] for row in rows), sound]))
"""


def test_raw_clips_to_a_published_dataset(run_curate, tmp_path):
    recipe = yaml.safe_load((shipped_folder("recipes") / "quickstart.yaml").read_text())
    recipe["stages"].append({"stage": "publish", "repo": "tester/quickstart", "private": True})
    shutil.copytree(shipped_folder("recipes") / "quickstart", tmp_path / "quickstart")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    with HubDouble(tmp_path / "hub", mode="xet") as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf")}
        done = run_curate("run", "mine.yaml", env=environment)
        assert done.returncode == 0, done.stderr
        assert "tester/quickstart" in done.stderr
        again = run_curate("run", "mine.yaml", env=environment)
        assert "Nothing to do" in again.stdout, "a published release is not published twice"
        command = [sys.executable, "-c", READ_BACK, "1.0.0", str(tmp_path / "cache")]
        read = subprocess.run(command, env={**environment, "PATH": ""}, capture_output=True, text=True, cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    count, ids, audio_bytes = json.loads(read.stdout.splitlines()[-1])
    local = parquet.read_table(tmp_path / "curate-workspace" / "releases" / "1.0.0" / "data").to_pylist()
    assert count == 12
    assert ids == sorted(row["item_id"] for row in local)
    assert len(audio_bytes) == 6
    assert TOKEN not in done.stdout + done.stderr
    for file in (tmp_path / "curate-workspace").rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), f"the key stands in {file}"
