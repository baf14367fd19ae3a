"""What went wrong with a request, and what to do about it."""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

from curate.errors import CurateError
from curate.llm.completion import TokenUsage, decode_body, reported_usage

MAX_DETAIL_CHARS = 300
MAX_WAIT_S = 120.0
_MAX_HEADER_CHARS = 40
_MAX_PAGE_BYTES = 20_000
_MIN_SECRET_CHARS = 4
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

_FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "moderation", "moderation_blocked"}
)
_LIMIT_CODES = frozenset({"429", "rate_limit_exceeded", "rate_limit_error", "too_many_requests"})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_MODEL_CODES = frozenset({"model_not_found", "unknown_model", "deploymentnotfound"})
_KEY_CODES = frozenset({"invalid_api_key", "account_deactivated"})
_MODERATION = re.compile(
    r"\b(?:inputs?|prompts?|content|messages?|texts?|images?)\b.{0,40}\bflagged\b|\bmoderat(?:ion|ed)\b"
    r"|\bcontent[ _](?:filter|policy|blocked)",
    re.IGNORECASE,
)
_ACCOUNT_WORDS = re.compile(r"\b(?:accounts?|organi[sz]ations?|projects?|keys?|permissions?|scopes?)\b", re.IGNORECASE)
_TOO_MUCH = re.compile(
    r"context.length|maximum context|context window|too (?:long|large|many)|max.*length|invalid.*(?:image|audio|media)",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(r"response_format|json_schema|json schema|guided|structured", re.IGNORECASE)
_SECRET = re.compile(
    r"\b(?:sk|rk|pk|sess|hf|gsk|xai)[-_][A-Za-z0-9_*.\-]{3,}|\bAIza[A-Za-z0-9_*.\-]{3,}"
    r"|(?i:\bbearer)\s+\S+|sk-\*+\S*"
)


class NoReply(Exception):
    """An attempt ended without a reply.

    ``charged``: the service may have done its work; ``slow``: it may be overloaded; ``final``: retrying is useless;
    ``size_bytes``: what was read of a reply that is too large.
    """

    def __init__(
        self, detail: str, *, charged: bool, slow: bool = False, final: bool = False, size_bytes: int = 0
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.charged = charged
        self.slow = slow
        self.final = final
        self.size_bytes = size_bytes


class Failure(NamedTuple):
    """Why an attempt gave no usable reply, and what to do about it.

    Actions: ``retry``; ``invalid``, this request can never be answered; ``filtered``, its content is refused; ``key``,
    ``quota`` and ``model``, no other request can be answered either.
    """

    action: Literal["retry", "invalid", "filtered", "key", "quota", "model"]
    detail: str
    charged: bool = False
    slow: bool = False
    limited: bool = False
    """The service limits the rate and asks to wait: not counted as a failure"""
    wait_s: float | None = None
    """How long the service asks to wait"""
    is_own: bool = False
    """What is wrong is certainly in this request, such as its length"""
    usage: TokenUsage | None = None
    """What the service says that a failed reply used"""


class _ErrorPage(NamedTuple):
    """What an error page says: a sentence, and its codes and types in lower case."""

    text: str
    codes: frozenset[str] = frozenset()
    is_flagged: bool = False
    """It names what the service objects to in the request"""
    is_moderation: bool = False
    """Its sentence is about refused content, not about an account"""

    def is_filtered(self, status: int) -> bool:
        """Whether the content of this request is refused, as opposed to the account."""
        # Gateways moderate with 403 and no code of their own.
        return bool(self.codes & _FILTER_CODES) or self.is_flagged or (status == 403 and self.is_moderation)


def classify_status(status: int, headers: Mapping[str, str], body: bytes, mask: Callable[[str], str]) -> Failure:
    """Return what to do about a reply whose status is not 200."""
    error = _read_error(_parse_page(body))
    codes = error.codes
    detail = f"status {status}: {mask(error.text)}" if error.text else f"status {status}"
    if error.is_filtered(status):
        return Failure("filtered", detail)
    if codes & _QUOTA_CODES or status == 402:
        return Failure("quota", detail)
    if status in (401, 403) or codes & _KEY_CODES:
        return Failure("key", detail)
    if status == 404 or codes & _MODEL_CODES:
        return Failure("model", detail)
    wait_s = retry_after_s(headers)
    if status == 429:
        return Failure("retry", detail, slow=True, limited=True, wait_s=wait_s)
    if status in (408, 409, 425) or status >= 500 or status < 400 or headers.get("x-should-retry") == "true":
        # A gateway that timed out does not know whether the service behind it went on.
        charged = status in (408, 500, 502, 504)
        return Failure("retry", detail, charged=charged, slow=status in (408, 503, 504, 529), wait_s=wait_s)
    if _STRUCTURE.search(error.text):
        detail = f"{detail} (a service without JSON schemas needs `structured: json_object`)"
    return Failure("invalid", detail, is_own=status == 413 or _is_too_much(error))


def classify_error_page(headers: Mapping[str, str], body: bytes, mask: Callable[[str], str]) -> Failure | None:
    """Return what to do about an error page sent with status 200, as gateways do; None if it is not an error page.

    Faults of the models behind a gateway do not concern the key: most of them are worth a retry.
    """
    page = _parse_page(body)
    choices = page.get("choices") if isinstance(page, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    if choice.get("error"):
        page = {"error": choice["error"]}
    elif not isinstance(page, dict) or not page.get("error") or choices or page.get("data"):
        return None
    error = _read_error(page)
    detail = f"the reply is an error: {mask(error.text or ', '.join(sorted(error.codes)))}"
    if error.is_filtered(403 if "403" in error.codes else 200):
        return Failure("filtered", detail)
    is_limited = bool(error.codes & _LIMIT_CODES)
    # A model that has begun to answer may be paid for.
    return Failure(
        "retry", detail, bool(choice.get("error")), slow=is_limited, limited=is_limited, wait_s=retry_after_s(headers)
    )


def judge_unreadable(
    headers: Mapping[str, str], body: bytes, problem: ValueError, mask: Callable[[str], str]
) -> Failure:
    """Return what to do about a reply of status 200 without an answer; charged as reported, if it reports a usage."""
    # No model is paid for the HTML page of a proxy or portal.
    unread = Failure("retry", str(problem), charged=not body.lstrip().startswith(b"<"))
    failure = classify_error_page(headers, body, mask) or unread
    usage = reported_usage(body)
    return failure if usage is None else failure._replace(charged=usage.tokens_in + usage.tokens_out > 0, usage=usage)


def retry_after_s(headers: Mapping[str, str], *, clock: Callable[[], float] = time.time) -> float | None:
    """Return the seconds (0-120) that a service asks to wait: ``retry-after-ms``, or ``retry-after`` (RFC 9110).

    A date is compared with the service's own ``date`` header, so that clocks that differ do no harm.
    """
    wait_ms = _number(headers.get("retry-after-ms"))
    if wait_ms is not None:
        return _clamp_wait(wait_ms / 1000)
    text = headers.get("retry-after")
    wait_s = _number(text)
    if wait_s is None and (until := _date(text)) is not None:
        service_time = _date(headers.get("date"))
        wait_s = until - (clock() if service_time is None else service_time)
    return None if wait_s is None else _clamp_wait(wait_s)


def reset_s(text: str | None) -> float | None:
    """Parse a duration of rate-limit headers to seconds: ``1h2m3.5s``, ``20ms`` or a plain number."""
    if text is None or len(text) > _MAX_HEADER_CHARS:
        return None
    if (plain := _number(text)) is not None:
        return max(plain, 0.0)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def copy_error(error: CurateError) -> CurateError:
    """Return the same error again, to be raised in another task that it ends."""
    return type(error)(error.message, hint=error.hint)


def make_mask(*secrets: str) -> Callable[[str], str]:
    """Return a function that turns a service's message into one short line without secrets or what looks like a key."""
    longest_first = sorted((secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS), key=len, reverse=True)

    def mask(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, "***")
        text = _SECRET.sub("***", text[: 4 * MAX_DETAIL_CHARS])
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return text if len(text) <= MAX_DETAIL_CHARS else f"{text[:MAX_DETAIL_CHARS]}…"

    return mask


def _parse_page(body: bytes) -> Any:
    """Return the JSON of an error page, or its first characters if it is not JSON."""
    text = decode_body(body[:_MAX_PAGE_BYTES])
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return "an HTML page" if text.lstrip().startswith("<") else text


def _read_error(page: Any) -> _ErrorPage:
    """Read an error page in any of the usual shapes."""
    if isinstance(page, list) and page:
        page = page[0]
    error = page.get("error", page) if isinstance(page, dict) else page
    if not isinstance(error, dict):
        return _ErrorPage(str(error), is_moderation=isinstance(page, dict) and _is_moderation(str(error)))
    inner, metadata = error.get("innererror"), error.get("metadata")
    sources = (error, inner if isinstance(inner, dict) else {})
    codes = {str(source.get(name)).lower() for source in sources for name in ("code", "type") if source.get(name)}
    text = str(next((error[name] for name in ("message", "detail", "error") if error.get(name)), ""))
    is_flagged = isinstance(metadata, dict) and bool(metadata.get("reasons") or metadata.get("flagged_input"))
    return _ErrorPage(text, frozenset(codes), is_flagged, _is_moderation(text))


def _is_too_much(error: _ErrorPage) -> bool:
    return _TOO_MUCH.search(" ".join((error.text, *error.codes)).replace("_", " ")) is not None


def _is_moderation(text: str) -> bool:
    return _MODERATION.search(text) is not None and _ACCOUNT_WORDS.search(text) is None


def _clamp_wait(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_WAIT_S)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None and len(text) <= _MAX_HEADER_CHARS else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str | None) -> float | None:
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
