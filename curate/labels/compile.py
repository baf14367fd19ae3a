"""A label schema and a layout as one Label Studio config."""

from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from curate.errors import InvalidInput
from curate.labels.schema import LabelSchema

PLACE = "Fields"


def compile_config(schema: LabelSchema, layout: str, *, name: str = "the layout") -> str:
    """The complete Label Studio config: ``layout`` with the schema's controls in place of its ``<Fields toName=…/>``.

    Raises ``InvalidInput`` when the layout is not XML or does not have exactly one such place.
    """
    try:
        root = fromstring(layout, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InvalidInput(
            f"{name} declares a document type or entities", hint="remove them: it is plain XML"
        ) from error
    except ET.ParseError as error:
        raise InvalidInput(f"{name}:{error.position[0]}: not valid XML: {error.msg}", hint="mend that line") from error
    places = [(parent, child) for parent in root.iter() for child in parent if child.tag == PLACE]
    if len(places) != 1 or not places[0][1].get("toName"):
        raise InvalidInput(
            f'{name} has {len(places)} <{PLACE} toName="…"/> where one is needed',
            hint="put it where the label schema's questions belong, and name the object tag they are about",
        )
    parent, place = places[0]
    at = list(parent).index(place)
    target = target_of(layout)
    parent.remove(place)
    for offset, field in enumerate(schema.fields.values()):
        block = ET.Element("View", {"className": f"field field-{field.type}"})
        block.extend(field.controls(target))
        parent.insert(at + offset, block)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def target_of(layout: str) -> str:
    """The name of the object tag that a layout's controls are about."""
    place = fromstring(layout, forbid_dtd=True).find(f".//{PLACE}")
    return place.get("toName", "") if place is not None else ""
