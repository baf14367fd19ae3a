"""The only importer of openai: one endpoint over HTTP, with the key from the environment."""

import base64
import functools
import json
import os
import re
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from curate.errors import InvalidInput, InvalidRow, MissingDependency, ServiceRefused, ServiceUnavailable
from curate.llm.transport.faults import NoReply, make_mask

HINT = "set OPENAI_API_KEY, and OPENAI_BASE_URL for a server other than OpenAI's (any key will do for one without)"
MAX_BODY_BYTES = 8_000_000
_MAX_FILE_BYTES = 1_000_000_000
_CONNECT_S = 10.0
_IDLE_S = 4.0
_CONNECTIONS_PER_POOL, _MAX_POOLS = 8, 32
_MIN_SECRET_CHARS = 12
_TRANSCRIBE_S = 120.0


class HttpReply(NamedTuple):
    """A whole HTTP reply of any status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    url: str = ""
    """The address, without credentials and query"""


class Endpoint:
    """An OpenAI-compatible endpoint. ``base_url`` None reads ``OPENAI_BASE_URL``; the key is in ``OPENAI_API_KEY``.

    Nothing is retried here. Raises ``MissingDependency`` without a key and ``InvalidInput`` for an invalid address.
    """

    def __init__(self, base_url: str | None = None, *, connections: int = 64) -> None:
        import httpx2
        import openai

        self._openai, self._httpx = openai, httpx2
        # A pool scans all its connections for every request: many small pools are much faster than a large one.
        pools = min(_MAX_POOLS, max(1, connections // _CONNECTIONS_PER_POOL))
        try:
            security = httpx2.create_ssl_context()
            self._clients = [
                openai.AsyncOpenAI(base_url=base_url, max_retries=0, http_client=self._open_pool(security))
                for _ in range(pools)
            ]
        except openai.OpenAIError as error:
            raise MissingDependency("there is no key for the model service", hint=HINT) from error
        except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
            raise InvalidInput(f"the model service address cannot be used: {error}", hint=HINT) from error
        self._in_flight = [0] * pools
        client = self._clients[0]
        parts = urlsplit(str(client.base_url))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput("the model service address must start with http:// or https://", hint=HINT)
        self.url = _public_url(str(client.base_url))
        self._secrets = (str(client.api_key), parts.password or "", os.environ.get("OPENAI_ADMIN_KEY", ""))
        self.mask = make_mask(*self._secrets)
        self._headers = {"Accept-Encoding": "identity"}

    async def post(self, path: str, payload: bytes) -> HttpReply:
        """Send JSON and return the whole reply. Raises ``NoReply``."""
        return await self._send("post", path, content=payload)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> HttpReply:
        """Return the whole reply to a GET request. Raises ``NoReply``."""
        return await self._send("get", path, options={"params": dict(query or {})})

    async def upload(self, path: str, fields: Mapping[str, str], name: str, data: bytes) -> HttpReply:
        """Send a file with form fields, and return the whole reply. Raises ``NoReply``."""
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
            follow_redirects=False,  # requests go to the configured address and nowhere else
            limits=limits,
            verify=security,
            timeout=self._httpx.Timeout(None, connect=_CONNECT_S),
            event_hooks={"response": [self._limit_body]},
        )

    async def _send(self, method: str, path: str, **arguments: Any) -> HttpReply:
        pool = min(range(len(self._clients)), key=self._in_flight.__getitem__)
        self._in_flight[pool] += 1
        try:
            return await self._request(getattr(self._clients[pool], method), path, **arguments)
        finally:
            self._in_flight[pool] -= 1

    async def _request(self, method: Any, path: str, **arguments: Any) -> HttpReply:
        options = arguments.pop("options", {})
        options["headers"] = {**self._headers, **options.get("headers", {})}
        started = time.perf_counter()
        try:
            response = await method(path, cast_to=self._httpx.Response, options=options, **arguments)
        except self._openai.APIStatusError as error:
            response = error.response
        except self._openai.APITimeoutError as error:
            connecting = isinstance(error.__cause__, self._httpx.ConnectTimeout)
            raise NoReply("the service does not answer in time", charged=not connecting, slow=True) from error
        except self._openai.APIConnectionError as error:
            raise self._no_reply(error) from error
        except self._openai.OpenAIError as error:
            raise NoReply(self.mask(str(error)), charged=True) from error
        except _TooLarge as error:
            raise NoReply(str(error), charged=True, final=True, size_bytes=error.size_bytes) from error
        except (self._httpx.HTTPError, self._httpx.StreamError, UnicodeError, ValueError) as error:
            raise NoReply(self.mask(str(error)) or type(error).__name__, charged=True) from error
        seconds = time.perf_counter() - started
        body, headers = _remove_secrets(self._secrets, response.content, dict(response.headers))
        return HttpReply(response.status_code, headers, body, seconds, self.url)

    def _no_reply(self, error: Exception) -> NoReply:
        cause = error.__cause__
        reason = self.mask(str(cause)) if cause is not None and str(cause) else "the connection was cut"
        unsent = isinstance(cause, self._httpx.ConnectError | self._httpx.ProxyError | self._httpx.UnsupportedProtocol)
        event = "cannot connect to the service" if unsent else "the reply was incomplete"
        return NoReply(f"{event}: {reason}", charged=not unsent)

    async def _limit_body(self, response: Any) -> None:
        # The SDK reads bodies of any size and decompresses them: neither may fill the memory.
        encoding = response.headers.pop("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise _TooLarge("the reply is compressed in a way that was not requested")
        max_bytes = _MAX_FILE_BYTES if response.request.method == "GET" else MAX_BODY_BYTES
        unpack = zlib.decompressobj(wbits=47) if encoding not in ("identity", "") else None
        response.stream = _bounded(self._httpx.AsyncByteStream)(response.stream, max_bytes, unpack)


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"


def _remove_secrets(secrets: tuple[str, ...], body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    # A server that echoes the key must not bring it into a file. A short key is not secret ("none", "ollama") and may
    # well be a word of an answer.
    if not body.isascii() or b"\0" in body[:4]:
        encoding = json.detect_encoding(body)
        body = body if encoding == "utf-8" else body.decode(encoding, "replace").encode("utf-8", "replace")
    for secret in (secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS):
        body = _echoes(secret).sub(b"***", body)
        headers = {name: _without(secret, value) for name, value in headers.items()}
    return body, headers


def _without(secret: str, text: str) -> str:
    return _echoes(secret).sub(b"***", text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


@functools.cache
def _echoes(secret: str) -> "re.Pattern[bytes]":
    """Match a secret as it is, with any of its characters escaped in JSON, and within base64."""
    raw = secret.encode("utf-8", "replace")
    chars = [
        rb"(?:%s|\\+(?:u00(?i:%02x)|%s))" % (re.escape(raw[i : i + 1]), raw[i], re.escape(raw[i : i + 1]))
        for i in range(len(raw))
    ]
    forms = [b"".join(chars)]
    for shift in range(3):  # its place among the groups of three bytes that base64 encodes
        text = base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 :]
        text = text[: (len(raw) + shift) // 3 * 4 - (4 if shift else 0)]
        forms.append(
            re.escape(text).replace(rb"\+", rb"(?:[+-]|\\+u002[bB])").replace(b"/", rb"(?:\\*/|_|\\+u002[fF])")
        )
    return re.compile(b"|".join(form for form in forms if form))


class _TooLarge(Exception):
    """A body that is not read to the end."""

    def __init__(self, detail: str, size_bytes: int = 0) -> None:
        super().__init__(detail)
        self.size_bytes = size_bytes


@functools.cache
def _bounded(base: Any) -> Any:
    class Bounded(base):  # type: ignore[misc]
        def __init__(self, stream: Any, max_bytes: int, unpack: Any) -> None:
            self.stream, self.max_bytes, self.unpack = stream, max_bytes, unpack

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self.stream:
                if self.unpack is not None:
                    try:
                        chunk = self.unpack.decompress(chunk, self.max_bytes + 1)
                    except zlib.error as error:
                        raise ValueError("the reply is not compressed as it says") from error
                size += len(chunk)
                if size > self.max_bytes:
                    raise _TooLarge(f"the reply is larger than {self.max_bytes // 1_000_000} MB", size)
                yield chunk

        async def aclose(self) -> None:
            await self.stream.aclose()

    return Bounded


def transcribe(flac: bytes, *, model: str, options: Mapping[str, Any]) -> HttpReply:
    """Return a service's transcription of a FLAC file; the SDK retries while the service is busy.

    Raises ``MissingDependency`` without a key, ``ServiceUnavailable`` if the service does not answer,
    ``ServiceRefused`` if it rejects the key or does not know the model, ``InvalidRow`` if it cannot use this sound.
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
        message = f"the transcription model {model} cannot use the sound: {mask(str(error))}"
        raise InvalidRow(message, reason="invalid") from error
    except (openai.APIError, httpx2.HTTPError, ValueError) as error:
        raise ServiceUnavailable(
            f"the transcription model {model} does not answer: {mask(str(error))}",
            hint="run the same command again later",
        ) from error
    seconds = time.perf_counter() - started
    body, headers = _remove_secrets((key,), response.content, dict(response.headers))
    return HttpReply(response.status_code, headers, body, seconds, _public_url(str(client.base_url)))


@functools.cache
def _sync_client() -> Any:
    import openai

    try:
        return openai.OpenAI(timeout=_TRANSCRIBE_S)
    except openai.OpenAIError as error:
        raise MissingDependency("there is no key for the transcription model", hint=HINT) from error
