"""What the reply of a server means: a file, a redirect, or one of the outcomes of a link."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from curate.stages.ingest.urls.connections import Response, split_url
from curate.stages.ingest.urls.outcomes import LinkFailed
from curate.stages.ingest.urls.robots import check_headers, check_page

REDIRECTS = (301, 302, 303, 307, 308)
BUSY = (429, 503)
_MAX_URL_CHARS = 8_000
_MAX_WAIT_S = 120.0
_PAGE_BYTES = 65_536
_CHALLENGE = re.compile(
    rb"captcha|cf-chl|challenge-platform|just a moment|are you a (?:human|robot)|unusual traffic", re.IGNORECASE
)
_REGION = re.compile(
    rb"(?:not|un)\s?available (?:in|from) your (?:country|region|location)|geo-?(?:block|restrict)", re.I
)


def check_url(url: str) -> str:
    """Return a link. Raises ``LinkFailed`` unless it is one that can be fetched."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        split_url(url)
    except ValueError as error:
        raise LinkFailed("invalid", f"it is no link: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise LinkFailed("invalid", "it is no link that begins with https:// or http://")
    if parts.username or parts.password:
        raise LinkFailed("invalid", "it contains a password, which would be in every release")
    if len(url) > _MAX_URL_CHARS or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise LinkFailed("invalid", "it is longer than 8,000 characters or contains a space")
    return url


def redirected(url: str, response: Response) -> str:
    """Return where a redirect leads."""
    return check_url(urljoin(url, response.headers.get("location", "")))


def wait_of(response: Response) -> float:
    """Return the seconds that a busy server asks to wait; a second if it does not say."""
    stated = response.headers.get("retry-after", "").strip()
    if stated.isdecimal():
        return min(float(stated), _MAX_WAIT_S + 1)
    try:
        seconds = (parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 1.0
    return min(max(seconds, 0.0), _MAX_WAIT_S + 1)


def is_too_long(wait_s: float) -> bool:
    """Whether waiting is left to a later run."""
    return wait_s > _MAX_WAIT_S


def check_reply(response: Response, types: Sequence[str], *, robots: bool, end: float) -> None:
    """Raise ``LinkFailed`` unless a reply is a file of one of the types; with ``robots``, also if it says ``noai``.

    Reads the start of a page that is not one, until ``end`` of the monotonic clock.
    """
    status = response.status_code
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_page = kind in ("text/html", "application/xhtml+xml")
    if response.headers.get("cf-mitigated") == "challenge":
        raise LinkFailed("bot_check", f"the server checks for bots (status {status})")
    start = read_start(response, _PAGE_BYTES, end) if is_page and (status >= 400 or not _is_of(kind, types)) else b""
    if start and (_CHALLENGE.search(start) and (status >= 400 or len(start) < 30_000)):
        raise LinkFailed("bot_check", f"the server shows a check for bots (status {status})")
    if status in (404, 410):
        raise LinkFailed("gone", f"the server answers {status}")
    if status == 451 or (status in (401, 403) and _REGION.search(start)):
        raise LinkFailed("region", f"the server answers {status}: not for this region")
    if status in (401, 402, 403, 407):
        raise LinkFailed("forbidden", f"the server answers {status}")
    if status == 429:
        raise LinkFailed("throttled", "the server answers 429: too many requests")
    if status >= 500 or status not in (200, 206):
        raise LinkFailed("unavailable", f"the server answers {status}")
    if robots:
        check_headers(response.headers)
        check_page(start)
    if kind and not _is_of(kind, types):
        raise LinkFailed("wrong_type", f"its type is {kind[:80]}")


def _is_of(kind: str, types: Sequence[str]) -> bool:
    return any(kind == name or (name.endswith("/*") and kind.startswith(name[:-1])) for name in types)


def read_start(response: Response, size: int, end: float) -> bytes:
    """Return the first bytes of a reply, ``size`` or some more. Raises ``LinkFailed`` at ``end`` (monotonic clock)."""
    start = bytearray()
    for piece in response.iter_bytes():
        start += piece
        if len(start) >= size:
            break
        if time.monotonic() > end:
            raise LinkFailed("timeout", "the server sends it too slowly")
    return bytes(start)
