"""What models replied before, asked for like a model."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from curate.llm.embeddings import Embedding
from curate.llm.engine import Engine, Replay, Reply
from curate.llm.model import Spent
from curate.llm.request import Request
from curate.storage.answers import Answers

V = TypeVar("V")


class Memory:
    """An ``Asker`` that asks nobody: what is not stored has the outcome ``error``.

    Replies are counted once they are settled as used, so that what is asked again elsewhere is not counted twice.
    """

    def __init__(self, answers: Answers) -> None:
        self._engine = Engine(answers, Replay(answers))
        self._heard: list[tuple[str, str, int]] = []
        self._outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self._replies: Counter[str] = Counter()

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """See ``Asker.ask``."""
        reply = await self._engine.ask(request, check, labeller=labeller)
        self._heard.append((labeller, reply.outcome, reply.replies))
        return reply

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """See ``Asker.embed``."""
        return await self._engine.embed(texts, model=model, labeller=labeller)

    def settle(self, *, is_used: bool) -> None:
        """Say whether the replies since the last time were used."""
        for labeller, outcome, replies in self._heard if is_used else ():
            self._outcomes[labeller][outcome] += 1
            self._replies[labeller] += replies
        self._heard.clear()

    def spent(self) -> dict[str, Spent]:
        """The replies used so far, by labeller."""
        return {
            name: Spent(from_cache=self._replies[name], outcomes=dict(outcomes))
            for name, outcomes in self._outcomes.items()
        }
