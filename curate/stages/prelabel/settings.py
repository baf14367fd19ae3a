"""The settings of the prelabel stage."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic import Field as Setting

from curate.document import LocatedProblems
from curate.labels import AggregationRule, Language
from curate.llm.labellers import OfflineName, TextLabeller, open_offline
from curate.llm.reasoning import thinking_tokens
from curate.llm.settings import RequestSettings

LOCAL_MODELS: tuple[OfflineName, ...] = get_args(OfflineName)
"""Labellers that need no network."""
REPLAY = "replay"
_PREFIX = "openai/"
_MODEL = re.compile(rf"({'|'.join((*LOCAL_MODELS, REPLAY))})|{_PREFIX}\S{{1,200}}")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,80}$"
_SHORTHAND = ("model", "prompt")
_ANSWER_TOKENS = 1_500

Modality = Literal["image", "faces", "frames", "video", "audio"]
AudioFormat = Literal["wav", "mp3"]
Location = tuple[str | int, ...]
"""Where a value is within the settings of the stage."""


def model_problem(model: Any) -> str | None:
    """Return what is wrong with the name of a labeller's model, or None."""
    if isinstance(model, str) and _MODEL.fullmatch(model):
        return None
    return f"model is {model!r}; valid: {', '.join((*LOCAL_MODELS, REPLAY))}, or openai/<model>"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabellerSettings(_Settings):
    """Who proposes labels: a model behind an OpenAI-compatible address, a built-in one, or stored replies."""

    model: str
    """``offline``, ``lexicon``, ``vader``, ``textblob``, ``openai/<name>``, or ``replay`` (stored replies only)"""
    name: Annotated[str, Setting(pattern=_NAME)] | None = None
    """The labeller's name in the table; by default the model"""
    prompt: str = "utterance_emotion.v1"
    """The prompt, by its name in ``recipes/prompts``."""
    prompts: dict[Language, str] = {}
    """Prompts in place of it for items in some languages, such as ``{de: utterance_emotion_de.v1}``"""
    of: str | None = None
    """With ``replay``: whose replies, if several models answered the same requests"""
    samples: Annotated[int, Setting(ge=1, le=50)] = 1
    """How many answers are asked for, to be combined."""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How the service constrains the reply: to the schema, to JSON, or not at all; then the prompt holds the schema"""
    scores: bool = True
    """Whether the model also rates how likely each label is, and how sure it is of the whole answer"""
    temperature: Annotated[float, Setting(ge=0, le=2)] | None = None
    """How far answers vary; by default, what the service does."""
    top_p: Annotated[float, Setting(gt=0, le=1)] | None = None
    """The share of likely tokens that answers are drawn from; by default, what the service does."""
    seed: int | None = None
    """Sent with each request, for services that repeat answers by it."""
    max_tokens: Annotated[int, Setting(ge=16, le=1_000_000)] | None = None
    """The longest reply, thinking included; by default 1,500, and more for a model that thinks before it answers.

    A reply that is cut off is asked for again with twice the limit.
    """
    limit_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """What the service calls that limit: some servers know only the older name, and ignore the other"""
    reasoning_effort: Annotated[str, Setting(pattern=r"^[a-z]{1,20}$")] | None = None
    """How long a model thinks, such as minimal, low, medium or high"""

    @model_validator(mode="after")
    def _check(self) -> "LabellerSettings":
        if problem := model_problem(self.model):
            raise LocatedProblems([(("model",), problem)])
        # The recipe that a run records spells out every default.
        changed = (name for name, value in self if value != type(self).model_fields[name].default)
        if self.is_local and (unusable := sorted({*changed} - {"model", "name"})):
            raise ValueError(f"{self.model} has no setting {unusable[0]}")
        if self.of is not None and self.model != REPLAY:
            raise ValueError("`of` goes with `model: replay` only")
        if self.of is not None and not self.of.startswith(_PREFIX):
            raise ValueError(f"of: {self.of!r} is not a model; for example openai/gpt-5-mini")
        return self

    @property
    def labeller_name(self) -> str:
        """The labeller's name in the table."""
        return self.name or self.model

    @property
    def is_local(self) -> bool:
        """Whether it runs in this process and sends no requests."""
        return self.model in LOCAL_MODELS

    def open_local(self, recipe_folder: Path) -> TextLabeller:
        """Return the labeller itself, which must be local."""
        return _open_once(next(name for name in LOCAL_MODELS if name == self.model), recipe_folder)

    @property
    def model_name(self) -> str:
        """The model's name at its endpoint; empty for a replay of any model's replies."""
        return (self.of or "" if self.model == REPLAY else self.model).removeprefix(_PREFIX)

    @property
    def thinking_tokens(self) -> int:
        """Tokens allowed on top of the limit that ``parameters`` names, for thinking."""
        return 0 if self.max_tokens else thinking_tokens(self.model_name, self.reasoning_effort)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a request that are sent as they are."""
        parameters = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "reasoning_effort": self.reasoning_effort,
            self.limit_name: self.max_tokens or _ANSWER_TOKENS,
            "response_format": {"type": "json_object"} if self.structured == "json_object" else None,
        }
        return {name: value for name, value in parameters.items() if value is not None}


class ReviewSettings(LabellerSettings):
    """A second model that sees the item and the proposal, and answers anew."""

    prompt: str = "review.v1"
    """The prompt, by its name in ``recipes/prompts``."""


class ClueSettings(LabellerSettings):
    """A model that describes what it sees, hears or reads of an item, for other models that label it.

    It is sent whatever its prompt requires, such as the sound, which the others need not take.
    """

    prompt: str
    """The prompt, which asks for no labels, by its name in ``recipes/prompts``."""

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        if model in LOCAL_MODELS:
            raise ValueError(f"{model} gives no clues; name a model behind an endpoint")
        return model

    @model_validator(mode="after")
    def _check_clue(self) -> "ClueSettings":
        if self.samples != 1:
            raise ValueError("a clue is asked for once: leave `samples` out")
        return self


class ExampleSettings(_Settings):
    """Corrected items shown as examples; never from the test split, or of the same source or speaker."""

    count: Annotated[int, Setting(ge=1, le=20)] = 3
    """How many examples a prompt has."""
    by: str = "bm25"
    """``bm25``, or ``openai/<name>`` for the nearest by that embedding model"""

    @model_validator(mode="after")
    def _check(self) -> "ExampleSettings":
        if self.by != "bm25" and not re.fullmatch(rf"{_PREFIX}\S{{1,200}}", self.by):
            raise ValueError(f"by: {self.by!r} is neither bm25 nor openai/<embedding model>")
        return self

    @property
    def embedding_model(self) -> str | None:
        """The embedding model's name at its endpoint; None if items are compared by words."""
        return None if self.by == "bm25" else self.by.removeprefix(_PREFIX)


class ContextSettings(_Settings):
    """How many turns of the conversation are shown before and after an item."""

    before: Annotated[int, Setting(ge=0, le=50)] = 0
    """Turns before the item."""
    after: Annotated[int, Setting(ge=0, le=50)] = 0
    """Turns after the item."""


class PictureSettings(_Settings):
    """The pictures of a clip that are shown: the best crops of its face, or frames with the most motion."""

    count: Annotated[int, Setting(ge=1, le=32)] = 3
    """The most pictures of a clip."""
    side_px: Annotated[int, Setting(ge=32, le=2048)] = 512
    """The longer side, at most"""
    detail: Literal["low", "high", "auto"] = "low"
    """How closely the model is to look, for services that know this."""


class ServiceSettings(RequestSettings):
    """How requests are sent. None of it affects the rows, so that changing it redoes nothing."""

    mode: Literal["online", "batch"] = "online"
    """``batch`` costs less where the service offers it, and takes up to a day."""


def _with_shorthand(schema: dict[str, Any]) -> None:
    """Add to a JSON schema what ``_expand`` takes in place of ``labellers``."""
    shorthand = {
        "model": {"type": "string", "description": "The only labeller's model, in place of `labellers`."},
        "prompt": {"type": "string", "description": "With `model`: the prompt, by its name in `recipes/prompts`."},
    }
    schema["properties"] = {**shorthand, **schema["properties"]}


class PrelabelSettings(ServiceSettings):
    """All settings of the stage."""

    model_config = ConfigDict(json_schema_extra=_with_shorthand)

    labellers: Annotated[tuple[LabellerSettings, ...], Setting(min_length=1, max_length=12)] = (
        LabellerSettings(model="offline"),
    )
    """Or ``model: …``, for one labeller with nothing else to set"""
    clues: Annotated[tuple[ClueSettings, ...], Setting(max_length=12)] = ()
    """Models that are asked first, each for what it can tell of an item: prompts with ``clues`` show their answers"""
    combine: AggregationRule = "majority"
    """How several answers become one: those of several labellers, and several samples of one"""
    review: ReviewSettings | None = None
    """A second model that corrects the proposals."""
    examples: ExampleSettings | None = None
    """Corrected items that the prompt shows."""
    context: ContextSettings = ContextSettings()
    """Turns of the conversation that the prompt shows."""
    pictures: PictureSettings = PictureSettings()
    """Which pictures of a clip are sent."""
    show: tuple[Modality, ...] = ("image", "faces")
    """Which optional media of a prompt are sent; not every model takes ``audio``, and few take ``video``"""
    sound: AudioFormat = "wav"
    """The format in which sound is sent; MP3 is six times smaller, but not every server reads it"""
    max_sound_s: Annotated[float, Setting(gt=0, le=3_600)] = 60.0
    """Longer sounds are left out"""
    max_video_s: Annotated[float, Setting(gt=0, le=3_600)] = 60.0
    """Longer clips are left out"""
    max_text_chars: Annotated[int, Setting(ge=100, le=1_000_000)] = 8_000
    """Longer texts are cut for the prompt"""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, settings: Any) -> Any:
        """Turn ``model: offline`` into ``labellers: [{model: offline}]``."""
        if not isinstance(settings, dict):
            return settings
        labeller_only = [name for name in LabellerSettings.model_fields if name not in (*cls.model_fields, *_SHORTHAND)]
        if misplaced := [name for name in labeller_only if name in settings]:
            example = f"labellers: [{{model: {settings.get('model', 'openai/<name>')}, {misplaced[0]}: …}}]"
            raise LocatedProblems([((name,), f"{name} is a setting of a labeller: `{example}`") for name in misplaced])
        if "model" not in settings:
            return settings
        if "labellers" in settings:
            raise LocatedProblems([(("model",), "give either `model` or `labellers`")])
        if problem := model_problem(settings["model"]):
            raise LocatedProblems([(("model",), problem)])
        labeller = {name: settings[name] for name in _SHORTHAND if name in settings}
        rest = {name: value for name, value in settings.items() if name not in _SHORTHAND}
        return {**rest, "labellers": [labeller]}

    @model_validator(mode="after")
    def _check(self) -> "PrelabelSettings":
        names = [labeller.labeller_name for labeller in self.labellers]
        names += [clue.labeller_name for clue in self.clues]
        names += [self.review.labeller_name] if self.review else []
        # The embedding model has a line of its own in the account.
        names += [self.examples.by] if self.examples and self.examples.embedding_model else []
        if duplicate := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two labellers are called {duplicate}; give one another `name`")
        if self.review is not None and self.review.is_local:
            raise ValueError(f"{self.review.model} cannot review; name a model behind an endpoint")
        return self

    @property
    def prompted(self) -> dict[Location, LabellerSettings]:
        """The models that are asked or replayed, by location: for clues, for labels, and the reviewer last."""
        by_location: dict[Location, LabellerSettings] = {
            ("labellers", index): labeller for index, labeller in enumerate(self.labellers) if not labeller.is_local
        }
        clues: dict[Location, LabellerSettings] = {("clues", index): clue for index, clue in enumerate(self.clues)}
        reviewer: dict[Location, LabellerSettings] = {("review",): self.review} if self.review else {}
        return {**clues, **by_location, **reviewer}

    @property
    def paid_models(self) -> dict[Location, str]:
        """The chat and embedding models that requests are sent to, by location; empty if all replies are replayed."""
        models: dict[Location, str] = {
            (*location, "model"): labeller.model_name
            for location, labeller in self.prompted.items()
            if labeller.model != REPLAY
        }
        if models and self.examples and self.examples.embedding_model:
            models["examples", "by"] = self.examples.embedding_model
        return models

    @property
    def spenders(self) -> frozenset[str]:
        """Names under which requests are booked: the labellers behind an endpoint, and the embedding model."""
        names = {labeller.labeller_name for labeller in self.prompted.values()} - self.replayed
        return frozenset(names | {self.examples.by} if self.examples and self.examples.embedding_model else names)

    @property
    def replayed(self) -> frozenset[str]:
        """Names of the labellers that only stored replies serve."""
        return frozenset(labeller.labeller_name for labeller in self.prompted.values() if labeller.model == REPLAY)

    @property
    def has_context(self) -> bool:
        """Whether any model is shown the turns around an item."""
        return bool(self.prompted) and (self.context.before > 0 or self.context.after > 0)


@cache
def _open_once(name: OfflineName, recipe_folder: Path) -> TextLabeller:
    return open_offline(name, recipe_folder)
