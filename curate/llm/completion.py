"""Replies of chat models, read without trusting any of them."""

import json
from typing import Any, Literal, NamedTuple

from curate.llm.prompts.fence import replace_surrogates

MAX_TOKENS = 100_000_000


class TokenUsage(NamedTuple):
    """Tokens as the service counts them; ``cached`` is the part of the input that costs less."""

    tokens_in: int
    tokens_out: int
    cached: int = 0


class Completion(NamedTuple):
    """A whole reply: outcome, text, the model that answered, and its usage (None if not reported)."""

    outcome: Literal["ok", "refused", "filtered", "truncated"]
    text: str
    model: str | None
    usage: TokenUsage | None
    detail: str = ""


def read_completion(body: str | bytes) -> Completion:
    """Parse a body of ``/chat/completions``. Raises ``ValueError`` with a sentence if the reply is incomplete."""
    try:
        page = json.loads(body)
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error
    except ValueError as error:
        start = body[:200] if isinstance(body, str) else body[:200].decode("utf-8", "replace")
        kind = "an HTML page" if start.lstrip().startswith("<") else "not whole JSON"
        raise ValueError(f"the reply is {kind}") from error
    page = page if isinstance(page, dict) else {}
    choices = page.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    model = page.get("model")
    source = (clean_name(model), read_usage(page.get("usage")))
    text, refusal = _text(message.get("content")), message.get("refusal")
    if choice.get("finish_reason") == "content_filter":
        return Completion("filtered", text or "", *source, "the service filtered the answer")
    if isinstance(refusal, str) and refusal.strip():
        return Completion("refused", refusal, *source, f"the model refused: {replace_surrogates(refusal[:300])}")
    if choice.get("finish_reason") == "length" and message:
        return Completion("truncated", text or "", *source, "the answer was cut off at the limit of tokens")
    if text is None:
        raise ValueError("the reply holds no answer")
    return Completion("ok", text, *source)


def clean_name(name: Any) -> str | None:
    """Return a service's name for a model or request in a form that can be stored; None if it is not text."""
    return replace_surrogates(name[:200]) if isinstance(name, str) else None


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(text for text in texts if isinstance(text, str)) or None


def read_usage(usage: Any) -> TokenUsage | None:
    """Return the tokens that a reply's ``usage`` reports; None if they are missing or not plausible."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if tokens_in is None or tokens_out is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return TokenUsage(tokens_in, tokens_out, min(cached or 0, tokens_in))


def _count(value: Any) -> int | None:
    # The comparison is false for NaN, and handles integers of any length.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TOKENS:
        return None
    return int(value)
