"""Prompts: a header that says what they need, and templates rendered for one item at a time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.document import LocatedProblems, nearest
from curate.errors import InvalidRow
from curate.labels import LabelSchema, Language, strict_problems
from curate.labels.units import Unit
from curate.llm.prompts.fence import clean, fence, fence_digits, fence_rule, is_visible
from curate.llm.prompts.template import Template
from curate.llm.request import MediaPart, Message, MessagePart

PLAIN_VARIABLES = ("labels", "language", "duration")
"""Variables written by the recipe's author or by the program: inserted as they are."""
FENCED_VARIABLES = (
    *("text", "text_b", "speaker", "context", "statement", "answer", "draft", "clues", "examples"),
    "action_units",
)
"""Variables with words from the corpus or from a model: inserted between tags that they cannot close."""
VARIABLES = (*PLAIN_VARIABLES, *FENCED_VARIABLES)
MODALITIES = ("image", "faces", "frames", "video", "audio", "frames_b", "video_b", "audio_b")
MAX_CHARS = 20_000
MAX_EXTRA_CHARS = 4_000
"""The longest answer to something that a prompt asks besides the labels."""

Need: TypeAlias = Literal["required", "optional"]
_Problems = Iterable[tuple[tuple[int | str, ...], str]]


def _check_group(value: Any) -> Any:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError("neither a name nor a list of names")
    return value


class PromptHeader(BaseModel):
    """The YAML header of a prompt file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    language: Language = "en"
    """The language of the prompt, in which the labels are described too."""
    units: Annotated[tuple[Unit, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = Field(
        alias="unit", min_length=1
    )
    variables: dict[str, Need]
    modalities: dict[str, Need] = {}
    any_of: tuple[Annotated[str | tuple[str, ...], BeforeValidator(_check_group)], ...] = ()
    """Variables and modalities of which an item needs at least one; or several lists, and one from every list."""
    extra: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Annotated[str, Field(min_length=1)]] = {}
    """What the model writes before the labels, or instead of them: a description by name."""
    picture_times: bool = False
    """Whether the second at which each picture was taken stands before it"""

    @model_validator(mode="after")
    def _check_names(self) -> "PromptHeader":
        problems = [
            *_unknown_names("variables", "variable", self.variables, VARIABLES),
            *_unknown_names("modalities", "modality", self.modalities, MODALITIES),
            *self._any_of_problems(),
        ]
        if "labels" not in self.variables and not self.extra:
            sentence = "a prompt needs the variable labels, which says what to judge, or `extra` with clues to give"
            problems.append((("variables",), sentence))
        if problems:
            raise LocatedProblems(problems)
        return self

    def _any_of_problems(self) -> _Problems:
        declared = (*self.variables, *self.modalities)
        if len({isinstance(entry, str) for entry in self.any_of}) > 1:
            yield ("any_of",), "any_of mixes names and lists; put each name into a list"
        for index, entry in enumerate(self.any_of):
            for inner, name in enumerate((entry,) if isinstance(entry, str) else entry):
                if name not in declared:
                    yield ("any_of", index, inner), f"{name} is not declared above{nearest(name, declared)}"

    @property
    def asks_labels(self) -> bool:
        """Whether it asks for labels; one that does not asks only for clues, which other prompts may show."""
        return "labels" in self.variables

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Groups from ``any_of``; an item needs at least one name from every group."""
        names = tuple(entry for entry in self.any_of if isinstance(entry, str))
        return (names,) if names else tuple(entry for entry in self.any_of if not isinstance(entry, str))


def _unknown_names(section: str, kind: str, declared: Iterable[str], valid: Sequence[str]) -> _Problems:
    for name in declared:
        if name not in valid:
            yield (section, name), f"{name} is not a {kind}{nearest(name, valid)}"


@dataclass(frozen=True)
class Prompt:
    """A valid prompt: every tag is declared and every declared name is used. See ``load_prompt``."""

    name: str
    sha256: str
    """Of the file's bytes; part of a stage's identity."""
    header: PromptHeader
    system: Template
    user: Template

    def problems(self, labels: LabelSchema) -> list[str]:
        """Return why the prompt cannot ask about the items of a label schema, and for its labels; empty if it can."""
        problems = []
        if not set(self.header.units) & set(labels.units):
            units, schema_units = ", ".join(self.header.units), ", ".join(labels.units)
            problems.append(f"prompt {self.name} is for {units}, and label schema {labels.name} for {schema_units}")
        if not self.header.asks_labels:
            return problems
        if clashes := [name for name in self.header.extra if name in labels.fields]:
            problems.append(f"prompt {self.name} asks for {clashes[0]}, which is a field of label schema {labels.name}")
        return problems or strict_problems(answer_schema(self, labels))

    def missing(self, variables: Mapping[str, str], media: Mapping[str, Sequence[MediaPart]]) -> list[str]:
        """Return what the prompt needs and the item lacks, such as ``text or audio``; empty if it can be rendered.

        Text without visible characters counts as missing.
        """
        return [
            " or ".join(group)
            for group in self._needed_groups
            if not any(is_visible(variables.get(name, "")) or media.get(name) for name in group)
        ]

    def render(
        self,
        variables: Mapping[str, str],
        media: Mapping[str, Sequence[MediaPart]] = {},
        *,
        max_chars: int = MAX_CHARS,
    ) -> tuple[Message, ...]:
        """Return the messages for one item: a system message, the same for all items, and a user message.

        Names that the prompt does not declare are ignored. Fenced texts are cleaned and cut to ``max_chars``; none of
        them contains the digits of its fence. Raises ``InvalidRow`` if the item lacks something required.
        """
        if missing := self.missing(variables, media):
            raise InvalidRow(f"the item has no {missing[0]}, which prompt {self.name} needs", reason="invalid")
        texts = {
            name: clean(text, max_chars=max_chars)
            for name, text in variables.items()
            if name in self._fenced_names and is_visible(text)
        }
        digits = fence_digits(texts.values())
        values: dict[str, Sequence[MessagePart]] = {name: (fence(name, text, digits),) for name, text in texts.items()}
        plain = [name for name in PLAIN_VARIABLES if name in self.header.variables and variables.get(name)]
        values |= {name: (variables[name],) for name in plain}
        values |= {name: self._shown(parts) for name, parts in media.items() if name in self.header.modalities}
        rule = fence_rule(self.header.language) if self._fenced_names else ""
        system = _render_system(self.system, variables.get("labels", ""), rule)
        user = self.user.render(values)
        return (*system, Message("user", user)) if user else system

    def _shown(self, parts: Sequence[MediaPart]) -> tuple[MessagePart, ...]:
        """Return pictures with the second of each in front of it, if the header asks for that."""
        if not self.header.picture_times:
            return tuple(parts)
        shown: list[MessagePart] = []
        for part in parts:
            if part.kind == "image" and part.time_s is not None:
                shown.append(f"\n[{part.time_s:.1f} s]\n")
            shown.append(part)
        return tuple(shown)

    @cached_property
    def _fenced_names(self) -> frozenset[str]:
        return frozenset(self.header.variables).intersection(FENCED_VARIABLES)

    @cached_property
    def _needed_groups(self) -> tuple[tuple[str, ...], ...]:
        needs = {**self.header.variables, **self.header.modalities}
        return (*((name,) for name, need in needs.items() if need == "required"), *self.header.groups)


@lru_cache(maxsize=64)
def _render_system(template: Template, labels: str, rule: str) -> tuple[Message, ...]:
    # Cached because it depends on the labels alone.
    described = {"labels": (labels,)} if labels else {}
    texts = [part for part in (*template.render(described), rule) if isinstance(part, str) and part]
    return (Message("system", ("\n\n".join(texts),)),) if texts else ()


def answer_schema(prompt: Prompt, labels: LabelSchema) -> dict[str, Any]:
    """Return the JSON schema of a reply in strict mode: the prompt's extras, then every field that it asks for."""
    no_labels: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    schema = labels.json_schema() if prompt.header.asks_labels else no_labels
    extra = {
        name: {"type": "string", "minLength": 1, "maxLength": MAX_EXTRA_CHARS, "description": description}
        for name, description in prompt.header.extra.items()
    }
    properties = {**extra, **schema["properties"]}
    return {**schema, "properties": properties, "required": list(properties)}
