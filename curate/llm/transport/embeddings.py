"""Requests for the vectors of texts, and replies read without trusting any of them."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.files import sha256_of
from curate.llm.completion import TokenUsage, parse_object, plausible_usage
from curate.llm.money.account import UsageCounter
from curate.llm.replies import StoredReply

_MAX_TEXT_BYTES = 8_000
_MAX_DIMENSIONS = 65_536
_FORM = 1


class Embedding(NamedTuple):
    """A vector of length 1, or why there is none."""

    vector: NDArray[np.float32] | None
    detail: str = ""
    is_final: bool = False
    """The model returns no usable vector for this text: another request is useless"""


@dataclass(frozen=True)
class EmbeddingRequest:
    """Texts for one request, as ``embedded_text`` returns them."""

    model: str
    texts: tuple[str, ...]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The key under which each text's vector is stored."""
        return tuple(sha256_of(f"{self.model}\n{content_key}") for content_key in self.content_keys)

    @property
    def content_keys(self) -> tuple[str, ...]:
        """The same without the model."""
        return tuple(sha256_of(f"embedding\n{_FORM}\n{text}") for text in self.texts)

    @property
    def key(self) -> str:
        """The key of the request in the budget account."""
        return sha256_of("\n".join(self.keys))

    def payload(self) -> bytes:
        """Return what is posted to ``/embeddings``."""
        body = {"model": self.model, "input": self.texts, "encoding_format": "base64"}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class EmbeddingsReply(NamedTuple):
    """A parsed reply: for each text a vector of length 1, or why it has none."""

    embeddings: tuple[Embedding, ...]
    model: str | None
    usage: TokenUsage | None


class EmbeddingResult(NamedTuple):
    """What came of a request; ``embeddings`` is None if the request as a whole was not answered."""

    embeddings: tuple[Embedding, ...] | None
    outcome: Literal["invalid", "error"] = "error"
    detail: str = ""


class EmbeddingTransport(Protocol):
    """Sends texts and stores their vectors."""

    async def embed(self, request: EmbeddingRequest, *, labeller: str, usage: UsageCounter) -> EmbeddingResult:
        """Return vectors after storing them. Raises a ``CurateError`` if no other request can be answered either."""
        ...


def embedded_text(text: str) -> str:
    """Return the part of a text that is embedded: its first 8,000 bytes, without surrounding spaces."""
    text = text.strip()
    if len(text) * 4 <= _MAX_TEXT_BYTES:
        return text
    return text[:_MAX_TEXT_BYTES].encode("utf-8", "replace")[:_MAX_TEXT_BYTES].decode("utf-8", "ignore").rstrip()


def read_embeddings(body: bytes, count: int) -> EmbeddingsReply:
    """Parse a body of ``/embeddings`` for ``count`` texts; vectors are ordered by their ``index``.

    Vectors are numbers or base64 of float32. Raises ``ValueError`` with a sentence if the reply is incomplete.
    """
    page = parse_object(body)
    embeddings = [_parse_vector(vector) for vector in _vectors_in_order(page.get("data"), count)]
    sizes = Counter(len(embedding.vector) for embedding in embeddings if embedding.vector is not None)
    usual = max(sizes, key=lambda size: (sizes[size], -size), default=0)
    model, usage = page.get("model"), page.get("usage")
    return EmbeddingsReply(
        tuple(with_dimensions(embedding, usual) for embedding in embeddings),
        model[:200] if isinstance(model, str) else None,
        # Services report only the input, and some of them a `completion_tokens` of null.
        plausible_usage({**usage, "completion_tokens": 0}, None) if isinstance(usage, Mapping) else None,
    )


def with_dimensions(embedding: Embedding, size: int) -> Embedding:
    """Return the embedding, or why it is unusable if its vector has another number of dimensions."""
    if embedding.vector is None or len(embedding.vector) == size:
        return embedding
    actual = len(embedding.vector)
    return Embedding(None, f"the service returned a vector of {actual} numbers for its text, and of {size} for others")


def read_stored(reply: StoredReply) -> Embedding:
    """Return a vector stored by ``to_stored``, or the fault that was stored instead."""
    return _parse_vector(reply.reply) if reply.fault is None else Embedding(None, reply.fault, is_final=True)


def to_stored(vector: NDArray[np.float32]) -> str:
    """Return a vector as base64 of little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def share_tokens(texts: Sequence[str], tokens: int) -> list[int]:
    """Divide the tokens of a request among its texts by their length; the shares add up."""
    ends = np.cumsum([len(text.encode("utf-8", "replace")) + 1 for text in texts])
    bounds = [0, *(round(tokens * int(end) / int(ends[-1])) for end in ends)]
    return [after - before for before, after in pairwise(bounds)]


def _vectors_in_order(data: Any, count: int) -> list[Any]:
    if not isinstance(data, list) or len(data) != count:
        size = f"{len(data)} vectors" if isinstance(data, list) else "no vectors"
        raise ValueError(f"the reply holds {size} for {count} texts")
    vectors: dict[int, Any] = {}
    for entry in data:
        index = entry.get("index") if isinstance(entry, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count or index in vectors:
            raise ValueError(f"the reply does not say which text each vector belongs to: index {str(index)[:40]}")
        vectors[index] = entry.get("embedding")
    return [vectors[index] for index in range(count)]


def _parse_vector(vector: Any) -> Embedding:
    try:
        if isinstance(vector, str):
            numbers = np.frombuffer(base64.b64decode(vector, validate=True), "<f4").astype(np.float64)
        else:
            # Quoted numbers and nested lists are not vectors.
            is_plain = isinstance(vector, list) and all(type(number) in (int, float) for number in vector)
            numbers = np.array(vector if is_plain else [], np.float64)
    except (ValueError, OverflowError, binascii.Error):
        numbers = np.empty(0)
    if not 0 < len(numbers) <= _MAX_DIMENSIONS:
        return Embedding(None, "the service returned no vector for its text")
    largest = float(np.abs(numbers).max())
    if not np.isfinite(largest):
        return Embedding(None, "the service returned a vector that is not finite for its text", is_final=True)
    if largest == 0.0:
        return Embedding(None, "the service returned a vector of zeros for its text", is_final=True)
    numbers = numbers / largest
    return Embedding((numbers / np.linalg.norm(numbers)).astype(np.float32))
