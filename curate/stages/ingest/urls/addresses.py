"""Connect only to public addresses: names are resolved once, checked, and that address is connected to."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import httpcore
import httpx

from curate.stages.ingest.urls.outcomes import LinkFailed

_CONNECT_S = 10.0
_UNICAST, _NAT64 = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96")
_SLICE_S = 0.5


def make_client(
    *, connections: int, timeout_s: float, allows_private: bool, agent: str, pause: Callable[[float], None]
) -> httpx.Client:
    """Return a client that follows no redirects, uses no proxy and, unless allowed, reaches no private address.

    While it waits for a server, it calls ``pause(0)`` again and again, which may raise.
    """
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    transport = httpx.HTTPTransport(limits=limits, trust_env=False)
    # httpx has no setting for this, but its pool does.
    transport._pool._network_backend = _Backend(pause, allows_private=allows_private)
    headers = {"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity"}
    timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S), pool=None)
    return httpx.Client(transport=transport, timeout=timeout, headers=headers, trust_env=False, follow_redirects=False)


def check_public(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises ``LinkFailed`` if any of its addresses is not public, or it has none."""
    try:
        address_infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LinkFailed("unavailable", f"{host} has no address: {error}") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in address_infos))
    for address in addresses:
        if not is_public(address):
            raise LinkFailed(
                "private_address",
                f"{host} {'is' if host == address else f'is at {address},'} an address of a private network or of this "
                "machine: if that is meant, `curate run --private-links` allows it",
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also if it carries one of the older kind within."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF) if parsed in _NAT64 else inner
        if inner is not None:
            return is_public(str(inner))
        if parsed not in _UNICAST:  # such as fec0::1, which older networks use within
            return False
    return parsed.is_global and not parsed.is_multicast


class _Backend(httpcore.NetworkBackend):
    """Connects to the address that was checked, so that a second answer of the name server changes nothing."""

    def __init__(self, pause: Callable[[float], None], *, allows_private: bool) -> None:
        self._inner, self._pause, self._allows_private = httpcore.SyncBackend(), pause, allows_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        # A machine may reach only some of them, such as those of IPv4.
        *earlier, last = [host] if self._allows_private else check_public(host, port)
        for address in earlier:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Stream(stream, self._pause)
        stream = self._inner.connect_tcp(last, port, timeout, local_address, socket_options)
        return _Stream(stream, self._pause)


class _Stream(httpcore.NetworkStream):
    """A connection that can be given up while it waits."""

    def __init__(self, inner: httpcore.NetworkStream, pause: Callable[[float], None]) -> None:
        self._inner, self._pause = inner, pause

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._pause(0)
            rest = _SLICE_S if end is None else min(_SLICE_S, max(end - time.monotonic(), 0.001))
            try:
                return self._inner.read(max_bytes, rest)
            except httpcore.ReadTimeout:
                if end is not None and time.monotonic() >= end:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._pause)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
