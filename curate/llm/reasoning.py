"""Models that think before they answer, and how many tokens that takes."""

import re

_REASONING = re.compile(
    r"gpt-5(?!.*chat)|gpt-oss|(?<![a-z0-9])o[1-9](?![0-9.])|deepseek.*(?:reason|r\d)|(?<![a-z])r1(?![0-9])|qwq|qwen-?3(?!.*instruct)"
    r"|think|reason|magistral|gemini-(?:2\.5|[3-9])|grok-(?:3-mini|[4-9])|glm-(?:4\.[5-9]|[5-9])|minimax-m|seed-oss|nemotron",
    re.IGNORECASE,
)
_BY_EFFORT = {"none": 0, "minimal": 500, "low": 1_500, "medium": 4_500, "high": 14_500, "xhigh": 30_000}
_TYPICAL_SHARE = 0.2


def thinking_tokens(model: str, effort: str | None) -> int:
    """Return how many tokens of thinking to allow a model before its answer; 0 for one that does not think."""
    if not _REASONING.search(model.rpartition("/")[2]):
        return 0
    return _BY_EFFORT.get(effort or "medium", _BY_EFFORT["medium"])


def typical_thinking(allowed: int) -> int:
    """Return how many of the allowed tokens of thinking a short task usually takes."""
    return round(allowed * _TYPICAL_SHARE)
