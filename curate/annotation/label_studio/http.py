"""HTTP to a Label Studio: the key or its access tokens in every request, and failed requests repeated where safe."""

import base64
import json
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any

import httpx

from curate.retries import RetryPolicy, is_transient_status, status_of

TIMEOUT_S = 300.0
_MARGIN_S = 30.0
_LIFETIME_S = 240.0
"""How long an access token is used that does not say when it was issued; Label Studio's are valid for five minutes."""


class LegacyToken(httpx.Auth):
    """The key of an account, sent as it is."""

    def __init__(self, key: str) -> None:
        self._header = f"Token {key}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


class PersonalToken(httpx.Auth):
    """A personal access token, exchanged for access tokens of a few minutes.

    A refused access token is renewed once. Raises ``httpx.HTTPStatusError`` where the exchange is refused.
    """

    requires_response_body = True

    def __init__(self, key: str, url: str) -> None:
        self._key, self._url = key, f"{url}/api/token/refresh/"
        self._access, self._valid_until_s = "", 0.0
        self._lock = threading.Lock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() >= self._valid_until_s:
            yield from self._renew()
        request.headers["Authorization"] = f"Bearer {self._access}"
        response = yield request
        if response.status_code == 401:
            yield from self._renew()
            request.headers["Authorization"] = f"Bearer {self._access}"
            yield request

    def _renew(self) -> Generator[httpx.Request, httpx.Response, None]:
        headers = {"Connection": "close"}
        response = yield httpx.Request("POST", self._url, json={"refresh": self._key}, headers=headers)
        response.raise_for_status()
        try:
            access = str(response.json()["access"])
        except (ValueError, KeyError, TypeError) as error:
            raise httpx.DecodingError("no access token in the answer", request=response.request) from error
        claims = token_claims(access) or {}
        issued, expires = claims.get("iat"), claims.get("exp")
        # Lifetimes, not times of day: the server's clock may differ from this one.
        lifetime_s = _LIFETIME_S
        if isinstance(issued, int | float) and isinstance(expires, int | float):
            lifetime_s = expires - issued - _MARGIN_S
        with self._lock:
            self._access, self._valid_until_s = access, time.monotonic() + lifetime_s


class LabelStudioHttp:
    """Requests to one Label Studio. Redirects are not followed; ``trust_env`` is whether proxies apply."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        trust_env: bool,
        policy: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._policy = policy or RetryPolicy()
        self._client = httpx.Client(
            base_url=url,
            auth=LegacyToken(key) if token_claims(key) is None else PersonalToken(key, url),
            # Label Studio's development server answers a kept-alive connection 40 ms late.
            headers={"Connection": "close"},
            timeout=TIMEOUT_S,
            trust_env=trust_env,
            transport=transport,
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: Any = None,
        files: Mapping[str, Any] | None = None,
        once: bool = False,
    ) -> httpx.Response:
        """Return the answer, whatever its status; asks a single time with ``once``.

        Reads are repeated after every failure that may pass. A write that seemed to fail may have happened, so it is
        repeated only where it did not: without a connection, or refused with status 429.

        Raises ``httpx.RequestError``, ``httpx.InvalidURL`` and, for a key that is refused, ``httpx.HTTPStatusError``.
        """

        def ask() -> httpx.Response:
            response = self._client.request(method, path, params=params, json=content, files=files)
            if is_transient_status(response.status_code):
                raise _Repeatable(response)
            return response

        if once:
            return self._client.request(method, path, params=params, json=content, files=files)
        try:
            return self._policy.call(ask, is_transient=_is_lost if method == "GET" else _is_unsent)
        except _Repeatable as error:
            return error.response


class _Repeatable(Exception):
    """An answer that may be another one later."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def token_claims(key: str) -> dict[str, Any] | None:
    """Return the claims of a JSON Web Token without checking its signature; None for other keys."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _is_lost(error: BaseException) -> bool:
    is_connection = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
    return is_connection or is_transient_status(status_of(error) or 0)


def _is_unsent(error: BaseException) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout) or status_of(error) == 429
