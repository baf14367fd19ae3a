"""A label schema as the forms that others work with: Arrow columns, a JSON schema, a labelling form, a card."""

import re
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa

from curate.errors import InvalidInput
from curate.labels.fields import Field
from curate.labels.fields.base import DEFAULT_LANGUAGE, shown_label
from curate.labels.layout import PLACE, Layout, element, layout_of, read_xml
from curate.labels.schema import LabelSchema
from curate.labels.targets.screen_check import config_problems

_TRUTHS = {"true", "false"}
_HOTKEYS = "1234567890qtyiasdfgjlzxcn"  # the others are keys of Label Studio itself
_WITH_KEYS = ("Choices", "Labels", "ParagraphLabels", "RectangleLabels", "TimelineLabels")
_NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def compile_arrow(schema: LabelSchema) -> pa.Schema:
    """The columns that the schema adds to every table that carries labels."""
    return pa.schema([pa.field(name, field.arrow_type) for name, field in schema.fields.items()])


def compile_answer_schema(schema: LabelSchema) -> dict[str, Any]:
    """The JSON schema in which a model must answer, bounded and within what strict mode allows."""
    return schema.json_schema()


def compile_card(schema: LabelSchema) -> str:
    """What is judged, as Markdown for the data card: a title and one line for each field."""
    lines = [f"- {' '.join(field.describe().split())}{_condition(field)}" for field in schema.fields.values()]
    return "\n".join(
        [f"### {schema.title or schema.name}", "", f"Asked of: {', '.join(schema.units)}.", "", *lines, ""]
    )


def describe_labels(schema: LabelSchema, language: str = DEFAULT_LANGUAGE) -> str:
    """What is asked, as text for a model: for each field its question, its labels and the rules of its answer.

    Questions and the ends of scales are told in ``language`` where they are given in it; help texts are left out, as
    they tell how to use a form.
    """
    return "\n\n".join(_told(field, language) for field in schema.fields.values())


def _told(field: Field, language: str) -> str:
    rules = []
    for other, labels in field.when.items():
        rules.append(f"Asked only where `{other}` is {' or '.join(labels)}; null otherwise.")
    if not field.required:
        rules.append("Null where it cannot be told.")
    return "\n".join([f"`{field.name}`: {field.asked(language)}", *rules, *field.instructions(language)])


def _condition(field: Field) -> str:
    return "".join(f"; asked when {other} is {' or '.join(labels)}" for other, labels in field.when.items())


def compile_config(
    schema: LabelSchema, layout: str, *, name: str = "the layout", language: str = DEFAULT_LANGUAGE
) -> str:
    """The complete Label Studio config: ``layout`` with the schema's controls in place of its ``<Fields toName=…/>``.

    ``language`` picks the questions where there are several. Raises ``InvalidInput`` when the layout cannot be used
    (see ``parse_layout``), or lacks an object that a field is about.
    """
    xml = read_xml(layout, name)
    shown = layout_of(xml, name)
    blocks, problems = [], []
    for field in schema.fields.values():
        try:
            blocks.append(_block(field, shown, language))
        except InvalidInput as error:
            problems.append(error)
    if problems:
        raise InvalidInput(
            problems[0].message if len(problems) == 1 else f"{name} does not show what {schema.name} asks about",
            problems=tuple(f"{error.message} ({error.hint})" for error in problems),
            hint=problems[0].hint,
        )
    _check_words(schema, blocks)
    _give_hotkeys(blocks)
    parent, place = next((parent, child) for parent in xml.root.iter() for child in parent if child.tag == PLACE)
    at = list(parent).index(place)
    parent.remove(place)
    for offset, block in enumerate(blocks):
        parent.insert(at + offset, block)
    ET.indent(xml.root)
    made = ET.tostring(xml.root, encoding="unicode")
    if found := _NOT_IN_XML.search(made):
        raise InvalidInput(
            f"label schema {schema.name}: U+{ord(found[0]):04X} cannot stand in a form", hint="remove that character"
        )
    return made


def check_config(schema: LabelSchema, config: str, *, name: str = "the config") -> None:
    """Prove that a complete config of a team's own asks for exactly the schema's fields and labels.

    Raises ``InvalidInput`` listing what differs, with lines; see ``config_problems``.
    """
    if problems := config_problems(schema, config, name=name):
        raise InvalidInput(
            f"{name} does not ask for what label schema {schema.name} says",
            problems=tuple(problems),
            hint=f"compare it with `curate labels compile {schema.name} --to ui`",
        )


def _block(field: Field, layout: Layout, language: str) -> ET.Element:
    """A field's question and controls, hidden while its condition does not hold."""
    attributes = {"className": f"field field-{field.type}"}
    for asked, labels in field.when.items():
        attributes |= {
            "visibleWhen": "choice-selected",
            "whenTagName": asked,
            "whenChoiceValue": ",".join(map(shown_label, labels)),
        }
    return element("View", attributes, field.controls(layout, language))


def _check_words(schema: LabelSchema, blocks: Iterable[ET.Element]) -> None:
    """Refuse labels of which Label Studio makes a truth value, upon which its page stays blank."""
    for block in blocks:
        for tag in block.iter():
            if wrong := _TRUTHS & {tag.get("value"), tag.get("alias")}:
                raise InvalidInput(
                    f"label schema {schema.name}: Label Studio cannot show a label named {min(wrong)!r}",
                    hint=f"name it {min(wrong).capitalize()!r}, or use another word",
                )


def _is_main(control: ET.Element) -> bool:
    return control.tag != "Choices" or "-" not in control.get("name", "")


def _give_hotkeys(blocks: list[ET.Element]) -> None:
    """One key for each label as long as there are any: first those that the taxonomies ask for, then in order."""
    # Intensities, whose controls have a suffix, would use up all keys.
    asked = [tag for block in blocks for tag in block.iter() if tag.tag in _WITH_KEYS and _is_main(tag)]
    labels = [label for tag in asked for label in tag if label.tag in ("Choice", "Label")]
    taken: set[str] = set()
    for label in labels:
        if (key := label.get("hotkey")) is None:
            continue
        if key in taken:
            del label.attrib["hotkey"]
        taken.add(key)
    free = iter([key for key in _HOTKEYS if key not in taken])
    for label in labels:
        if "hotkey" not in label.attrib and (key := next(free, None)):
            label.set("hotkey", key)
