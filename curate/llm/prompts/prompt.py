"""Prompts: Markdown files with a header that says what they need, rendered for one item at a time."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.assets import find_asset
from curate.document import Document, Findings, nearest, parse_document, parse_model, read_text, sort_problems
from curate.errors import InvalidInput, InvalidRow
from curate.labels import LabelSchema, strict_problems
from curate.labels.fields.base import Language
from curate.labels.units import Unit
from curate.llm.prompts.fence import clean, fence_of, fenced, is_seen, rule
from curate.llm.prompts.template import Template, parse_template
from curate.llm.request import Media, Message, Part

FOLDER = "recipes/prompts"
PLAIN = ("labels", "language")
"""Variables that the recipe's author or the program writes: they stand as they are."""
FENCED = ("text", "text_b", "speaker", "context", "statement", "answer", "examples")
"""Variables with what others said or wrote: they stand between tags."""
VARIABLES = (*PLAIN, *FENCED)
MODALITIES = ("image", "faces", "frames", "audio", "frames_b", "audio_b")
MOST_CHARS = 20_000
_MOST_BYTES = 200_000
MOST_EXTRA_CHARS = 4_000
"""The length of what a prompt asks besides the labels."""
_HEADING = re.compile(r"^# (system|user)[ \t]*$", re.MULTILINE)
_HEADER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)

Need: TypeAlias = Literal["required", "optional"]


def _check_member(given: Any) -> Any:
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(each, str) for each in names):
        raise ValueError("neither a name nor a list of names")
    return given


class Header(BaseModel):
    """What stands at the top of a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    language: Language = "en"
    """The language that the prompt is written in, and in which the labels are told."""
    units: Annotated[tuple[Unit, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = Field(
        alias="unit", min_length=1
    )
    variables: dict[str, Need]
    modalities: dict[str, Need] = {}
    any_of: tuple[Annotated[str | tuple[str, ...], BeforeValidator(_check_member)], ...] = ()
    """Variables and modalities of which an item must have at least one; or several lists of them, and one of each."""
    extra: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Annotated[str, Field(min_length=1)]] = {}
    """What the reply holds before the labels, by name: what is to be written there."""

    @model_validator(mode="after")
    def _check_names(self) -> "Header":
        found = [
            *_unknown("variables", self.variables, VARIABLES),
            *_unknown("modalities", self.modalities, MODALITIES),
        ]
        declared = (*self.variables, *self.modalities)
        if len({isinstance(each, str) for each in self.any_of}) > 1:
            found.append((("any_of",), "any_of holds names beside lists; put each name into a list"))
        for at, each in enumerate(self.any_of):
            for inner, name in enumerate((each,) if isinstance(each, str) else each):
                if name not in declared:
                    found.append((("any_of", at, inner), f"{name} is not declared above{nearest(name, declared)}"))
        if "labels" not in self.variables:
            found.append((("variables",), "a prompt needs the variable labels: what is asked"))
        if found:
            raise Findings(found)
        return self

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The lists of ``any_of``, of each of which an item must have at least one."""
        names = tuple(each for each in self.any_of if isinstance(each, str))
        return (names,) if names else tuple(each for each in self.any_of if not isinstance(each, str))


def _unknown(part: str, given: Mapping[str, Any], known: Sequence[str]) -> list[tuple[tuple[int | str, ...], str]]:
    kind = {"variables": "variable", "modalities": "modality"}[part]
    return [((part, name), f"{name} is not a {kind}{nearest(name, known)}") for name in given if name not in known]


@dataclass(frozen=True)
class Prompt:
    """A prompt that is known to be whole: every tag is declared, and every declared name is used."""

    name: str
    sha256: str
    """Of the file's bytes: what a stage's identity depends on."""
    header: Header
    system: Template
    user: Template

    @property
    def language(self) -> str:
        """The language that it is written in."""
        return self.header.language

    @property
    def variables(self) -> Mapping[str, Need]:
        """The texts that it uses, and which an item must have."""
        return self.header.variables

    @property
    def modalities(self) -> Mapping[str, Need]:
        """The pictures and sounds that it uses, and which an item must have."""
        return self.header.modalities

    def problems(self, labels: LabelSchema) -> list[str]:
        """Why the prompt cannot ask for the labels of a schema; empty where it can."""
        found = []
        if not set(self.header.units) & set(labels.units):
            suits, units = ", ".join(self.header.units), ", ".join(labels.units)
            found.append(f"prompt {self.name} is for {suits}, and label schema {labels.name} for {units}")
        if taken := [name for name in self.header.extra if name in labels.fields]:
            found.append(f"prompt {self.name} asks for {taken[0]}, which is a field of label schema {labels.name}")
        return found or strict_problems(answer_schema(self, labels))

    def lacking(self, variables: Mapping[str, str], media: Mapping[str, Sequence[Media]]) -> list[str]:
        """What an item lacks that the prompt must have, in words; empty where it can be rendered.

        A text of which nothing can be seen is not there.
        """
        found = []
        for group in self._needed:
            for name in group:
                if ((text := variables.get(name)) and is_seen(text)) or media.get(name):
                    break
            else:
                found.append(" or ".join(group))
        return found

    def render(
        self,
        variables: Mapping[str, str],
        media: Mapping[str, Sequence[Media]] = {},
        *,
        most_chars: int = MOST_CHARS,
    ) -> tuple[Message, ...]:
        """The messages for one item: a system message, the same for all items, and a user message.

        What the prompt does not declare is left out. Fenced texts are cleaned and cut to ``most_chars``; the closing
        tag of their fence stands in none of them. Raises ``InvalidRow`` where the item lacks what is required.
        """
        if lacking := self.lacking(variables, media):
            raise InvalidRow(f"the item has no {lacking[0]}, which prompt {self.name} needs", reason="invalid")
        used = {
            name: clean(value, most_chars=most_chars)
            for name, value in variables.items()
            if name in self._fenced and is_seen(value)
        }
        digits = fence_of(used.values())
        values: dict[str, Sequence[Part]] = {name: (fenced(name, text, digits),) for name, text in used.items()}
        values |= {name: (variables[name],) for name in PLAIN if name in self.variables and variables.get(name)}
        values |= {name: tuple(parts) for name, parts in media.items() if name in self.modalities}
        system = _system(self.system, variables["labels"], rule(self.language) if self._fenced else "")
        user = self.user.render(values)
        return (*system, Message("user", user)) if user else system

    @cached_property
    def _fenced(self) -> frozenset[str]:
        return frozenset(self.variables).intersection(FENCED)

    @cached_property
    def _needed(self) -> tuple[tuple[str, ...], ...]:
        """Of each of these an item must have at least one."""
        needs = {**self.variables, **self.modalities}
        return (*((name,) for name, need in needs.items() if need == "required"), *self.header.groups)


@lru_cache(maxsize=64)
def _system(template: Template, labels: str, closing: str) -> tuple[Message, ...]:
    """The system message, which depends on the labels alone; nothing where there is none."""
    told = [part for part in (*template.render({"labels": (labels,)}), closing) if isinstance(part, str) and part]
    return (Message("system", ("\n\n".join(told),)),) if told else ()


def load_prompt(name: str, beside: Path | None = None) -> Prompt:
    """The prompt ``name`` (such as ``utterance_emotion.v1``), the user's own before the shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    path = find_asset(FOLDER, name, suffix=".md", beside=beside)
    text = read_text(path, most_bytes=_MOST_BYTES).replace("\r\n", "\n")
    found = _HEADER.match(text)
    if found is None:
        raise InvalidInput(
            f"{path}:1: a prompt opens with a header between two lines of ---",
            hint="see the shipped prompts in recipes/prompts",
        )
    # The line of dashes becomes a blank one, so that what stands below keeps its number.
    document = parse_document(path, "\n" + found[1])
    header = parse_model(Header, document.data, document)
    parts, problems = _parts(text, found.end())
    system, user = (_template(text, parts.get(role)) for role in ("system", "user"))
    problems += [*system.problems, *user.problems]
    told = [f"{path}:{line}: {sentence}" for line, sentence in problems]
    told += _disagreements(header, system, user, document)
    if told:
        raise InvalidInput(f"prompt {name} cannot be used", problems=tuple(sort_problems(told)))
    return Prompt(name, hashlib.sha256(path.read_bytes()).hexdigest(), header, system, user)


def _parts(text: str, begin: int) -> tuple[dict[str, tuple[int, int]], list[tuple[int, str]]]:
    """Where the texts under ``# system`` and ``# user`` stand, and what is wrong with the headings."""
    headings = list(_HEADING.finditer(text, begin))
    ends = [*(each.start() for each in headings[1:]), len(text)]
    problems: list[tuple[int, str]] = []
    parts: dict[str, tuple[int, int]] = {}
    for heading, end in zip(headings, ends, strict=False):
        if heading[1] in parts:
            problems.append((_line(text, heading.start()), f"a second heading # {heading[1]}"))
        parts[heading[1]] = (heading.end(), end)
    if "user" not in parts:
        problems.append(
            (_line(text, len(text.rstrip())), "there is no heading # user, under which stands what is asked")
        )
    elif list(parts) == ["user", "system"]:
        problems.append((_line(text, parts["system"][0]), "# system must stand above # user"))
    if stray := text[begin : headings[0].start() if headings else len(text)].strip():
        at = text.index(stray, begin)
        problems.append((_line(text, at), "text that stands under no heading; there are # system and # user"))
    return parts, problems


def _template(text: str, part: tuple[int, int] | None) -> Template:
    if part is None:
        return Template()
    return parse_template(text[slice(*part)], first_line=_line(text, part[0]))


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _disagreements(header: Header, system: Template, user: Template, document: Document) -> Iterator[str]:
    """What the header and the templates say against each other, each with its file and line."""
    needs = {**header.variables, **header.modalities}
    used = set()
    for part, template in (("system", system), ("user", user)):
        for place, section in template.names():
            used.add(place.name)
            at = f"{document.path}:{place.line}: {{{{{place.name}}}}}"
            if place.name not in needs:
                yield f"{at} is not declared in the header{nearest(place.name, tuple(needs))}"
            elif part == "system" and place.name != "labels":
                yield f"{at} changes from item to item: it belongs under # user"
            elif needs[place.name] == "optional" and (
                section is None or (section.kind, section.name) != ("#", place.name)
            ):
                yield f"{at} may be missing: it must stand between {{{{#{place.name}}}}} and {{{{/{place.name}}}}}"
        for section in template.sections():
            used.add(section.name)
            at = f"{document.path}:{section.line}: {{{{{section.kind}{section.name}}}}}"
            if section.name not in needs:
                yield f"{at} is not declared in the header{nearest(section.name, tuple(needs))}"
            elif needs[section.name] == "required":
                yield f"{at} is about what is always there; declare {section.name} optional, or drop the section"
            elif part == "system":
                yield f"{at} changes from item to item: it belongs under # user"
    for part, names in (("variables", header.variables), ("modalities", header.modalities)):
        for name in names:
            if name not in used:
                yield f"{document.place((part, name))}: {name} is declared and never used"


def answer_schema(prompt: Prompt, labels: LabelSchema) -> dict[str, Any]:
    """The JSON schema of a reply: what the prompt asks besides, then every field, within what strict mode allows."""
    schema = labels.json_schema()
    extra = {
        name: {"type": "string", "minLength": 1, "maxLength": MOST_EXTRA_CHARS, "description": asked}
        for name, asked in prompt.header.extra.items()
    }
    properties = {**extra, **schema["properties"]}
    return {**schema, "properties": properties, "required": list(properties)}
