"""Pairs of texts of which people preferred one: prompt, chosen and rejected."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.errors import InvalidInput
from curate.release.shapes.lines import turns_of, write_lines
from curate.release.shapes.released import ReleasedRows
from curate.release.shapes.shape import Written

_GUIDE = """Every line is a pair for training on preferences, in TRL's conversational format: `prompt` (the dialogue
before, or the question that people answered), `chosen` and `rejected`. `margin` says by how many grades the chosen
one is better.

```python
import datasets

pairs = datasets.load_dataset(".", split="{split}")
print(pairs[0]["chosen"])
```"""


def write_preference(release: ReleasedRows, folder: Path) -> Written:
    """Write a line for each pair of texts that has a preferred side."""
    labels, written = release.need_labels(), Written()
    fields = {name: field for name, field in labels.fields.items() if field.comparison == "preference"}
    if not fields:
        raise InvalidInput(
            f"label schema {labels.name} has no preference, so there are no pairs",
            hint="release pairs that were judged with a field of type preference",
        )

    def lines(row: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        if not row["text"] or not row["text_b"]:
            written.left_out["items without two texts"] += 1
            return
        written.counts["items"] += 1
        answers = release.answers(row, labels)
        for name, field in fields.items():
            grade = answers[name]["grade"] if name in answers else None
            if not grade:
                written.left_out["ties" if grade == 0 else "pairs without a label"] += 1
                continue
            sides = [row["text"], row["text_b"]]
            chosen, rejected = sides if grade < 0 else sides[::-1]
            yield {
                "prompt": [{"role": "user", "content": _prompt(row, field.question_text())}],
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
                "margin": abs(grade),
                "item_id": row["item_id"],
                "field": name,
                "reviewed": bool(row["reviewed"]),
            }

    write_lines(release, folder, written, lines, guide=_GUIDE)
    return written


def _prompt(row: Mapping[str, Any], question: str) -> str:
    """Return the turns that both texts answer, or the question about them."""
    return turns_of(row) or row["statement"] or question
