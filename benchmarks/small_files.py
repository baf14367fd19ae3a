"""How fast ingest hashes and probes many small files.

    python benchmarks/small_files.py [--files 100000] [--folder FOLDER]

Prints wall and CPU seconds of `curate run --until ingest` with two workers, less a run over no more than one file, and
as a ratio to the reference of the same run: `sha256sum` in two processes, and then PyAV opening each file in two.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

PROBE = """
import sys, av
from multiprocessing import Pool

def probe(path):
    with av.open(path) as media:
        return media.streams.audio[0].rate

if __name__ == "__main__":
    with Pool(2) as pool:
        for _ in pool.imap_unordered(probe, open(sys.argv[1]).read().split("\\n"), chunksize=200):
            pass
"""
RECIPE = """\
recipe: small
labels: acted_emotion.v1
stages:
  - {{stage: ingest, files: "{pattern}", licence: CC0-1.0}}
  - {{stage: preprocess, unit: clip}}
"""


def timed(*command: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a command."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu


def make_files(folder: Path, count: int) -> None:
    for number in range(count):
        path = folder / f"raw/{number // 1000:03}/{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(number.to_bytes(4, "little") * 1_600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_files(folder, options.files)
        paths = [str(path) for path in sorted((folder / "raw").rglob("*.wav"))]
        (folder / "paths.txt").write_text("\n".join(paths))
        (folder / "probe.py").write_text(PROBE)
        for recipe, pattern in (("all", "raw/**/*.wav"), ("one", "raw/000/000000.wav")):
            (folder / f"{recipe}.yaml").write_text(RECIPE.format(pattern=pattern))
        hashed = timed("sh", "-c", f"xargs -P 2 -n 500 sha256sum < {folder}/paths.txt")
        probed = timed(sys.executable, str(folder / "probe.py"), str(folder / "paths.txt"))
        run = (sys.executable, "-m", "curate", "run", "--workers", "2", "--until", "ingest")
        one = timed(*run, str(folder / "one.yaml"), "-w", str(folder / "w1"))
        every = timed(*run, str(folder / "all.yaml"), "-w", str(folder / "w2"))
    reference = [sum(pair) for pair in zip(hashed, probed, strict=True)]
    ours = [after - before for after, before in zip(every, one, strict=True)]
    print(f"{options.files:,} files; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("                     wall s    CPU s")
    for words, pair in (("sha256sum", hashed), ("PyAV", probed), ("one file", one), ("ingest, less one", ours)):
        print(f"{words:18} {pair[0]:8.1f} {pair[1]:8.1f}")
    ratios = [theirs / mine for theirs, mine in zip(reference, ours, strict=True)]
    print(f"reference / ingest {ratios[0]:8.2f} {ratios[1]:8.2f}")


if __name__ == "__main__":
    main()
