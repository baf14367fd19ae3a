"""Services are asked again after failures that pass, and wait as long as they ask for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from curate.retries import RetryPolicy, is_transient_status, retry_after_s, status_of


def make_error(status: int = 503, retry_after: str | None = None) -> httpx.HTTPStatusError:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    request = httpx.Request("GET", "http://service.example/")
    return httpx.HTTPStatusError("failed", request=request, response=httpx.Response(status, headers=headers))


class Service:
    """Fails with each error in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.waits_s = list(errors), []

    def ask(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def call(self, **settings: Any) -> str:
        policy = RetryPolicy(sleep=self.waits_s.append, **settings)
        return policy.call(self.ask, is_transient=lambda error: is_transient_status(status_of(error) or 0))


def test_waits_grow_and_the_answer_comes_through():
    service = Service(make_error(), make_error(429), make_error(408))
    assert service.call(attempts=4, first_wait_s=1) == "answer"
    assert [1 <= service.waits_s[0] <= 1.5, 2 <= service.waits_s[1] <= 2.5, 4 <= service.waits_s[2] <= 4.5] == [
        True
    ] * 3


def test_the_last_error_is_raised_as_it_is():
    service = Service(*[make_error()] * 3)
    with pytest.raises(httpx.HTTPStatusError):
        service.call(attempts=3)
    assert len(service.waits_s) == 2


@pytest.mark.parametrize("error", [make_error(404), ValueError("no")])
def test_what_does_not_pass_is_raised_at_once(error):
    service = Service(error)
    with pytest.raises(type(error)):
        service.call()
    assert not service.waits_s


def test_the_wait_that_the_service_asks_for_is_kept_and_announced():
    service, said = Service(make_error(), make_error(retry_after="7")), []
    assert service.call(say=said.append) == "answer"
    assert service.waits_s[1] == 7
    assert said == ["the server asks to wait 7 s before the next request"]


def test_a_service_that_asks_for_too_long_a_wait_is_not_asked_again():
    service = Service(make_error(429, retry_after="3600"))
    with pytest.raises(httpx.HTTPStatusError):
        service.call(max_wait_s=30)
    assert not service.waits_s


@pytest.mark.parametrize(("text", "seconds"), [("12", 12), ("soon", 0), ("-1", 0), ("", 0), (None, 0)])
def test_retry_after(text, seconds):
    assert retry_after_s(make_error(retry_after=text)) == seconds


def test_retry_after_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert 17 < retry_after_s(make_error(retry_after=later)) <= 20
    assert retry_after_s(make_error(retry_after="Wed, 21 Oct 2015 07:28:00 GMT")) == 0
    assert retry_after_s(ConnectionError()) == 0
