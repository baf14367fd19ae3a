"""What can go wrong with one request to a chat model: the faults that the double plays."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of the usual answer; ``charged``: the provider did its work all the same."""

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: Mapping[str, Any] | None = None
    """Put over the fields of a good answer's message."""
    answer: Mapping[str, Any] | None = None
    """Put over the fields of a good answer."""
    finish: str | None = None
    delay_s: float = 0.0
    cut_after: float | None = None
    """Share of the body (0-1) after which the connection is cut; below zero: not even the head is sent."""
    hang: bool = False
    charged: bool = False


def error_body(message: str, code: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def status(code: int, retry_after: str | None = None, **headers: str) -> Fault:
    """An error page of the API, with whatever headers (underscores become hyphens)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if retry_after is not None:
        named["retry-after"] = retry_after
    texts = {429: "Rate limit reached", 500: "The server had an error", 503: "The engine is overloaded"}
    kind = "rate_limit_error" if code == 429 else "server_error"
    code_name = "rate_limit_exceeded" if code == 429 else None
    return Fault(code, error_body(texts.get(code, f"status {code}"), code_name, kind), named)


def quota() -> Fault:
    text = "You exceeded your current quota, please check your plan and billing details."
    return Fault(429, error_body(text, "insufficient_quota", "insufficient_quota"))


def expired_key() -> Fault:
    """401 whose message repeats the key, as the real one does (``{key}`` is filled in with the whole key)."""
    return Fault(
        401, error_body("Incorrect API key provided: {key}. You can find your API key at …", "invalid_api_key")
    )


def unknown_model() -> Fault:
    return Fault(
        404, error_body("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found")
    )


def too_long() -> Fault:
    text = "This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens."
    return Fault(400, error_body(text, "context_length_exceeded"))


def filtered_400() -> Fault:
    text = "The response was filtered due to the prompt triggering content management policy."
    return Fault(400, error_body(text, "content_filter"))


def flagged(status: int = 403, message: str = "Your input was flagged", **metadata: Any) -> Fault:
    """How a gateway with a moderation of its own refuses what is in a request."""
    error = {"code": status, "message": message, **({"metadata": metadata} if metadata else {})}
    return Fault(status, json.dumps({"error": error}).encode())


def error_200(message: str, **about: Any) -> Fault:
    """A gateway's word on what the model behind it did, with a status that says all is well."""
    return Fault(200, json.dumps({"error": {"message": message, **about}}).encode())


def hang(seconds: float = math.inf, *, charged: bool = True) -> Fault:
    """No answer until the client gives up, or for some seconds before the good answer."""
    return Fault(hang=True, charged=charged) if seconds == math.inf else Fault(delay_s=seconds)


def cut(share: float = 0.5) -> Fault:
    """The connection is cut after this share of the body."""
    return Fault(cut_after=share, charged=True)


def drop() -> Fault:
    """The connection is cut before the first byte of an answer."""
    return Fault(cut_after=-1, charged=True)


def html() -> Fault:
    page = b"<!doctype html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"
    return Fault(200, page, {"content-type": "text/html; charset=utf-8"})


def half_json() -> Fault:
    return Fault(200, b'{"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"index": 0, "mess', charged=True)


def raw(payload: Any, **headers: str) -> Fault:
    """Status 200 with this body: bytes as they are, anything else as JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Fault(200, body, {name.replace("_", "-"): value for name, value in headers.items()}, charged=True)


def says(text: str) -> Fault:
    """A good answer whose text is this."""
    return Fault(message={"content": text}, charged=True)


def refusal(text: str = "I'm sorry, I can't help with that.") -> Fault:
    return Fault(message={"content": None, "refusal": text}, charged=True)


def content_filter() -> Fault:
    return Fault(message={"content": ""}, finish="content_filter", charged=True)


def length(text: str = '{"emotion": ["jo') -> Fault:
    return Fault(message={"content": text}, finish="length", charged=True)


def no_choices() -> Fault:
    return Fault(answer={"choices": []}, charged=True)
