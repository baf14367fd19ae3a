"""Items to proposed labels, for people to correct."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from curate.corpus.view import Corpus
from curate.document import Findings
from curate.errors import CurateError, InvalidInput
from curate.labels import AggregationRule, LabelSchema
from curate.llm.dry_run import DryRun
from curate.llm.engine import Engine
from curate.llm.money.prices import check_priced, load_prices
from curate.llm.open import open_engine
from curate.llm.prompts.load import load_prompt
from curate.llm.replies import ReplyStore
from curate.llm.settings import EngineSettings
from curate.llm.stream import stream, stream_ready
from curate.stages.capabilities import Priced, Replayed, Streamed, Summarised
from curate.stages.contract import Outcome, Problem, Tools
from curate.stages.prelabel.chat import Chat
from curate.stages.prelabel.context import AROUND, with_neighbours
from curate.stages.prelabel.cost import tell_cost
from curate.stages.prelabel.rows import combined, proposed_by, rows_of
from curate.stages.prelabel.settings import (
    REPLAY,
    BudgetSettings,
    ContextSettings,
    ExampleSettings,
    LabellerSettings,
    PictureSettings,
    ReviewSettings,
    Shown,
    SoundForm,
    model_problem,
)
from curate.stages.prelabel.summary import Proposals

Row = dict[str, Any]

_SHORTHAND = ("model", "prompt")
_ROOM = 8
"""How many times as many items are at work as requests may be in flight, so that one that hangs holds nothing up."""
_BATCH_ROOM = 50_000
_SAMPLE = 200
_RECALL_FROM = 4_000
"""Fewer items are through before workers have begun."""
_RECALL_SAMPLE = 64
_READ_ROWS = 256
_YIELD_ROWS = 256
_YIELD_S = 0.5


class Prelabel(Streamed, Priced, Summarised):
    """Every labeller's proposals for every item, and one row that stands for the item.

    Nothing is left out: an item that no labeller could judge has a row that says why. Asking a model goes on from the
    driver, with every reply kept under its request's hash before it is used: none is ever paid for twice.
    """

    stage: Literal["prelabel"]
    labellers: Annotated[tuple[LabellerSettings, ...], Field(min_length=1, max_length=12)] = (
        LabellerSettings(model="offline"),
    )
    """Or ``model: …``, for one labeller with nothing else to set"""
    combine: AggregationRule = "majority"
    """How several answers become one: those of several labellers, and several samples of one"""
    review: ReviewSettings | None = None
    examples: ExampleSettings | None = None
    context: ContextSettings = ContextSettings()
    pictures: PictureSettings = PictureSettings()
    show: tuple[Shown, ...] = ("image", "faces")
    """What is sent besides words, of what a prompt can do without; not every model takes ``audio``"""
    sound: SoundForm = "wav"
    """How sound is sent; MP3 is a sixth as long, and not every server reads it"""
    max_sound_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    """Longer sounds are left out"""
    max_text_chars: Annotated[int, Field(ge=100, le=1_000_000)] = 8_000
    """Longer texts are cut for the prompt"""
    mode: Literal["online", "batch"] = "online"
    budget: BudgetSettings = BudgetSettings()
    in_flight: Annotated[int, Field(ge=1, le=2_000)] = 64
    """Requests under way at once: so many to chat models, and beside them so many for embeddings"""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """For chat models and for embeddings each; without it, as the service says for each model"""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """For chat models and for embeddings each; without it, as the service says for each model"""
    request_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    """The stage ends after this time and keeps what is done"""
    tries: Annotated[int, Field(ge=1, le=20)] = 5

    version: ClassVar[int] = 5
    reads: ClassVar[str] = "items"
    writes: ClassVar[tuple[str, ...]] = ("prelabels",)
    repeatable: ClassVar[bool] = True
    batch_rows: ClassVar[int] = 256
    retried: ClassVar[tuple[str, str] | None] = ("outcome", "error")
    operational: ClassVar[frozenset[str]] = frozenset(
        {
            *("mode", "budget", "in_flight", "requests_per_minute", "tokens_per_minute"),
            *("request_timeout_s", "deadline_s", "tries"),
        }
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, given: Any) -> Any:
        """``model: offline`` is short for ``labellers: [{model: offline}]``."""
        if not isinstance(given, dict):
            return given
        own = [name for name in LabellerSettings.model_fields if name not in (*cls.model_fields, *_SHORTHAND)]
        if strange := [name for name in own if name in given]:
            example = f"labellers: [{{model: {given.get('model', 'openai/<name>')}, {strange[0]}: …}}]"
            raise Findings([((name,), f"{name} is a setting of a labeller: `{example}`") for name in strange])
        if "model" not in given:
            return given
        if "labellers" in given:
            raise Findings([(("model",), "give either `model` or `labellers`")])
        if problem := model_problem(given["model"]):
            raise Findings([(("model",), problem)])
        one = {name: given[name] for name in _SHORTHAND if name in given}
        return {**{name: value for name, value in given.items() if name not in _SHORTHAND}, "labellers": [one]}

    @model_validator(mode="after")
    def _check(self) -> "Prelabel":
        names = [one.label for one in (*self.labellers, *([self.review] if self.review else []))]
        names += (
            [self.examples.by] if self.examples and self.examples.embeds else []
        )  # it has a line of its own in the account
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two labellers are called {twice}; give one another `name`")
        if self.review is not None and self.review.is_local:
            raise ValueError(f"{self.review.model} cannot review; name a model that is asked")
        return self

    def problems(self, folder: Path, labels: LabelSchema | None = None) -> Iterable[Problem]:
        """See ``Stage.problems``: prompts that are not there, not right or not for these labels; prices."""
        for place, labeller in self._asked():
            try:
                prompt = load_prompt(labeller.prompt, folder)
            except InvalidInput as error:
                found = error.problems or (f"{error.message} ({error.hint})",)
            else:
                found = tuple(prompt.problems(labels)) if labels is not None else ()
            yield from (((*place, "prompt"), problem) for problem in found)
        yield from self._price_problems(folder)

    def assets(self, tools: Tools) -> Iterable[str]:
        """See ``Stage.assets``."""
        yield tools.labels.sha256
        for labeller in self.labellers:
            if labeller.is_local:
                local = labeller.open_local(tools.folder)
                yield local.name
                yield from local.assets(tools.labels)
        for _, labeller in self._asked():
            yield load_prompt(labeller.prompt, tools.folder).sha256

    def columns_used(self) -> tuple[str, ...] | None:
        """See ``BatchStage.columns_used``."""
        local = ("item_id", "text", "language")
        if not self._asked():
            return local
        shown = ("unit", "speaker", "statement", "dialogue", "turn", "audio", "video", "image", "face", "face_id")
        pair = ("text_b", "audio_b", "video_b")
        return (*local, *shown, *pair, *(AROUND if self._has_context else ()))

    def inputs(self, current: pa.Table, tools: Tools) -> pa.Table:
        """The items, with the turns round each where a model is to see them."""
        return with_neighbours(current, self.context) if self._has_context else current

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        """Proposals of labellers that ask nobody."""
        items = batch.to_pylist()
        by_labeller = []
        for labeller in self.labellers:
            model = labeller.open_local(tools.folder)
            made = model.propose_many(items, tools.labels)
            by_labeller.append([proposed_by(labeller.label, model.name, proposal) for proposal in made])
        rows = []
        for item, proposals in zip(items, zip(*by_labeller, strict=True), strict=True):
            together = combined(proposals, tools.labels, self.combine)
            rows += rows_of(item["item_id"], proposals, tools.labels, together=together)
        return Outcome({"prelabels": rows})

    def is_streamed(self) -> bool:
        """See ``Streamed.is_streamed``: true if any labeller is a model behind a service."""
        return bool(self._asked())

    def make_summary(self) -> Proposals:
        """See ``Summarised.make_summary``."""
        return Proposals()

    def should_replay(self, todo: pa.Table, tools: Tools) -> bool:
        """See ``Streamed.should_replay``: true if at least half of a sample was answered before."""
        if todo.num_rows < _RECALL_FROM or self.examples or not _place(tools).is_file():
            return False
        sample = _spread(todo, _RECALL_SAMPLE)
        known = self.replay(sample, tools).indices
        return 2 * len(known) >= len(sample)

    def replay(self, batch: pa.Table, tools: Tools) -> Replayed:
        """See ``Streamed.replay``; items with media that are decoded first are left to ``stream``."""
        chat = Chat(self, None, tools)
        with closing(ReplyStore(_place(tools))) as answers:
            dry_run = DryRun(answers)
            work = partial(chat.recall, dry_run)
            by_item = list(stream(iter(batch.to_pylist()), work, window=max(1, batch.num_rows)))
        known = [at for at, rows in enumerate(by_item) if rows is not None]
        rows = [row for own in by_item if own is not None for row in own]
        return Replayed(known, Outcome({"prelabels": rows}), dry_run.usage())

    def estimate(self, todo: pa.Table, corpus: Corpus, tools: Tools) -> str:
        """See ``Priced.estimate``: told from some hundred items spread over those to do."""
        labellers = [one for _, one in self._asked()]
        if not labellers:
            return ""
        if not todo.num_rows:
            return "it asks models" if any(one.model != REPLAY for one in labellers) else ""
        return tell_cost(self, labellers, _spread(todo, _SAMPLE).to_pylist(), todo.num_rows, corpus, tools)

    def stream(
        self, inputs: pa.Table, corpus: Corpus, tools: Tools, *, account: dict[str, Any], stop: Callable[[], bool]
    ) -> Generator[tuple[int, Outcome]]:
        """See ``Streamed.stream``."""
        items = (row for batch in inputs.to_batches(_READ_ROWS) for row in batch.to_pylist())
        window = _BATCH_ROOM if self.mode == "batch" else self.in_flight * _ROOM
        waiting: list[list[Row]] = []
        with closing(ReplyStore(_place(tools))) as answers:
            engine = self._open(answers, tools)
            work = partial(Chat(self, corpus, tools).rows, engine)
            last = time.monotonic()
            try:
                for ready in stream_ready(items, work, window=window, stop=stop, finish=engine.close):
                    waiting += ready
                    if len(waiting) >= _YIELD_ROWS or time.monotonic() - last >= _YIELD_S:
                        account.update(engine.usage())
                        yield _outcome(waiting)
                        waiting, last = [], time.monotonic()
            except CurateError:
                # A limit is reached, or a server at its end: what was answered is kept.
                if waiting:
                    yield _outcome(waiting)
                waiting = []
                raise
            finally:
                account.update(engine.usage())
            if waiting:
                yield _outcome(waiting)

    def _open(self, answers: ReplyStore, tools: Tools) -> Engine:
        models = tuple(dict.fromkeys(one.asks for _, one in self._asked() if one.model != REPLAY))
        embeds = self.examples.embeds if self.examples and models else None
        settings = EngineSettings(
            mode=self.mode if models else "replay",
            in_flight=self.in_flight,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            request_timeout_s=self.request_timeout_s,
            deadline_s=self.deadline_s,
            tries=self.tries,
            budget_usd=self.budget.usd,
            budget_tokens=self.budget.tokens,
            prices=tools.folder,
            replayed=frozenset(one.label for _, one in self._asked() if one.model == REPLAY),
        )
        return open_engine(settings, answers, tools.blobs.read, models=(*models, *([embeds] if embeds else [])))

    def _price_problems(self, folder: Path) -> Iterable[Problem]:
        models = [((*place, "model"), one.asks) for place, one in self._asked() if one.model != REPLAY]
        if not models:
            return
        try:
            prices = load_prices(folder)
        except InvalidInput as error:
            found = error.problems or (error.message,)
            yield from ((("budget",), problem) for problem in (*found[:-1], f"{found[-1]} ({error.hint})"))
            return
        if self.examples and self.examples.embeds:
            models.append((("examples", "by"), self.examples.embeds))
        for place, model in models if self.budget.usd is not None else ():
            try:
                check_priced(prices, [model])
            except InvalidInput as error:
                yield place, f"{error.message} ({error.hint})"

    @property
    def _has_context(self) -> bool:
        return bool(self._asked()) and (self.context.before > 0 or self.context.after > 0)

    def _asked(self) -> list[tuple[tuple[str | int, ...], LabellerSettings]]:
        """The labellers that a model is asked for, each with its place among the settings."""
        found: list[tuple[tuple[str | int, ...], LabellerSettings]] = [
            (("labellers", at), one) for at, one in enumerate(self.labellers) if not one.is_local
        ]
        return [*found, (("review",), self.review)] if self.review else found


def _outcome(rows: list[list[Row]]) -> tuple[int, Outcome]:
    return len(rows), Outcome({"prelabels": [row for own in rows for row in own]})


def _spread(todo: pa.Table, most: int) -> pa.Table:
    """About so many rows from all over a table."""
    return todo.take(list(range(0, todo.num_rows, max(1, todo.num_rows // most))))


def _place(tools: Tools) -> Path:
    if tools.answers is None:
        raise ValueError("there is nowhere to keep what models reply")
    return tools.answers
