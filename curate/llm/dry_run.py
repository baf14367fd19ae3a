"""What models replied before: looked up many requests at a time, and asked for like a model."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from curate.llm.engine import Engine, Replay, Reply
from curate.llm.model import Spent
from curate.llm.replies import Answers
from curate.llm.request import Request
from curate.llm.transport.embeddings import Embedding

V = TypeVar("V")


class Memory:
    """The stored replies of a file, and a count of those that were used."""

    def __init__(self, answers: Answers) -> None:
        self._engine = Engine(answers, Replay(answers))
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self._replies: Counter[str] = Counter()

    def listen(self) -> "Listening":
        """An asker for one item."""
        return Listening(self._engine, self._count)

    def spent(self) -> dict[str, Spent]:
        """The replies used so far, by labeller."""
        return {
            name: Spent(from_cache=self._replies[name], outcomes=dict(outcomes))
            for name, outcomes in self._outcomes.items()
        }

    def _count(self, labeller: str, outcome: str, replies: int) -> None:
        self._outcomes[labeller][outcome] += 1
        self._replies[labeller] += replies


class Listening:
    """An ``Asker`` that asks nobody: what is not stored has the outcome ``error``.

    What it heard is counted when it is kept, so that what is asked again elsewhere is not counted twice.
    """

    def __init__(self, engine: Engine, count: Callable[[str, str, int], None]) -> None:
        self._engine, self._count = engine, count
        self._heard: list[tuple[str, str, int]] = []

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """See ``Asker.ask``."""
        reply = await self._engine.ask(request, check, labeller=labeller)
        self._heard.append((labeller, reply.outcome, reply.replies))
        return reply

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """See ``Asker.embed``."""
        return await self._engine.embed(texts, model=model, labeller=labeller)

    def keep(self) -> None:
        """Say that what was heard is used."""
        for each in self._heard:
            self._count(*each)
