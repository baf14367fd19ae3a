"""Chats about items: a question and its answer, a description, or a description that leads to an answer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.labels import Field, LabelSchema
from curate.release.shapes.lines import save_media, turns_of, write_lines
from curate.release.shapes.released import ReleasedRows
from curate.release.shapes.shape import Written

_MEDIA = {"images": ("image", "face"), "videos": ("video", "video_b"), "audios": ("audio", "audio_b")}
_MAX_LABELS = 60
_GUIDE = """Every line is one chat in the format `messages`, which TRL and others accept, about `field` of an item.
`task` is `qa` (a question of the label schema), `description` (its free text) or `reasoning` (the text, then the
answer). `images`, `videos` and `audios` are paths in this folder. `reviewed` says whether people have judged the item.

```python
import datasets

chats = datasets.load_dataset(".", split="{split}")
print(chats[0]["messages"])
```"""


def write_chat(release: ReleasedRows, folder: Path) -> Written:
    """Write a chat for each answered field of each item; items that nothing shows are left out."""
    labels, written = release.need_labels(), Written()

    def lines(row: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        description, media = describe_item(row), release.media(row)
        if not description and not media:
            written.left_out["items without text and media"] += 1
            return
        values = release.answers(row, labels)
        if not values:
            written.left_out["items without any label"] += 1
            return
        written.counts["items"] += 1
        paths: dict[str, list[str]] = {
            kind: [save_media(folder, media[name]) for name in _first(kind, names, media)]
            for kind, names in _MEDIA.items()
        }
        for task, name, question, answer in _chats(labels, values):
            content = "\n\n".join(filter(None, (description, question)))
            messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
            facts = {"item_id": row["item_id"], "field": name, "task": task, "reviewed": bool(row["reviewed"])}
            written.counts[task] += 1
            yield {"messages": messages, **paths, **facts}

    write_lines(release, folder, written, lines, guide=_GUIDE)
    return written


def describe_item(row: Mapping[str, Any]) -> str:
    """Return what there is to read of an item: its dialogue with the turn in question, texts and statement."""
    parts = [turns] if (turns := turns_of(row)) else []
    if row["text_b"] is not None:
        parts += [f"A: {row['text'] or ''}", f"B: {row['text_b']}"]
    elif row["text"]:
        parts.append(f"{row['speaker']}: {row['text']}" if row["dialogue"] and row["speaker"] else row["text"])
    if row["statement"]:
        parts.append(f"Statement: {row['statement']}")
    return "\n\n".join(parts)


def question_with_options(field: Field) -> str:
    """Return the question of a field with what may be answered."""
    question = field.question_text()
    if 0 < len(field.labels) <= _MAX_LABELS and field.comparison in ("label", "labels"):
        several = "one or more of" if field.is_multiple else "one of"
        return f"{question} Answer with {several}: {', '.join(field.labels)}."
    return " ".join([question, *field.instructions()]) if field.comparison in ("ordinal", "interval") else question


def _first(kind: str, names: tuple[str, ...], media: Mapping[str, Any]) -> list[str]:
    """Return which media of a kind are shown: of pictures the whole one, or else the face."""
    present = [name for name in names if name in media]
    return present[:1] if kind == "images" else present


def _chats(labels: LabelSchema, values: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield task, field, question and answer."""
    texts = {name: field for name, field in labels.fields.items() if field.comparison == "text" and name in values}
    for name, value in values.items():
        field = labels.fields[name]
        if name in texts:
            yield "description", name, field.question_text(), str(value)
            continue
        question, answer = question_with_options(field), _answer(field, value)
        yield "qa", name, question, answer
        for text in texts:
            first = f"First say: {texts[text].question_text()} Then answer: {question}"
            yield "reasoning", name, first, f"{values[text]}\n\n{answer}"


def _answer(field: Field, value: Any) -> str:
    if field.comparison in ("ordinal", "interval"):
        return f"{value:g}"
    return ", ".join(field.show(value))
