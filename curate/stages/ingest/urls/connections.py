"""HTTP/1.1 over connections that are used again, each of which can be given up while it waits."""

import io
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from curate.stages.ingest.urls.addresses import check_public

_CONNECT_S = 10.0
_SLICE_S = 0.5
"""How long a connection waits until it asks whether it is to go on"""
_PIECE_BYTES = 2**18
_PLAIN_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_PLAIN_TARGET = re.compile(r"[!#$%&'()*+,/0-9:;=?@A-Z\[\]_a-z~.-]*")
_SAFE = "!#$%&'()*+,/:;=?@[]_~.-"
_PORTS = {"http": 80, "https": 443}


class ConnectionLost(Exception):
    """A server cannot be reached, or what it sends is not a whole reply."""


class TimedOut(ConnectionLost):
    """A server says nothing for too long."""


class Target(NamedTuple):
    """What a URL asks of which server."""

    scheme: str
    host: str
    port: int
    path: str


def split_url(url: str) -> Target:
    """Return the parts of a URL, in ASCII. Raises ``ValueError`` if it has no host or port that can be."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    if not _PLAIN_HOST.fullmatch(host):
        import httpx

        try:
            host = httpx.URL(url).raw_host.decode("ascii")
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from error
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Target(parts.scheme, host, port, path if _PLAIN_TARGET.fullmatch(path) else quote(path, safe=_SAFE))


class Response:
    """The reply of a server: its status, its headers by name in small letters, and its content in pieces."""

    def __init__(self, inner: HTTPResponse) -> None:
        self._inner, self._length = inner, inner.length
        self.status_code = inner.status
        self.headers: dict[str, str] = {}
        for name, value in inner.headers.items():
            key = name.lower()
            self.headers[key] = f"{self.headers[key]}, {value}" if key in self.headers else str(value)

    @property
    def encoding(self) -> str:
        """How the content is compressed, although no compression is asked for; empty if it is not."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        return "" if encoding == "identity" else encoding

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the content as it is sent. Raises ``ConnectionLost`` if it ends early and ``TimedOut`` if it stops."""
        size = 0
        with _network_errors():
            while piece := self._inner.read1(_PIECE_BYTES):
                size += len(piece)
                yield piece
        if self._length is not None and size < self._length:
            raise ConnectionLost("the connection was closed before the end")

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the content, decompressed if need be, in pieces of limited size. Raises as ``iter_raw``."""
        if not self.encoding:
            yield from self.iter_raw()
            return
        if self.encoding not in ("gzip", "x-gzip", "deflate"):
            raise ConnectionLost(f"it is compressed as {self.encoding[:20]}, although that was not asked for")
        inflate = zlib.decompressobj(wbits=47)
        for raw in self.iter_raw():
            rest = raw
            while rest and not inflate.eof:
                try:
                    piece = inflate.decompress(rest, _PIECE_BYTES)
                except zlib.error as error:
                    raise ConnectionLost(f"it is not compressed as it says: {error}") from error
                if piece:
                    yield piece
                rest = inflate.unconsumed_tail

    def finish(self) -> bool:
        """End the reply, and return whether nothing of it is left, so that the connection can be used again."""
        is_whole = self._inner.isclosed() or self._inner.length == 0
        self._inner.close()
        return is_whole and not self._inner.will_close


class Client:
    """Sends requests, without following redirects or using proxies. May be used by several threads.

    Unless ``allows_private``, only public addresses are connected to: names are resolved once, checked, and what was
    checked is connected to. While it waits for a server, it calls ``pause(0)`` again and again, which may raise.
    """

    def __init__(
        self, *, connections: int, timeout_s: float, allows_private: bool, agent: str, pause: Callable[[float], None]
    ) -> None:
        self._limit, self._timeout_s, self._allows_private, self._pause = connections, timeout_s, allows_private, pause
        self._headers = {"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        self._idle: list[tuple[Target, _Connection]] = []
        self._guard = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.end()

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[Response]:
        """Yield the reply to GET. Raises ``ConnectionLost``, ``TimedOut``, and ``LinkFailed`` for private addresses."""
        target = split_url(url)
        connection, response = self._ask(target, {**self._headers, **(headers or {})})
        try:
            yield response
        except BaseException:
            connection.end()
            raise
        if response.finish():
            self._put_back(target, connection)
        else:
            connection.end()

    def _ask(self, target: Target, headers: Mapping[str, str]) -> "tuple[_Connection, Response]":
        while True:
            connection = self._take(target)
            is_used = connection is not None
            with _network_errors():
                connection = connection or self._connect(target)
            try:
                with _network_errors():
                    connection.request("GET", target.path, headers=dict(headers))
                    return connection, Response(connection.getresponse())
            except TimedOut:
                connection.end()
                raise
            except ConnectionLost:
                connection.end()
                if not is_used:  # else the server has closed it meanwhile: another one is asked
                    raise
            except BaseException:
                connection.end()
                raise

    def _take(self, target: Target) -> "_Connection | None":
        with self._guard:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0][:3] == target[:3]:
                    return self._idle.pop(index)[1]
        return None

    def _put_back(self, target: Target, connection: "_Connection") -> None:
        with self._guard:
            self._idle.append((target, connection))
            surplus = self._idle.pop(0)[1] if len(self._idle) > self._limit else None
        if surplus is not None:
            surplus.end()

    def _connect(self, target: Target) -> "_Connection":
        connect_s = min(self._timeout_s, _CONNECT_S)
        # A machine may reach only some of them, such as those of IPv4.
        addresses = [target.host] if self._allows_private else check_public(target.host, target.port)
        for number, address in enumerate(addresses, start=1):
            try:
                connected = socket.create_connection((address, target.port), connect_s)
                break
            except OSError:
                if number == len(addresses):
                    raise
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if target.scheme == "https":
                connected = self._tls().wrap_socket(connected, server_hostname=target.host.partition("%")[0])
        except BaseException:
            connected.close()
            raise
        return _Connection(target, _Wire(connected, self._timeout_s, self._pause))

    def _tls(self) -> ssl.SSLContext:
        with self._guard:
            if self._context is None:
                import httpx

                self._context = httpx.create_ssl_context(trust_env=False)
                self._context.set_alpn_protocols(["http/1.1"])
            return self._context


class _Connection(HTTPConnection):
    """A connection that is open already."""

    def __init__(self, target: Target, wire: "_Wire") -> None:
        super().__init__(target.host, target.port)
        self.default_port = _PORTS[target.scheme]
        self.auto_open = 0
        self.sock: Any = wire
        self._wire = wire

    def end(self) -> None:
        self.close()
        self._wire.end()


class _Wire:
    """What ``http.client`` needs of a socket. It stays open until ``end``, whatever closes it before."""

    def __init__(self, inner: socket.socket, timeout_s: float, pause: Callable[[float], None]) -> None:
        self._inner, self._timeout_s, self._pause = inner, timeout_s, pause
        inner.settimeout(min(_SLICE_S, timeout_s))

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self), 2**16)

    def sendall(self, data: bytes) -> None:
        self._inner.sendall(data)

    def receive(self, buffer: Any) -> int:
        end = time.monotonic() + self._timeout_s
        while True:
            self._pause(0)
            try:
                return self._inner.recv_into(buffer)
            except TimeoutError:
                if time.monotonic() >= end:
                    raise

    def close(self) -> None: ...

    def end(self) -> None:
        self._inner.close()


class _Incoming(io.RawIOBase):
    """The bytes that a connection receives."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive(buffer)


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise TimedOut(str(error)) from error
    except (OSError, HTTPException, UnicodeError) as error:
        raise ConnectionLost(str(error) or type(error).__name__) from error
