"""Load a prompt from its Markdown file and check it: one message for every mistake, with its line."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from curate.assets import find_asset
from curate.document import Document, nearest, parse_document, parse_model, read_text, sort_problems
from curate.errors import InvalidInput
from curate.files import sha256_of_file
from curate.llm.prompts.prompt import Prompt, PromptHeader
from curate.llm.prompts.template import Placeholder, Section, Template, parse_template

FOLDER = "recipes/prompts"
_MAX_BYTES = 200_000
_HEADING = re.compile(r"^# (system|user)[ \t]*$", re.MULTILINE)
_HEADER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)


def load_prompt(name: str, recipe_folder: Path | None = None) -> Prompt:
    """Return the prompt ``name`` (such as ``utterance_emotion.v1``); the user's own file wins over a shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    path = find_asset(FOLDER, name, suffix=".md", user_folder=recipe_folder)
    text = read_text(path, max_bytes=_MAX_BYTES).replace("\r\n", "\n")
    header_text = _HEADER.match(text)
    if header_text is None:
        raise InvalidInput(
            f"{path}:1: a prompt starts with a header between two lines of ---",
            hint="see the shipped prompts in recipes/prompts",
        )
    # A blank line stands in for the first line of dashes, so that line numbers stay right.
    document = parse_document(path, "\n" + header_text[1])
    header = parse_model(PromptHeader, document.data, document)
    spans, problems = _message_spans(text, header_text.end())
    system, user = (_parse_span(text, spans.get(role)) for role in ("system", "user"))
    problems += [*system.problems, *user.problems]
    sentences = [f"{path}:{line}: {sentence}" for line, sentence in problems]
    sentences += _HeaderCheck(header, document).problems(system, user)
    if sentences:
        raise InvalidInput(f"prompt {name} cannot be used", problems=tuple(sort_problems(sentences)))
    return Prompt(name, sha256_of_file(path), header, system, user)


def _message_spans(text: str, start: int) -> tuple[dict[str, tuple[int, int]], list[tuple[int, str]]]:
    """Return the start and end of the text under ``# system`` and ``# user``, and problems with these headings."""
    headings = list(_HEADING.finditer(text, start))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    problems: list[tuple[int, str]] = []
    spans: dict[str, tuple[int, int]] = {}
    for heading, end in zip(headings, ends, strict=False):
        if heading[1] in spans:
            problems.append((_line_number(text, heading.start()), f"a second heading # {heading[1]}"))
        spans[heading[1]] = (heading.end(), end)
    if "user" not in spans:
        problems.append((_line_number(text, len(text.rstrip())), "there is no heading # user with the question below"))
    elif list(spans) == ["user", "system"]:
        problems.append((_line_number(text, spans["system"][0]), "# system must come before # user"))
    if stray := text[start : headings[0].start() if headings else len(text)].strip():
        line = _line_number(text, text.index(stray, start))
        problems.append((line, "text before the first heading; put it under # system or # user"))
    return spans, problems


def _parse_span(text: str, span: tuple[int, int] | None) -> Template:
    return Template() if span is None else parse_template(text[slice(*span)], first_line=_line_number(text, span[0]))


def _line_number(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


class _HeaderCheck(NamedTuple):
    """Rules on which the header and the templates must agree; each yields sentences with file and line."""

    header: PromptHeader
    document: Document

    def problems(self, system: Template, user: Template) -> Iterator[str]:
        for template, is_system in ((system, True), (user, False)):
            for placeholder, section in template.placeholders():
                yield from self._misplaced(placeholder, "", is_system=is_system)
                yield from self._unguarded(placeholder, section)
            for section in template.sections():
                yield from self._misplaced(section, section.kind, is_system=is_system)
                yield from self._pointless(section)
        yield from self._unused_names((system, user))

    def _misplaced(self, tag: Placeholder | Section, sigil: str, *, is_system: bool) -> Iterator[str]:
        if tag.name not in self._needs:
            yield f"{self._locate(tag, sigil)} is not declared in the header{nearest(tag.name, tuple(self._needs))}"
        elif is_system and tag.name != "labels":
            yield f"{self._locate(tag, sigil)} changes from item to item: it belongs under # user"

    def _unguarded(self, tag: Placeholder, section: Section | None) -> Iterator[str]:
        is_guarded = section is not None and (section.kind, section.name) == ("#", tag.name)
        if self._needs.get(tag.name) == "optional" and not is_guarded:
            yield f"{self._locate(tag, '')} may be missing: put it between {{{{#{tag.name}}}}} and {{{{/{tag.name}}}}}"

    def _pointless(self, tag: Section) -> Iterator[str]:
        if self._needs.get(tag.name) == "required":
            hint = f"declare {tag.name} optional, or drop the section"
            yield f"{self._locate(tag, tag.kind)} depends on something required; {hint}"

    def _unused_names(self, templates: Iterable[Template]) -> Iterator[str]:
        used = set()
        for template in templates:
            used |= {placeholder.name for placeholder, _ in template.placeholders()}
            used |= {section.name for section in template.sections()}
        for part, names in (("variables", self.header.variables), ("modalities", self.header.modalities)):
            for name in names:
                if name not in used:
                    yield f"{self.document.location((part, name))}: {name} is declared but never used"

    @property
    def _needs(self) -> dict[str, str]:
        return {**self.header.variables, **self.header.modalities}

    def _locate(self, tag: Placeholder | Section, sigil: str) -> str:
        return f"{self.document.path}:{tag.line}: {{{{{sigil}{tag.name}}}}}"
