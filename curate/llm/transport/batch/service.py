"""The files and batches of a service over HTTP, with retries."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from curate.errors import ServiceRefused, ServiceUnavailable
from curate.llm.settings import EngineSettings
from curate.llm.transport.batch.lines import PATH, read_id
from curate.llm.transport.client import HINT, Endpoint, HttpReply
from curate.llm.transport.faults import Failure, NoReply, classify_status
from curate.llm.transport.patience import Patience

LATER = "run the same command again later: what is done is kept, and batches go on by themselves"
_TAG = "curate_batch"
_UPLOAD_BYTES_PER_S = 200_000
_DOWNLOAD_S = 3600.0
_NOT_FOUND = frozenset({404, 405, 501})
_REFUSALS = {
    "key": "refuses the key",
    "quota": "says that the account behind the key has no credit left",
    "model": "does not know the model, or batches at all",
}
_NO_ID = Failure("retry", "the service's reply about a batch names no id", charged=True)
Send = Callable[[], Awaitable[HttpReply]]


class BatchService:
    """Files and batches at one endpoint. A batch carries our name as metadata, by which it is found again.

    Every request is tried ``settings.tries`` times. Methods raise ``ServiceRefused`` and ``ServiceUnavailable``.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings.base_url, connections=4)
        self.url = self._endpoint.url
        self.mask = self._endpoint.mask

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    async def upload(self, name: str, data: bytes) -> str:
        """Upload a file of requests, and return the service's id of it; nothing is processed yet."""
        timeout_s = self._settings.request_timeout_s + len(data) / _UPLOAD_BYTES_PER_S
        upload = partial(self._endpoint.upload, "/files", {"purpose": "batch"}, f"{name}.jsonl", data)
        return _id_of(_read_object(await self._send(upload, timeout_s=timeout_s)))

    async def create(self, name: str, file_id: str) -> str:
        """Make a batch of an uploaded file, and return the service's id of it.

        Raises ``ServiceRefused`` only if no batch was made, and ``ServiceUnavailable`` otherwise.
        """
        body = {
            "input_file_id": file_id,
            "endpoint": PATH,
            "completion_window": "24h",
            "metadata": {_TAG: name},
        }
        create = partial(self._endpoint.post, "/batches", json.dumps(body).encode())
        patience = Patience(self._settings.tries, self._settings.backoff_s)
        while True:
            result = await self._attempt(create, self._settings.request_timeout_s, False, frozenset())
            if isinstance(result, HttpReply) and (batch_id := read_id(_read_object(result).get("id"))) is not None:
                return batch_id
            failure = _NO_ID if isinstance(result, HttpReply) else result
            if failure.action != "retry":
                raise self.refusal(failure)
            # It may have been made all the same, and a second batch would be paid for as well.
            listed = await self.find({name})
            if listed is not None and name in listed:
                return listed[name]
            is_unclear = listed is None and failure.charged
            if is_unclear or (wait_s := patience.next_wait_s(failure._replace(limited=False))) is None:
                raise self._unavailable(failure)
            await asyncio.sleep(wait_s)

    async def find(self, names: set[str]) -> dict[str, str] | None:
        """Return the service's ids of the batches with these names of ours; None if it lists no batches."""
        ids: dict[str, str] = {}
        query = {"limit": "100"}
        while True:
            page = await self._list(query)
            if page is None:
                return None
            entries = page.get("data")
            batches = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
            for batch in batches:
                metadata = batch.get("metadata")
                name = metadata.get(_TAG) if isinstance(metadata, dict) else None
                if isinstance(name, str) and name in names:
                    ids[name] = _id_of(batch)
            if not batches or page.get("has_more") is not True or len(ids) == len(names):
                return ids
            last = _id_of(batches[-1])
            if last == query.get("after"):
                return ids  # the same page over and over
            query = {**query, "after": last}

    async def _list(self, query: Mapping[str, str]) -> dict[str, Any] | None:
        for _ in range(self._settings.tries):
            reply = await self._send_optional(partial(self._endpoint.get, "/batches", query))
            if reply is not None:
                return _read_object(reply)
            await asyncio.sleep(self._settings.backoff_s)
        return None

    async def status(self, batch_id: str) -> dict[str, Any] | None:
        """Return the state of a batch; None if the service does not know it any more."""
        reply = await self._send_optional(partial(self._endpoint.get, f"/batches/{batch_id}"))
        return None if reply is None else _parse(reply.body)

    async def download(self, file_id: str) -> bytes | None:
        """Return the content of a file; None if the service has lost it."""
        fetch = partial(self._endpoint.get, f"/files/{file_id}/content")
        reply = await self._send_optional(fetch, timeout_s=_DOWNLOAD_S, is_file=True)
        return None if reply is None else reply.body

    def refusal(self, failure: Failure) -> ServiceRefused:
        """Return the error for a failure that concerns every batch."""
        reason = _REFUSALS.get(failure.action, "refuses the batch")
        return ServiceRefused(f"{self.url} {reason}: {failure.detail}", hint=HINT)

    async def _send_optional(
        self, send: Send, *, timeout_s: float | None = None, is_file: bool = False
    ) -> HttpReply | None:
        """Return a usable reply like ``_send``; None if the service has no such thing."""
        reply = await self._send(send, timeout_s=timeout_s, is_file=is_file, missing=_NOT_FOUND)
        return None if reply.status in _NOT_FOUND else reply

    async def _send(
        self,
        send: Send,
        *,
        timeout_s: float | None = None,
        tries: int | None = None,
        is_file: bool = False,
        missing: frozenset[int] = frozenset(),
    ) -> HttpReply:
        """Send until the reply is usable: status 200 with a JSON object or a file, or a status in ``missing``."""
        patience = Patience(tries or self._settings.tries, self._settings.backoff_s)
        while True:
            result = await self._attempt(send, timeout_s or self._settings.request_timeout_s, is_file, missing)
            if isinstance(result, HttpReply):
                return result
            if result.action != "retry":
                raise self.refusal(result)
            if (wait_s := patience.next_wait_s(result._replace(limited=False))) is None:
                raise self._unavailable(result)
            await asyncio.sleep(wait_s)

    def _unavailable(self, failure: Failure) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self.url} does not answer about batches: {failure.detail}", hint=LATER)

    async def _attempt(
        self, send: Send, timeout_s: float, is_file: bool, missing: frozenset[int]
    ) -> HttpReply | Failure:
        try:
            async with asyncio.timeout(timeout_s):
                reply = await send()
        except TimeoutError:
            return Failure("retry", "the service does not answer in time", charged=True)
        except NoReply as error:
            return Failure("retry", error.detail, charged=error.charged)
        if reply.status in missing:
            return reply
        if reply.status != 200:
            return classify_status(reply.status, reply.headers, reply.body, self.mask)
        if is_file or _parse(reply.body) is not None:
            return reply
        return Failure("retry", "the reply is not a JSON object", charged=True)


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return page if isinstance(page, dict) else None


def _read_object(reply: HttpReply | None) -> dict[str, Any]:
    return {} if reply is None else _parse(reply.body) or {}


def _id_of(page: Mapping[str, Any]) -> str:
    service_id = read_id(page.get("id"))
    if service_id is None:
        raise ServiceUnavailable(_NO_ID.detail, hint=LATER)
    return service_id
