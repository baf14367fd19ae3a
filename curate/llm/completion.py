"""The reply of a chat model, read without trusting any of it."""

import json
from typing import Any, Literal, NamedTuple

from curate.llm.prompts.fence import replace_surrogates

MOST_TOKENS = 100_000_000


class TokenUsage(NamedTuple):
    """Tokens as the service counts them; ``cached`` are those of the input that cost less."""

    tokens_in: int
    tokens_out: int
    cached: int = 0


class Completion(NamedTuple):
    """A whole reply: what it came to, the text, who answered, and what it used (None where it does not tell)."""

    outcome: Literal["ok", "refused", "filtered", "truncated"]
    text: str
    model: str | None
    usage: TokenUsage | None
    detail: str = ""


def read_completion(body: str | bytes) -> Completion:
    """What a body of ``/chat/completions`` holds. Raises ``ValueError`` with a sentence where it is no whole reply."""
    try:
        page = json.loads(body)
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error
    except ValueError as error:
        start = body[:200] if isinstance(body, str) else body[:200].decode("utf-8", "replace")
        what = "an HTML page" if start.lstrip().startswith("<") else "not whole JSON"
        raise ValueError(f"the reply is {what}") from error
    page = page if isinstance(page, dict) else {}
    choices = page.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    model = page.get("model")
    about = (clean_name(model), read_usage(page.get("usage")))
    text, refusal = _text(message.get("content")), message.get("refusal")
    if choice.get("finish_reason") == "content_filter":
        return Completion("filtered", text or "", *about, "the service filtered the answer")
    if isinstance(refusal, str) and refusal.strip():
        return Completion("refused", refusal, *about, f"the model refused: {replace_surrogates(refusal[:300])}")
    if choice.get("finish_reason") == "length" and message:
        return Completion("truncated", text or "", *about, "the answer was cut off at the limit of tokens")
    if text is None:
        raise ValueError("the reply holds no answer")
    return Completion("ok", text, *about)


def clean_name(name: Any) -> str | None:
    """What a service calls a model or request, fit to be stored; None for what is no name."""
    return replace_surrogates(name[:200]) if isinstance(name, str) else None


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(text for text in texts if isinstance(text, str)) or None


def read_usage(usage: Any) -> TokenUsage | None:
    """The tokens that a reply's ``usage`` names; None where it does not tell, or tells nonsense."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if tokens_in is None or tokens_out is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return TokenUsage(tokens_in, tokens_out, min(cached or 0, tokens_in))


def _count(value: Any) -> int | None:
    # The comparison is false for what is no number, and knows numbers of any length.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)
