"""How fast and how cheaply chat models are asked, against a local server of fixed latency that answers at once.

    python benchmarks/prelabel.py [--requests 1280] [--items 100000] [--skip distilabel,items,...]

The server (tests/support/chat_double.py) is a process of its own and is measured first, with bytes made beforehand.
Each job runs in a process of its own over the same questions: the plain ``openai`` client under a semaphore, the engine
of ``curate``, and distilabel (in an environment of its own, made in the temporary folder and kept for the next run).
Throughput is the share of ``in_flight / latency``, which nothing can exceed. Start-up counts, imports do not.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import llm_jobs
from tests.support.builders import make_recipe

ROOT = Path(__file__).parent.parent

IN_FLIGHT = 64
DISTILABEL = "1.5.3"
THROUGHPUT = {0.4: 0.95, 0.2: 0.90}
CPU_RATIO, CACHED_S = 1.3, 15.0
SKIPPABLE = ("throughput", "distilabel", "cpu", "images", "items", "stage")


@contextmanager
def server(latency_s: float, say: str | None = llm_jobs.SAY) -> Iterator[str]:
    """The address of a server that takes so long for every answer."""
    command = [sys.executable, "-m", "tests.support.chat_double", "--latency", str(latency_s)]
    command += [] if say is None else ["--say", say]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield json.loads(process.stdout.readline())["url"] if process.stdout else ""
        finally:
            process.terminate()


def job(name: str, url: str, count: int, *arguments: object) -> dict[str, float]:
    """One of ``benchmarks.llm_jobs`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.llm_jobs", name, url, str(count), str(IN_FLIGHT)]
    return run([*command, *map(str, arguments)], {**os.environ, "PYTHONPATH": str(ROOT)})


def run(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """The last line a process prints, which is JSON."""
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{command[:4]} failed:\n{done.stderr.decode(errors='replace')[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def distilabel(url: str, count: int) -> dict[str, float]:
    """Its text generation step over the same questions."""
    folder = Path(tempfile.gettempdir()) / f"curate-benchmark-distilabel-{DISTILABEL}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        venv.create(folder, with_pip=True, clear=True)
        # It imports requests without asking for it.
        wanted = [f"distilabel[openai]=={DISTILABEL}", "requests"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (folder / "made").touch()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = {"DISTILABEL_LOG_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    script = Path(__file__).parent / "distilabel_job.py"
    command = [str(python), str(script), url, str(count), str(IN_FLIGHT), llm_jobs.SYSTEM, llm_jobs.text(-1)]
    return run(command, {**environment, **quiet})


def throughput(latency_s: float, count: int, skip: set[str]) -> None:
    """Requests a second as a share of the most that the latency allows."""
    with server(latency_s) as url:
        print(f"\n{IN_FLIGHT} in flight, {latency_s * 1000:.0f} ms, {count} requests{'':8}", end="")
        print(f"{'req/s':>8}{'share':>7}{'limit':>7}{'CPU ms':>8}{'peak MB':>9}")
        show("server alone (bytes made beforehand)", job("generator", url, count), count, latency_s)
        show("plain client: create, json.loads", job("plain", url, count, "create"), count, latency_s)
        show("plain client: parse", job("plain", url, count, "parse"), count, latency_s)
        show("curate", job("engine", url, count), count, latency_s, THROUGHPUT.get(latency_s))
        if "distilabel" not in skip:
            show(f"distilabel {DISTILABEL}", distilabel(url, count), count, latency_s)


def show(title: str, done: dict[str, float], count: int, latency_s: float, limit: float | None = None) -> None:
    """One line of the table of throughput."""
    rate = count / done["wall"]
    target = f"{limit:.2f}" if limit else ""
    print(
        f"{title:44}{rate:8.0f}{rate * latency_s / IN_FLIGHT:7.2f}{target:>7}{1000 * done['cpu'] / count:8.2f}"
        f"{done['peak']:9.0f}",
        flush=True,
    )


def cpu(count: int) -> None:
    """CPU time of a text request, as a ratio to the plain client's; each in turn, and the least of three."""
    ways = {"create": ("plain", "create"), "parse": ("plain", "parse"), "curate": ("engine",)}
    best: dict[str, float] = {}
    with server(0.2) as url:
        for _ in range(3):
            for name, (kind, *rest) in ways.items():
                used = job(kind, url, count, *rest)["cpu"] / count * 1000
                best[name] = min(used, best.get(name, used))
    print(f"\nCPU a text request, all in: plain client {best['create']:.2f} ms (create, json.loads), ", end="")
    print(f"{best['parse']:.2f} ms (parse); curate {best['curate']:.2f} ms: ", end="")
    print(f"{best['curate'] / best['create']:.2f} x create, {best['curate'] / best['parse']:.2f} x parse ", end="")
    print(f"(limit {CPU_RATIO})", flush=True)


def stage(count: int) -> None:
    """``curate run`` over posts: every item asked, and in another workspace every reply from the cache."""
    with tempfile.TemporaryDirectory() as name, server(0, say=None) as url:
        folder = Path(name)
        lines = (json.dumps({"text": llm_jobs.text(at), "author": f"writer {at % 100}"}) for at in range(count))
        (folder / "posts.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        asks = {"stage": "prelabel", "labellers": [{"model": f"openai/{llm_jobs.MODEL}", "scores": False}]}
        stages = ({"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"}, {"stage": "preprocess"}, asks)
        recipe = make_recipe(folder, *stages)
        environment = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-benchmark", "PYTHONPATH": str(ROOT)}
        for title, workspace in ((f"{count} items asked", folder / "a"), ("all from the cache", folder / "b")):
            command = [sys.executable, "-m", "curate", "run", str(recipe), "-w", str(workspace)]
            measured([*command, "--until", "preprocess"], environment)
            if workspace.name == "b":
                shutil.copy(folder / "a" / "answers.sqlite", workspace)
            done = measured(command, environment)
            print(
                f"curate run, {title}: {done['wall']:.1f} s, CPU {done['cpu']:.1f} s, peak {done['peak']:.0f} MB"
                + (f" (limit {CACHED_S:.0f} s)" if workspace.name == "b" else ""),
                flush=True,
            )


def measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory (MB) of a process."""
    began = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet, env={**os.environ, **environment}, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    wall = time.monotonic() - began
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=1280)
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--skip", default="", help=f"comma-separated: {', '.join(SKIPPABLE)}")
    given = options.parse_args()
    skip = set(filter(None, given.skip.split(",")))
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    with server(0) as url:
        done = job("generator", url, 10 * given.requests)
    print(f"the server answers {10 * given.requests / done['wall']:.0f} requests a second at no latency")
    if "throughput" not in skip:
        throughput(0.4, given.requests, skip)
        throughput(0.2, 2 * given.requests, skip)
    if "cpu" not in skip:
        cpu(given.requests)
    if "images" not in skip:
        with server(0.4) as url:
            done = job("images", url, given.requests // 4)
        share = given.requests // 4 / done["wall"] * 0.4 / IN_FLIGHT
        busy = done["cpu"] / done["wall"] / (os.cpu_count() or 1)
        print(
            f"\npictures shrunk and encoded off the event loop: its longest stop {1000 * done['stop_s']:.0f} ms, "
            f"{1000 * done['picture_s']:.0f} ms of work a picture, throughput {share:.2f} with {busy:.0%} of all cores"
        )
    if "items" not in skip:
        with tempfile.TemporaryDirectory() as folder, server(0) as url:
            began = time.monotonic()
            done = job("items", url, given.items, folder)
            print(
                f"\n{given.items} items: {time.monotonic() - began:.0f} s at no latency; "
                f"memory after a tenth {done['early']:.0f} MB, at the end {done['late']:.0f} MB (limit: flat)"
            )
            done = job("items", url, given.items, folder)
            print(
                f"again, all from the cache: {done['wall']:.1f} s, CPU {done['cpu']:.1f} s (limit {CACHED_S:.0f}), "
                f"asked {done['asked']:.0f}; "
                f"peak {done['peak']:.0f} MB"
            )
    if "stage" not in skip:
        print()
        stage(given.items)


if __name__ == "__main__":
    main()
