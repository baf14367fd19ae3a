"""Stored replies in the place of a service."""

from curate.llm.money.account import UsageCounter
from curate.llm.replies import ReplyStore
from curate.llm.request import Request
from curate.llm.transport.protocol import FetchResult

_ANY_MODEL = ("", "replay")


class ReplayTransport:
    """A courier without a service: what the same model once replied, or any where the request names none."""

    def __init__(self, answers: ReplyStore) -> None:
        self._answers = answers

    async def fetch(self, request: Request, *, labeller: str, tally: UsageCounter) -> FetchResult:
        """See ``Transport.fetch``; a request that was never answered is an error."""
        answer = self._answers.find(request.key)
        if answer is None and request.model in _ANY_MODEL:
            answer = self._answers.find_content(request.content_key)
        if answer is None:
            return FetchResult(None, "error", "no reply to this request is stored, and replay asks nobody")
        tally.from_cache += 1
        return FetchResult(answer, from_cache=True)

    async def drain(self, grace_s: float) -> None:
        """Nothing is ever on its way."""

    async def close(self) -> None:
        """Nothing to let go of."""
