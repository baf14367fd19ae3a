"""What to change when most replies of a model are of no use."""

from collections.abc import Mapping

_ADVICE = {
    "truncated": "raise `max_tokens` of the labeller, or lower its `reasoning_effort`",
    "invalid": "set `structured: json_object` (or `none`) if the service ignores JSON schemas, or use a model that "
    "follows them",
    "filtered": "use a model or service whose filter lets this material through",
    "refused": "say in the prompt what the labels are for, or use another model",
}


def advise(outcomes: Mapping[str, int]) -> str:
    """Return what to change if more than half of the answers, counted by outcome, have one that a setting may mend.

    Truncated and invalid answers count together, since an answer that is cut off often reads as invalid; the advice is
    for the commoner one. Empty if there is nothing to say.
    """
    total = sum(outcomes.values()) - outcomes.get("abstained", 0)
    groups = (("truncated", "invalid"), ("filtered",), ("refused",))
    for group in groups:
        count = sum(outcomes.get(name, 0) for name in group)
        if 2 * count > total:
            worst = max(group, key=lambda name: outcomes.get(name, 0))
            return f"{count:,} of {total:,} answers are {' or '.join(group)}: {_ADVICE[worst]}, and run again"
    return ""
