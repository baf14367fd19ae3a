"""What a labelling form shows: the object tags of a Label Studio config and the one place for its questions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from curate.errors import InvalidInput

PLACE = "Fields"
OBJECTS = ("Audio", "HyperText", "Image", "Paragraphs", "Text", "Video")
"""The object tags that a field can ask for."""

OPEN_SOURCE_TAGS = frozenset(
    (
        "Audio",
        "Bitmask",
        "BitmaskLabels",
        "Brush",
        "BrushLabels",
        "Bucket",
        "Channel",
        "Choice",
        "Choices",
        "Collapse",
        "DateTime",
        "Ellipse",
        "EllipseLabels",
        "Filter",
        "Header",
        "HyperText",
        "HyperTextLabels",
        "Image",
        "KeyPoint",
        "KeyPointLabels",
        "Label",
        "Labels",
        "List",
        "MagicWand",
        "Markdown",
        "MultiChannel",
        "Number",
        "PagedView",
        "Pairwise",
        "Panel",
        "ParagraphLabels",
        "Paragraphs",
        "Pdf",
        "Polygon",
        "PolygonLabels",
        "Ranker",
        "Rating",
        "Rectangle",
        "RectangleLabels",
        "Relation",
        "Relations",
        "Shortcut",
        "Style",
        "Table",
        "Taxonomy",
        "Text",
        "TextArea",
        "TimeSeries",
        "TimeSeriesLabels",
        "TimelineLabels",
        "Vector",
        "VectorLabels",
        "Video",
        "VideoRectangle",
        "View",
    )
)
"""The tags of Label Studio's open-source edition; the server accepts others too, and shows an error in their place."""


class Xml(NamedTuple):
    """A parsed config; ``place`` tells an element's ``file:line``."""

    root: ET.Element
    place: Callable[[ET.Element], str]


class Layout(NamedTuple):
    """The objects that a form shows, each as tag and name, and the one that its questions are about."""

    name: str
    """What to call the layout in a message: its file."""
    default: str
    objects: tuple[tuple[str, str], ...]
    unframed: frozenset[str] = frozenset()
    """The videos that do not say ``frameRate="$fps"``: their frames cannot be told as seconds."""

    def find(self, field: str, *tags: str) -> str:
        """The name of the object that ``field`` needs: the first of the first of ``tags`` that the layout shows.

        Raises ``InvalidInput`` naming the field and what the layout lacks.
        """
        for wanted in tags:
            for tag, name in self.objects:
                if tag == wanted:
                    return name
        kinds = " or ".join(f"<{tag}>" for tag in tags)
        raise InvalidInput(
            f"{self.name}: field {field} is about what a {kinds} tag shows, and the layout has none",
            hint=f"add {kinds} to the layout, or use another one",
        )

    def framed(self, field: str, name: str) -> str:
        """``name``, unless it is a video whose frames cannot be told as seconds: then ``InvalidInput``."""
        if name in self.unframed:
            raise InvalidInput(
                f"{self.name}: field {field} needs the frame rate of video {name}",
                hint='write frameRate="$fps" in the <Video> tag',
            )
        return name

    def named(self, field: str, *names: str) -> tuple[str, ...]:
        """These names, when the layout has an object of each. Raises ``InvalidInput`` naming the field and the name."""
        for name in names:
            if all(name != known for _, known in self.objects):
                pair = " and ".join(names)
                raise InvalidInput(
                    f'{self.name}: field {field} is about the objects {pair}, and no tag has name="{name}"',
                    hint=f"give the two tags the names {pair}",
                )
        return names

    def tag_of(self, name: str) -> str:
        """The tag of the object ``name``, empty where there is none."""
        return next((tag for tag, known in self.objects if known == name), "")


def read_xml(text: str, name: str) -> Xml:
    """A config as XML that is safe to look at. Raises ``InvalidInput`` with the line of what is wrong."""
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    builder.line = lambda: int(parser.parser.CurrentLineNumber)
    try:
        parser.feed(text)
        root = parser.close()
    except DefusedXmlException as error:
        raise InvalidInput(
            f"{name} declares a document type or entities", hint="remove them: it is plain XML"
        ) from error
    except ET.ParseError as error:
        raise InvalidInput(f"{name}:{error.position[0]}: not valid XML: {error.msg}", hint="mend that line") from error
    return Xml(root, lambda element: f"{name}:{builder.lines.get(element, 1)}")


def parse_layout(text: str, *, name: str = "the layout") -> Layout:
    """What a layout shows.

    Raises ``InvalidInput`` when it is not XML, has a tag that the open-source edition lacks, two objects of one name,
    or not exactly one place for the questions that is about one of its objects.
    """
    return layout_of(read_xml(text, name), name)


def layout_of(xml: Xml, name: str) -> Layout:
    """What a parsed layout shows; raises as ``parse_layout`` does."""
    problems = tag_problems(xml, allowed=OPEN_SOURCE_TAGS | {PLACE})
    objects = objects_of(xml.root)
    names = [known for _, known in objects]
    places = list(xml.root.iter(PLACE))
    if len(places) != 1:
        problems.append(f'{name} has {len(places)} <{PLACE} toName="…"/> where one is needed')
    elif not places[0].get("toName"):
        problems.append(f"{xml.place(places[0])}: <{PLACE}> needs toName: the object that the questions are about")
    elif places[0].get("toName") not in names:
        shown = ", ".join(names) or "none"
        problems.append(f'{xml.place(places[0])}: toName="{places[0].get("toName")}" is no object here; valid: {shown}')
    problems += [f'{name}: two objects are named "{each}"' for each in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise InvalidInput(
            problems[0] if len(problems) == 1 else f"{name} cannot be used",
            problems=tuple(problems),
            hint=f"a layout shows the item and has one <{PLACE}> where the questions belong",
        )
    return Layout(name, places[0].get("toName", ""), objects, unframed_of(xml.root))


def objects_of(root: ET.Element) -> tuple[tuple[str, str], ...]:
    """Tag and name of every object that a config shows, in order."""
    return tuple((tag.tag, tag.get("name", "")) for tag in root.iter() if tag.tag in OBJECTS and tag.get("name"))


def unframed_of(root: ET.Element) -> frozenset[str]:
    """The videos without ``frameRate="$fps"``."""
    return frozenset(tag.get("name", "") for tag in root.iter("Video") if tag.get("frameRate") != "$fps")


def tag_problems(xml: Xml, *, allowed: frozenset[str] = OPEN_SOURCE_TAGS) -> list[str]:
    """A line for each tag that the open-source edition does not have."""
    return [
        f"{xml.place(tag)}: <{tag.tag}> is not a tag of Label Studio's open-source edition"
        for tag in xml.root.iter()
        if isinstance(tag.tag, str) and tag.tag not in allowed
    ]


def element(tag: str, attributes: dict[str, str], children: Sequence[ET.Element] = ()) -> ET.Element:
    """An element with its children."""
    made = ET.Element(tag, attributes)
    made.extend(children)
    return made


class _Builder(ET.TreeBuilder):
    """A tree that remembers on which line each element began."""

    def __init__(self) -> None:
        super().__init__()
        self.line: Callable[[], int] = lambda: 1
        self.lines: dict[ET.Element, int] = {}

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:
        begun = super().start(tag, attrs)
        self.lines[begun] = self.line()
        return begun
