"""A label schema as a Label Studio config: a layout with the schema's questions in it."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from curate.errors import InvalidInput
from curate.labels.cannot_judge import reason_controls, unless_given
from curate.labels.fields import Field
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.layout import FIELDS_TAG, Layout, layout_of
from curate.labels.markup import element, label_caption, read_xml
from curate.labels.schema import LabelSchema
from curate.labels.targets.hotkeys import REGION_TAGS, assign_hotkeys
from curate.labels.targets.screen_style import style_tags

_BOOLEANS = {"true", "false"}
_NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def compile_config(
    schema: LabelSchema, layout: str, *, name: str = "the layout", language: str = DEFAULT_LANGUAGE
) -> str:
    """Return the complete config: ``layout`` with the schema's controls in place of its ``<Fields toName=…/>``.

    ``language`` selects the questions if there are several. Raises ``InvalidInput`` if the layout is not valid (see
    ``parse_layout``) or lacks an object that a field is about.
    """
    xml = read_xml(layout, name)
    parsed = layout_of(xml, name)
    blocks, problems = [], []
    for field in schema.fields.values():
        try:
            blocks.append(_block(field, parsed, language))
        except InvalidInput as error:
            problems.append(error)
    if problems:
        raise InvalidInput(
            problems[0].message if len(problems) == 1 else f"{name} does not show what {schema.name} asks about",
            problems=tuple(f"{error.message} ({error.hint})" for error in problems),
            hint=problems[0].hint,
        )
    _check_labels(schema, blocks)
    _ask_of_own_regions(blocks)
    questions, reasons = unless_given(blocks), reason_controls(parsed.default, language)
    has_degree_keys = assign_hotkeys(xml.root, [*blocks, reasons])
    has_regions = any(tag.tag in REGION_TAGS for block in blocks for tag in block.iter())
    xml.root[:0] = style_tags(has_regions=has_regions, has_degree_keys=has_degree_keys)
    parent, tag = next((parent, child) for parent in xml.root.iter() for child in parent if child.tag == FIELDS_TAG)
    index = list(parent).index(tag)
    parent[index : index + 1] = [questions, reasons]
    ET.indent(xml.root)
    config = ET.tostring(xml.root, encoding="unicode")
    if match := _NOT_IN_XML.search(config):
        raise InvalidInput(
            f"label schema {schema.name}: U+{ord(match[0]):04X} is not allowed in a form", hint="remove that character"
        )
    return config


def _ask_of_own_regions(blocks: Sequence[ET.Element]) -> None:
    """Let forms with regions of several fields be submitted.

    Label Studio wants a required number of every region, also of those of other fields, which show no box for it. A
    stretch without its number is refused when it is read.
    """
    if sum(any(tag.tag in REGION_TAGS for tag in block.iter()) for block in blocks) < 2:
        return
    for block in blocks:
        for number in block.iter("Number"):
            if number.get("perRegion") == "true":
                number.set("required", "false")


def _block(field: Field, layout: Layout, language: str) -> ET.Element:
    """Return a field's question and controls, hidden while its condition does not hold."""
    attributes = {"className": f"field field-{field.type}"}
    for condition, labels in field.when.items():
        attributes |= {
            "visibleWhen": "choice-selected",
            "whenTagName": condition,
            "whenChoiceValue": ",".join(map(label_caption, labels)),
        }
    return element("View", attributes, field.controls(layout, language))


def _check_labels(schema: LabelSchema, blocks: Sequence[ET.Element]) -> None:
    """Reject labels that Label Studio parses as booleans; its page would stay blank."""
    for block in blocks:
        for tag in block.iter():
            if booleans := _BOOLEANS & {tag.get("value"), tag.get("alias")}:
                label = min(booleans)
                raise InvalidInput(
                    f"label schema {schema.name}: Label Studio cannot show a label named {label!r}",
                    hint=f"name it {label.capitalize()!r}, or use another word",
                )
