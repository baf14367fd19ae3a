"""Label Studio's markup: reading it safely, the tags of the open-source edition, and elements with labels."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from curate.errors import InvalidInput
from curate.labels.taxonomy import Taxonomy

OBJECT_TAGS = ("Audio", "HyperText", "Image", "List", "Paragraphs", "Pdf", "Table", "Text", "TimeSeries", "Video")
"""The tags that show something of an item."""
LABEL_TAGS = ("Choice", "Label", "Relation")
"""The tags that offer one label each."""
# fmt: off
OPEN_SOURCE_TAGS = frozenset({
    *OBJECT_TAGS, *LABEL_TAGS,
    "Bitmask", "BitmaskLabels", "Brush", "BrushLabels", "Bucket", "Channel", "Choices", "Collapse", "DateTime",
    "Ellipse", "EllipseLabels", "Filter", "Header", "HyperTextLabels", "KeyPoint", "KeyPointLabels", "Labels",
    "MagicWand", "Markdown", "MultiChannel", "Number", "PagedView", "Pairwise", "Panel", "ParagraphLabels", "Polygon",
    "PolygonLabels", "Ranker", "Rating", "Rectangle", "RectangleLabels", "Relations", "Shortcut", "Style", "Taxonomy",
    "TextArea", "TimeSeriesLabels", "TimelineLabels", "Vector", "VectorLabels", "VideoRectangle", "View",
})
# fmt: on
"""All tags of the open-source edition; the server accepts others too, but its page shows an error in their place."""

_VARIABLE = re.compile(r"\$(?=[\w\[\].{}])")


class ParsedXml(NamedTuple):
    """A parsed config; ``location`` returns the ``file:line`` of an element."""

    root: ET.Element
    location: Callable[[ET.Element], str]


def read_xml(text: str, name: str) -> ParsedXml:
    """Parse a config with entities and document types forbidden. Raises ``InvalidInput`` with the line at fault."""
    builder = _LineTrackingBuilder()
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    builder.current_line = lambda: int(parser.parser.CurrentLineNumber)
    try:
        parser.feed(text)
        root = parser.close()
    except DefusedXmlException as error:
        raise InvalidInput(
            f"{name} declares a document type or entities", hint="remove them; a config is plain XML"
        ) from error
    except ET.ParseError as error:
        raise InvalidInput(f"{name}:{error.position[0]}: not valid XML: {error.msg}", hint="fix that line") from error
    return ParsedXml(root, lambda element: f"{name}:{builder.lines.get(element, 1)}")


def tag_problems(xml: ParsedXml, *, allowed: frozenset[str] = OPEN_SOURCE_TAGS) -> list[str]:
    """Return one sentence for each element whose tag is not ``allowed``."""
    return [
        f"{xml.location(tag)}: <{tag.tag}> is not a tag of Label Studio's open-source edition"
        for tag in xml.root.iter()
        if isinstance(tag.tag, str) and tag.tag not in allowed
    ]


def element(tag: str, attributes: dict[str, str], children: Sequence[ET.Element] = ()) -> ET.Element:
    """Return an element with its children."""
    parent = ET.Element(tag, attributes)
    parent.extend(children)
    return parent


def choice(tag: str, name: str, caption: str = "", **attributes: str | None) -> ET.Element:
    """Return a label to choose. Results contain exactly ``name``; people read ``caption`` if one is given."""
    words = literal(caption) if caption else label_caption(name)
    alias = {} if words == name else {"alias": name}
    present = {key: value for key, value in attributes.items() if value}
    return ET.Element(tag, {"value": words, **alias, **present})


def region_labels(taxonomy: Taxonomy) -> list[ET.Element]:
    """Return a ``Label`` element for each label of a taxonomy, to mark regions with."""
    return [
        choice("Label", label.name, background=label.color, hotkey=label.hotkey, hint=label.definition)
        for label in taxonomy.labels
    ]


def label_caption(name: str) -> str:
    """Return a label as people read it, without commas: Label Studio splits the labels of a condition at them."""
    return literal(name).replace(",", "\u201a")


def literal(text: str) -> str:
    """Return text that Label Studio shows as it is: an invisible character keeps it from replacing ``$name``."""
    return _VARIABLE.sub("$\u2060", text)


def control_field(control: str | None) -> str:
    """Return the field that a control belongs to: ``emotion`` for ``emotion`` and ``emotion-reason``."""
    return str(control).partition("-")[0]


class _LineTrackingBuilder(ET.TreeBuilder):
    """A tree builder that remembers the line on which each element starts."""

    def __init__(self) -> None:
        super().__init__()
        self.current_line: Callable[[], int] = lambda: 1
        self.lines: dict[ET.Element, int] = {}

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:
        opened = super().start(tag, attrs)
        self.lines[opened] = self.current_line()
        return opened
