"""The describe stage: texts are written anew where people gave other labels than the model that wrote them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from curate.corpus.rewritten import REWRITTEN, SUFFIX
from curate.corpus.spec import table_spec
from curate.corpus.view import Corpus
from curate.errors import Interrupted, InvalidInput, InvalidRow
from curate.files import digest
from curate.labels import LabelSchema
from curate.llm.estimate import estimate
from curate.llm.money.prices import check_priced, load_prices
from curate.llm.open import open_engine
from curate.llm.prompts.load import load_prompt
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings, RequestSettings
from curate.llm.stream import stream
from curate.sentences import count_of
from curate.stages.capabilities import Rewriting
from curate.stages.contract import DriverStage, Forecast, Problem, Receipt, Tools
from curate.stages.describe.outdated import Outdated, find_outdated
from curate.stages.describe.writer import Writer
from curate.stages.released_rights import days_of_ended_consent, expired_in

_PREFIX = "openai/"
_MODEL = re.compile(rf"{_PREFIX}\S{{1,200}}")
_MAX_TOKENS = 1_500
_SAMPLE = 100


class Describe(DriverStage, RequestSettings, Rewriting):
    """Have texts written anew that a model wrote for other labels than people then gave.

    Texts that a person wrote or changed are left alone. The new ones are a column of their own in releases, since
    nobody has checked them.
    """

    writes: ClassVar[tuple[str, ...]] = (REWRITTEN,)
    operational: ClassVar[frozenset[str]] = frozenset(RequestSettings.model_fields)

    stage: Literal["describe"]
    model: str
    """The model that writes, such as ``openai/gpt-5-mini``."""
    prompt: str = "text_from_labels.v1"
    """The prompt, which shows the labels as ``answer``, by its name in ``recipes/prompts``."""
    fields: tuple[str, ...] = ()
    """The fields of free text to write; by default all of the label schema."""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How the service constrains the reply: to the schema, to JSON, or not at all."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """How far answers vary; by default, what the service does."""
    seed: int | None = None
    """Sent with each request, for services that repeat answers by it."""
    max_tokens: Annotated[int, Field(ge=16, le=1_000_000)] = _MAX_TOKENS
    """The longest reply, thinking included."""
    limit_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """What the service calls that limit."""

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        if not _MODEL.fullmatch(model):
            raise ValueError(f"model is {model!r}; name one behind an endpoint: openai/<model>")
        return model

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterator[Problem]:
        """See ``Stage.problems``."""
        try:
            prompt = load_prompt(self.prompt, folder)
        except InvalidInput as error:
            for sentence in error.problems or (f"{error.message} ({error.hint})",):
                yield ("prompt",), sentence
        else:
            if prompt.header.variables.get("answer") != "required":
                yield ("prompt",), f"prompt {prompt.name} does not show the labels: it needs the variable answer"
            needed = {*prompt.header.modalities, "examples"} & {
                name
                for name, need in {**prompt.header.variables, **prompt.header.modalities}.items()
                if need == "required"
            }
            if needed:
                yield ("prompt",), f"prompt {prompt.name} needs {sorted(needed)[0]}, which is not sent here"
            if labels is not None:
                yield from ((("prompt",), sentence) for sentence in prompt.problems(labels))
        if self.budget.usd is not None:
            try:
                check_priced(load_prices(folder), [self._model])
            except InvalidInput as error:
                yield ("model",), f"{error.message} ({error.hint})"
        if labels is not None:
            yield from ((("fields",), sentence) for sentence in self._field_problems(labels))

    def _field_problems(self, labels: LabelSchema) -> Iterator[str]:
        texts = [name for name, field in labels.fields.items() if field.comparison == "text"]
        if not texts:
            yield f"label schema {labels.name} has no field of free text to write"
        for name in self.fields:
            if name not in texts:
                yield f"{name} is no field of free text of {labels.name}; those are: {', '.join(texts) or 'none'}"
        for name in self.texts(labels):
            if f"{name}{SUFFIX}" in labels.fields:
                yield f"{name}{SUFFIX} is a field already, and would be the column of the new texts: rename it"

    @property
    def _model(self) -> str:
        return self.model.removeprefix(_PREFIX)

    def texts(self, labels: LabelSchema) -> tuple[str, ...]:
        """See ``Rewriting.texts``."""
        return self.fields or tuple(name for name, field in labels.fields.items() if field.comparison == "text")

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Write the texts that are due; those that are stored for the same labels and settings cost nothing again."""
        table = corpus.table(REWRITTEN)
        fingerprint = self._fingerprint(corpus, tools)
        if table.metadata().get("fingerprint") == fingerprint:
            return Receipt(False, _counts(table.read(["outcome"])["outcome"].to_pylist()))
        due = self._due(corpus, tools)
        rows = self._written(due, tools) if due else []
        if len(rows) < len(due):
            raise Interrupted("stopped while texts were written", hint="run the same command again to go on")
        stored = table.read().sort_by("item_id")
        schema = table_spec(REWRITTEN, tools.labels).schema
        new = pa.Table.from_pylist(sorted(rows, key=lambda row: row["item_id"]), schema=schema)
        changed = not stored.select(["item_id", "texts", "basis"]).equals(new.select(["item_id", "texts", "basis"]))
        failed = sum(row["outcome"] == "error" for row in rows)
        # What failed through no fault of the item is tried again by the next run.
        table.replace_all(new, metadata={"stage": self.stage, **({} if failed else {"fingerprint": fingerprint})})
        return Receipt(changed, _counts([row["outcome"] for row in rows]), _reason(rows))

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``: what requests would cost."""
        if corpus.table(REWRITTEN).metadata().get("fingerprint") == self._fingerprint(corpus, tools):
            return Forecast(False, "the texts are up to date")
        due = self._due(corpus, tools)
        if not due:
            return Forecast(True, "no text is due yet")
        return Forecast(True, self._cost(due, tools))

    def _due(self, corpus: Corpus, tools: Tools) -> list[Outdated]:
        """Return the items whose texts no longer fit, without those whose consent has ended."""
        expired = expired_in(corpus, tools).source_ids
        outdated = find_outdated(corpus, tools.labels, self.texts(tools.labels))
        return [entry for entry in outdated if entry.item["source_id"] not in expired]

    def _cost(self, due: Sequence[Outdated], tools: Tools) -> str:
        writer = self._writer(tools)
        requests = []
        for outdated in islice(due, _SAMPLE):
            try:
                requests.append(writer.request(outdated))
            except InvalidRow:
                continue
        with (
            TemporaryDirectory(prefix="curate-plan-") as empty,
            ReplyStore(tools.answers or Path(empty, "none")) as store,
        ):
            cost = estimate(requests, len(due), load_prices(tools.folder), store)
        dollars = "price unknown" if cost.usd is None else f"{cost.usd:,.4f} USD"
        answered = f" ({cost.cached:,} answered before)" if cost.cached else ""
        tokens = f"{cost.tokens_in:,} tokens in, {cost.tokens_out:,} out"
        return f"about {count_of(len(due), 'request')}{answered}, {tokens}, {dollars}"

    def _writer(self, tools: Tools) -> Writer:
        parameters: dict[str, Any] = {
            "temperature": self.temperature,
            "seed": self.seed,
            self.limit_name: self.max_tokens,
            "response_format": {"type": "json_object"} if self.structured == "json_object" else None,
        }
        parameters = {name: value for name, value in parameters.items() if value is not None}
        prompt = load_prompt(self.prompt, tools.folder)
        return Writer(prompt, tools.labels, self._model, parameters, structured=self.structured, name=self.stage)

    def _written(self, due: Sequence[Outdated], tools: Tools) -> list[dict[str, Any]]:
        if tools.answers is None:
            raise ValueError("no file for the replies of models is configured")
        settings = EngineSettings(
            account=self.stage,
            prices=tools.folder,
            **{name: getattr(self, name) for name in RequestSettings.model_fields},
        )
        writer = self._writer(tools)
        with closing(ReplyStore(tools.answers)) as replies:
            engine = open_engine(settings, replies, tools.blobs.read, models=(self._model,))
            work = partial(writer.write, engine)
            return list(
                stream(iter(due), work, window=self.in_flight * 2, stop=tools.stop or _never, finish=engine.close)
            )

    def _fingerprint(self, corpus: Corpus, tools: Tools) -> str:
        """Return a hash of everything that decides the texts."""
        states = {name: corpus.table(name).state() for name in ("labels", "prelabels")}
        prompt = load_prompt(self.prompt, tools.folder).sha256
        ended = days_of_ended_consent(corpus, tools)
        return digest([self.identity(tools), prompt, tools.labels.sha256, states, corpus.fingerprint(), ended])


def _never() -> bool:
    return False


def _counts(outcomes: Sequence[str]) -> dict[str, int]:
    by_outcome = Counter(outcomes)
    return {"written": by_outcome.pop("ok", 0), **dict(sorted(by_outcome.items()))}


def _reason(rows: Sequence[dict[str, Any]]) -> str:
    reasons = Counter(f"{row['outcome']} ({row['detail']})" for row in rows if row["outcome"] != "ok")
    return "".join(f"{count_of(count, 'text')} not written: {reason}" for reason, count in reasons.most_common(1))
