"""What the engine needs of a transport: replies to requests, and vectors of texts."""

from typing import Literal, NamedTuple, Protocol

from curate.llm.completion import Completion
from curate.llm.money.account import UsageCounter
from curate.llm.replies import StoredReply
from curate.llm.request import Request
from curate.llm.transport.embeddings import EmbeddingTransport


class FetchResult(NamedTuple):
    """A stored reply, or why there is none: ``error`` is worth another run, ``invalid`` is not.

    ``completion`` is the reply as read, None where it was not read yet; ``paid_usd`` includes tries without a reply.
    """

    answer: StoredReply | None
    outcome: Literal["invalid", "error"] = "error"
    detail: str = ""
    tries: int = 0
    paid_usd: float = 0.0
    completion: Completion | None = None
    from_cache: bool = False


class Transport(Protocol):
    """Brings the reply to a request that has none yet, one by one or in batches."""

    async def fetch(self, request: Request, *, labeller: str, tally: UsageCounter) -> FetchResult:
        """A reply that is stored by now. Raises a ``CurateError`` where nothing else can be answered either."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new, and wait so long for replies that are on their way."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ChatAndEmbeddingTransport(Transport, EmbeddingTransport, Protocol):
    """One that brings vectors too: there are no batches of these."""
