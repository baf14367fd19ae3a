"""Killed with -9 at random moments, over and over: what was stored is never asked again, and the totals are equal."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from curate.llm.completion import read_completion
from curate.llm.transport.embeddings import EmbeddingRequest
from tests.llm.kill_child import EMBEDDER, WINDOWS, make_ask, make_text
from tests.support.asking import rows
from tests.support.chat_double import ChatDouble, embedded_tokens
from tests.support.chat_faults import Fault

POINTS, BATCH_POINTS, EMBED_POINTS = (100, 30, 40) if os.environ.get("CURATE_TEST_ALL") else (30, 10, 8)


class Runs:
    """Starts runs and kills them."""

    def __init__(self, url: str, folder: Path, mode: str, count: int) -> None:
        root = Path(__file__).parents[2]
        self.line = f"{url} {folder} {mode} {count}\n"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.llm.kill_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )

    def start(self) -> int:
        self.process.stdin.write(self.line)
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """The exit status of the run, once it has ended; -9 where it was killed."""
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def runs(tmp_path):
    """Runs of a mode over some items, against a double of its own."""
    opened = []

    def make(mode: str, count: int, latency_s: float) -> tuple[ChatDouble, Runs]:
        double = ChatDouble(latency_s=latency_s)
        double.__enter__()
        made = Runs(double.url, tmp_path, mode, count)
        opened.append((double, made))
        return double, made

    yield make
    for double, made in opened:
        made.close()
        double.__exit__()


def stored(folder: Path) -> set[str]:
    path = folder / "answers.sqlite"
    if not path.exists():
        return set()
    with sqlite3.connect(path) as connection:
        try:
            return {key for (key,) in connection.execute("SELECT key FROM answers")}
        except sqlite3.OperationalError:  # killed before the tables were made
            return set()


def texts(folder: Path) -> dict[str, str]:
    return {row["key"]: read_completion(row["reply"]).text for row in rows(folder, "answers")}


def wait_for(state) -> None:
    deadline = time.monotonic() + 60
    while not state():
        assert time.monotonic() < deadline, "the run got stuck"
        time.sleep(0.001)


def kill_over_and_over(double, runs, folder, names, *, points, max_answers, seed):
    """Kill while the service holds back its answers, each time after up to ``max_answers`` of them.

    ``names`` are the texts by key. Returns the most replies that any kill cost, and for every stored key how often it
    had been sent when it was first stored.
    """
    print(f"seed {seed}")
    chance = random.Random(seed)
    times_sent: dict[str, int] = {}
    costliest = 0
    for _ in range(points):
        before, stored_before = double.done, len(times_sent)
        double.allowance, double.stalled = chance.randint(0, max_answers), 0
        pid = runs.start()
        wait_for(lambda: double.stalled)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        assert runs.end() == -9
        for key in stored(folder) - set(times_sent):
            times_sent[key] = double.sent[names[key]]
        costliest = max(costliest, double.done - before - (len(times_sent) - stored_before))
        assert all(double.sent[names[key]] == times for key, times in times_sent.items())
    double.allowance = None
    return costliest, times_sent


def test_what_was_stored_is_never_asked_again(runs, tmp_path):
    count = 17 * POINTS
    double, killed = runs("online", count, 0.004)
    names = {make_ask(number).key: f"item {number:05d}." for number in range(count)}
    costliest, times_sent = kill_over_and_over(double, killed, tmp_path, names, points=POINTS, max_answers=16, seed=1)
    assert 0 < len(times_sent) < count
    killed.start()
    assert killed.end() == 0
    assert set(texts(tmp_path)) == set(names)
    assert all(double.sent[names[key]] == times for key, times in times_sent.items())
    assert costliest <= WINDOWS["online"]
    # The account: every stored reply once, as the service counts it, and the rest as it was reserved.
    spend, answers = rows(tmp_path, "spend"), rows(tmp_path, "answers")
    settled = [row for row in spend if row["state"] == "settled"]
    assert sorted(row["key"] for row in settled) == sorted(names)
    for what in ("tokens_in", "tokens_out"):
        assert sum(row[what] for row in settled) == sum(row[what] for row in answers)
    assert {row["state"] for row in spend} <= {"settled", "lost"}
    counted = sum(row["tokens_in"] + row["tokens_out"] for row in spend)
    assert counted >= double.tokens["in"] + double.tokens["out"]
    # The same replies as of a run that nobody disturbed.
    whole = tmp_path / "whole"
    whole.mkdir()
    other = Runs(double.url, whole, "online", count)
    other.start()
    assert other.end() == 0
    other.close()
    assert texts(whole) == texts(tmp_path)


def test_a_text_whose_vector_was_stored_is_never_sent_again(runs, tmp_path):
    count = 64 * 7 * EMBED_POINTS
    double, killed = runs("embed", count, 0.004)
    names = {EmbeddingRequest(EMBEDDER, (text,)).keys[0]: text for text in map(make_text, range(count))}
    seed = random.randrange(100_000)
    _, times_sent = kill_over_and_over(double, killed, tmp_path, names, points=EMBED_POINTS, max_answers=6, seed=seed)
    assert 0 < len(times_sent) < count
    killed.start()
    assert killed.end() == 0
    vectors = {row["key"]: row["reply"] for row in rows(tmp_path, "answers")}
    assert set(vectors) == set(names)
    assert all(double.sent[names[key]] == times for key, times in times_sent.items())
    assert count < double.sent.total() <= count + EMBED_POINTS * WINDOWS["embed"]
    # The account: every request whose vectors are stored once, as the service counts it, and the rest as reserved.
    calls = [EmbeddingRequest(EMBEDDER, tuple(call.body["input"])) for call in double.calls]
    charged = {call.key: embedded_tokens(call.texts) for call in calls}
    spend = rows(tmp_path, "spend")
    settled = [row for row in spend if row["state"] == "settled"]
    lost = [row for row in spend if row["state"] == "lost"]
    assert len(settled) + len(lost) == len(spend)
    assert [row["tokens_in"] for row in settled] == [charged[row["key"]] for row in settled]
    assert sum(row["tokens_in"] for row in settled) == embedded_tokens(names.values())
    assert sum(row["tokens_in"] for row in settled) == sum(row["tokens_in"] for row in rows(tmp_path, "answers"))
    assert Counter(call.key for call in calls) <= Counter(row["key"] for row in spend)
    assert all(row["tokens_in"] >= charged.get(row["key"], 0) for row in lost)
    # The same vectors as of a run that nobody disturbed.
    whole = tmp_path / "whole"
    whole.mkdir()
    killed.line = f"{double.url} {whole} embed {count}\n"
    killed.start()
    assert killed.end() == 0
    assert {row["key"]: row["reply"] for row in rows(whole, "answers")} == vectors


def test_batches_are_paid_once_whenever_the_run_is_killed(runs, tmp_path):
    """A run makes at least five calls; it is killed at one of the first, before or after the service has done it."""
    count, chance = 40, random.Random(2)
    double, killed = runs("batch", count, 0.0)
    names = {f"item {number:05d}." for number in range(count)}
    for point in range(BATCH_POINTS):
        folder = tmp_path / str(point)
        folder.mkdir()
        killed.line = f"{double.url} {folder} batch {count}\n"
        before, held = double.tokens["in"] + double.tokens["out"], double.held
        is_done = chance.random() < 0.5
        double.on_path("*", *[Fault(charged=True)] * (point % 5), Fault(hang=True, charged=is_done))
        pid = killed.start()
        wait_for(lambda held=held: double.held > held)
        os.kill(pid, signal.SIGKILL)
        assert killed.end() == -9
        killed.start()
        assert killed.end() == 0
        assert {name: double.answered[name] for name in names} == dict.fromkeys(names, point + 1)
        spend = rows(folder, "spend")
        assert {row["state"] for row in spend} == {"settled"}
        paid = sum(row["tokens_in"] + row["tokens_out"] for row in spend)
        assert paid == double.tokens["in"] + double.tokens["out"] - before
