"""Corrected items for prompts, chosen for each item by shared words or by embeddings."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from curate.corpus.view import Corpus
from curate.errors import ServiceUnavailable
from curate.llm.engine import ModelClient
from curate.llm.prompts.examples import Example, ExamplePool, format_examples, retrieve, search_text
from curate.stages.contract import Tools
from curate.stages.prelabel.context import open_pool
from curate.stages.prelabel.settings import ExampleSettings

Row = dict[str, Any]


class PromptExamples(NamedTuple):
    """Examples as text for a prompt, empty for none; ``problem`` says why they are missing."""

    text: str
    problem: str = ""


class ItemExamples:
    """Chooses examples for one item after another. The pool is embedded once, before the first item."""

    def __init__(self, settings: ExampleSettings, corpus: Corpus, tools: Tools) -> None:
        self._settings, self._labels = settings, tools.labels
        self._pool = open_pool(corpus, tools)
        self._embedded: ExamplePool | None = None
        self._embedding = asyncio.Lock()

    async def choose(self, client: ModelClient, item: Row) -> PromptExamples:
        """Return the examples for an item; an item that cannot be embedded gets none.

        Raises ``ServiceUnavailable`` if no example could be embedded, and whatever ``ModelClient.embed`` raises.
        """
        model, text = self._settings.embedding_model, search_text(item)
        if model is None:
            return PromptExamples(self.choose_by_words(item))
        if not self._pool.examples or not text.strip():
            return PromptExamples("")
        pool = await self._embedded_pool(client, model)
        (embedding,) = await client.embed([text], model=model, labeller=self._settings.by)
        if embedding.vector is None:
            return PromptExamples("", f"no examples were shown: {embedding.detail}")
        return PromptExamples(self._format(retrieve(item, pool, self._settings.count, vector=embedding.vector)))

    def choose_by_words(self, item: Row) -> str:
        """Return examples chosen by words alone; in an estimate they stand in for others of similar length."""
        return self._format(retrieve(item, self._pool, self._settings.count))

    def texts_to_embed(self, items: Iterable[Row]) -> tuple[list[str], list[str]]:
        """Return the texts of the pool and of the items; both empty if nothing is embedded."""
        if self._settings.embedding_model is None or not self._pool.examples:
            return [], []
        return self._pool_texts(), [search_text(item) for item in items]

    async def _embedded_pool(self, client: ModelClient, model: str) -> ExamplePool:
        async with self._embedding:
            if self._embedded is None:
                texts = self._pool_texts()
                embeddings = await client.embed(texts, model=model, labeller=self._settings.by)
                failures = [
                    embedding.detail
                    for text, embedding in zip(texts, embeddings, strict=True)
                    if text.strip() and embedding.vector is None
                ]
                if failures and all(embedding.vector is None for embedding in embeddings):
                    raise ServiceUnavailable(
                        f"none of the {len(failures):,} examples could be embedded by {model}: {failures[0]}",
                        hint="run the same command again later, or set examples: {by: bm25}",
                    )
                self._embedded = self._pool.with_vectors([embedding.vector for embedding in embeddings])
        return self._embedded

    def _pool_texts(self) -> list[str]:
        return [search_text(example.item) for example in self._pool.examples]

    def _format(self, examples: Sequence[Example]) -> str:
        return format_examples(examples, self._labels)
