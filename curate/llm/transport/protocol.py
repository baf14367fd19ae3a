"""What the engine needs of a transport: replies to requests, and vectors of texts."""

from typing import Literal, NamedTuple, Protocol

from curate.llm.completion import Completion
from curate.llm.money.account import UsageCounter
from curate.llm.replies import StoredReply
from curate.llm.request import Request
from curate.llm.transport.embeddings import EmbeddingTransport


class FetchResult(NamedTuple):
    """A stored reply, or why there is none: another run should retry an ``error``, but not what is ``invalid``.

    ``completion`` is the parsed reply if it was parsed already; ``paid_usd`` includes attempts without a reply.
    """

    reply: StoredReply | None
    outcome: Literal["invalid", "error"] = "error"
    detail: str = ""
    tries: int = 0
    paid_usd: float = 0.0
    completion: Completion | None = None
    from_cache: bool = False


class Transport(Protocol):
    """Fetches replies that are not stored yet, one by one or in batches."""

    async def fetch(self, request: Request, *, labeller: str, usage: UsageCounter) -> FetchResult:
        """Return a reply after storing it. Raises a ``CurateError`` if no other request can be answered either."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new, and wait up to ``grace_s`` seconds for replies that are on their way."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class ChatAndEmbeddingTransport(Transport, EmbeddingTransport, Protocol):
    """A transport that also fetches vectors; there are no batches of these."""
