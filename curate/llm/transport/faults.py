"""What went wrong with a request, and what to do about it."""

import json
import math
import random
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

from curate.errors import CurateError

MOST_DETAIL = 300
MOST_WAIT_S = 120.0
_BACKOFF_CAP_S = 20.0

_FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation", "moderation_blocked"}
)
_LIMIT_CODES = frozenset({"429", "rate_limit_exceeded", "rate_limit_error", "too_many_requests"})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_MODEL_CODES = frozenset({"model_not_found", "unknown_model", "deploymentnotfound"})
_KEY_CODES = frozenset({"invalid_api_key", "account_deactivated"})
_FLAGGED = re.compile(
    r"\b(?:inputs?|prompts?|content|messages?|texts?|images?)\b.{0,40}\bflagged\b|\bmoderat(?:ion|ed)\b"
    r"|\bcontent[ _](?:filter|policy|blocked)",
    re.IGNORECASE,
)
_ABOUT_KEY = re.compile(r"\b(?:accounts?|organi[sz]ations?|projects?|keys?|permissions?|scopes?)\b", re.IGNORECASE)
_SECRET = re.compile(
    r"\b(?:sk|rk|pk|sess|hf|gsk|xai)[-_][A-Za-z0-9_*.\-]{3,}|\bAIza[A-Za-z0-9_*.\-]{3,}"
    r"|(?i:\bbearer)\s+\S+|sk-\*+\S*"
)


class NoReply(Exception):
    """No reply came of one try.

    ``charged``: the service may have done its work; ``slow``: it may be overloaded; ``final``: another try is no use.
    """

    def __init__(self, detail: str, *, charged: bool, slow: bool = False, final: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.charged = charged
        self.slow = slow
        self.final = final


class Failure(NamedTuple):
    """What to do after a try that gave no reply.

    ``again``: try again; ``invalid``: this request can never be answered; ``filtered``: its content is refused;
    ``key``, ``quota`` and ``model``: nothing else can be answered either.
    """

    then: Literal["again", "invalid", "filtered", "key", "quota", "model"]
    detail: str
    charged: bool = False
    slow: bool = False
    limited: bool = False
    """The service counts requests and asks to wait: no failure"""
    wait_s: float | None = None
    """How long it asks to wait"""


class _Said(NamedTuple):
    """What an error page says: a sentence, and its codes and types in lower case."""

    text: str
    codes: frozenset[str] = frozenset()
    is_flagged: bool = False
    """It names what was found in the request"""
    is_moderated: bool = False
    """Its sentence speaks of content that was refused, and not of an account"""

    def is_filtered(self, status: int) -> bool:
        """Whether the content of this one request is refused, and not whoever asks."""
        # Gateways moderate with 403 and no code of their own.
        return bool(self.codes & _FILTER_CODES) or self.is_flagged or (status == 403 and self.is_moderated)


def judge_status(status: int, headers: Mapping[str, str], body: bytes, mask: Callable[[str], str]) -> Failure:
    """What to do about a reply whose status is not 200."""
    said = _error_of(_page_of(body))
    codes = said.codes
    detail = f"status {status}: {mask(said.text)}" if said.text else f"status {status}"
    if said.is_filtered(status):
        return Failure("filtered", detail)
    if codes & _QUOTA_CODES or status == 402:
        return Failure("quota", detail)
    if status in (401, 403) or codes & _KEY_CODES:
        return Failure("key", detail)
    if status == 404 or codes & _MODEL_CODES:
        return Failure("model", detail)
    wait_s = retry_after_s(headers)
    if status == 429:
        return Failure("again", detail, slow=True, limited=True, wait_s=wait_s)
    if status in (408, 409, 425) or status >= 500 or status < 400 or headers.get("x-should-retry") == "true":
        # A gateway that gave up waiting does not know whether the service behind it went on.
        charged = status in (408, 500, 502, 504)
        return Failure("again", detail, charged=charged, slow=status in (408, 503, 504, 529), wait_s=wait_s)
    return Failure("invalid", detail)


def judge_error(headers: Mapping[str, str], body: bytes, mask: Callable[[str], str]) -> Failure | None:
    """What to do about a reply of status 200 that is an error page, as gateways give; None where it is none.

    What became of the models behind a gateway does not concern the key: most of it is worth another try.
    """
    page = _page_of(body)
    if not isinstance(page, dict) or not page.get("error") or page.get("choices") or page.get("data"):
        return None
    said = _error_of(page)
    detail = f"the reply is an error: {mask(said.text or ', '.join(sorted(said.codes)))}"
    if said.is_filtered(403 if "403" in said.codes else 200):
        return Failure("filtered", detail)
    is_limited = bool(said.codes & _LIMIT_CODES)
    return Failure("again", detail, slow=is_limited, limited=is_limited, wait_s=retry_after_s(headers))


def retry_after_s(headers: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> float | None:
    """The seconds that a service asks to wait (0 to 120): ``retry-after-ms``, or ``retry-after`` in seconds or a date.

    A date is read against the service's own ``date`` header, so that clocks that differ do no harm.
    """
    wait_s = _number(headers.get("retry-after-ms"))
    if wait_s is not None:
        wait_s /= 1000
    else:
        said = headers.get("retry-after")
        wait_s = _number(said)
        if wait_s is None and said is not None and (until := _date(said)) is not None:
            here = _date(headers.get("date"))
            wait_s = until - (clock() if here is None else here)
    return None if wait_s is None else min(max(wait_s, 0.0), MOST_WAIT_S)


def reset_s(text: str | None) -> float | None:
    """Seconds of what rate-limit headers say: ``1h2m3.5s``, ``20ms`` or a plain number."""
    if text is None or len(text) > 40:
        return None
    if (plain := _number(text)) is not None:
        return max(plain, 0.0)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    return sum(float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit] for number, unit in parts)


def backoff_s(failures: int, base_s: float, asked_s: float | None) -> float:
    """How long to wait after so many failures: full jitter, and never less than what the service asked for."""
    most = min(base_s * 2 ** min(failures - 1, 16), max(_BACKOFF_CAP_S, base_s))
    jitter = random.uniform(0, most)  # noqa: S311 - spreads requests, hides nothing
    return jitter if asked_s is None else asked_s + min(jitter, 0.1 * asked_s + base_s)


def copy_error(error: CurateError) -> CurateError:
    """The same error again, for another place that ends by it."""
    return type(error)(error.message, hint=error.hint)


def make_mask(*secrets: str) -> Callable[[str], str]:
    """A function that makes one short line of what a service said, without these secrets or what looks like a key."""
    known = sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)

    def mask(text: str) -> str:
        for secret in known:
            text = text.replace(secret, "***")
        text = _SECRET.sub("***", text[: 4 * MOST_DETAIL])
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return text if len(text) <= MOST_DETAIL else f"{text[:MOST_DETAIL]}…"

    return mask


def _page_of(body: bytes) -> Any:
    """The JSON of an error page; of any other its first characters."""
    text = body[:20_000].decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return "an HTML page" if text.lstrip().startswith("<") else text


def _error_of(page: Any) -> _Said:
    """What a page says, in any of the usual shapes."""
    if isinstance(page, list) and page:
        page = page[0]
    error = page.get("error", page) if isinstance(page, dict) else page
    if not isinstance(error, dict):
        return _Said(str(error), is_moderated=isinstance(page, dict) and _is_moderated(str(error)))
    inner, about = error.get("innererror"), error.get("metadata")
    places = (error, inner if isinstance(inner, dict) else {})
    codes = {str(place.get(name)).lower() for place in places for name in ("code", "type") if place.get(name)}
    text = str(next((error[name] for name in ("message", "detail", "error") if error.get(name)), ""))
    is_flagged = isinstance(about, dict) and bool(about.get("reasons") or about.get("flagged_input"))
    return _Said(text, frozenset(codes), is_flagged, _is_moderated(text))


def _is_moderated(text: str) -> bool:
    return _FLAGGED.search(text) is not None and _ABOUT_KEY.search(text) is None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None and len(text) <= 40 else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
