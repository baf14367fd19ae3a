"""How long the sound and picture passes take over a film, as ratios to decoding it once.

    python benchmarks/preprocess.py [--minutes 20] [--film FILE] [--skip script,accuracy,...]

Builds a film of people who talk (1280x720, H.264 and AAC; kept in the temporary folder for the next run), then runs
each job in a process of its own: wall seconds, CPU seconds, peak memory, and the ratio of its wall seconds to
``ffmpeg -i FILE -f null -``, measured before and after and averaged, since machines are shared and noisy.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import jobs
from curate.media.container.ffmpeg import find_ffmpeg

TARGETS = {"located": 2.0, "crops": 2.5, "videos": 3.5, "sparse": 0.7}
SKIPPABLE = ("located", "crops", "videos", "sparse", "long", "vad", "segments", "accuracy", "script")


def reference(film: Path) -> dict[str, float]:
    """Decode everything once and throw it away."""
    return run([find_ffmpeg(), "-v", "error", "-nostdin", "-i", str(film), "-f", "null", "-"])


def job(name: str, film: Path, *arguments: object) -> dict[str, float]:
    """One of ``benchmarks.jobs`` in a process of its own."""
    return run([sys.executable, "-m", "benchmarks.jobs", name, str(film), *map(str, arguments)])


def run(command: list[str]) -> dict[str, float]:
    began = time.monotonic()
    root = Path(__file__).parent.parent
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    said = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    result = {"wall": time.monotonic() - began, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}
    return {**result, **(json.loads(said) if said.strip() else {})}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--film", type=Path, help="a file to use instead of the one built")
    options.add_argument("--skip", default="", help=f"comma-separated: {', '.join(SKIPPABLE)}")
    given = options.parse_args()
    skip = set(filter(None, given.skip.split(",")))
    film = given.film or Path(tempfile.gettempdir()) / f"curate-benchmark-{given.minutes:g}.mp4"
    if not film.exists():
        # In a process of its own: what this one held would count as the peak of every process it starts.
        job("build", film.with_suffix(".part.mp4"), given.minutes)
        film.with_suffix(".part.mp4").rename(film)
    seconds, rate = jobs.facts(film)
    load = os.getloadavg()[0]
    print(f"{film}: {seconds / 60:.1f} min, {rate / 1000:.0f} kbit/s; load {load:.1f}, {os.cpu_count()} CPUs")
    decode = reference(film)
    print(f"\n{'':44}{'wall s':>8}{'ratio':>7}{'limit':>7}{'CPU s':>8}{'ratio':>7}{'peak MB':>9}")
    show("ffmpeg -f null (decode only)", decode, decode)
    wanted = {
        "located": ("sound, VAD, shots, faces; nothing written", ()),
        "crops": ("... and JPEG crops of every 5th frame", ()),
        "videos": ("... and H.264 track videos", ()),
        "sparse": ("... of sparse speech (7 % of the film)", ()),
    }
    ours = {}
    for name, (title, arguments) in wanted.items():
        if name in skip:
            continue
        before = reference(film)
        ours[name] = job(name, film, *arguments)
        after = reference(film)
        mean = {key: (before[key] + after[key]) / 2 for key in ("wall", "cpu")}
        show(title, ours[name], mean, TARGETS[name])
    if "located" in ours:
        print(
            f"  tracks {ours['located']['tracks']:.0f}, shots {ours['located']['shots']:.0f}, "
            f"utterances {ours['located']['utterances']:.0f}"
        )
    if "long" not in skip:
        with tempfile.TemporaryDirectory() as folder:
            long = jobs.repeat(film, Path(folder) / "long.mp4", max(2, round(7200 / seconds)))
            done = job("located", long, 0.12)
            print(f"2 h film, all sound and 12 % of the pictures: peak {done['peak']:.0f} MB (limit 600)")
    if "vad" not in skip:
        done = job("vad", film)
        print(f"VAD: {done['speed']:.0f} x real time on one core (limit 500)")
    if "segments" not in skip:
        done = job("segments", film)
        print(f"{done['count']:.0f} segments cut as FLAC: {done['cut_s']:.1f} s, peak {done['peak']:.0f} MB")
    if "accuracy" not in skip:
        done = job("accuracy", film)
        print(
            f"faces against detection on every whole frame ({done['minutes']:.1f} min, {done['faces']:.0f} faces): "
            f"recall {done['recall']:.4f} (limit 0.98), IoU {done['iou']:.3f}, not in the reference {done['extra']:.4f}"
        )
    if "script" not in skip:
        script, same = job("script", film), job("like_script", film)
        print(
            f"the obvious script: {script['wall']:.1f} s ({script['cpu']:.0f} CPU s) for {script['seconds']:.0f} s of "
            f"utterances; ours {same['wall']:.1f} s ({same['cpu']:.0f} CPU s) for {same['seconds']:.0f} s: "
            f"{script['wall'] / same['wall']:.1f} x the throughput (limit 3)"
        )
    print(f"peak of the largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")


def show(title: str, done: dict[str, float], decode: dict[str, float], limit: float | None = None) -> None:
    wall, cpu = done["wall"] / decode["wall"], done["cpu"] / decode["cpu"]
    target = f"{limit:.1f}" if limit else ""
    print(
        f"{title:44}{done['wall']:8.1f}{wall:7.2f}{target:>7}{done['cpu']:8.1f}{cpu:7.2f}{done['peak']:9.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
