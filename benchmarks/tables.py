"""How long ingest takes for a mapped CSV of 1,000,000 rows, and what memory.

    python benchmarks/tables.py [--rows 1000000] [--folder FOLDER]

Prints wall and CPU seconds of `curate run --until ingest` with one worker, and the most memory of its processes
together, next to the reference of the same run: polars reading the file, and a hash of each row.
"""

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

REFERENCE = """
import hashlib, sys
import polars as pl
for row in pl.read_csv(sys.argv[1], infer_schema=False).iter_rows():
    hashlib.sha256(repr(row).encode()).hexdigest()
"""
RECIPE = """\
recipe: table
labels: utterance_emotion.v1
stages:
  - stage: ingest
    licence: CC0-1.0
    collection: bench
    tables:
      - table: t.csv
        item: {id: id, text: text, speaker: who, keep: [day]}
        rater: rater
        long: {emotion: {column: said, map: {A: anger, H: happiness, S: sadness}}, valence: valence}
  - {stage: preprocess}
  - {stage: annotate, server: false}
"""


class Memory:
    """The most memory that a process and those it started take at a time, shared pages counted once (PSS)."""

    def __init__(self, pid: int) -> None:
        self.peak_mb, self._pid = 0.0, pid
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while Path(f"/proc/{self._pid}").exists():
            self.peak_mb = max(self.peak_mb, sum(map(_pss_mb, self._tree(self._pid))))
            time.sleep(0.1)

    def _tree(self, pid: int) -> list[int]:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return [pid]
        return [pid, *(inner for child in children for inner in self._tree(int(child)))]


def _pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def timed(*command: str) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and the peak of memory of a Python command."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    memory = Memory(process.pid)
    if process.wait():
        sys.exit(f"{' '.join(command)} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu, memory.peak_mb


def make_table(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text,who,day,rater,said,valence\n")
        for number in range(rows):
            text = f'"Post {number}, of all the things that I have seen today this one is the most surprising."'
            file.write(f"p{number:07},{text},w{number % 5000},2024-01-{number % 28 + 1:02},r{number % 9},")
            file.write(f"{'AHS'[number % 3]},{number % 21 / 10 - 1:g}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_table(folder / "t.csv", options.rows)
        (folder / "table.yaml").write_text(RECIPE)
        run = ("-m", "curate", "run", str(folder / "table.yaml"), "-w", str(folder / "w"), "--workers", "1")
        plain = timed("-c", REFERENCE, str(folder / "t.csv"))
        ours = timed(*run, "--until", "ingest")
        again = timed(*run, "--until", "ingest")
    print(f"{options.rows:,} rows; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("                    wall s    CPU s   x reference (CPU)   peak MB")
    for words, (wall, cpu, peak) in (("reference", plain), ("ingest", ours), ("nothing new", again)):
        print(f"{words:16} {wall:9.1f} {cpu:8.1f} {cpu / plain[1]:19.1f} {peak:9.0f}")


if __name__ == "__main__":
    main()
