"""A folder of posts to label, with a recipe and a workspace."""

import json
from pathlib import Path
from typing import Any

from curate.corpus.spec import open_table
from curate.executors.local import LocalExecutor
from curate.pipeline import StageResult, run
from curate.recipe import load_recipe
from curate.storage.delta import Table
from curate.storage.workspace import Workspace
from tests.support.builders import TEXTS, make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.runs import Quiet

MINI = {"model": "openai/gpt-5-mini"}


class RecordingListener(Quiet):
    """A quiet listener that keeps accounts and results."""

    def __init__(self) -> None:
        self.accounts: list[dict[str, Any]] = []
        self.finished: list[StageResult] = []

    def stage_finished(self, result):
        self.finished.append(result)

    def stage_advanced(self, name, inputs, account):
        if account:
            self.accounts.append(dict(account))


class Posts:
    """A folder of posts, its recipe and its workspace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = RecordingListener()
        self.write(post_texts(6))

    def write(self, texts) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"text": text, "author": f"writer {index}"}) for index, text in enumerate(texts)]
        (self.folder / "posts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, *, workers: int = 1, name: str = "ws", **settings: Any):
        recipe = make_recipe(
            self.folder,
            {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"},
            {"stage": "preprocess"},
            {"stage": "prelabel", **settings},
            {"stage": "aggregate"},
            {"stage": "export"},
        )
        self.loaded = load_recipe(recipe)
        self.workspace = Workspace(self.folder / name)
        executor = LocalExecutor(workers)
        try:
            return run(self.loaded, self.workspace, executor=executor, listener=self.listener)
        finally:
            executor.close()

    def rows(self, table: str = "prelabels") -> list[dict[str, Any]]:
        return self.table(table).read().to_pylist()

    def table(self, name: str) -> Table:
        return open_table(self.workspace, name, self.loaded.labels)


def post_texts(count: int) -> list[str]:
    return [f"{TEXTS[index % len(TEXTS)]} (post {index})" for index in range(count)]


def count_chat_requests(double: ChatDouble) -> int:
    return sum(call.path == "/v1/chat/completions" for call in double.calls)
