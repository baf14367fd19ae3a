"""Many short posts, from one file to a release with the offline labeller, and a second run with nothing new.

    python benchmarks/posts.py [--posts 1000000] [--format jsonl]

Prints for each run the seconds, the CPU seconds of all processes, and the peak memory of the largest process, of the
sum of all (RSS: pages that several share count once for each), and of all together (PSS: they count once), next to a
reference: polars reading the same file and writing it as Parquet.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support.builders import TEXTS, make_recipe

WORDS = """
the a of my this that we they it is was will have had and but so because when then never always about with for at on
day night work train coffee game movie team song friend mother dog exam news weather phone letter party dinner road
went said saw lost won felt think know waiting talking table window street city people somebody nothing everything
great awful funny strange quiet late early new old broken lovely boring tired angry love hate
"""
REFERENCE = """
import sys, polars as pl
read = pl.read_ndjson if sys.argv[1].endswith("jsonl") else pl.read_csv
read(sys.argv[1]).write_parquet(sys.argv[2])
"""
_LOOK_S = 0.1


class Cost(NamedTuple):
    """What a command took; memory in MB."""

    seconds: float
    cpu_s: float
    largest_mb: float
    sum_mb: float
    together_mb: float


def posts(count: int, seed: int = 7) -> Iterator[dict[str, str]]:
    """Yield the same posts for the same seed, no two of them alike: about 120 characters each."""
    draw, known = random.Random(seed), WORDS.split()
    for number in range(count):
        words = draw.choices(known, k=draw.randint(4, 28))
        text = f"{draw.choice(TEXTS)} {' '.join(words)} {number}."
        yield {"text": text, "author": f"writer{draw.randrange(count // 20 + 1)}"}


def make_corpus(folder: Path, count: int, kind: str) -> tuple[Path, Path]:
    """Write the posts and a recipe over them; return both paths."""
    path = folder / f"posts.{kind}"
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "csv":
            table = csv.DictWriter(file, ["text", "author"])
            table.writeheader()
            table.writerows(posts(count))
        else:
            file.writelines(json.dumps(post) + "\n" for post in posts(count))
    recipe = make_recipe(
        folder,
        {"stage": "ingest", "files": path.name, "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", "model": "offline"},
        {"stage": "aggregate"},
        {"stage": "export"},
    )
    return path, recipe


def measure(*command: str) -> Cost:
    """Run Python with these arguments and return what all its processes took."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, start_new_session=True)
    peaks = [0.0, 0.0, 0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_LOOK_S):
            sizes = list(_memory_mb(process.pid))
            resident = [size for size, _ in sizes]
            now = max(resident, default=0.0), sum(resident), sum(share for _, share in sizes)
            peaks[:] = map(max, peaks, now)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    largest = max(peaks[0], usage.ru_maxrss / 1024)
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, largest, max(peaks[1], largest), peaks[2])


def _memory_mb(session: int) -> Iterator[tuple[float, float]]:
    """Yield the resident memory of each process of a session, and its share of it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                share_kb = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
                yield int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20, share_kb / 1024
        except OSError:
            continue


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--posts", type=int, default=1_000_000)
    options.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
    options.add_argument("--workers", type=int, help="processes; by default one for every core")
    chosen = options.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        path, recipe = make_corpus(folder, chosen.posts, chosen.format)
        workers = ("--workers", str(chosen.workers)) if chosen.workers else ()
        run = ("-m", "curate", "run", str(recipe), "-w", str(folder / "w"), *workers)
        size = f"{chosen.posts:,} posts, {path.stat().st_size / 2**20:.0f} MB"
        print(f"{size:27} seconds  CPU s  largest MB   sum MB  together MB")
        for title, command in {
            "polars, read and write": ("-c", REFERENCE, str(path), str(folder / "reference.parquet")),
            "first run": run,
            "nothing new": run,
        }.items():
            cost = measure(*command)
            memory = f"{cost.largest_mb:11.0f} {cost.sum_mb:8.0f} {cost.together_mb:12.0f}"
            print(f"{title:27}{cost.seconds:8.1f} {cost.cpu_s:6.1f} {memory}", flush=True)


if __name__ == "__main__":
    main()
