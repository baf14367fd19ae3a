"""Stored replies instead of a service."""

from curate.llm.money.account import UsageCounter
from curate.llm.replies import ReplyStore
from curate.llm.request import Request
from curate.llm.transport.protocol import FetchResult

_ANY_MODEL = ("", "replay")


class ReplayTransport:
    """Finds what the same model replied before, or any model if the request names none."""

    def __init__(self, store: ReplyStore) -> None:
        self._store = store

    async def fetch(self, request: Request, *, labeller: str, usage: UsageCounter) -> FetchResult:
        """See ``Transport.fetch``; a request that was never answered is an error."""
        reply = self._store.find(request.key)
        if reply is None and request.model in _ANY_MODEL:
            reply = self._store.find_content(request.content_key)
        if reply is None:
            return FetchResult(None, "error", "no reply to this request is stored, and replay sends none")
        usage.from_cache += 1
        return FetchResult(reply, from_cache=True)

    async def drain(self, grace_s: float) -> None:
        """Do nothing: no reply is ever on its way."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""
