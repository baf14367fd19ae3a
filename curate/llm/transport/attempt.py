"""One call to a service: what is sent, what an attempt came to, what it cost, and what of it is stored."""

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from curate.llm.completion import Completion, TokenUsage, decode_body
from curate.llm.money.prices import Price
from curate.llm.replies import StoredReply, kept_headers, now
from curate.llm.request import Request
from curate.llm.transport.client import HttpReply
from curate.llm.transport.embeddings import EmbeddingRequest, EmbeddingsReply, share_tokens, to_stored
from curate.llm.transport.faults import Failure


class ReplyContent(Protocol):
    """A parsed reply: its usage, if reported, and the model that answered."""

    @property
    def usage(self) -> TokenUsage | None: ...

    @property
    def model(self) -> str | None: ...


R = TypeVar("R", bound=ReplyContent)


class ApiCall(NamedTuple, Generic[R]):
    """What to send where, the most tokens it may use, and how to parse the reply; ``parse`` raises ``ValueError``."""

    path: str
    model: str
    key: str
    payload: bytes
    max_usage: TokenUsage
    parse: Callable[[bytes], R]
    is_divisible: bool = False
    """If it is refused as a whole, its parts will be requested"""


class Attempt(NamedTuple, Generic[R]):
    """What one attempt came to: parsed content, or a failure."""

    failure: Failure | None
    reply: HttpReply | None = None
    content: R | None = None

    @property
    def is_answered(self) -> bool:
        """Whether there is a reply to store: content, or a refusal of this content."""
        is_filtered = self.failure is not None and self.failure.action == "filtered"
        return self.reply is not None and (self.content is not None or is_filtered)

    def used_tokens(self, reserved: int) -> int:
        """Return how many of the reserved tokens count against the rate limit; 0 if no model answered."""
        if self.content is not None:
            usage = self.content.usage
            return reserved if usage is None else usage.tokens_in + usage.tokens_out
        is_charged = self.failure is not None and self.failure.charged
        return reserved if is_charged and self.reply is not None and self.reply.status == 200 else 0


class PaidReply(NamedTuple, Generic[R]):
    """A whole reply before it is stored, and what it cost."""

    reply: HttpReply
    content: R | None
    fault: str | None
    usage: TokenUsage
    usd: float | None
    is_estimated: bool


def price_reply(attempt: Attempt[R], reply: HttpReply, max_usage: TokenUsage, price: Price | None) -> PaidReply[R]:
    """Return the cost of a reply by its own usage; if it reports none, all of the input and the length of the text."""
    content = attempt.content
    usage = TokenUsage(0, 0) if content is None else content.usage
    if usage is None:
        text = content.text if isinstance(content, Completion) else ""
        tokens_out = max(1, len(text.encode("utf-8", "replace")) // 3) if max_usage.tokens_out else 0
        usage = TokenUsage(max_usage.tokens_in, tokens_out)
    is_estimated = content is not None and content.usage is None
    fault = attempt.failure.detail if attempt.failure is not None else None
    return PaidReply(reply, content, fault, usage, None if price is None else price.usd(usage), is_estimated)


def store_chat(request: Request, paid: PaidReply[Completion]) -> list[StoredReply]:
    """Return the one reply to a chat request, with its body as received."""
    body = decode_body(paid.reply.body)
    return [to_stored_reply(request.key, request.content_key, request.model, paid)._replace(reply=body)]


def store_embeddings(request: EmbeddingRequest, paid: PaidReply[EmbeddingsReply]) -> list[StoredReply]:
    """Return one reply for each text that has a vector, with its share of the cost."""
    embeddings = paid.content.embeddings if paid.content is not None else ()
    shares = share_tokens(request.texts, paid.usage.tokens_in)
    replies = []
    for key, content_key, embedding, tokens in zip(
        request.keys, request.content_keys, embeddings, shares, strict=False
    ):
        if embedding.vector is not None:
            usd = None if paid.usd is None else paid.usd * tokens / max(1, paid.usage.tokens_in)
            reply = to_stored_reply(key, content_key, request.model, paid)
            replies.append(
                reply._replace(reply=to_stored(embedding.vector), tokens_in=tokens, tokens_cached=0, usd=usd)
            )
    return replies


def to_stored_reply(key: str, content_key: str, model: str, paid: PaidReply[R]) -> StoredReply:
    """Return a reply to store, without its body."""
    reply = paid.reply
    request_id = reply.headers.get("x-request-id")
    return StoredReply(
        key=key,
        content_key=content_key,
        endpoint=reply.url,
        model=model,
        answered_by=paid.content.model if paid.content is not None else None,
        request_id=request_id[:200] if request_id else None,
        created_at=now(),
        seconds=reply.seconds,
        status=reply.status,
        fault=paid.fault,
        headers=kept_headers(reply.headers),
        tokens_in=paid.usage.tokens_in,
        tokens_out=paid.usage.tokens_out,
        tokens_cached=paid.usage.cached,
        estimated=paid.is_estimated,
        usd=paid.usd,
    )
