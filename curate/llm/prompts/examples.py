"""Few-shot examples: items labelled by people, the most similar to an item, none from a held-out split."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.labels import LabelSchema, to_context
from curate.llm.prompts.fence import shorten

_K1, _B = 1.2, 0.75
_MAX_CHARS = 1_500
_LEAKING_COLUMNS = ("source_id", "speaker", "group", "participant")
_TEXT_COLUMNS = ("statement", "text", "text_b")
_WORD = re.compile(r"[^\W_]+")
_UNSPACED_SCRIPT = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)

Floats = NDArray[np.float64]


class Example(NamedTuple):
    """An item and the labels that people gave it."""

    item: Mapping[str, Any]
    values: Mapping[str, Any]
    """By field, as stored in ``labels``."""


class Posting(NamedTuple):
    """The examples that contain a word."""

    indices: NDArray[np.int64]
    gains: Floats
    """What the word adds to the BM25 score of each."""


@dataclass(frozen=True)
class ExamplePool:
    """Examples to choose from, ordered by item id, with a search index."""

    examples: tuple[Example, ...]
    postings: Mapping[str, Posting]
    vectors: Floats | None = None
    """Unit vectors of shape (examples, size) if the examples were embedded."""

    def with_vectors(self, vectors: Sequence[NDArray[np.float32] | None]) -> "ExamplePool":
        """Return the examples that have a vector, to be searched by the angle between embeddings of ``search_text``.

        ``vectors`` are in the order of the examples and of one size; None leaves an example out. Raises ``ValueError``
        if there are not as many as examples.
        """
        if len(vectors) != len(self.examples):
            raise ValueError(f"{len(vectors)} vectors for {len(self.examples)} examples")
        pairs = [
            (example, vector) for example, vector in zip(self.examples, vectors, strict=True) if vector is not None
        ]
        # In float64, so that sums, and with them the order, are the same on every machine.
        matrix = _normalize(np.array([vector for _, vector in pairs], np.float64)) if pairs else None
        return ExamplePool(tuple(example for example, _ in pairs), {}, matrix)


def build_pool(
    labels: LabelSchema,
    items: Iterable[Mapping[str, Any]],
    label_rows: Iterable[Mapping[str, Any]],
    *,
    splits: Mapping[str, str | None] | None = None,
    held_out: Sequence[str] = ("test",),
) -> ExamplePool:
    """Return the items with a row of ``labels`` that people gave and whose values fit the schema.

    ``splits`` maps items to their split in the next release; items in a ``held_out`` split or in none are left out.
    None means that the corpus is not split.
    """
    by_item = {row["item_id"]: row for row in label_rows if row["label_source"] == "human"}
    examples = []
    for item in sorted(items, key=lambda item: str(item["item_id"])):
        row = by_item.get(item["item_id"])
        if row is None or (splits is not None and splits.get(item["item_id"]) in (None, *held_out)):
            continue
        values = {name: row.get(name) for name in labels.fields}
        try:
            labels.to_answer(values, to_context(item))
        except ValueError:
            continue  # the text has changed since, so its spans no longer fit
        if any(value is not None for value in values.values()):
            examples.append(Example(item, values))
    return ExamplePool(tuple(examples), _build_index([tokenize(search_text(example.item)) for example in examples]))


def retrieve(
    item: Mapping[str, Any], pool: ExamplePool, count: int, *, vector: NDArray[np.float32] | None = None
) -> list[Example]:
    """Return at most ``count`` examples similar to the item, the most similar last, next to the question.

    Ranked by BM25 (Robertson, S. & Zaragoza, H. (2009). The probabilistic relevance framework. Foundations and Trends
    in Information Retrieval 3 (4)) over words, and over character pairs in scripts without spaces; or, with ``vector``
    and a pool with vectors, by cosine similarity. The item itself and items of the same source, speaker, participant or
    group are left out. The same item and pool give the same examples.
    """
    if count < 1 or not pool.examples:
        return []
    if vector is not None and pool.vectors is not None:
        scores = pool.vectors @ _normalize(vector[np.newaxis].astype(np.float64))[0] + 1
    else:
        scores = np.zeros(len(pool.examples))
        for word in dict.fromkeys(tokenize(search_text(item))):
            if word in pool.postings:
                indices, gains = pool.postings[word]
                scores[indices] += gains
    chosen: list[Example] = []
    for index in np.argsort(-np.round(scores, 9), kind="stable"):
        if scores[index] <= 0 or len(chosen) == count:
            break
        if not _shares_origin(item, pool.examples[index].item):
            chosen.append(pool.examples[index])
    return chosen[::-1]


def format_examples(examples: Sequence[Example], labels: LabelSchema) -> str:
    """Return examples for a prompt, one JSON object a line: the item's text, then the answer expected of a model."""
    lines = []
    for item, values in examples:
        content: dict[str, Any] = {name: shorten(item[name], _MAX_CHARS) for name in _TEXT_COLUMNS if item.get(name)}
        if item.get("dialogue") and not item.get("text"):
            texts = [turn["text"] or "" for turn in item["dialogue"]]
            content["dialogue"] = [
                {"turn": index, "text": shorten(text, _MAX_CHARS)} for index, text in enumerate(texts)
            ]
        answer = labels.to_answer(values, to_context(item))
        lines.append(json.dumps({**content, "answer": answer}, ensure_ascii=False))
    return "\n".join(lines)


def search_text(item: Mapping[str, Any]) -> str:
    """Return the text by which items are compared: the item's own, else that of its dialogue."""
    texts = [str(item[name]) for name in _TEXT_COLUMNS if item.get(name)]
    return "\n".join(texts or [str(turn["text"] or "") for turn in item.get("dialogue") or ()])


def tokenize(text: str) -> list[str]:
    """Return case-folded words, and runs of a script without spaces as pairs of characters."""
    tokens: list[str] = []
    for word in _WORD.findall(text.casefold()):
        position = 0
        for run in _UNSPACED_SCRIPT.finditer(word):
            tokens += [word[position : run.start()]] if run.start() > position else []
            characters = run[0]
            tokens += [characters[k : k + 2] for k in range(max(1, len(characters) - 1))]
            position = run.end()
        tokens += [word[position:]] if position < len(word) else []
    return tokens


def _build_index(documents: Sequence[Sequence[str]]) -> dict[str, Posting]:
    mean_length = sum(map(len, documents)) / max(1, len(documents)) or 1.0
    entries: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for index, words in enumerate(documents):
        penalty = _K1 * (1 - _B + _B * len(words) / mean_length)
        for word, frequency in Counter(words).items():
            entries[word].append((index, frequency * (_K1 + 1) / (frequency + penalty)))
    postings = {}
    for word, pairs in entries.items():
        idf = math.log(1 + (len(documents) - len(pairs) + 0.5) / (len(pairs) + 0.5))
        postings[word] = Posting(np.array([index for index, _ in pairs]), np.array([gain for _, gain in pairs]) * idf)
    return postings


def _normalize(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def _shares_origin(item: Mapping[str, Any], example: Mapping[str, Any]) -> bool:
    """Whether anything shared by two items could carry a label from one to the other."""
    if item["item_id"] == example["item_id"]:
        return True
    return any(item.get(name) is not None and item.get(name) == example.get(name) for name in _LEAKING_COLUMNS)
