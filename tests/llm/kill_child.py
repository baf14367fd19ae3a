"""A process that asks about many items and is killed while it does.

It imports everything once; each line of its input (address, folder, mode, number of items) is run by a fork of it,
whose process id is printed first and whose exit status follows. The mode ``embed`` asks for the vectors of texts.
"""

import asyncio
import json
import os
import sys
import traceback
from pathlib import Path

from curate.llm.open import open_engine
from curate.llm.replies import ReplyStore
from curate.llm.request import Message, Request
from curate.llm.settings import BudgetSettings, EngineSettings
from curate.llm.stream import stream

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}


def make_ask(number: int) -> Request:
    return Request("gpt-5-mini", (Message("user", (f"item {number:05d}.",)),), SCHEMA, parameters={"max_tokens": 20})


EMBEDDER = "text-embedding-3-small"
WINDOWS = {"online": 32, "batch": 32, "embed": 200}
"""Items at once; as texts to embed these are four requests"""


def make_text(number: int) -> str:
    return f"text {number:05d}{' and more' * (number % 5)}."


def run(url: str, folder: Path, mode: str, count: int) -> list[str]:
    """The outcome of every item."""
    settings = EngineSettings(
        mode="batch" if mode == "batch" else "online",
        base_url=url,
        in_flight=8,
        backoff_s=0.01,
        batch_idle_s=0.02,
        batch_poll_s=0.01,
        budget=BudgetSettings(usd=1.0),
    )
    with ReplyStore(folder / "answers.sqlite") as answers:
        engine = open_engine(settings, answers, lambda blob: b"", models=("gpt-5-mini",))

        async def ask(number: int) -> str:
            await asyncio.sleep(0)
            return (await engine.ask(make_ask(number), json.loads, labeller="mini")).outcome

        async def embed(number: int) -> str:
            (found,) = await engine.embed([make_text(number)], model=EMBEDDER, labeller="vectors")
            return found.detail or "ok"

        work = embed if mode == "embed" else ask
        return list(stream(iter(range(count)), work, window=WINDOWS[mode], finish=engine.close))


def main() -> None:
    import httpcore2  # noqa: F401 - so that the forks need not
    import openai.types.chat  # noqa: F401

    for line in sys.stdin:
        url, folder, mode, count = line.split()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                found = run(url, Path(folder), mode, int(count))
                code = 0 if found == ["ok"] * int(count) else 2
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
