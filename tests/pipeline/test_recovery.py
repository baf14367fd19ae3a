"""A run that is killed, at any moment, and run again ends where an undisturbed run ends."""

import random
import signal
from pathlib import Path

import pytest

from curate.executors.open import open_executor
from tests.support.builders import make_posts, make_recipe
from tests.support.fork_server import CurateProcess, run_forked
from tests.support.processes import killing_a_ray_worker, wait_until
from tests.support.runs import KILL_AT_WRITE, assert_same, contents, run_quietly


def added_rows(workspace: Path, table: str) -> int:
    """Rows that all transactions together wrote to a table, but for compaction."""
    from deltalake import DeltaTable

    folder = workspace / "tables" / table
    folder = folder if (folder / "_delta_log").is_dir() else folder / "utterance_emotion.v1"
    history = DeltaTable(folder).history()
    return sum(h["operationMetrics"]["num_added_rows"] for h in history if h["operation"] == "WRITE")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_any_commit(tmp_path, when):
    recipe = make_hostile_mix(tmp_path / "in")
    run_quietly(recipe, tmp_path / "undisturbed")
    expected = contents(tmp_path / "undisturbed")
    killed = 0
    for nth in range(1, 30):
        workspace = tmp_path / f"killed-{nth}"
        done = run_forked([str(recipe), str(workspace), str(nth), when], code=KILL_AT_WRITE)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1
        run_quietly(recipe, workspace)
        assert_same(contents(workspace), expected)
    assert killed >= 5


def make_hostile_mix(folder: Path) -> Path:
    """Posts, one of them twice and one without text, so that every kind of row is written."""
    make_posts(folder, 8)
    with (folder / "posts.jsonl").open("a") as posts:
        posts.write((folder / "posts.jsonl").read_text().splitlines()[0] + "\n")
        posts.write('{"text": ""}\n{"no": 1}\nnot json\n')
    return folder / "sample.yaml"


def files_in(workspace: Path) -> int:
    return sum(path.is_file() for path in workspace.rglob("*"))


def test_killed_at_ten_random_moments(tmp_path, whole, undisturbed):
    """The shipped sample with its real media, half of the runs with worker processes.

    A moment is the number of files in the workspace, so that a slow machine is killed as far along as a fast one.
    """
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    count, interrupted = files_in(whole), 0
    for nth in range(10):
        workspace, moment = tmp_path / f"killed-{nth}", moments.randint(1, count * 3 // 4)
        process = CurateProcess(["run", "quickstart", "-w", str(workspace), "--workers", str(1 + nth % 2)])
        wait_until(lambda: process.poll() is not None or files_in(workspace) >= moment)  # noqa: B023
        process.kill()
        interrupted += process.wait() == -signal.SIGKILL
        run_quietly(Path("quickstart"), workspace, workers=2 - nth % 2)
        assert_same(contents(workspace), undisturbed)
        for table in ("sources", "items", "prelabels"):
            assert added_rows(workspace, table) == undisturbed[table].num_rows, f"seed {seed}: {table} was made twice"
    assert interrupted >= 8, f"seed {seed}: only {interrupted} runs were still going when they were killed"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workspace of the shipped sample, run in this very process."""
    workspace = tmp_path_factory.mktemp("undisturbed") / "w"
    run_quietly(Path("quickstart"), workspace)
    return workspace


@pytest.fixture(scope="module")
def undisturbed(whole):
    """What the shipped sample comes to."""
    return contents(whole)


@pytest.mark.parametrize("kind", ["local x2", "ray x2"])
def test_where_it_runs_does_not_change_the_result(tmp_path, undisturbed, kind):
    """Tables, rejections, identities and release: all equal."""
    where, workers = kind.split(" x")
    done = run_quietly(Path("quickstart"), tmp_path / "w", executor=open_executor(where, int(workers), None))
    assert done.changed
    assert_same(contents(tmp_path / "w"), undisturbed)


def test_a_ray_worker_killed_in_the_middle_loses_nothing(tmp_path, undisturbed):
    with killing_a_ray_worker() as killed:
        run_quietly(Path("quickstart"), tmp_path / "w", executor=open_executor("ray", 2, None))
    assert killed
    assert_same(contents(tmp_path / "w"), undisturbed)


def test_second_run_does_nothing(tmp_path, posts_recipe):
    assert run_quietly(posts_recipe, tmp_path / "w").changed
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "w").rglob("*") if path.is_file()}
    again = run_quietly(posts_recipe, tmp_path / "w")
    assert not again.changed
    assert [result.rows for result in again.stages] == [0] * 5
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "w").rglob("*") if path.is_file()}
    assert before == {path: stamp for path, stamp in after.items() if path.name not in {".lock"}} | {
        path: stamp for path, stamp in before.items() if path.name in {".lock"}
    }


def test_new_and_changed_inputs_alone_are_worked_on(tmp_path, posts_recipe):
    run_quietly(posts_recipe, tmp_path / "w")
    posts = posts_recipe.parent / "posts.jsonl"
    lines = posts.read_text().splitlines()
    lines[1] = '{"text": "I am furious now.", "author": "writer1"}'
    posts.write_text("\n".join([*lines, '{"text": "One more."}']) + "\n")
    again = run_quietly(posts_recipe, tmp_path / "w")
    by_stage = {result.stage: result for result in again.stages}
    assert by_stage["preprocess"].inputs - by_stage["preprocess"].skipped == 2
    assert by_stage["prelabel"].inputs - by_stage["prelabel"].skipped == 2
    assert [path.name for path in sorted((tmp_path / "w" / "releases").iterdir())] == ["1.0.0", "1.1.0"]


def test_a_changed_setting_redoes_its_stage_and_what_depends_on_it(tmp_path):
    (tmp_path / "in").mkdir()
    shutil_copy_quickstart(tmp_path / "in")
    stages = [{"stage": "ingest", "files": "*.mp4"}, {"stage": "preprocess"}, {"stage": "prelabel"}]
    recipe = make_recipe(tmp_path / "in", *stages)
    run_quietly(recipe, tmp_path / "w")
    recipe = make_recipe(tmp_path / "in", stages[0], {"stage": "preprocess", "max_pause_s": 5.0}, stages[2])
    again = run_quietly(recipe, tmp_path / "w")
    assert [result.skipped for result in again.stages][:2] == [1, 0]
    items = contents(tmp_path / "w")["items"]
    assert items.num_rows == 1, "rows of the old setting are replaced"


def shutil_copy_quickstart(folder: Path) -> None:
    import shutil

    from curate.assets import shipped_folder

    shutil.copy(shipped_folder("recipes") / "quickstart" / "good_news.mp4", folder)
