"""A server of files for links, on a free port of the loopback interface, with the faults that real ones have."""

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LinkServer:
    """Serves ``pages``: a path's bytes, or a tuple of status, headers and bytes. Use it as a context manager."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.open = self.most_open = 0
        self.latency_s = 0.0
        self.connections = 0
        self.idle_s: float | None = None
        """How long a connection may say nothing before it is closed"""
        self.cut_after: dict[str, int] = {}
        """Bytes after which the connection is closed, once"""
        self.guard = threading.Lock()
        handler = type("Bound", (_Handler,), {"links": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "LinkServer":
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def asked(self, path: str) -> int:
        return sum(requested == path for requested, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    links: LinkServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        with self.links.guard:
            self.links.connections += 1
        self.timeout = self.links.idle_s
        super().setup()

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        with self.links.guard:
            self.links.requests.append((self.path, dict(self.headers)))
            self.links.open += 1
            self.links.most_open = max(self.links.open, self.links.most_open)
        try:
            time.sleep(self.links.latency_s)
            self._serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.links.guard:
                self.links.open -= 1

    def _serve(self) -> None:
        page = self.links.pages.get(self.path)
        if isinstance(page, list):
            page = page.pop(0) if len(page) > 1 else page[0]
        if page == "endless":
            return self._endless()
        if page == "trickle":
            return self._trickle()
        if page == "silent":
            time.sleep(1.5)
            self.close_connection = True
            return None
        status, headers, body = (404, {}, b"") if page is None else page if isinstance(page, tuple) else (200, {}, page)
        headers = {"Content-Type": "audio/x-wav", "ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"', **headers}
        wanted = self.headers.get("Range", "")
        if status == 200 and wanted and self.headers.get("If-Range") == headers["ETag"]:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[begin:]
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        cut = self.links.cut_after.pop(self.path, None)
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
        return None

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/x-wav")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for _ in range(10_000):
            self.wfile.write(bytes(65_536))

    def _trickle(self) -> None:
        """Send a page byte by byte."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for _ in range(100):
            self.wfile.write(b"x")
            time.sleep(0.01)
