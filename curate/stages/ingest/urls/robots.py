"""What servers allow: robots.txt by RFC 9309, and ``noai`` in headers and pages."""

import re
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from curate.stages.ingest.urls.outcomes import LinkFailed

NAME = "curate"
"""The product token that robots.txt may name."""
_MAX_BYTES = 500_000
_NOAI = frozenset({"noai", "noimageai"})
_META = re.compile(rb"<meta\b", re.IGNORECASE)
_NAMED = re.compile(rb"""\bname\s*=\s*["']?(?:robots|curate)""", re.IGNORECASE)

Ask = Callable[[str], tuple[int, bytes]]
"""Gets a URL, following redirects: the status and up to half a megabyte. Raises ``LinkFailed``."""


class RobotRules:
    """The rules of each server, asked for once. May be used by several threads."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._rules: dict[str, object] = {}

    def check(self, url: str) -> float:
        """Return the seconds to wait between requests. Raises ``LinkFailed`` if robots.txt does not allow the URL.

        A server whose robots.txt cannot be had for a fault of its own allows nothing for now.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        with self._guard:
            lock = self._locks.setdefault(origin, threading.Lock())
        with lock:
            if origin not in self._rules:
                self._rules[origin] = self._read(origin)
            rules = self._rules[origin]
        if rules is None:
            return 0.0
        if isinstance(rules, LinkFailed):
            raise rules
        if not rules.can_fetch(url, NAME):  # type: ignore[attr-defined]
            raise LinkFailed("robots", f"{origin}/robots.txt does not allow it")
        return float(rules.crawl_delay(NAME) or 0.0)  # type: ignore[attr-defined]

    def _read(self, origin: str) -> object:
        """Return the rules of a server, None if it has none, or why they cannot be had."""
        from protego import Protego

        try:
            status, body = self._ask(f"{origin}/robots.txt")
        except LinkFailed as error:
            return error
        if status >= 500 or status == 429:
            return LinkFailed("unavailable", f"{origin}/robots.txt: the server answers {status}")
        text = body[:_MAX_BYTES].decode("utf-8", "replace") if status < 300 else ""
        try:
            return Protego.parse(text) if text.strip() else None
        except (ValueError, RecursionError) as error:
            return LinkFailed("robots", f"{origin}/robots.txt cannot be read: {error}")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ``LinkFailed`` if the header X-Robots-Tag asks not to use the file for AI: for all, or for curate."""
    for part in headers.get("x-robots-tag", "").lower().split(","):
        agent, _, rule = part.rpartition(":")
        if rule.strip() in _NOAI and agent.strip() in ("", NAME):
            raise LinkFailed("robots", f"its header X-Robots-Tag says {rule.strip()}")


def check_page(start: bytes) -> None:
    """Raise ``LinkFailed`` if a page asks not to be used for AI."""
    # One pattern for whole tags would take hours for a page that is made for it.
    tags = (part.partition(b">")[0] for part in _META.split(start)[1:])
    for tag in filter(_NAMED.search, tags):
        for rule in _NOAI:
            if re.search(rb"\b" + rule.encode() + rb"\b", tag, re.IGNORECASE):
                raise LinkFailed("robots", f"its page says {rule}")
