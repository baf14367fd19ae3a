"""The vectors of one model: each text is requested once ever, many in one request, and stored before use."""

import asyncio
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, NamedTuple

from curate.errors import CurateError
from curate.llm.money.account import UsageCounter
from curate.llm.replies import ReplyStore, StoredReply, now, put_reply
from curate.llm.transport.embeddings import (
    Embedding,
    EmbeddingRequest,
    EmbeddingTransport,
    embedded_text,
    read_stored,
    with_dimensions,
)
from curate.llm.transport.faults import copy_error

_MAX_TEXTS = 64
_MAX_REQUEST_BYTES = 250_000
"""No tokenizer makes more of this than the 300,000 tokens per request that services accept."""
_JOIN_S = 0.01


class _QueuedText(NamedTuple):
    key: str
    text: str


class Embedder:
    """Returns stored vectors, and requests the others; texts of the same moment share a request.

    For one event loop. Without a transport, only stored vectors are returned.
    """

    def __init__(self, model: str, store: ReplyStore, transport: EmbeddingTransport | None) -> None:
        self._model, self._store, self._transport = model, store, transport
        self._dimensions = 0
        self._queue: deque[_QueuedText] = deque()
        self._pending: dict[str, asyncio.Future[Embedding]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_collecting = False

    async def embed(self, text: str, *, labeller: str, usage: UsageCounter) -> Embedding:
        """Return the vector of a text; a blank text has none. Raises what the transport raises."""
        if not (text := embedded_text(text)):
            return Embedding(None, "there is no text")
        (key,) = EmbeddingRequest(self._model, (text,)).keys
        pending = self._pending.get(key)
        if pending is not None:
            usage.from_cache += 1
        elif (reply := self._store.find(key)) is not None:
            usage.from_cache += 1
            return self._checked(read_stored(reply))
        elif self._transport is None:
            return Embedding(None, f"no embedding of it by {self._model} is stored, and replay sends no requests")
        else:
            pending = self._pending[key] = asyncio.get_running_loop().create_future()
            self._queue.append(_QueuedText(key, text))
            if not self._is_collecting:
                self._is_collecting = True
                self._start(self._collect(self._transport, labeller, usage), self._queue)
        # The vector is paid for and others may wait for it: it is fetched even if one of them is cancelled.
        return self._checked(await asyncio.shield(pending))

    async def close(self) -> None:
        """Cancel the requests in flight."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _collect(self, transport: EmbeddingTransport, labeller: str, usage: UsageCounter) -> None:
        try:
            while self._queue:
                if len(self._queue) < _MAX_TEXTS:
                    await asyncio.sleep(_JOIN_S)
                group = self._next_group()
                self._start(self._send(transport, group, labeller, usage), group)
        finally:
            self._is_collecting = False

    def _next_group(self) -> list[_QueuedText]:
        group: list[_QueuedText] = []
        size = 0
        while self._queue and len(group) < _MAX_TEXTS:
            size += len(self._queue[0].text.encode("utf-8", "replace"))
            if group and size > _MAX_REQUEST_BYTES:
                break
            group.append(self._queue.popleft())
        return group

    async def _send(
        self, transport: EmbeddingTransport, group: Sequence[_QueuedText], labeller: str, usage: UsageCounter
    ) -> None:
        request = EmbeddingRequest(self._model, tuple(queued.text for queued in group))
        result = await transport.embed(request, labeller=labeller, usage=usage)
        if result.embeddings is None and result.outcome == "invalid" and len(group) > 1:
            # One text that the service refuses must not cost the others their vectors.
            middle = len(group) // 2
            for half in (group[:middle], group[middle:]):
                await self._send(transport, half, labeller, usage)
            return
        embeddings = result.embeddings or (Embedding(None, result.detail),) * len(group)
        if faults := _final_faults(request, embeddings):
            await self._store.commit([*map(put_reply, faults)])
        outcome = result.outcome if result.embeddings is None else "invalid"
        for queued, embedding in zip(group, embeddings, strict=True):
            usage.outcomes["ok" if embedding.vector is not None else outcome] += 1
            self._resolve(queued.key, embedding)

    def _resolve(self, key: str, result: Embedding | BaseException | None) -> None:
        pending = self._pending.pop(key, None)
        if pending is None or pending.done():
            return
        if isinstance(result, Embedding):
            pending.set_result(result)
        elif result is None:
            pending.cancel()
        else:
            pending.set_exception(copy_error(result) if isinstance(result, CurateError) else result)
            pending.exception()  # nobody may be waiting any more

    def _checked(self, embedding: Embedding) -> Embedding:
        if embedding.vector is None:
            return embedding
        self._dimensions = self._dimensions or len(embedding.vector)
        return with_dimensions(embedding, self._dimensions)

    def _start(self, work: Coroutine[Any, Any, None], group: Collection[_QueuedText]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(done, group))

    def _end(self, task: asyncio.Task[None], group: Collection[_QueuedText]) -> None:
        """Report whatever ended a task to all who wait for its texts."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            for queued in group:
                self._resolve(queued.key, error)


def _final_faults(request: EmbeddingRequest, embeddings: Sequence[Embedding]) -> list[StoredReply]:
    """Return rows for texts without a usable vector, so that they are not requested again.

    Their cost is booked on the request.
    """
    return [
        StoredReply(key, content_key, "", request.model, None, None, now(), fault=embedding.detail, usd=0.0)
        for key, content_key, embedding in zip(request.keys, request.content_keys, embeddings, strict=True)
        if embedding.is_final
    ]
