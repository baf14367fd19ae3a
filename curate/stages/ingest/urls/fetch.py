"""Fetch many links at a time, no more from one server than it should bear, and store what became of each."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from curate import __version__
from curate.corpus.fetched import FetchRecord
from curate.stages.ingest.urls.connections import Client
from curate.stages.ingest.urls.download import Downloader, Stopped
from curate.stages.ingest.urls.outcomes import LinkFailed, Result
from curate.stages.ingest.urls.robots import NAME
from curate.stages.ingest.urls.settings import Urls

_AGENT = f"{NAME}/{__version__} (builds data sets for research)"
_STORE_EVERY_S = 2.0
_MAX_DELAY_S = 30.0
_WORKERS_PER_CONNECTION = 1.25


class Link(NamedTuple):
    """A link to fetch: its URL, the key of its record, where its file goes, and its checksum if that is known."""

    url: str
    key: str
    target: Path
    sha256: str | None


def fetch_links(
    links: Sequence[Link],
    settings: Urls,
    record: FetchRecord,
    *,
    kind: str,
    basis: str,
    day: str,
    allows_private: bool,
    stop: Callable[[], bool] = lambda: False,
    follow: Callable[[int, int, int], None] = lambda done, total, size_bytes: None,
) -> None:
    """Fetch links, and store the outcome of each under ``kind``. Stopped or killed, the next call goes on.

    ``follow`` is called now and then: how many links have an outcome, of how many, and how many bytes have come.
    """
    ended = threading.Event()
    hosts = _Hosts(settings.per_host, settings.connections)

    def pause(seconds: float) -> None:
        if ended.wait(seconds) if seconds else ended.is_set():
            raise Stopped

    client = Client(
        connections=settings.connections,
        timeout_s=settings.timeout_s,
        allows_private=allows_private,
        agent=_AGENT,
        pause=pause,
    )
    results = _Results(record, kind)
    hosts.add(links)

    def work() -> None:
        while (link := hosts.take()) is not None:
            try:
                results.add(link.key, _fetch(downloader, link, basis, day, received=partial(hosts.give_back, link)))
            except Stopped:
                return
            finally:
                hosts.give_back(link)

    # While some files are stored, the connections of others are at work.
    count = min(math.ceil(settings.connections * _WORKERS_PER_CONNECTION), len(links))
    with client, ThreadPoolExecutor(count, thread_name_prefix="curate-link") as pool:
        downloader = Downloader(
            client, settings, pause=pause, before=lambda url, s: pause(hosts.turn(url, s)), came=results.add_bytes
        )
        workers = [pool.submit(work) for _ in range(count)]
        try:
            done, waiting = wait(workers, timeout=0)
            while waiting and not stop() and not any(worker.exception() for worker in done):
                done, waiting = wait(workers, timeout=0.2, return_when=FIRST_EXCEPTION)
                if waiting:
                    follow(results.count, len(links), results.size_bytes)
        finally:
            ended.set()
            hosts.clear()
            wait(workers)
            results.store()
        follow(results.count, len(links), results.size_bytes)
        for worker in workers:
            worker.result()


def _fetch(downloader: Downloader, link: Link, basis: str, day: str, *, received: Callable[[], None]) -> Result:
    try:
        file = downloader.fetch(link.url, link.target, link.sha256, received=received)
    except LinkFailed as error:
        return Result(error.outcome, error.detail, settings=basis, day=day)
    return Result("ok", "", file.sha256, file.size_bytes, basis, day)


class _Results:
    """Stores outcomes some at a time; may be used by several threads."""

    def __init__(self, record: FetchRecord, kind: str) -> None:
        self._record, self._kind = record, kind
        self._waiting: dict[str, Mapping[str, object]] = {}
        self._stored_at = time.monotonic()
        self._guard = threading.Lock()
        self.count = self.size_bytes = 0
        """Links that have an outcome, and bytes that have come"""

    def add_bytes(self, size_bytes: int) -> None:
        with self._guard:
            self.size_bytes += size_bytes

    def add(self, key: str, result: Result) -> None:
        with self._guard:
            self.count += 1
            self._waiting[key] = result._asdict()
            if time.monotonic() - self._stored_at > _STORE_EVERY_S:
                self._store()

    def store(self) -> None:
        with self._guard:
            self._store()

    def _store(self) -> None:
        if self._waiting:
            self._record.put(self._kind, self._waiting)
        self._waiting, self._stored_at = {}, time.monotonic()


class _Hosts:
    """Which link is next, so that at most some are open, of each server and in all, and each server at its own pace."""

    def __init__(self, per_host: int, connections: int) -> None:
        self._per_host, self._connections = per_host, connections
        self._underway: set[str] = set()
        self._queues: dict[str, deque[Link]] = {}
        self._open: dict[str, int] = {}
        self._order: deque[str] = deque()
        self._changed = threading.Condition()
        self._next: dict[str, float] = {}

    def add(self, links: Iterable[Link]) -> None:
        for link in links:
            host = _host(link.url)
            if host not in self._queues:
                self._queues[host] = deque()
                self._order.append(host)
            self._queues[host].append(link)

    def take(self) -> Link | None:
        """Return the next link, as soon as its server has few enough open; None if there is none left."""
        with self._changed:
            while self._queues:
                if (link := self._choose()) is not None:
                    return link
                self._changed.wait()
        return None

    def give_back(self, link: Link) -> None:
        """Let another link begin, if this one was not given back already."""
        with self._changed:
            if link.key in self._underway:
                self._underway.remove(link.key)
                self._open[_host(link.url)] -= 1
                self._changed.notify()

    def clear(self) -> None:
        """Leave the links that were not taken."""
        with self._changed:
            self._queues.clear()
            self._order.clear()
            self._changed.notify_all()

    def _choose(self) -> Link | None:
        if len(self._underway) >= self._connections:
            return None
        for _ in range(len(self._order)):
            host = self._order.popleft()
            if self._open.get(host, 0) >= self._per_host:
                self._order.append(host)
                continue
            link = self._queues[host].popleft()
            self._open[host] = self._open.get(host, 0) + 1
            self._underway.add(link.key)
            if self._queues[host]:
                self._order.append(host)
            else:
                del self._queues[host]
                if not self._queues:
                    self._changed.notify_all()
            return link
        return None

    def turn(self, url: str, delay_s: float) -> float:
        """Return how long to wait until a request to a server may begin, which asks for a pause between any two."""
        if not delay_s:
            return 0.0
        host, now = _host(url), time.monotonic()
        with self._changed:
            begin = max(self._next.get(host, now), now)
            self._next[host] = begin + min(delay_s, _MAX_DELAY_S)
        return begin - now


@lru_cache(maxsize=65_536)
def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
