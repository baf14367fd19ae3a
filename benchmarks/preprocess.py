"""How long `curate run` takes over a film of people who talk, as a ratio to decoding it once.

    python benchmarks/preprocess.py [--minutes 3,20] [--film FILE] [--wav GIB] [--parts] [--recall FILE,...]

Builds films (1280x720, H.264 and AAC; kept in the temporary folder for the next run). Then, in processes of their own:
`curate run` with default settings (utterances with their sound, faces and crops), less a run that finds nothing to do,
and `ffmpeg -i FILE -f null -` before and after it, averaged, since machines are shared and noisy. `--wav` adds a WAV
file of that size, mostly silent. `--parts` adds jobs of `benchmarks.jobs`, and `--recall` compares faces with detection
on every frame of films.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import jobs
from curate.media.container.ffmpeg import find_ffmpeg

ROOT = Path(__file__).parent.parent
MAX_WALL, MAX_PEAK_MB, MIN_RECALL = 1.6, 600, 0.98
RECIPE = """\
recipe: talk
labels: utterance_emotion.v1
stages:
  - {{stage: ingest, files: "{name}", licence: CC-BY-4.0, collection: talk}}
  - {{stage: preprocess}}
"""
PARTS = {
    "inspect": "what ingest reads",
    "listen": "sound, voice detection, utterances",
    "watch": "shots, faces and their best crops",
    "frames": "... and a crop of every 5th frame",
    "videos": "... and a video of each face",
    "sparse": "... of sparse speech (7 % of the film)",
    "copies": "a viewing copy of each utterance",
}


def run(command: list[str]) -> dict[str, float]:
    """Run a command, and return its wall and CPU seconds, and the peak memory of it and its workers in MB."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT
    )
    peaks = [0.0]
    watcher = threading.Thread(target=watch_memory, args=(process.pid, peaks), daemon=True)
    watcher.start()
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    watcher.join()
    if status:
        raise SystemExit(f"{command} failed: {errors.decode()[-500:]}")
    measured = {"wall": seconds, "cpu": used.ru_utime + used.ru_stime, "peak": max(peaks)}
    return {**measured, **(json.loads(output) if output.strip().startswith(b"{") else {})}


def watch_memory(pid: int, peaks: list[float]) -> None:
    """Append the memory of a process and its descendants in MB until it ends; pages that several share count once."""
    while memory := tree_memory(pid):
        peaks.append(memory / 1024)
        time.sleep(0.2)


def tree_memory(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(tree_memory(int(child)) for child in children)


def decode(film: Path) -> dict[str, float]:
    """Decode everything once and throw it away."""
    return run([find_ffmpeg(), "-v", "error", "-nostdin", "-i", str(film), "-f", "null", "-"])


def job(name: str, film: Path, *arguments: object) -> dict[str, float]:
    """Run one of ``benchmarks.jobs`` in a process of its own."""
    return run([sys.executable, "-m", "benchmarks.jobs", name, str(film), *map(str, arguments)])


def product(film: Path) -> dict[str, float]:
    """Run the command, less what it takes to find that nothing is to be done."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "talk.yaml"
        recipe.write_text(RECIPE.format(name=film))
        command = [sys.executable, "-m", "curate", "run", str(recipe), "-w", str(Path(folder) / "workspace")]
        command += ["--raw", str(film.parent)]
        first, again = run(command), run(command)
    return {**first, "wall": first["wall"] - again["wall"], "cpu": first["cpu"] - again["cpu"]}


def show(title: str, done: dict[str, float], reference: dict[str, float], limit: str = "") -> None:
    ratios = [done[key] / reference[key] for key in ("wall", "cpu")]
    numbers = f"{done['wall']:8.1f}{ratios[0]:7.2f}{done['cpu']:8.1f}{ratios[1]:7.2f}{done['peak']:9.0f}"
    print(f"{title:44}{numbers}  {limit}", flush=True)


def measure(film: Path, *, parts: bool) -> None:
    seconds, rate = jobs.facts(film)
    load = os.getloadavg()[0]
    print(f"\n{film}: {seconds / 60:.1f} min, {rate / 1000:.0f} kbit/s; load {load:.1f}, {os.cpu_count()} CPUs")
    print(f"{'':44}{'wall s':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'peak MB':>9}")
    steps = {"curate run": product, **{title: lambda film, n=n: job(n, film) for n, title in PARTS.items() if parts}}
    before = decode(film)
    show("ffmpeg -f null (decode only)", before, before)
    for title, step in steps.items():
        done, after = step(film), decode(film)
        mean = {key: (before[key] + after[key]) / 2 for key in ("wall", "cpu")}
        limit = f"limits: wall {MAX_WALL}, {MAX_PEAK_MB} MB" if step is product else ""
        show(title, done, mean, limit)
        before = after


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", default="3,20", help="lengths of the films to build")
    options.add_argument("--film", type=Path, help="a file to use instead of those built")
    options.add_argument("--wav", type=float, help="GiB")
    options.add_argument("--parts", action="store_true")
    options.add_argument("--recall", default="", help="comma-separated films")
    chosen = options.parse_args()
    films = [chosen.film.resolve()] if chosen.film else []
    for minutes in () if chosen.film or not chosen.minutes else chosen.minutes.split(","):
        films.append(Path(tempfile.gettempdir()) / f"curate-benchmark-{minutes}.mp4")
        if not films[-1].exists():
            # In a process of its own: what this one held would count as the peak of every process it starts.
            job("build", films[-1].with_suffix(".part.mp4"), minutes)
            films[-1].with_suffix(".part.mp4").rename(films[-1])
    if chosen.wav:
        films.append(Path(tempfile.gettempdir()) / f"curate-benchmark-{chosen.wav:g}.wav")
        job("build_sound", films[-1], chosen.wav)
    for film in films:
        measure(film, parts=chosen.parts and film.suffix != ".wav")
    for film in filter(None, chosen.recall.split(",")):
        done = job("accuracy", Path(film).resolve())
        print(
            f"{film}: {done['faces']:.0f} faces on every frame; recall {done['recall']:.4f} (limit {MIN_RECALL}), "
            f"IoU {done['iou']:.3f}, not in the reference {done['extra']:.4f}"
        )


if __name__ == "__main__":
    main()
