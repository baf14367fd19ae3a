"""Fetch one link into a file: resumed where it ended, checked, and within limits of size and time."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from curate.errors import StorageFailed
from curate.files import read_json_object, sha256_of_file
from curate.stages.ingest.urls.connections import Client, ConnectionLost, Response, TimedOut
from curate.stages.ingest.urls.outcomes import LinkFailed
from curate.stages.ingest.urls.replies import (
    BUSY,
    REDIRECTS,
    check_reply,
    check_url,
    is_too_long,
    read_start,
    redirected,
    wait_of,
)
from curate.stages.ingest.urls.robots import RobotRules
from curate.stages.ingest.urls.settings import Urls

_MAX_REDIRECTS = 8
_ATTEMPTS = 3
_WORTH_BYTES = 2**18
_MAX_RULES_BYTES, _MAX_RULES_S = 500_000, 60.0


class Stopped(Exception):
    """The user stopped the run."""


class Fetched(NamedTuple):
    """A file that was fetched."""

    sha256: str
    size_bytes: int


class Downloader:
    """Fetches links; may be used by several threads. ``pause`` waits, and raises ``Stopped`` if the run ends."""

    def __init__(
        self,
        client: Client,
        settings: Urls,
        *,
        pause: Callable[[float], None],
        before: Callable[[str, float], None] = lambda url, delay_s: None,
        came: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self._client, self._settings, self._pause, self._before = client, settings, pause, before
        self._came = came
        self._rules = RobotRules(self._ask_rules)
        self._folders: set[Path] = set()

    def fetch(
        self, url: str, target: Path, sha256: str | None = None, *, received: Callable[[], None] = lambda: None
    ) -> Fetched:
        """Fetch a link into ``target``, whole or not at all. Raises ``LinkFailed`` with the outcome, and ``Stopped``.

        What has come of it is kept next to ``target``, and asked for no second time if the server can resume. A target
        that is there already, with this checksum if one is given, is asked for no more. ``received`` is called once the
        server has sent all of it.
        """
        if target.is_file() and (digest := sha256_of_file(target)) and sha256 in (None, digest):
            return Fetched(digest, target.stat().st_size)
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folders.add(target.parent)
        transfer = _Transfer(target.with_name(target.name + ".part"), time.monotonic() + self._settings.max_s)
        for attempt in range(_ATTEMPTS):
            try:
                self._transfer(check_url(url), transfer)
                break
            except LinkFailed as error:
                if error.outcome != "unavailable" or attempt == _ATTEMPTS - 1:
                    if error.outcome not in ("unavailable", "timeout"):
                        transfer.discard()
                    raise
                self._pause(0.2 * 2**attempt)
        received()
        return self._keep(transfer, target, sha256)

    def _keep(self, transfer: "_Transfer", target: Path, sha256: str | None) -> Fetched:
        digest = transfer.sha256 or sha256_of_file(transfer.partial)
        if sha256 and digest != sha256:
            transfer.discard()
            raise LinkFailed("checksum", f"its SHA-256 is {digest}, not {sha256[:64]}")
        # Its time of change follows from its content, so that what was made of it holds if it is fetched again.
        moment = int(digest[:15], 16)
        os.utime(transfer.partial, ns=(moment, moment))
        transfer.partial.replace(target)
        if transfer.has_note:
            transfer.note.unlink(missing_ok=True)
        return Fetched(digest, transfer.size)

    def _transfer(self, url: str, transfer: "_Transfer") -> None:
        for _ in range(_MAX_REDIRECTS):
            delay_s = self._rules.check(url) if self._settings.robots else 0.0
            self._before(url, delay_s)
            try:
                following = self._request(url, transfer)
            except TimedOut as error:
                raise LinkFailed("timeout", f"the server said nothing for {self._settings.timeout_s:g} s") from error
            except ConnectionLost as error:
                raise LinkFailed("unavailable", f"it cannot be reached: {str(error)[:200]}") from error
            if following is None:
                return
            url = following
        raise LinkFailed("unavailable", f"it redirects more than {_MAX_REDIRECTS} times")

    def _request(self, url: str, transfer: "_Transfer") -> str | None:
        """Fetch a URL, and return where to go on: after a redirect elsewhere, after a wait at the same."""
        size, headers = transfer.resumed(url)
        with self._client.stream(url, headers) as response:
            if response.status_code in REDIRECTS:
                return redirected(url, response)
            if response.status_code in BUSY and "retry-after" in response.headers:
                wait_s = wait_of(response)
                if is_too_long(wait_s) or time.monotonic() + wait_s > transfer.end:
                    raise LinkFailed("throttled", f"the server asks to wait for {wait_s:,.0f} s")
                self._pause(wait_s)
                return url
            if response.status_code == 416:
                transfer.discard()
                return url
            check_reply(response, self._settings.types, robots=self._settings.robots, end=transfer.end)
            begin = size if response.status_code == 206 and _begins_at(response) == size else 0
            if response.status_code == 206 and begin != size:
                transfer.discard()
                return url
            self._write(response, transfer, begin, url)
        return None

    def _write(self, response: Response, transfer: "_Transfer", begin: int, url: str) -> None:
        limit = int(self._settings.max_mb * 1e6)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and begin + int(length) > limit:
            raise LinkFailed("too_large", f"it has {begin + int(length):,} bytes, more than max_mb allows")
        validator = response.headers.get("etag") or response.headers.get("last-modified") or ""
        note = {} if response.encoding or validator.startswith("W/") else {"url": url, "validator": validator}
        size, hashed, partial = begin, hashlib.sha256(), transfer.partial
        transfer.sha256 = None
        try:
            if not begin:
                transfer.forget()
            with partial.open("ab" if begin else "wb") as file:
                for piece in response.iter_bytes() if response.encoding else response.iter_raw():
                    size += len(piece)
                    if size > limit:
                        raise LinkFailed("too_large", f"it has more than the {limit:,} bytes that max_mb allows")
                    if time.monotonic() > transfer.end:
                        raise LinkFailed("timeout", f"it takes longer than {self._settings.max_s:g} s")
                    file.write(piece)
                    self._came(len(piece))
                    hashed.update(piece)
                    if note and size >= _WORTH_BYTES:  # a small file is sooner fetched again
                        transfer.remember(note)
                        note = {}
                    self._pause(0)
        except OSError as error:
            hint = "free some space, or choose another workspace with -w"
            raise StorageFailed(f"cannot write {partial}: {error.strerror or error}", hint=hint) from error
        if not size:
            transfer.discard()
            raise LinkFailed("unavailable", "the server sends nothing")
        transfer.size = size
        transfer.sha256 = None if begin else hashed.hexdigest()

    def _ask_rules(self, url: str) -> tuple[int, bytes]:
        """Return status and content of robots.txt; see ``RobotRules``."""
        end = time.monotonic() + min(_MAX_RULES_S, self._settings.max_s)
        for _ in range(_MAX_REDIRECTS):
            try:
                with self._client.stream(url) as response:
                    if response.status_code in REDIRECTS:
                        url = redirected(url, response)
                        continue
                    return response.status_code, read_start(response, _MAX_RULES_BYTES, end)
            except TimedOut as error:
                raise LinkFailed("timeout", f"{url} does not come") from error
            except ConnectionLost as error:
                raise LinkFailed("unavailable", f"{url} cannot be reached: {str(error)[:200]}") from error
        return 404, b""


def _begins_at(response: Response) -> int:
    stated = response.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    return int(stated) if stated.isdecimal() else -1


class _Transfer:
    """What has come of a file, and until when the rest may come (monotonic clock)."""

    def __init__(self, partial: Path, end: float) -> None:
        self.partial, self.end = partial, end
        self.note = partial.with_name(partial.name + ".json")
        self.has_note = partial.exists()
        self.size = 0
        self.sha256: str | None = None
        """The hash of the file once it is whole, if it came in one go"""

    def resumed(self, url: str) -> tuple[int, dict[str, str]]:
        """Return how much of a file is there, and the headers that ask for the rest if it has not changed."""
        note = read_json_object(self.note) if self.has_note else {}
        if note.get("url") != url or not note.get("validator") or not self.partial.is_file():
            return 0, {}
        size = self.partial.stat().st_size
        return size, {"Range": f"bytes={size}-", "If-Range": note["validator"]} if size else {}

    def remember(self, note: Mapping[str, str]) -> None:
        """Store what the rest can be asked for with."""
        self.note.write_text(json.dumps(note))
        self.has_note = True

    def forget(self) -> None:
        """Remove what was stored, since the file begins anew."""
        if self.has_note:
            self.note.unlink(missing_ok=True)
        self.has_note = False

    def discard(self) -> None:
        """Remove what has come."""
        for path in (self.partial, self.note):
            with suppress(OSError):
                path.unlink()
        self.has_note = False
