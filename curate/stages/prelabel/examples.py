"""Items that people have corrected, found for a prompt by the words or the embeddings that they share with an item."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from curate.corpus.view import Corpus
from curate.errors import ServiceUnavailable
from curate.labels import LabelSchema
from curate.llm.engine import ModelClient
from curate.llm.prompts.examples import Example, ExamplePool, format_examples, retrieve, search_text
from curate.stages.contract import Tools
from curate.stages.prelabel.context import open_pool
from curate.stages.prelabel.settings import ExampleSettings

Row = dict[str, Any]


class Found(NamedTuple):
    """Examples as a prompt tells them, empty where there are none; ``lacking`` says what went wrong, where it did."""

    told: str
    lacking: str = ""


class ItemExamples:
    """Chooses examples for one item after another; those of the pool are embedded once, before the first."""

    def __init__(self, settings: ExampleSettings, corpus: Corpus, tools: Tools) -> None:
        self._settings = settings
        self._labels: LabelSchema = tools.labels
        self._pool = open_pool(corpus, tools)
        self._embedded: ExamplePool | None = None
        self._embedding = asyncio.Lock()

    async def of(self, asker: ModelClient, item: Row) -> Found:
        """The examples for an item. An item that cannot be embedded has none; nothing else is put in their place.

        Raises ``ServiceUnavailable`` where no example at all can be embedded, and what asking raises.
        """
        model, text = self._settings.embeds, search_text(item)
        if model is None:
            return Found(self.guessed(item))
        if not self._pool.examples or not text.strip():
            return Found("")
        pool = await self._embedded_pool(asker, model)
        (found,) = await asker.embed([text], model=model, labeller=self._settings.by)
        if found.vector is None:
            return Found("", f"no examples were shown: {found.detail}")
        return Found(self._tell(retrieve(item, pool, self._settings.count, vector=found.vector)))

    def guessed(self, item: Row) -> str:
        """Examples by words alone, which for an estimate stand for others of their length."""
        return self._tell(retrieve(item, self._pool, self._settings.count))

    def texts(self, items: Iterable[Row]) -> tuple[list[str], list[str]]:
        """What is embedded: the texts of the pool, and of these items."""
        if self._settings.embeds is None or not self._pool.examples:
            return [], []
        return [search_text(each.item) for each in self._pool.examples], [search_text(item) for item in items]

    async def _embedded_pool(self, asker: ModelClient, model: str) -> ExamplePool:
        async with self._embedding:
            if self._embedded is None:
                texts = [search_text(each.item) for each in self._pool.examples]
                found = await asker.embed(texts, model=model, labeller=self._settings.by)
                failed = [
                    one.detail for text, one in zip(texts, found, strict=True) if text.strip() and one.vector is None
                ]
                if failed and all(one.vector is None for one in found):
                    raise ServiceUnavailable(
                        f"none of the {len(failed):,} examples could be embedded by {model}: {failed[0]}",
                        hint="run the same command again later, or set examples: {by: bm25}",
                    )
                self._embedded = self._pool.with_vectors([one.vector for one in found])
        return self._embedded

    def _tell(self, found: Sequence[Example]) -> str:
        return format_examples(found, self._labels)
