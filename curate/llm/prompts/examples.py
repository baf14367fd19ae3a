"""Items that people have labelled, chosen as examples for a prompt: alike in words, and from nobody's test set."""

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
from curate.llm.prompts.fence import bounded

_K1, _B = 1.2, 0.75
_MOST_CHARS = 1_500
_APART = ("source_id", "speaker", "group")
_WORD = re.compile(r"[^\W_]+")
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)


class Example(NamedTuple):
    """An item and what people made of it."""

    item: Mapping[str, Any]
    values: Mapping[str, Any]
    """By field, as they stand in ``labels``."""


@dataclass(frozen=True)
class Pool:
    """Examples to choose from, in order of item id, with the index that finds them."""

    examples: tuple[Example, ...]
    postings: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
    """For each word the examples that have it, and what it adds to the score of each."""
    vectors: NDArray[np.float64] | None = None
    """One unit vector for each example, (examples, size), where an endpoint embeds texts."""

    def with_vectors(self, vectors: Sequence[NDArray[np.float32] | None]) -> "Pool":
        """The examples that have one, to be searched by the angle between embeddings of ``text_of`` each.

        ``vectors`` are given in the order of the examples, all of one size. Raises ``ValueError`` where they are not as
        many.
        """
        if len(vectors) != len(self.examples):
            raise ValueError(f"{len(vectors)} vectors for {len(self.examples)} examples")
        pairs = [
            (example, vector) for example, vector in zip(self.examples, vectors, strict=True) if vector is not None
        ]
        # In float64, so that the sums, and with them the order, are the same on every machine.
        matrix = _unit(np.array([vector for _, vector in pairs], np.float64)) if pairs else None
        return Pool(tuple(example for example, _ in pairs), {}, matrix)


def make_pool(
    labels: LabelSchema,
    items: Iterable[Mapping[str, Any]],
    judged: Iterable[Mapping[str, Any]],
    *,
    splits: Mapping[str, str] | None = None,
    barred: Sequence[str] = ("test",),
) -> Pool:
    """The items whose row of ``labels`` (``judged``) people gave and whose values the schema allows.

    ``splits`` is the split of every item, as the next release would divide them; items of a ``barred`` one, and such as
    are in none, are left out. None stands for a corpus that is not divided.
    """
    human = {row["item_id"]: row for row in judged if row["label_source"] == "human"}
    examples = []
    for item in sorted(items, key=lambda each: str(each["item_id"])):
        row = human.get(item["item_id"])
        if row is None or (splits is not None and splits.get(item["item_id"], barred[0]) in barred):
            continue
        values = {name: row.get(name) for name in labels.fields}
        try:
            labels.to_answer(values, to_context(item))
        except ValueError:
            continue  # a text that was changed since: its spans are nowhere any more
        if any(value is not None for value in values.values()):
            examples.append(Example(item, values))
    return Pool(tuple(examples), _index([words_of(text_of(each.item)) for each in examples]))


def retrieve(
    item: Mapping[str, Any], pool: Pool, count: int, *, vector: NDArray[np.float32] | None = None
) -> list[Example]:
    """At most ``count`` examples that are most like the item, the likest last, next to the question.

    By BM25 (Robertson, S. & Zaragoza, H. (2009). The probabilistic relevance framework. Foundations and Trends in
    Information Retrieval 3 (4)) over words, and over pairs of characters in scripts without spaces; with ``vector`` and
    a pool of vectors by their angle. Never the item itself, nor one of its source, speaker, participant or group. The
    same item and pool give the same examples.
    """
    if count < 1 or not pool.examples:
        return []
    if vector is not None and pool.vectors is not None:
        scores = pool.vectors @ _unit(vector[np.newaxis].astype(np.float64))[0] + 1
    else:
        scores = np.zeros(len(pool.examples))
        for word in dict.fromkeys(words_of(text_of(item))):
            if word in pool.postings:
                places, gains = pool.postings[word]
                scores[places] += gains
    found: list[Example] = []
    for at in np.argsort(-np.round(scores, 9), kind="stable"):
        if scores[at] <= 0 or len(found) == count:
            break
        if _is_apart(item, pool.examples[at].item):
            found.append(pool.examples[at])
    return found[::-1]


def tell_examples(examples: Sequence[Example], labels: LabelSchema) -> str:
    """Examples for a prompt, one JSON object a line: the item's words, and the labels as a model is to write them."""
    lines = []
    for item, values in examples:
        words: dict[str, Any] = {
            name: bounded(item[name], _MOST_CHARS) for name in ("statement", "text", "text_b") if item.get(name)
        }
        if item.get("dialogue") and not item.get("text"):
            turns = [turn["text"] or "" for turn in item["dialogue"]]
            words["dialogue"] = [{"turn": at, "text": bounded(text, _MOST_CHARS)} for at, text in enumerate(turns)]
        answer = labels.to_answer(values, to_context(item))
        lines.append(json.dumps({**words, "answer": answer}, ensure_ascii=False))
    return "\n".join(lines)


def text_of(item: Mapping[str, Any]) -> str:
    """The words by which items are compared: its own, else those of its dialogue."""
    own = [str(item[name]) for name in ("statement", "text", "text_b") if item.get(name)]
    return "\n".join(own or [str(turn["text"] or "") for turn in item.get("dialogue") or ()])


def words_of(text: str) -> list[str]:
    """Words without letter case; stretches of a script without spaces as their pairs of characters."""
    words: list[str] = []
    for word in _WORD.findall(text.casefold()):
        at = 0
        for stretch in _WITHOUT_SPACES.finditer(word):
            words += [word[at : stretch.start()]] if stretch.start() > at else []
            signs = stretch[0]
            words += [signs[k : k + 2] for k in range(max(1, len(signs) - 1))]
            at = stretch.end()
        words += [word[at:]] if at < len(word) else []
    return words


def _index(documents: Sequence[Sequence[str]]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    mean_length = sum(map(len, documents)) / max(1, len(documents)) or 1.0
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for at, words in enumerate(documents):
        short = _K1 * (1 - _B + _B * len(words) / mean_length)
        for word, times in Counter(words).items():
            found[word].append((at, times * (_K1 + 1) / (times + short)))
    postings = {}
    for word, places in found.items():
        rarity = math.log(1 + (len(documents) - len(places) + 0.5) / (len(places) + 0.5))
        postings[word] = (np.array([at for at, _ in places]), np.array([gain for _, gain in places]) * rarity)
    return postings


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def _is_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two items share nothing that could carry a label from one to the other."""
    if one["item_id"] == other["item_id"]:
        return False
    names = (*_APART, "participant")
    return not any(one.get(name) is not None and one.get(name) == other.get(name) for name in names)
