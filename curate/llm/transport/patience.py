"""When a failed request is tried again, how long to wait first, and when to give up on the service."""

import random
import time
from typing import NoReturn

from curate.errors import CurateError, ServiceRefused, ServiceUnavailable
from curate.llm.transport.faults import Failure, copy_error

_BACKOFF_CAP_S = 20.0
_WAITS_PER_TRY = 4
_MAX_WAITING_S = 900.0
_MAX_REFUSED_IN_A_ROW = 20
_REFUSED_TOGETHER = 3
_REFUSED_HINT = (
    "correct the settings, such as `structured: json_object` for a service without JSON schemas, "
    "or choose another model; then run again"
)
_LATER = "run the same command again later: what is done is kept"


def backoff_s(failures: int, base_s: float, requested_s: float | None) -> float:
    """Return the wait after a number of failures: full jitter, and at least ``requested_s``, the service's own wish."""
    longest = min(base_s * 2 ** min(failures - 1, 16), max(_BACKOFF_CAP_S, base_s))
    jitter = random.uniform(0, longest)  # noqa: S311 - spreads requests, hides nothing
    return jitter if requested_s is None else requested_s + min(jitter, 0.1 * requested_s + base_s)


class Patience:
    """The retries of one request: a number of failures, and several times as many waits for a rate limit."""

    def __init__(self, tries: int, base_s: float) -> None:
        self._tries, self._base_s = tries, base_s
        self._failures = self._waits = 0
        self._started = time.monotonic()

    def next_wait_s(self, failure: Failure) -> float | None:
        """Return the seconds until the next attempt, or None if there is to be none."""
        if failure.action != "retry":
            return None
        if failure.limited:
            self._waits += 1
        else:
            self._failures += 1
        is_over = self._failures >= self._tries or self._waits >= self._tries * _WAITS_PER_TRY
        if is_over or time.monotonic() - self._started >= _MAX_WAITING_S:
            return None
        return backoff_s(self._failures + self._waits, self._base_s, failure.wait_s)


class CircuitBreaker:
    """Ends all requests to an endpoint once further ones would fail too; the first fatal error stays."""

    def __init__(self, url: str, max_failures: int, *, has_replied_before: bool = False) -> None:
        self._url, self._max_failures = url, max_failures
        self._has_replied_before = has_replied_before
        self._failed_in_a_row = self._refused_in_a_row = 0
        self._error: CurateError | None = None
        self.has_replied = False

    def check(self) -> None:
        """Raise the error that ended all requests, if there is one."""
        if self._error is not None:
            raise copy_error(self._error)

    def trip(self, error: CurateError) -> None:
        """End all requests with an error, unless one has ended them already."""
        self._error = self._error or error

    def stop(self, error: CurateError) -> NoReturn:
        """End all requests, and raise the error that did."""
        self.trip(error)
        raise copy_error(self._error or error)

    def record_reply(self) -> None:
        """Count a usable reply: the service works."""
        self._failed_in_a_row = self._refused_in_a_row = 0
        self.has_replied = True

    def blames_service(self, failure: Failure) -> bool:
        """Whether the service, and not the content of this request, is why it was refused: others fare no better."""
        is_working = (self.has_replied or self._has_replied_before) and self._refused_in_a_row < _REFUSED_TOGETHER
        return failure.action == "invalid" and not failure.is_own and not is_working

    def record_failure(self, failure: Failure) -> None:
        """Count a request that failed for good. Raises if the next ones will fail too."""
        detail = failure.detail
        match failure.action:
            case "key":
                hint = "check OPENAI_API_KEY, and that OPENAI_BASE_URL is its service"
                self.stop(ServiceRefused(f"{self._url} refuses the key: {detail}", hint=hint))
            case "model":
                message = f"{self._url} does not know the model or address: {detail}"
                hint = "check the model's name in the recipe, and OPENAI_BASE_URL, which usually ends in /v1"
                self.stop(ServiceRefused(message, hint=hint))
            case "quota":
                message = f"the account behind the key has no credit left: {detail}"
                self.stop(ServiceRefused(message, hint="add credit, then run again: what is done is kept"))
            case "invalid":
                self._refused_in_a_row += 1
                if self._refused_in_a_row >= _MAX_REFUSED_IN_A_ROW:
                    message = f"{self._url} refuses every request, {_MAX_REFUSED_IN_A_ROW} in a row: {detail}"
                    self.stop(ServiceRefused(message, hint=_REFUSED_HINT))
            case _:
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= self._max_failures:
                    message = f"{self._url} failed {self._failed_in_a_row} requests in a row: {detail}"
                    first = "" if self.has_replied else "check OPENAI_BASE_URL and that the service runs, then "
                    self.stop(ServiceUnavailable(message, hint=first + _LATER))
