"""The side of batches that talks to the service: files, batches by name, and patience with both."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from curate.errors import ServiceRefused, ServiceUnavailable
from curate.llm.settings import EngineSettings
from curate.llm.transport.batch.lines import PATH, read_id
from curate.llm.transport.client import HINT, Endpoint, HttpReply
from curate.llm.transport.faults import Failure, NoReply, backoff_s, judge_status

LATER = "run the same command again later: what is done is kept, and batches go on by themselves"
_TAG = "curate_batch"
_BYTES_PER_S = 200_000
_MOST_FILE_S = 3600.0
_NOT_THERE = frozenset({404, 405, 501})


class BatchService:
    """Files and batches behind one address. A batch carries our name for it as metadata, to be found again by.

    Everything is tried ``settings.tries`` times. Raises ``ServiceRefused`` and ``ServiceUnavailable``.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings.base_url, connections=4)
        self.url = self._endpoint.url
        self.mask = self._endpoint.mask

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    async def submit(self, name: str, data: bytes) -> str:
        """Upload a file of requests, make a batch of it, and give the service's name for that."""
        form = {"purpose": "batch"}
        patience_s = self._settings.request_timeout_s + len(data) / _BYTES_PER_S
        send = partial(self._endpoint.upload, "/files", form, f"{name}.jsonl", data)
        file = await self._object(send, patience_s)
        about = {"input_file_id": _name(file), "endpoint": PATH, "completion_window": "24h", "metadata": {_TAG: name}}
        payload = json.dumps(about).encode()
        failures = 0
        while True:
            try:
                return _name(await self._object(partial(self._endpoint.post, "/batches", payload), tries=1))
            except ServiceUnavailable:
                # It may have been made all the same, and a second one would be paid for as well.
                if (made := (await self.find({name})).get(name)) is not None:
                    return made
                failures += 1
                if failures >= self._settings.tries:
                    raise
                await asyncio.sleep(backoff_s(failures, self._settings.backoff_s, None))

    async def find(self, names: set[str]) -> dict[str, str]:
        """The service's names of the batches that carry these names of ours; none where it has no batches at all."""
        found: dict[str, str] = {}
        query = {"limit": "100"}
        while True:
            page = await self._object(partial(self._endpoint.get, "/batches", query), missing=True)
            entries = page.get("data")
            batches = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
            for one in batches:
                metadata = one.get("metadata")
                name = metadata.get(_TAG) if isinstance(metadata, dict) else None
                if isinstance(name, str) and name in names:
                    found[name] = _name(one)
            if not batches or page.get("has_more") is not True or len(found) == len(names):
                return found
            last, before = _name(batches[-1]), query.get("after")
            if last == before:
                return found  # it gives the same page over and over
            query = {**query, "after": last}

    async def look(self, remote: str) -> dict[str, Any] | None:
        """How a batch stands; None where the service does not know it any more."""
        received = await self._patiently(partial(self._endpoint.get, f"/batches/{remote}"), missing=True)
        return None if received is None else _page(received.body)

    async def load(self, file: str) -> bytes | None:
        """What a file holds; None where the service has lost it."""
        send = partial(self._endpoint.get, f"/files/{file}/content")
        received = await self._patiently(send, _MOST_FILE_S, missing=True, is_file=True)
        return None if received is None else received.body

    def refused(self, verdict: Failure) -> ServiceRefused:
        """The error for a verdict that concerns every batch."""
        what = {
            "key": "refuses the key",
            "quota": "says that the account behind the key has no credit left",
            "model": "does not know the model, or batches at all",
        }.get(verdict.then, "refuses the batch")
        return ServiceRefused(f"{self.url} {what}: {verdict.detail}", hint=HINT)

    async def _object(
        self,
        send: Callable[[], Awaitable[HttpReply]],
        patience_s: float | None = None,
        *,
        tries: int | None = None,
        missing: bool = False,
    ) -> dict[str, Any]:
        received = await self._patiently(send, patience_s, tries=tries, missing=missing)
        return {} if received is None else _page(received.body) or {}

    async def _patiently(
        self,
        send: Callable[[], Awaitable[HttpReply]],
        patience_s: float | None = None,
        *,
        tries: int | None = None,
        missing: bool = False,
        is_file: bool = False,
    ) -> HttpReply | None:
        """A good reply, a JSON object unless it is a file; None where ``missing`` allows for there being none."""
        failures = 0
        while True:
            wait_s = None
            try:
                async with asyncio.timeout(patience_s or self._settings.request_timeout_s):
                    received = await send()
                if received.status == 200 and (is_file or _page(received.body) is not None):
                    return received
                if received.status in _NOT_THERE and missing:
                    return None
                verdict = judge_status(received.status, received.headers, received.body, self.mask)
                if received.status != 200 and verdict.then != "again":
                    raise self.refused(verdict)
                detail, wait_s = verdict.detail, verdict.wait_s
                if received.status == 200:
                    detail = "the reply is no JSON object"
            except TimeoutError:
                detail = "the service does not answer in time"
            except NoReply as error:
                detail = error.detail
            failures += 1
            if failures >= (tries or self._settings.tries):
                raise ServiceUnavailable(f"{self.url} does not answer about batches: {detail}", hint=LATER)
            await asyncio.sleep(backoff_s(failures, self._settings.backoff_s, wait_s))


def _page(body: bytes) -> dict[str, Any] | None:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return page if isinstance(page, dict) else None


def _name(page: Mapping[str, Any]) -> str:
    found = read_id(page.get("id"))
    if found is None:
        raise ServiceUnavailable("the service's reply about a batch names no id", hint=LATER)
    return found
