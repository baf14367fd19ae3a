"""Texts as vectors: each text is asked for once ever, many in one request, and its vector is kept before it is used."""

import asyncio
import base64
import binascii
import json
from collections import Counter, deque
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.errors import CurateError
from curate.files import sha256_of
from curate.llm.completion import TokenUsage, read_usage
from curate.llm.money.account import UsageCounter
from curate.llm.replies import ReplyStore, StoredReply, now, put_reply
from curate.llm.transport.faults import copy_error

MOST_TEXTS = 64
_MOST_TEXT_BYTES = 8_000
_MOST_BYTES = 250_000
"""Of all texts of a request: no tokenizer makes more than the 300,000 tokens of it that services take."""
_MOST_SIZE = 65_536
_JOIN_S = 0.01
_FORM = 1


class Embedding(NamedTuple):
    """A vector of length 1, or why there is none."""

    vector: NDArray[np.float32] | None
    detail: str = ""
    is_final: bool = False
    """The model gives the text a vector without a direction: asking again is no use"""


@dataclass(frozen=True)
class EmbeddingRequest:
    """Texts for one request, as ``embedded_text`` gives them."""

    model: str
    texts: tuple[str, ...]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The name under which each text's vector is stored."""
        return tuple(sha256_of(f"{self.model}\n{_content_key(text)}") for text in self.texts)

    @property
    def content_keys(self) -> tuple[str, ...]:
        """The same without the model."""
        return tuple(_content_key(text) for text in self.texts)

    @property
    def key(self) -> str:
        """The name of the request, in the account."""
        return sha256_of("\n".join(self.keys))

    def payload(self) -> bytes:
        """What is posted to ``/embeddings``."""
        body = {"model": self.model, "input": self.texts, "encoding_format": "base64"}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class EmbeddingsReply(NamedTuple):
    """A reply as it was read: for each text a vector of length 1, or why it has none."""

    embeddings: tuple[Embedding, ...]
    model: str | None
    usage: TokenUsage | None


class EmbeddingResult(NamedTuple):
    """What came of a request; ``embeddings`` is None where the whole was not answered."""

    embeddings: tuple[Embedding, ...] | None
    outcome: Literal["invalid", "error"] = "error"
    detail: str = ""


class EmbeddingTransport(Protocol):
    """Sends texts and stores their vectors."""

    async def embed(self, request: EmbeddingRequest, *, labeller: str, tally: UsageCounter) -> EmbeddingResult:
        """Vectors that are stored by now. Raises a ``CurateError`` where nothing else can be answered either."""
        ...


class Embedder:
    """The vectors of one model, stored ones first; texts of the same moment share a request. For one event loop.

    Without a courier only stored vectors are given.
    """

    def __init__(self, model: str, answers: ReplyStore, courier: EmbeddingTransport | None) -> None:
        self._model, self._answers, self._courier = model, answers, courier
        self._size = 0
        self._queue: deque[tuple[str, str]] = deque()
        self._flying: dict[str, asyncio.Future[Embedding]] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._is_collecting = False

    async def embed(self, text: str, *, labeller: str, tally: UsageCounter) -> Embedding:
        """The vector of a text. Raises what the courier raises; a text that has no words has no vector."""
        if not (text := embedded_text(text)):
            return Embedding(None, "there is no text")
        (key,) = EmbeddingRequest(self._model, (text,)).keys
        flying = self._flying.get(key)
        if flying is not None:
            tally.from_cache += 1
        elif (answer := self._answers.find(key)) is not None:
            tally.from_cache += 1
            return self._fitting(stored_vector(answer))
        else:
            if self._courier is None:
                return Embedding(None, f"no embedding of it by {self._model} is stored, and replay asks nobody")
            flying = self._flying[key] = asyncio.get_running_loop().create_future()
            self._queue.append((key, text))
            if not self._is_collecting:
                self._is_collecting = True
                self._start(self._collect(self._courier, labeller, tally), self._queue)
        # Others may wait for the same vector, and it is paid for: it comes even where one of them is cancelled.
        return self._fitting(await asyncio.shield(flying))

    async def close(self) -> None:
        """End what is under way."""
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _collect(self, courier: EmbeddingTransport, labeller: str, tally: UsageCounter) -> None:
        try:
            while self._queue:
                if len(self._queue) < MOST_TEXTS:
                    await asyncio.sleep(_JOIN_S)
                group = self._group()
                self._start(self._send(courier, group, labeller, tally), group)
        finally:
            self._is_collecting = False

    def _group(self) -> list[tuple[str, str]]:
        group: list[tuple[str, str]] = []
        size = 0
        while self._queue and len(group) < MOST_TEXTS:
            size += len(self._queue[0][1].encode("utf-8", "replace"))
            if group and size > _MOST_BYTES:
                break
            group.append(self._queue.popleft())
        return group

    async def _send(
        self, courier: EmbeddingTransport, group: Sequence[tuple[str, str]], labeller: str, tally: UsageCounter
    ) -> None:
        request = EmbeddingRequest(self._model, tuple(text for _, text in group))
        brought = await courier.embed(request, labeller=labeller, tally=tally)
        if brought.embeddings is None and brought.outcome == "invalid" and len(group) > 1:
            # One text that the service does not take must not cost the others their vectors.
            middle = len(group) // 2
            for half in (group[:middle], group[middle:]):
                await self._send(courier, half, labeller, tally)
            return
        failed = Embedding(None, brought.detail)
        found = brought.embeddings or (failed,) * len(group)
        if faults := _faults(request, found):
            await self._answers.commit([*map(put_reply, faults)])
        for (key, _), embedding in zip(group, found, strict=True):
            outcome = brought.outcome if brought.embeddings is None else "invalid"
            tally.outcomes["ok" if embedding.vector is not None else outcome] += 1
            self._land(key, embedding)

    def _land(self, key: str, result: Embedding | BaseException | None) -> None:
        flying = self._flying.pop(key, None)
        if flying is None or flying.done():
            return
        if isinstance(result, Embedding):
            flying.set_result(result)
        elif result is None:
            flying.cancel()
        else:
            flying.set_exception(copy_error(result) if isinstance(result, CurateError) else result)
            flying.exception()  # whoever waited may be gone by now

    def _fitting(self, embedding: Embedding) -> Embedding:
        if embedding.vector is None:
            return embedding
        self._size = self._size or len(embedding.vector)
        return embedding if len(embedding.vector) == self._size else _of_another_size(embedding, self._size)

    def _start(self, work: Coroutine[Any, Any, None], group: Collection[tuple[str, str]]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(lambda done: self._ended(done, group))

    def _ended(self, job: asyncio.Task[None], group: Collection[tuple[str, str]]) -> None:
        """Whatever ended a job reaches all who wait for its texts."""
        self._jobs.discard(job)
        error = None if job.cancelled() else job.exception()
        if job.cancelled() or error is not None:
            for key, _ in group:
                self._land(key, error)


def embedded_text(text: str) -> str:
    """The part of a text that is embedded: its first 8,000 bytes, without spaces round it."""
    text = text.strip()
    return text if len(text) * 4 <= _MOST_TEXT_BYTES else _cut(text)


def read_embeddings(body: bytes, count: int) -> EmbeddingsReply:
    """What a body of ``/embeddings`` holds for so many texts, in their order, which is that of ``index``.

    Vectors come as numbers or as base64 of float32. Raises ``ValueError`` with a sentence where it is no whole reply.
    """
    try:
        page = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("the reply is not whole JSON") from error
    page = page if isinstance(page, dict) else {}
    data = page.get("data")
    if not isinstance(data, list) or len(data) != count:
        said = f"{len(data)} vectors" if isinstance(data, list) else "no vectors"
        raise ValueError(f"the reply holds {said} for {count} texts")
    by_place: dict[int, Any] = {}
    for one in data:
        place = one.get("index") if isinstance(one, dict) else None
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < count or place in by_place:
            raise ValueError(f"the reply does not say which text each vector is of: index {str(place)[:40]}")
        by_place[place] = one.get("embedding")
    found = [_vector(by_place[place]) for place in range(count)]
    sizes = Counter(len(one.vector) for one in found if one.vector is not None)
    usual = max(sizes, key=lambda size: (sizes[size], -size), default=0)
    fit = (one if one.vector is None or len(one.vector) == usual else _of_another_size(one, usual) for one in found)
    model = page.get("model")
    return EmbeddingsReply(tuple(fit), model[:200] if isinstance(model, str) else None, _usage(page.get("usage")))


def stored_vector(answer: StoredReply) -> Embedding:
    """A vector as it was stored by ``to_stored``, or the fault that was stored in its place."""
    return _vector(answer.reply) if answer.fault is None else Embedding(None, answer.fault, is_final=True)


def to_stored(vector: NDArray[np.float32]) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def shares(texts: Sequence[str], tokens: int) -> list[int]:
    """What each text has of the tokens that all took, by its length; they add up."""
    ends = np.cumsum([len(text.encode("utf-8", "replace")) + 1 for text in texts])
    parts = [0, *(round(tokens * int(end) / int(ends[-1])) for end in ends)]
    return [after - before for before, after in pairwise(parts)]


def _vector(given: Any) -> Embedding:
    try:
        if isinstance(given, str):
            numbers = np.frombuffer(base64.b64decode(given, validate=True), "<f4").astype(np.float64)
        else:
            # Numbers in quotes are none, and neither are lists in lists.
            is_plain = isinstance(given, list) and all(type(one) in (int, float) for one in given)
            numbers = np.array(given if is_plain else [], np.float64)
    except (ValueError, OverflowError, binascii.Error):
        numbers = np.empty(0)
    if not 0 < len(numbers) <= _MOST_SIZE:
        return Embedding(None, "the service gave no vector for its text")
    largest = float(np.abs(numbers).max())
    if not np.isfinite(largest):
        return Embedding(None, "the service gave a vector that is not finite for its text", is_final=True)
    if largest == 0.0:
        return Embedding(None, "the service gave a vector of zeros for its text", is_final=True)
    numbers = numbers / largest
    return Embedding((numbers / np.linalg.norm(numbers)).astype(np.float32))


def _faults(request: EmbeddingRequest, found: Sequence[Embedding]) -> list[StoredReply]:
    """What is stored of texts whose vectors are none; what they cost stands in the account of their request."""
    blank = StoredReply(
        key="",
        content_key="",
        endpoint="",
        model=request.model,
        answered_by=None,
        request_id=None,
        created_at=now(),
        seconds=0.0,
        status=200,
        fault=None,
        reply="",
        headers="{}",
        tokens_in=0,
        tokens_out=0,
        tokens_cached=0,
        estimated=False,
        usd=0.0,
    )
    return [
        blank._replace(key=key, content_key=content_key, fault=one.detail)
        for key, content_key, one in zip(request.keys, request.content_keys, found, strict=True)
        if one.is_final
    ]


def _of_another_size(embedding: Embedding, usual: int) -> Embedding:
    size = 0 if embedding.vector is None else len(embedding.vector)
    return Embedding(None, f"the service gave a vector of {size} numbers for its text, and of {usual} for others")


def _usage(usage: Any) -> TokenUsage | None:
    """Services name only the input, and some of them a ``completion_tokens`` of null."""
    return read_usage({**usage, "completion_tokens": 0}) if isinstance(usage, Mapping) else None


def _cut(text: str) -> str:
    return text[:_MOST_TEXT_BYTES].encode("utf-8", "replace")[:_MOST_TEXT_BYTES].decode("utf-8", "ignore").rstrip()


def _content_key(text: str) -> str:
    return sha256_of(f"embedding\n{_FORM}\n{text}")
