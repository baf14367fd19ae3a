"""Requests, engines and runs over them, with defaults."""

import json
from collections.abc import Callable, Iterable

from curate.llm.engine import Reply
from curate.llm.money.account import UsageTotals
from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.request import Message, Request
from curate.llm.settings import BudgetSettings, EngineSettings
from curate.llm.stream import stream
from tests.support.chat_double import ChatDouble

SCHEMA = {
    "type": "object",
    "properties": {"emotion": {"type": "string", "enum": ["joy", "anger"]}},
    "required": ["emotion"],
    "additionalProperties": False,
}


def make_request(text: str = "item 1", *, model: str = "gpt-5-mini", sample: int = 0, **parameters) -> Request:
    messages = (Message("system", ("Name the emotion.",)), Message("user", (text,)))
    parameters = {"max_completion_tokens": 100, **parameters}
    return Request(model, messages, schema=SCHEMA, parameters=parameters, sample=sample)


def make_settings(double: ChatDouble | None, *, budget_usd=None, budget_tokens=None, **settings) -> EngineSettings:
    url = double.url if double else "http://127.0.0.1:9/v1"
    budget = BudgetSettings(usd=budget_usd, tokens=budget_tokens)
    return EngineSettings(
        **{"base_url": url, "backoff_s": 0.01, "request_timeout_s": 5.0, "budget": budget, **settings}
    )


def read_emotion(text: str) -> str:
    emotion = json.loads(text)["emotion"]
    if emotion not in ("joy", "anger"):
        raise ValueError(f"emotion: {emotion!r} is not one of its 2 labels")
    return emotion


def ask_all(
    answers: ReplyStore,
    settings: EngineSettings,
    requests: Iterable[Request],
    *,
    check: Callable[[str], str] = read_emotion,
    window: int = 32,
    read: Callable[[str], bytes] | None = None,
) -> tuple[list[Reply[str]], UsageTotals]:
    """The replies in order, and what they cost; raises what the engine raises."""
    engine = open_engine(settings, answers, read or (lambda name: b""))

    async def work(request: Request) -> Reply[str]:
        return await engine.ask(request, check, labeller="one")

    replies = list(stream(iter(requests), work, window=window, finish=engine.close))
    return replies, engine.usage().get("one", UsageTotals())
