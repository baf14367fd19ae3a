"""Requests that are looked up among stored replies instead of being sent."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from curate.llm.engine import Engine, Reply, ReplyOutcome
from curate.llm.money.account import UsageTotals
from curate.llm.replies import ReplyStore
from curate.llm.request import Request
from curate.llm.transport.embeddings import Embedding
from curate.llm.transport.replay import ReplayTransport

V = TypeVar("V")


class PlannedRequest(NamedTuple):
    """A request that a run would make, and what the stored replies already say about it."""

    labeller: str
    request: Request
    outcome: ReplyOutcome
    """``error`` if no reply is stored"""
    replies: int = 0
    """Stored replies used, corrections included"""


class DryRun:
    """A ``ModelClient`` that sends nothing: a request without a stored reply has the outcome ``error``.

    ``requests`` lists everything that was asked, in order.
    """

    def __init__(self, store: ReplyStore) -> None:
        self._engine = Engine(store, ReplayTransport(store))
        self.requests: list[PlannedRequest] = []

    async def ask(self, request: Request, check: Callable[[str], V], *, labeller: str) -> Reply[V]:
        """See ``ModelClient.ask``."""
        reply = await self._engine.ask(request, check, labeller=labeller)
        self.requests.append(PlannedRequest(labeller, request, reply.outcome, reply.replies))
        return reply

    async def embed(self, texts: Sequence[str], *, model: str, labeller: str) -> list[Embedding]:
        """See ``ModelClient.embed``."""
        return await self._engine.embed(texts, model=model, labeller=labeller)

    def branch(self) -> "DryRun":
        """Return a dry run over the same replies whose requests count only once it is merged."""
        branch = object.__new__(DryRun)
        branch._engine, branch.requests = self._engine, []
        return branch

    def merge(self, branch: "DryRun") -> None:
        """Add the requests of a branch whose replies are used."""
        self.requests += branch.requests

    def usage(self) -> dict[str, UsageTotals]:
        """Return the stored replies used and the outcomes, by labeller."""
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        replies: Counter[str] = Counter()
        for planned in self.requests:
            outcomes[planned.labeller][planned.outcome] += 1
            replies[planned.labeller] += planned.replies
        return {
            labeller: UsageTotals(from_cache=replies[labeller], outcomes=dict(counts))
            for labeller, counts in outcomes.items()
        }
