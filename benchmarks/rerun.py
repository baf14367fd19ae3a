"""How long a second run takes that has nothing to do, for 100,000 items.

    python benchmarks/rerun.py [--items 100000]

Prints the wall seconds and peak memory of the first and the second run, each in a process of its own, and their ratio
to a plain loop that reads the same posts, parses them and hashes them: the least that any tool must do to know that
nothing has changed.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.support.builders import make_posts

LOOP = """
import hashlib, json, sys
for line in open(sys.argv[1], "rb"):
    hashlib.sha256(json.dumps(json.loads(line), sort_keys=True).encode()).hexdigest()
"""


def timed(*command: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--items", type=int, default=100_000)
    count = options.parse_args().items
    with TemporaryDirectory() as folder:
        recipe = make_posts(Path(folder), count)
        run = ("-m", "curate", "run", str(recipe), "-w", f"{folder}/w", "--workers", "2")
        plain = min(timed("-c", LOOP, f"{folder}/posts.jsonl") for _ in range(3))
        first = timed(*run)
        again = sorted(timed(*run) for _ in range(3))[1]
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{count:,} items     seconds   x plain loop")
    print(f"plain loop       {plain:8.2f}   {1:8.1f}")
    print(f"first run        {first:8.2f}   {first / plain:8.1f}")
    print(f"second run       {again:8.2f}   {again / plain:8.1f}")
    print(f"second / first   {again / first:8.3f}")
    print(f"peak memory of the largest process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
