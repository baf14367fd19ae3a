"""Label Studio's markup: reading it safely, the tags of the open-source edition, and elements with labels."""

import re
from collections.abc import Callable, Iterator, Sequence
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

MEDIA_VARIABLES = ("video", "audio", "image", "face", "video_b", "audio_b")
"""The variables of a layout that are addresses of an item's media; all others are text."""
_ACTIVE_TAGS = frozenset({"HyperText", "HyperTextLabels", "Markdown", "Pdf", "TimeSeries"})
_MEDIA_TAGS = frozenset({"Audio", "Image", "Video"})
_ACTIVE_ATTRIBUTES = frozenset({"html", "src", "href", "srcdoc", "dangerouslysetinnerhtml", "action", "formaction"})
_LOADS = frozenset({"audiourl", "valuelist", "icon", "image", "apiurl", "splitchannels_url"})
_ADDRESS = re.compile(r"(?i)//|\b(?:javascript|data|https?|ftp|file):")
_NAMES = re.compile(r"\$([A-Za-z_]\w*)")
# Functions of CSS that compute or select; any other may load something.
_UNSAFE_STYLE = re.compile(
    r"(?i)\\|//|<|@(?!media\b)[\w-]*"
    r"|(?<![\w-])(?!(?:calc|var|min|max|clamp|rgba?|hsla?|repeat|minmax|has|not|is|where|nth-child|nth-of-type|"
    r"translate[xy]?|scale|rotate|and|or)\()[\w-]+\("
)
_MAX_DEPTH = 100
_MAX_UNGROUPED = 12
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
    except _TooDeep as error:
        raise InvalidInput(
            f"{name}:{error.args[0]}: elements are nested more than {_MAX_DEPTH} deep", hint="is it the right file?"
        ) from None
    except (ValueError, UnicodeError) as error:
        raise InvalidInput(f"{name} is not valid XML: {error}", hint="save it as UTF-8") from error
    except ET.ParseError as error:
        raise InvalidInput(f"{name}:{error.position[0]}: not valid XML: {error.msg}", hint="fix that line") from error
    return ParsedXml(root, lambda element: f"{name}:{builder.lines.get(element, 1)}")


def safety_problems(xml: ParsedXml) -> list[str]:
    """Return one sentence for each part that could run script in the annotators' browsers or call other servers.

    Text from outside may only become text, media come from the annotation server alone, and styles only arrange.
    """
    return [f"{xml.location(tag)}: {problem}" for tag in xml.root.iter() for problem in _dangers(tag)]


def _dangers(tag: ET.Element) -> Iterator[str]:
    if tag.tag in _ACTIVE_TAGS:
        yield f"<{tag.tag}> is not allowed, because it would show text of an item as a web page; use <Text>"
    styles = [tag.text or "", *(child.tail or "" for child in tag)] if tag.tag == "Style" else []
    for style in [*styles, tag.get("style") or ""]:
        if match := _UNSAFE_STYLE.search(style):
            yield f"{match[0]!r} is not allowed in a style: it could load something from another server"
    for name, value in tag.attrib.items():
        if name.lower().startswith("on") or name.lower() in _ACTIVE_ATTRIBUTES:
            yield f"{name} is not allowed"
        elif name == "valueType" and value.strip().lower() == "url":
            yield 'valueType="url" is not allowed, because text of an item would be an address to load'
        elif _ADDRESS.search(value) and (name.lower() in _LOADS or tag.tag in OBJECT_TAGS):
            yield f"{name} is an address; the media of an item are variables such as $video"
        elif _loads(tag, name) and (variables := set(_NAMES.findall(value)) - set(MEDIA_VARIABLES)):
            media = ", ".join(f"${variable}" for variable in MEDIA_VARIABLES)
            yield f"{name} names ${min(variables)}, which is text; media are {media}"


def _loads(tag: ET.Element, attribute: str) -> bool:
    return attribute.lower() in _LOADS or (tag.tag in _MEDIA_TAGS and attribute.lower().startswith("value"))


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


def grouped_choices(taxonomy: Taxonomy) -> list[ET.Element]:
    """Return a ``Choice`` for each label, in a ``View`` for each group where the labels have groups.

    A group is a label of a tree with all that are below it, or the labels of a long list under the same heading.
    """
    labels = {
        label.name: choice(
            "Choice", label.name, hotkey=label.hotkey, hint=label.definition, alone="true" if label.absence else None
        )
        for label in taxonomy.labels
    }
    is_tree = len(taxonomy.roots) < len(labels)
    groups: dict[str, list[ET.Element]] = {}
    for label in taxonomy.labels:
        heading = taxonomy.path(label.name)[0] if is_tree else label.group or ""
        groups.setdefault(heading, []).append(labels[label.name])
    if len(groups) < 2 or (len(labels) <= _MAX_UNGROUPED and not is_tree):
        return list(labels.values())
    return [
        element("View", {"className": "group"}, [*_heading(heading, choices), *choices])
        for heading, choices in groups.items()
    ]


def _heading(heading: str, choices: Sequence[ET.Element]) -> list[ET.Element]:
    """Return the header of a group; none for the root of a tree, which is its first choice."""
    is_shown = heading and heading not in (choices[0].get("alias"), choices[0].get("value"))
    return [ET.Element("Header", {"value": literal(heading), "size": "6"})] if is_shown else []


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


class _TooDeep(Exception):
    """Elements within elements, more than any form needs; holds the line."""


class _LineTrackingBuilder(ET.TreeBuilder):
    """A tree builder that remembers the line on which each element starts."""

    def __init__(self) -> None:
        super().__init__()
        self.current_line: Callable[[], int] = lambda: 1
        self.lines: dict[ET.Element, int] = {}
        self._depth = 0

    def end(self, tag: str) -> ET.Element:
        self._depth -= 1
        return super().end(tag)

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _TooDeep(self.current_line())
        opened = super().start(tag, attrs)
        self.lines[opened] = self.current_line()
        return opened
