"""Ask a service again after failures that pass: lost connections, overload and server faults."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

Result = TypeVar("Result")
_ANNOUNCED_S = 1.0


@dataclass(frozen=True)
class RetryPolicy:
    """How often a service is asked, and how long to wait in between: twice as long each time, with some jitter.

    A wait that the service asks for by ``Retry-After`` is kept and announced by ``say``; if it is longer than
    ``max_wait_s``, the error is raised at once.
    """

    attempts: int = 3
    first_wait_s: float = 0.5
    max_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = lambda _: None

    def call(self, ask: Callable[[], Result], *, is_transient: Callable[[BaseException], bool]) -> Result:
        """Return the result of ``ask``, repeated while its errors are transient. Raises the last error."""
        import tenacity

        backoff = tenacity.wait_exponential_jitter(
            multiplier=self.first_wait_s, max=self.max_wait_s, jitter=self.first_wait_s / 2
        )

        def wait_s(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), retry_after_s(error))

        def announce(state: tenacity.RetryCallState) -> None:
            asked_s = retry_after_s(state.outcome.exception() if state.outcome else None)
            if asked_s >= _ANNOUNCED_S:
                self.say(f"the server asks to wait {asked_s:.0f} s before the next request")

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            retry=tenacity.retry_if_exception(lambda e: is_transient(e) and retry_after_s(e) <= self.max_wait_s),
            wait=wait_s,
            sleep=self.sleep,
            before_sleep=announce,
            reraise=True,
        )
        return retrying(ask)


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status of an error that has a ``response``, like those of httpx and the Hugging Face Hub."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def is_transient_status(status: int) -> bool:
    """Whether the same request may succeed later: time-out (408), overload (429) and server faults (5xx)."""
    return status in (408, 429) or status >= 500


def retry_after_s(error: BaseException | None) -> float:
    """Seconds that the service asks to wait (RFC 9110, a number or a date); 0 where it does not say."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    text = str(headers.get("retry-after") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
