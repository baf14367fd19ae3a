"""Checking that a team's own Label Studio config asks for exactly what a label schema says."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from xml.etree import ElementTree as ET

from curate.errors import InvalidInput
from curate.labels.cannot_judge import CONTROL as CANNOT_JUDGE
from curate.labels.fields import Field
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.layout import FIELDS_TAG, Layout, objects_of, unframed_of
from curate.labels.markup import (
    LABEL_TAGS,
    ParsedXml,
    control_field,
    label_caption,
    read_xml,
    safety_problems,
    tag_problems,
)
from curate.labels.schema import LabelSchema

_FLAGS = ("required", "perRegion")
# fmt: off
_FREE = frozenset({
    "name", "toName", "visibleWhen", "whenTagName", "whenChoiceValue", "canRotate", "editable", "layout", "leafsOnly",
    "maxUsages", "rows", "showFullPath", "skipDuplicates", "slider",
})
# fmt: on
"""Attributes of a control that are checked elsewhere or do not change what is answered."""

Conditions = dict[str, set[str]]
"""The choices for which a control is shown, by the control that they belong to."""


def check_config(schema: LabelSchema, config: str, *, name: str = "the config") -> None:
    """Check that a complete config asks for exactly the schema's fields and labels; see ``config_problems``.

    Raises ``InvalidInput`` listing every difference with its line.
    """
    if problems := config_problems(schema, config, name=name):
        raise InvalidInput(
            f"{name} does not ask for what label schema {schema.name} says",
            problems=tuple(problems),
            hint=f"compare it with `curate labels compile {schema.name} --to ui`",
        )


def config_problems(schema: LabelSchema, config: str, *, name: str = "the config") -> list[str]:
    """Return every difference between what a config asks for and what the schema says, each with its line.

    Appearance is free: order, headers, texts, colours, keys and layout may be anything that the open-source edition
    supports. Raises ``InvalidInput`` if the config is not XML.
    """
    xml = read_xml(config, name)
    problems = [*tag_problems(xml), *safety_problems(xml)]
    if xml.root.find(f".//{FIELDS_TAG}") is not None:
        problems = [f"{xml.location(tag)}: <{FIELDS_TAG}> belongs in a layout" for tag in xml.root.iter(FIELDS_TAG)]
    names = Counter(tag.get("name", "") for tag in xml.root.iter() if tag.get("name"))
    problems += [f'{name}: "{duplicate}" names several tags' for duplicate in sorted(names) if names[duplicate] > 1]
    controls = {tag.get("name", ""): tag for tag in _controls(xml.root)}
    for field in schema.fields.values():
        layout = Layout(name, _object_of(field, controls), objects_of(xml.root), unframed_of(xml.root))
        problems += _field_problems(field, layout, controls, xml)
    for control, tag in controls.items():
        if control_field(control) not in schema.fields and control != CANNOT_JUDGE:
            problems.append(
                f"{xml.location(tag)}: <{tag.tag}> asks for {control!r}, which is not a field of {schema.name}"
            )
    return problems


def _controls(root: ET.Element) -> Iterator[ET.Element]:
    return (tag for tag in root.iter() if tag.get("name") and tag.get("toName"))


def _object_of(field: Field, controls: Mapping[str, ET.Element]) -> str:
    """Return the object that the field's own control is about."""
    tag = controls.get(field.name)
    return tag.get("toName", "").partition(",")[0] if tag is not None else "any"


def _field_problems(field: Field, layout: Layout, controls: Mapping[str, ET.Element], xml: ParsedXml) -> Iterator[str]:
    try:
        wanted = ET.Element("View")
        wanted.extend(field.inputs(layout, DEFAULT_LANGUAGE))
    except InvalidInput as error:
        yield f"{error.message}; {error.hint}"
        return
    names = {tag.get("name", "") for tag in _controls(wanted)}
    for tag in _controls(wanted):
        control = tag.get("name", "")
        if control not in controls:
            yield f"{layout.name}: nothing asks for {control}; add a <{tag.tag}> of that name"
            continue
        for sentence in _control_problems(tag, controls[control], layout):
            yield f"{xml.location(controls[control])}: {control}: {sentence}"
    for control, tag in controls.items():
        if control_field(control) == field.name and control not in names:
            yield f"{xml.location(tag)}: {control!r} is not a control of field {field.name}"
    wanted_relations = [_answer(tag) for tag in wanted.iter("Relation")]
    if wanted_relations:
        relations = [_answer(tag) for tag in xml.root.iter("Relation")]
        location = next((xml.location(tag) for tag in xml.root.iter("Relations")), layout.name)
        yield from (f"{location}: {field.name}: {sentence}" for sentence in _differences(wanted_relations, relations))
    wanted_conditions, conditions = _conditions(wanted), _conditions(xml.root)
    for control in sorted(names & controls.keys()):
        if sentence := _condition_problem(field, wanted_conditions[control], conditions[control]):
            yield f"{xml.location(controls[control])}: {control}: {sentence}"


def _control_problems(wanted: ET.Element, actual: ET.Element, layout: Layout) -> Iterator[str]:
    if wanted.tag != actual.tag:
        yield f"is a <{actual.tag}> where a <{wanted.tag}> is needed"
        return
    for name in (actual.get("toName") or "").split(","):
        if not layout.tag_of(name):
            yield f'toName="{name}" is not an object here'
    if wanted.get("toName") != actual.get("toName"):
        yield f'is about "{actual.get("toName")}" and should be about "{wanted.get("toName")}"'
    if actual.get("defaultValue") is not None or any(tag.get("selected") == "true" for tag in actual.iter()):
        yield "has a default, which would be submitted untouched"
    for key in dict.fromkeys([*(key for key in wanted.attrib if key not in _FREE), *_FLAGS]):
        if _meaning(key, wanted) != _meaning(key, actual):
            yield f'{key} is {_quoted(actual.get(key))} and should be "{wanted.get(key) or "false"}"'
    yield from _differences(_paths(wanted), _paths(actual))


def _meaning(key: str, tag: ET.Element) -> str | float | None:
    """Return what an attribute says: flags default to false, and ``single`` and ``single-radio`` are the same."""
    value = tag.get(key)
    if key in _FLAGS:
        return "true" if value == "true" else "false"
    if key == "choice":
        return "single" if value in (None, "single", "single-radio") else value
    try:
        return None if value is None else float(value)
    except ValueError:
        return value


def _quoted(value: str | None) -> str:
    return "not given" if value is None else f'"{value}"'


def _answer(tag: ET.Element) -> str | None:
    return tag.get("alias") or tag.get("value")


def _paths(control: ET.Element) -> list[str]:
    """Return the paths to all labels of a control; a tree of choices answers with paths."""
    paths: list[str] = []
    stack = [(control, "")]
    while stack:
        tag, path = stack.pop()
        if tag.tag in LABEL_TAGS:
            path = f"{path} / {_answer(tag)}" if path else str(_answer(tag))
            paths.append(path)
        stack.extend((child, path) for child in reversed(tag))
    return paths


def _differences(wanted: Iterable[str | None], actual: Iterable[str | None]) -> Iterator[str]:
    wanted_labels, counts = [label or "" for label in wanted], Counter(label or "" for label in actual)
    yield from (f"lacks label {label!r}" for label in wanted_labels if label not in counts)
    yield from (f"has label {label!r}, which the schema does not have" for label in counts.keys() - set(wanted_labels))
    yield from (f"has label {label!r} twice" for label, count in counts.items() if count > 1)


def _conditions(root: ET.Element) -> dict[str, Conditions]:
    """Return the conditions under which each control is shown."""
    by_control: dict[str, Conditions] = {}
    stack: list[tuple[ET.Element, Conditions]] = [(root, {})]
    while stack:
        tag, conditions = stack.pop()
        if tag.get("visibleWhen") == "choice-selected":
            choices = set(tag.get("whenChoiceValue", "").split(","))
            conditions = {**conditions, tag.get("whenTagName", ""): choices}
        if tag.get("name") and tag.get("toName"):
            by_control[tag.get("name", "")] = conditions
        stack.extend((child, conditions) for child in tag)
    return by_control


def _condition_problem(field: Field, wanted: Conditions, actual: Conditions) -> str:
    """Check that a control is hidden by exactly the field's condition and its own."""
    expected = {control: set(map(label_caption, labels)) for control, labels in field.when.items()} | wanted
    if actual == expected:
        return ""
    sentence = " and ".join(f"{control} is {' or '.join(sorted(labels))}" for control, labels in expected.items())
    return f"must be shown {f'when {sentence}' if expected else 'always'}"
