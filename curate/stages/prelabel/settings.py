"""The settings of the prelabel stage."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Setting

from curate.document import Findings
from curate.llm.labellers import OfflineName, TextLabeller, open_offline

LOCAL: tuple[OfflineName, ...] = get_args(OfflineName)
"""Labellers that need no network."""
REPLAY = "replay"
_PREFIX = "openai/"
_MODEL = re.compile(rf"({'|'.join((*LOCAL, REPLAY))})|{_PREFIX}\S{{1,200}}")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,80}$"

Shown = Literal["image", "faces", "frames", "audio"]
SoundForm = Literal["wav", "mp3"]


def model_problem(model: Any) -> str | None:
    """What is wrong with the name of a labeller's model; None where nothing is."""
    if isinstance(model, str) and _MODEL.fullmatch(model):
        return None
    return f"model is {model!r}; valid: {', '.join((*LOCAL, REPLAY))}, or openai/<model>"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabellerSettings(_Settings):
    """Who proposes labels: a model behind an OpenAI-compatible address, one that is built in, or earlier replies."""

    model: str
    """``offline``, ``lexicon``, ``vader``, ``textblob``, ``openai/<name>``, or ``replay`` (cache only)"""
    name: Annotated[str, Setting(pattern=_NAME)] | None = None
    """As it stands in the table; the model where it is not given"""
    prompt: str = "utterance_emotion.v1"
    of: str | None = None
    """With ``replay``: whose replies, where several models answered the same requests"""
    samples: Annotated[int, Setting(ge=1, le=50)] = 1
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How the service binds the reply: to the schema, to JSON, or not at all; then the prompt tells the schema"""
    scores: bool = True
    """Whether the model also says how likely each label is, and how sure it is of the whole"""
    temperature: Annotated[float, Setting(ge=0, le=2)] | None = None
    top_p: Annotated[float, Setting(gt=0, le=1)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Setting(ge=16, le=1_000_000)] = 1_500
    """The longest reply; one that is cut off is asked for again with twice as many"""
    limit_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """What the service calls that limit: some servers know only the older name, and else reply at any length"""
    reasoning_effort: Annotated[str, Setting(pattern=r"^[a-z]{1,20}$")] | None = None

    @model_validator(mode="after")
    def _check(self) -> "LabellerSettings":
        if problem := model_problem(self.model):
            raise Findings([(("model",), problem)])
        if self.is_local and (strange := sorted(self.model_fields_set - {"model", "name"})):
            raise ValueError(f"{self.model} has no setting {strange[0]}")
        if self.of is not None and self.model != REPLAY:
            raise ValueError("`of` goes with `model: replay` only")
        if self.of is not None and not self.of.startswith(_PREFIX):
            raise ValueError(f"of: {self.of!r} is no model; for example openai/gpt-5-mini")
        return self

    @property
    def label(self) -> str:
        """The labeller's name."""
        return self.name or self.model

    @property
    def is_local(self) -> bool:
        """Whether it runs in this process, without asking anybody."""
        return self.model in LOCAL

    def open_local(self, beside: Path) -> TextLabeller:
        """The labeller itself, where it is local; ``beside`` is the recipe's folder."""
        return _opened(next(name for name in LOCAL if name == self.model), beside)

    @property
    def asks(self) -> str:
        """The model as its endpoint names it; empty for a replay of whichever model answered."""
        return (self.of or "" if self.model == REPLAY else self.model).removeprefix(_PREFIX)

    def parameters(self) -> dict[str, Any]:
        """What goes into the request as it is."""
        given = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "reasoning_effort": self.reasoning_effort,
            self.limit_name: self.max_tokens,
            "response_format": {"type": "json_object"} if self.structured == "json_object" else None,
        }
        return {name: value for name, value in given.items() if value is not None}


class ReviewSettings(LabellerSettings):
    """A second model, which is shown the item and the proposal and answers anew."""

    prompt: str = "review.v1"


class ExampleSettings(_Settings):
    """Items that people have corrected, shown as examples; never of the test split, of the same source or speaker."""

    count: Annotated[int, Setting(ge=1, le=20)] = 3
    by: str = "bm25"
    """``bm25``, or ``openai/<name>`` for the nearest by that embedding model"""

    @model_validator(mode="after")
    def _check(self) -> "ExampleSettings":
        if self.by != "bm25" and not re.fullmatch(rf"{_PREFIX}\S{{1,200}}", self.by):
            raise ValueError(f"by: {self.by!r} is neither bm25 nor openai/<embedding model>")
        return self

    @property
    def embeds(self) -> str | None:
        """The embedding model as its endpoint names it; None where words are compared."""
        return None if self.by == "bm25" else self.by.removeprefix(_PREFIX)


class ContextSettings(_Settings):
    """How many turns of the conversation are shown before and after an item."""

    before: Annotated[int, Setting(ge=0, le=50)] = 0
    after: Annotated[int, Setting(ge=0, le=50)] = 0


class PictureSettings(_Settings):
    """Which pictures of a clip are shown: crops of the chosen face, or frames, those of most worth and motion."""

    count: Annotated[int, Setting(ge=1, le=32)] = 3
    side_px: Annotated[int, Setting(ge=32, le=2048)] = 512
    """The longer side, at most"""
    detail: Literal["low", "high", "auto"] = "low"


class BudgetSettings(_Settings):
    """The most that the stage may spend over all runs in this workspace."""

    usd: Annotated[float, Setting(gt=0)] | None = None
    tokens: Annotated[int, Setting(gt=0)] | None = None


@cache
def _opened(name: OfflineName, beside: Path) -> TextLabeller:
    return open_offline(name, beside)
