"""The only module that touches openai: one address, asked over HTTP with the account of the environment."""

import functools
import os
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from curate.errors import InvalidInput, InvalidRow, MissingDependency, ServiceRefused, ServiceUnavailable
from curate.llm.transport.faults import NoReply, make_mask

HINT = "set OPENAI_API_KEY, and OPENAI_BASE_URL for a server other than OpenAI's (any key will do for one without)"
MOST_BODY_BYTES = 8_000_000
_MOST_FILE_BYTES = 1_000_000_000
_CONNECT_S = 10.0
_IDLE_S = 4.0
_POOL, _MOST_POOLS = 8, 32
_SHORTEST_SECRET = 12
_TRANSCRIBE_S = 120.0


class HttpReply(NamedTuple):
    """A whole HTTP reply of any status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    url: str = ""
    """The address, without what may be secret in it"""


class Endpoint:
    """An OpenAI-compatible address. ``base_url`` None reads ``OPENAI_BASE_URL``; the key is in ``OPENAI_API_KEY``.

    Nothing is retried here. Raises ``MissingDependency`` without a key and ``InvalidInput`` for what is no address.
    """

    def __init__(self, base_url: str | None = None, *, connections: int = 64) -> None:
        import httpx2
        import openai

        self._openai, self._httpx = openai, httpx2
        # A pool looks at each of its connections for each request: many small ones take far less time than a large one.
        pools = min(_MOST_POOLS, max(1, connections // _POOL))
        try:
            security = httpx2.create_ssl_context()
            self._clients = [
                openai.AsyncOpenAI(base_url=base_url, max_retries=0, http_client=self._open_pool(security))
                for _ in range(pools)
            ]
        except openai.OpenAIError as error:
            raise MissingDependency("there is no key for the models' service", hint=HINT) from error
        except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
            raise InvalidInput(f"the models' address cannot be used: {error}", hint=HINT) from error
        self._under_way = [0] * pools
        client = self._clients[0]
        parts = urlsplit(str(client.base_url))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("the models' address must start with http:// or https://", hint=HINT)
        self.url = _shown(str(client.base_url))
        self._secrets = (str(client.api_key), parts.password or "", os.environ.get("OPENAI_ADMIN_KEY", ""))
        self.mask = make_mask(*self._secrets)
        self._headers = {"Accept-Encoding": "identity"}

    async def post(self, path: str, payload: bytes) -> HttpReply:
        """Send JSON and wait for the whole reply. Raises ``NoReply`` where none comes."""
        return await self._send("post", path, content=payload)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> HttpReply:
        """Ask for something. Raises ``NoReply`` where no whole reply comes."""
        return await self._send("get", path, options={"params": dict(query or {})})

    async def upload(self, path: str, fields: Mapping[str, str], name: str, data: bytes) -> HttpReply:
        """Send a file with a form's fields. Raises ``NoReply`` where no whole reply comes."""
        file = {"file": (name, data, "application/jsonl")}
        headers = {"Content-Type": "multipart/form-data"}
        return await self._send("post", path, body=dict(fields), files=file, options={"headers": headers})

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    def _open_pool(self, security: Any) -> Any:
        # The caller bounds the requests. Idle connections are closed before a server would do it (uvicorn: 5 s).
        limits = self._httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE_S)
        return self._openai.DefaultAsyncHttpxClient(
            follow_redirects=False,  # what is asked goes to the address that was named, and nowhere else
            limits=limits,
            verify=security,
            timeout=self._httpx.Timeout(None, connect=_CONNECT_S),
            event_hooks={"response": [self._bound]},
        )

    async def _send(self, method: str, path: str, **about: Any) -> HttpReply:
        pool = min(range(len(self._clients)), key=self._under_way.__getitem__)
        self._under_way[pool] += 1
        try:
            return await self._ask(getattr(self._clients[pool], method), path, **about)
        finally:
            self._under_way[pool] -= 1

    async def _ask(self, method: Any, path: str, **about: Any) -> HttpReply:
        options = about.pop("options", {})
        options["headers"] = {**self._headers, **options.get("headers", {})}
        started = time.perf_counter()
        try:
            response = await method(path, cast_to=self._httpx.Response, options=options, **about)
        except self._openai.APIStatusError as error:
            response = error.response
        except self._openai.APITimeoutError as error:
            connecting = isinstance(error.__cause__, self._httpx.ConnectTimeout)
            raise NoReply("the service does not answer in time", charged=not connecting, slow=True) from error
        except self._openai.APIConnectionError as error:
            raise self._unanswered(error) from error
        except self._openai.OpenAIError as error:
            raise NoReply(self.mask(str(error)), charged=True) from error
        except _TooLarge as error:
            raise NoReply(str(error), charged=True, final=True) from error
        except (self._httpx.HTTPError, self._httpx.StreamError, UnicodeError, ValueError) as error:
            raise NoReply(self.mask(str(error)) or type(error).__name__, charged=True) from error
        seconds = time.perf_counter() - started
        body, headers = _without(self._secrets, response.content, dict(response.headers))
        return HttpReply(response.status_code, headers, body, seconds, self.url)

    def _unanswered(self, error: Exception) -> NoReply:
        cause = error.__cause__
        said = self.mask(str(cause)) if cause is not None and str(cause) else "the connection was cut"
        unsent = isinstance(cause, self._httpx.ConnectError | self._httpx.ProxyError | self._httpx.UnsupportedProtocol)
        what = "cannot connect to the service" if unsent else "no whole reply came"
        return NoReply(f"{what}: {said}", charged=not unsent)

    async def _bound(self, response: Any) -> None:
        # The SDK reads the whole of any body, and unpacks what is packed: neither may fill the memory.
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _TooLarge("the reply is packed, which was not asked for")
        most = _MOST_FILE_BYTES if response.request.method == "GET" else MOST_BODY_BYTES
        response.stream = _bounded(self._httpx.AsyncByteStream)(response.stream, most)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"


def _without(secrets: tuple[str, ...], body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    # A server that repeats the key must not bring it into a file. A short one is no secret ("none", "ollama"), and may
    # well stand in an answer.
    for secret in (each for each in secrets if len(each) >= _SHORTEST_SECRET):
        if (raw := secret.encode()) in body:
            body = body.replace(raw, b"***")
        headers = {name: value.replace(secret, "***") for name, value in headers.items()}
    return body, headers


class _TooLarge(Exception):
    """A body that is not read to its end."""


@functools.cache
def _bounded(base: Any) -> Any:
    class Bounded(base):  # type: ignore[misc]
        def __init__(self, stream: Any, most: int) -> None:
            self.stream, self.most = stream, most

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self.stream:
                size += len(chunk)
                if size > self.most:
                    raise _TooLarge(f"the reply is larger than {self.most // 1_000_000} MB")
                yield chunk

        async def aclose(self) -> None:
            await self.stream.aclose()

    return Bounded


def transcribe(flac: bytes, *, model: str, options: Mapping[str, Any]) -> HttpReply:
    """What a service says that a model hears in a FLAC file; busy services are asked again by the SDK.

    Raises ``MissingDependency`` without a key, ``ServiceUnavailable`` where the server does not answer,
    ``ServiceRefused`` where it does not take the key or know the model, ``InvalidRow`` where it cannot use this sound.
    """
    import httpx2
    import openai

    client = _sync_client()
    key = str(client.api_key)
    mask = make_mask(key)
    started = time.perf_counter()
    try:
        raw = client.audio.transcriptions.with_raw_response
        response = raw.create(file=("speech.flac", flac), model=model, **options).http_response
    except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
        raise ServiceRefused(f"the transcription model {model} is refused: {mask(str(error))}", hint=HINT) from error
    except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
        said = f"the transcription model {model} cannot use it: {mask(str(error))}"
        raise InvalidRow(said, reason="invalid") from error
    except (openai.APIError, httpx2.HTTPError, ValueError) as error:
        raise ServiceUnavailable(
            f"the transcription model {model} does not answer: {mask(str(error))}",
            hint="run the same command again later",
        ) from error
    seconds = time.perf_counter() - started
    body, headers = _without((key,), response.content, dict(response.headers))
    return HttpReply(response.status_code, headers, body, seconds, _shown(str(client.base_url)))


@functools.cache
def _sync_client() -> Any:
    import openai

    try:
        return openai.OpenAI(timeout=_TRANSCRIBE_S)
    except openai.OpenAIError as error:
        raise MissingDependency("there is no key for the transcription model", hint=HINT) from error
