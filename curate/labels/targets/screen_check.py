"""Whether a config of a team's own asks for exactly what a label schema says."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from xml.etree import ElementTree as ET

from curate.errors import InvalidInput
from curate.labels.fields import Field
from curate.labels.fields.base import DEFAULT_LANGUAGE, shown_label
from curate.labels.layout import PLACE, Layout, Xml, objects_of, read_xml, tag_problems, unframed_of
from curate.labels.schema import LabelSchema

_LABELS = ("Choice", "Label", "Relation")
_EXACT = ("choice", "maxRating", "maxSubmissions")
_NUMBERS = ("min", "max", "step")
_FLAGS = ("required", "perRegion")


def config_problems(schema: LabelSchema, config: str, *, name: str = "the config") -> list[str]:
    """What keeps a complete config from asking for exactly the schema's fields and labels, each with its line.

    The look is free: order, headers, texts, colours, keys and layout may be anything that the open-source edition
    knows. Raises ``InvalidInput`` when it is not XML.
    """
    xml = read_xml(config, name)
    problems = tag_problems(xml)
    if xml.root.find(f".//{PLACE}") is not None:
        problems = [f"{xml.place(tag)}: <{PLACE}> belongs in a layout" for tag in xml.root.iter(PLACE)]
    names = [tag.get("name", "") for tag in xml.root.iter() if tag.get("name")]
    problems += [f'{name}: "{each}" names several tags' for each in sorted({n for n in names if names.count(n) > 1})]
    found = {tag.get("name", ""): tag for tag in _controls(xml.root)}
    shown = objects_of(xml.root)
    for field in schema.fields.values():
        layout = Layout(name, _default(field, found), shown, unframed_of(xml.root))
        problems += _field_problems(field, layout, found, xml)
    for control, tag in found.items():
        if control.partition("-")[0] not in schema.fields:
            problems.append(f"{xml.place(tag)}: <{tag.tag}> asks for {control!r}, which is no field of {schema.name}")
    return problems


def _controls(root: ET.Element) -> Iterator[ET.Element]:
    return (tag for tag in root.iter() if tag.get("name") and tag.get("toName"))


def _default(field: Field, found: Mapping[str, ET.Element]) -> str:
    """The object that the field's own control is about."""
    tag = found.get(field.name)
    return tag.get("toName", "").partition(",")[0] if tag is not None else "any"


def _field_problems(field: Field, layout: Layout, found: Mapping[str, ET.Element], xml: Xml) -> Iterator[str]:
    try:
        wanted = ET.Element("View")
        wanted.extend(field.inputs(layout, DEFAULT_LANGUAGE))
    except InvalidInput as error:
        yield f"{error.message}; {error.hint}"
        return
    names = {tag.get("name", "") for tag in _controls(wanted)}
    for tag in _controls(wanted):
        control = tag.get("name", "")
        if control not in found:
            yield f"{layout.name}: nothing asks for {control}; add a <{tag.tag}> of that name"
            continue
        for sentence in _control_problems(tag, found[control], layout):
            yield f"{xml.place(found[control])}: {control}: {sentence}"
    for control, tag in found.items():
        if control.partition("-")[0] == field.name and control not in names:
            yield f"{xml.place(tag)}: {control!r} is no control of field {field.name}"
    wanted_relations = [_answer(tag) for tag in wanted.iter("Relation")]
    if wanted_relations:
        given = [_answer(tag) for tag in xml.root.iter("Relation")]
        place = next((xml.place(tag) for tag in xml.root.iter("Relations")), layout.name)
        yield from (f"{place}: {field.name}: {each}" for each in _differences(wanted_relations, given))
    meant, met = _conditions(wanted), _conditions(xml.root)
    for control in sorted(names & found.keys()):
        if sentence := _condition_problem(field, meant[control], met[control]):
            yield f"{xml.place(found[control])}: {control}: {sentence}"


def _control_problems(wanted: ET.Element, given: ET.Element, layout: Layout) -> Iterator[str]:
    if wanted.tag != given.tag:
        yield f"is a <{given.tag}> where a <{wanted.tag}> is needed"
        return
    for name in (given.get("toName") or "").split(","):
        if not layout.tag_of(name):
            yield f'toName="{name}" is no object here'
    if wanted.get("toName") != given.get("toName"):
        yield f'is about "{given.get("toName")}" and should be about "{wanted.get("toName")}"'
    if given.get("defaultValue") is not None or any(tag.get("selected") == "true" for tag in given.iter()):
        yield "has a default, which would be submitted untouched"
    for key in _EXACT:
        if _several(wanted, key) != _several(given, key):
            yield f'{key} is {_shown(given.get(key))} and should be "{wanted.get(key)}"'
    for key in _FLAGS:
        if (wanted.get(key) == "true") != (given.get(key) == "true"):
            yield f'{key} is {_shown(given.get(key))} and should be "{wanted.get(key) or "false"}"'
    for key in _NUMBERS:
        if _number(wanted.get(key)) != _number(given.get(key)):
            yield f'{key} is {_shown(given.get(key))} and should be "{wanted.get(key)}"'
    yield from _differences(_paths(wanted), _paths(given))


def _several(tag: ET.Element, key: str) -> str | None:
    """``single`` and ``single-radio`` take one answer alike."""
    value = tag.get(key)
    return "single" if key == "choice" and value in (None, "single", "single-radio") else value


def _shown(value: str | None) -> str:
    return "not given" if value is None else f'"{value}"'


def _number(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _answer(tag: ET.Element) -> str | None:
    return tag.get("alias") or tag.get("value")


def _paths(control: ET.Element) -> list[str]:
    """The ways down to all labels of a control, as a tree of choices answers with them."""
    found: list[str] = []
    stack = [(control, "")]
    while stack:
        tag, above = stack.pop()
        if tag.tag in _LABELS:
            above = f"{above} / {_answer(tag)}" if above else str(_answer(tag))
            found.append(above)
        stack.extend((child, above) for child in reversed(tag))
    return found


def _differences(wanted: Iterable[str | None], given: Iterable[str | None]) -> Iterator[str]:
    first, second = [each or "" for each in wanted], [each or "" for each in given]
    counts = Counter(second)
    yield from (f"lacks label {label!r}" for label in first if label not in counts)
    yield from (f"has label {label!r}, which the schema does not have" for label in counts.keys() - set(first))
    yield from (f"has label {label!r} twice" for label, count in counts.items() if count > 1)


def _conditions(root: ET.Element) -> dict[str, dict[str, set[str]]]:
    """For each control, the choices that it is shown for, by the control that they belong to."""
    found: dict[str, dict[str, set[str]]] = {}
    stack: list[tuple[ET.Element, dict[str, set[str]]]] = [(root, {})]
    while stack:
        tag, met = stack.pop()
        if tag.get("visibleWhen") == "choice-selected":
            met = {**met, tag.get("whenTagName", ""): set(tag.get("whenChoiceValue", "").split(","))}
        if tag.get("name") and tag.get("toName"):
            found[tag.get("name", "")] = met
        stack.extend((child, met) for child in tag)
    return found


def _condition_problem(field: Field, wanted: dict[str, set[str]], given: dict[str, set[str]]) -> str:
    """A control must be hidden by just the field's condition and its own."""
    own = {asked: set(map(shown_label, labels)) for asked, labels in field.when.items()} | wanted
    told = " and ".join(f"{asked} is {' or '.join(sorted(labels))}" for asked, labels in own.items())
    return "" if given == own else f"must be shown {f'when {told}' if own else 'always'}"
