"""What a status, a header or an error page means."""

import json
from email.utils import formatdate

import pytest

from curate.llm.transport.faults import classify_status, make_mask, reset_s, retry_after_s
from curate.llm.transport.patience import backoff_s


def judge(status, body=b"", **headers):
    return classify_status(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body, make_mask()
    )


def page(message="no", **about) -> bytes:
    return json.dumps({"error": {"message": message, **about}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "action"),
    [
        (401, page(), "key"),
        (403, b"", "key"),
        (400, page(code="invalid_api_key"), "key"),
        (404, b"<html>", "model"),
        (400, page(code="model_not_found"), "model"),
        (402, b"", "quota"),
        (429, page(code="insufficient_quota"), "quota"),
        (429, page(type="insufficient_quota"), "quota"),
        (400, page(code="content_filter"), "filtered"),
        (400, page(innererror={"code": "ResponsibleAIPolicyViolation"}), "filtered"),
        (400, page(code="context_length_exceeded"), "invalid"),
        (413, b"", "invalid"),
        (422, b'{"detail": [{"msg": "field required"}]}', "invalid"),
        (429, page(code="rate_limit_exceeded"), "retry"),
        (408, b"", "retry"),
        (409, b"", "retry"),
        (500, b"<html>", "retry"),
        (529, b"", "retry"),
        (302, b"", "retry"),
    ],
)
def test_what_to_do_about_a_status(status, body, action):
    assert judge(status, body).action == action


def test_a_limit_is_no_failure_and_a_gateway_may_have_charged():
    assert judge(429).limited
    assert not judge(503).limited
    assert judge(504).charged
    assert not judge(429).charged


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "plain"}', "status 400: plain"),
        (b'{"message": "flat"}', "status 400: flat"),
        (b'[{"error": {"message": "listed"}}]', "status 400: listed"),
        (b"<html><body>x</body></html>", "status 400: an HTML page"),
        (b"", "status 400"),
        (b"\xff\xfe", "status 400"),
        (b"[" * 100_000, "status 400: ["),
        (b'{"error": {"message": {"deep": 1}, "code": []}}', "status 400: {'deep': 1}"),
        (b'{"error": null}', "status 400"),
        (b"17", "status 400: 17"),
    ],
)
def test_the_sentence_of_an_error_page(body, said):
    assert judge(400, body).detail.startswith(said)
    assert len(judge(400, body).detail) < 350


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "999999"}, 120),
        ({"retry-after": "-4"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 99 Foo 2026"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(1005, usegmt=True)}, 5),
        ({"retry-after": formatdate(10, usegmt=True)}, 0),
        # The service's clock is an hour ahead of ours: its own date tells what it means.
        ({"retry-after": formatdate(4607, usegmt=True), "date": formatdate(4600, usegmt=True)}, 7),
        ({}, None),
    ],
)
def test_how_long_a_service_asks_to_wait(headers, seconds):
    assert retry_after_s(headers, clock=lambda: 1000.0) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h2m3.5s", 3723.5), ("20ms", 0.02), ("6m0s", 360), ("12", 12), ("-1", 0), ("soon", None), ("5 s", None)],
)
def test_when_a_limit_is_reset(text, seconds):
    assert reset_s(text) == seconds


def test_waiting_grows_with_jitter_and_never_undercuts_what_was_asked():
    for failures in range(1, 40):
        assert 0 <= backoff_s(failures, 0.5, None) <= min(0.5 * 2 ** (failures - 1), 20)
        assert 3 <= backoff_s(failures, 0.5, 3.0) <= 3 + 0.3 + 0.5
    assert len({backoff_s(4, 0.5, None) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-abc***xyz.",
        "Incorrect API key provided: sk-proj-1234567890abcdef_-x.",
        "got 'Authorization: Bearer abcdefghijkl'",
        "the key my-own-secret-1 is wrong",
        "API key not valid: AIzaSyabcdefghijkl",
        "https://user:my-own-secret-1@example.org",
    ],
)
def test_keys_are_masked(text):
    masked = make_mask("my-own-secret-1")(text)
    assert "***" in masked
    for secret in ("abc***xyz", "1234567890", "abcdefghijkl", "my-own-secret-1"):
        assert secret not in masked


def test_a_message_is_one_short_line():
    assert make_mask()("a\n\tb\x00c" + "d" * 9999).startswith("a b cddd")
    assert len(make_mask()("d" * 9999)) == 301
