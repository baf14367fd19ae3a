"""Run recipes without output, and compare what workspaces hold."""

from pathlib import Path

import pyarrow as pa

from curate.corpus.spec import open_table
from curate.executors.local import LocalExecutor
from curate.labels import load_labels
from curate.pipeline import run
from curate.recipe import LoadedRecipe, load_recipe
from curate.storage.workspace import Workspace

TABLES = ("sources", "items", "faces", "prelabels", "labels", "rejections")


class Quiet:
    """A listener that says nothing."""

    def files_fetched(self, done, total, size_bytes):
        pass

    def stage_started(self, name, total, done):
        pass

    def stage_advanced(self, name, inputs, account):
        pass

    def stage_finished(self, result):
        pass


def run_quietly(recipe: Path | LoadedRecipe, workspace: Path, *, workers: int = 1, executor=None, **options):
    executor = executor or LocalExecutor(workers)
    try:
        loaded = recipe if isinstance(recipe, LoadedRecipe) else load_recipe(recipe)
        return run(loaded, Workspace(workspace), executor=executor, listener=Quiet(), **options)
    finally:
        executor.close()


def contents(workspace: Path) -> dict[str, object]:
    """Every table sorted by key, and every file of the releases."""
    opened, labels = Workspace(workspace, create=False), load_labels("utterance_emotion.v1")
    found: dict[str, object] = {}
    for name in TABLES:
        table = open_table(opened, name, labels)
        found[name] = table.read().sort_by(table.spec.key)
    for path in sorted(opened.releases.path.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(opened.local))] = path.read_bytes()
    return found


def assert_same(one: dict[str, object], other: dict[str, object]) -> None:
    assert one.keys() == other.keys()
    for name, content in one.items():
        same = content.equals(other[name]) if isinstance(content, pa.Table) else content == other[name]
        assert same, f"{name} differs"


KILL_AT_WRITE = """
import os, signal, sys
from pathlib import Path
from curate.storage import delta as tables
from tests.support.runs import run_quietly
nth, after = int(sys.argv[3]), sys.argv[4] == "after"
calls = 0
def deadly(write):
    def written(self, rows, **options):
        global calls
        calls += bool(len(rows) or options.get("replacing"))
        if calls == nth and not after: os.kill(os.getpid(), signal.SIGKILL)
        write(self, rows, **options)
        if calls == nth and after: os.kill(os.getpid(), signal.SIGKILL)
    return written
tables.Table.commit, tables.Table.replace_all = deadly(tables.Table.commit), deadly(tables.Table.replace_all)
run_quietly(Path(sys.argv[1]), Path(sys.argv[2]))
"""
