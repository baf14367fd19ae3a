"""Replies of chat models, read without trusting any of them."""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from curate.llm.prompts.fence import replace_surrogates

MAX_TOKENS = 100_000_000
_CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "max_new_tokens", "model_length"})
_FILTERED = frozenset(
    {"content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content", "spii"}
    | {"guardrail_intervened", "sensitive", "image_safety", "language"}
)
_PROMPT_FILTERS = ("prompt_filter_results", "promptFeedback", "prompt_feedback")
_REASONING = ("reasoning", "reasoning_content", "reasoning_details")


class TokenUsage(NamedTuple):
    """Tokens as the service counts them; ``cached`` is the part of the input that costs less."""

    tokens_in: int
    tokens_out: int
    cached: int = 0


class Completion(NamedTuple):
    """A whole reply: outcome, text, the model that answered, and its usage (None if not reported).

    ``invalid``: the reply is whole but holds no answer; the same request would be charged again for the same.
    """

    outcome: Literal["ok", "refused", "filtered", "truncated", "invalid"]
    text: str
    model: str | None
    usage: TokenUsage | None
    detail: str = ""


def decode_body(body: bytes) -> str:
    """Return the text of a JSON body in UTF-8, UTF-16 or UTF-32, with or without a byte order mark."""
    return body.decode(json.detect_encoding(body), "replace")


def read_completion(body: str | bytes) -> Completion:
    """Parse a body of ``/chat/completions``. Raises ``ValueError`` with a sentence if it is incomplete or an error."""
    page = parse_object(body)
    choices = page.get("choices")
    if not isinstance(choices, list) or not (choices or any(map(page.get, ("usage", *_PROMPT_FILTERS)))):
        raise ValueError("the reply holds no answer")
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish = {str(choice.get(name)).lower() for name in ("finish_reason", "native_finish_reason")}
    if "error" in finish or choice.get("error"):
        raise ValueError("the model broke off with an error")
    text, refusal = _answer_text(message), _refusal(message)
    source = (clean_name(page.get("model")), plausible_usage(page.get("usage"), text))
    if finish & _FILTERED or (not choices and any(page.get(name) for name in _PROMPT_FILTERS)):
        return Completion("filtered", text or "", *source, "the service filtered the answer")
    if refusal or "refusal" in finish:
        refusal_text = (refusal or text or "").strip()
        detail = f"the model refused: {replace_surrogates(refusal_text[:300])}" if refusal_text else "the model refused"
        return Completion("refused", refusal_text, *source, detail)
    if finish & _CUT_OFF:
        return Completion("truncated", text or "", *source, "the answer was cut off at the limit of tokens")
    if text is None or not (text.strip() or not any(message.get(name) for name in _REASONING)):
        if choices and not choice.get("finish_reason"):
            raise ValueError("the reply holds no answer")
        kind = "only reasoning" if any(message.get(name) for name in _REASONING) else "no answer"
        return Completion("invalid", "", *source, f"the reply holds {kind}")
    return Completion("ok", text, *source)


def parse_object(body: str | bytes) -> dict[str, Any]:
    """Return a body as a JSON object, empty for other JSON. Raises ``ValueError`` with a sentence."""
    text = decode_body(body) if isinstance(body, bytes) else body
    try:
        page = json.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise ValueError("the reply is nested too deeply") from error
    except ValueError as error:
        kind = "an HTML page" if text[:200].lstrip().startswith("<") else "not whole JSON"
        raise ValueError(f"the reply is {kind}") from error
    return page if isinstance(page, dict) else {}


def reported_usage(body: bytes) -> TokenUsage | None:
    """Return the tokens that a reply without an answer reports all the same; None if it reports none."""
    try:
        return read_usage(parse_object(body).get("usage"))
    except ValueError:
        return None


def clean_name(name: Any) -> str | None:
    """Return a service's name for a model or request in a form that can be stored; None if it is not text."""
    return replace_surrogates(name[:200]) if isinstance(name, str) else None


def _answer_text(message: Mapping[str, Any]) -> str | None:
    """Return the text of a message, or the arguments of its first tool call if it holds no JSON itself."""
    text = _text(message.get("content"))
    calls = message.get("tool_calls")
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    for function in (*functions, message.get("function_call")):
        arguments = function.get("arguments") if isinstance(function, dict) else None
        arguments = json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments
        if isinstance(arguments, str) and arguments.strip() and "{" not in (text or ""):
            return arguments
    return text


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _refusal(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [message.get("refusal"), *(part.get("refusal") for part in parts)]
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")


def plausible_usage(reported: Any, text: str | None) -> TokenUsage | None:
    """Return the usage, or None if it says that a prompt or a text took no tokens, as some servers do."""
    usage = read_usage(reported)
    return None if usage is None or not usage.tokens_in or (text and not usage.tokens_out) else usage


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
