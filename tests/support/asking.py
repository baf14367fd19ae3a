"""Builders for tests that ask the double: settings, requests, and what became of a list of texts."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from curate.errors import CurateError
from curate.labels import load_labels
from curate.labels.record import parse_json
from curate.labels.units import ItemContext, Turn
from curate.llm.engine import Reply
from curate.llm.money.account import UsageTotals
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.request import Message, Request
from curate.llm.settings import BudgetSettings, EngineSettings
from tests.support.chat_double import ChatDouble

KEY = "sk-secret-0123456789abcdef"
TALK = ItemContext(text="I am so glad.", dialogue=(Turn("A", "We won!"), Turn("B", "I am so glad.")))
GOOD: dict[str, Any] = {
    "utterance_emotion.v1": {"emotion": ["happiness"], "intensity": 3, "valence": 0.5, "description": "Glad words."},
    "emotion_causes.v1": {
        "causes": {
            "spans": [{"id": "a", "turn": 1, "text": "glad", "occurrence": 1, "label": "happiness"}],
            "relations": [],
        }
    },
}


class AskResult(NamedTuple):
    """What came of asking: the reply by place (None where an error came first), that error, and the account."""

    replies: dict[int, Reply[Any] | None]
    error: CurateError | None
    charged: int
    usd: float
    spent: dict[str, UsageTotals]

    @property
    def lost(self) -> int:
        """Items without a reply although nothing ended the stage."""
        return 0 if self.error else sum(reply is None for reply in self.replies.values())


def make_settings(
    double: ChatDouble, *, budget_usd: float | None = None, budget_tokens: int | None = None, **options: Any
) -> EngineSettings:
    """Quick settings: short waits, few tries."""
    quick = {"backoff_s": 0.02, "request_timeout_s": 10.0, "batch_idle_s": 0.05, "batch_poll_s": 0.02, "breaker": 4}
    budget = BudgetSettings(usd=budget_usd, tokens=budget_tokens)
    return EngineSettings(base_url=double.url, budget=budget, **{**quick, **options})


def make_request(
    text: str, *, labels: str = "utterance_emotion.v1", model: str = "gpt-5-mini", **options: Any
) -> Request:
    """A question about a text."""
    messages = (Message("system", ("You label emotions.",)), Message("user", (text,)))
    parameters = {"max_completion_tokens": 100, **options}
    return Request(model, messages, schema=_schema(labels), parameters=parameters)


def _schema(labels: str, known: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006 - one object, as a stage has it
    return known.setdefault(labels, load_labels(labels).json_schema())


def ask_items(
    folder: Path,
    settings: EngineSettings,
    texts: list[str],
    *,
    labels: str = "utterance_emotion.v1",
    labeller: str = "mini",
    stop: Callable[[], bool] | None = None,
    **request: Any,
) -> AskResult:
    """Ask about all of them at once, and close the engine: when all have an answer, or once ``stop`` is true."""
    schema = load_labels(labels)

    def check(text: str) -> dict[str, Any]:
        return schema.from_answer(parse_json(text), TALK)

    async def everything(store: ReplyStore) -> AskResult:
        engine = open_engine(settings, store, lambda blob: b"", models=("gpt-5-mini",))
        tasks = [
            asyncio.create_task(engine.ask(make_request(text, labels=labels, **request), check, labeller=labeller))
            for text in texts
        ]
        try:
            while stop is not None and not stop():
                await asyncio.sleep(0.01)
            if stop is None:
                await asyncio.wait(tasks)
        finally:
            await engine.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        unexpected = [each for each in results if isinstance(each, Exception) and not isinstance(each, CurateError)]
        if unexpected:
            raise unexpected[0]
        error = next((each for each in results if isinstance(each, CurateError)), None)
        replies = {index: each if isinstance(each, Reply) else None for index, each in enumerate(results)}
        return AskResult(replies, error, 0, 0.0, engine.usage())

    with ReplyStore(folder / "answers.sqlite") as store:
        result = asyncio.run(everything(store))
    charged, usd = account(folder)
    return result._replace(charged=charged, usd=usd)


def account(folder: Path) -> tuple[int, float]:
    """How many entries of the account count as paid for, and their sum in dollars."""
    with sqlite3.connect(folder / "answers.sqlite") as connection:
        sql = (
            "SELECT count(*), coalesce(sum(usd), 0) FROM spend WHERE state <> 'reserved' AND tokens_in + tokens_out > 0"
        )
        return connection.execute(sql).fetchone()


def stored(folder: Path) -> set[str]:
    """The keys of all stored replies."""
    with sqlite3.connect(folder / "answers.sqlite") as connection:
        return {key for (key,) in connection.execute("SELECT key FROM answers")}


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """A whole table of the file."""
    with sqlite3.connect(folder / "answers.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]


def always_good(double: ChatDouble, labels: str = "utterance_emotion.v1") -> ChatDouble:
    """The double, answering everything with the same good answer."""
    double.answer = lambda body: json.dumps(GOOD[labels])
    return double
