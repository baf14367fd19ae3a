"""One try to get a reply: what is asked, what came of it, what it cost, and what of it is stored."""

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from curate.llm.completion import Completion, TokenUsage
from curate.llm.money.prices import Price
from curate.llm.replies import StoredReply, kept_headers, now
from curate.llm.request import Request
from curate.llm.transport.client import HttpReply
from curate.llm.transport.embeddings import EmbeddingRequest, EmbeddingsReply, shares, to_stored
from curate.llm.transport.faults import Failure


class Readable(Protocol):
    """A reply as it was read: what it used, where it tells, and who answered."""

    @property
    def usage(self) -> TokenUsage | None: ...

    @property
    def model(self) -> str | None: ...


R = TypeVar("R", bound=Readable)


class ApiCall(NamedTuple, Generic[R]):
    """What is sent where, the most that it may use, and how its reply is read; ``read`` raises ``ValueError``."""

    path: str
    model: str
    key: str
    payload: bytes
    most: TokenUsage
    read: Callable[[bytes], R]
    is_divisible: bool = False
    """Parts of it will be asked for where the whole is refused"""


class Attempt(NamedTuple, Generic[R]):
    """What came of one try: the verdict counts where nothing was read."""

    verdict: Failure
    received: HttpReply | None = None
    read: R | None = None


class PaidReply(NamedTuple, Generic[R]):
    """A whole reply that is yet to be stored, and what it cost."""

    sent: Attempt[R]
    received: HttpReply
    usage: TokenUsage
    usd: float | None
    is_estimated: bool


def used_tokens(sent: Attempt[R], reserved: int) -> int:
    """How many of the tokens that were set aside count as used; none where no model answered."""
    if sent.read is not None:
        usage = sent.read.usage
        return reserved if usage is None else usage.tokens_in + usage.tokens_out
    answered = sent.received is not None and sent.received.status == 200
    return reserved if answered and sent.verdict.charged else 0


def paid_for(sent: Attempt[R], received: HttpReply, most: TokenUsage, price: Price | None) -> PaidReply[R]:
    """What a reply used by its own account; where it gives none, all of the input and as much output as there is."""
    read = sent.read
    usage = TokenUsage(0, 0) if read is None else read.usage
    if usage is None:
        text = read.text if isinstance(read, Completion) else ""
        tokens_out = max(1, len(text.encode("utf-8", "replace")) // 3) if most.tokens_out else 0
        usage = TokenUsage(most.tokens_in, tokens_out)
    is_estimated = read is not None and read.usage is None
    return PaidReply(sent, received, usage, None if price is None else price.usd(usage), is_estimated)


def chat_answer(request: Request, paid: PaidReply[Completion]) -> StoredReply:
    """The reply as it came."""
    answer = _answer(request.key, request.content_key, request.model, paid)
    return answer._replace(reply=paid.received.body.decode("utf-8", "replace"))


def vector_answers(request: EmbeddingRequest, paid: PaidReply[EmbeddingsReply]) -> list[StoredReply]:
    """One for each text that has a vector, with its share of the cost."""
    embeddings = paid.sent.read.embeddings if paid.sent.read is not None else ()
    found = []
    parts = shares(request.texts, paid.usage.tokens_in)
    for key, content_key, embedding, tokens in zip(request.keys, request.content_keys, embeddings, parts, strict=False):
        if embedding.vector is not None:
            usd = None if paid.usd is None else paid.usd * tokens / max(1, paid.usage.tokens_in)
            answer = _answer(key, content_key, request.model, paid)
            found.append(answer._replace(reply=to_stored(embedding.vector), tokens_in=tokens, tokens_cached=0, usd=usd))
    return found


def _answer(key: str, content_key: str, model: str, paid: PaidReply[R]) -> StoredReply:
    """A reply without its content."""
    received, read = paid.received, paid.sent.read
    request_id = received.headers.get("x-request-id")
    return StoredReply(
        key=key,
        content_key=content_key,
        endpoint=received.url,
        model=model,
        answered_by=read.model if read is not None else None,
        request_id=request_id[:200] if request_id else None,
        created_at=now(),
        seconds=received.seconds,
        status=received.status,
        fault=None if read is not None else paid.sent.verdict.detail,
        reply="",
        headers=kept_headers(received.headers),
        tokens_in=paid.usage.tokens_in,
        tokens_out=paid.usage.tokens_out,
        tokens_cached=paid.usage.cached,
        estimated=paid.is_estimated,
        usd=paid.usd,
    )
