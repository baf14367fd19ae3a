"""Layouts: what a labelling form shows of an item, and where its questions go."""

from typing import NamedTuple
from xml.etree import ElementTree as ET

from curate.errors import InvalidInput
from curate.labels.markup import OBJECT_TAGS, OPEN_SOURCE_TAGS, ParsedXml, read_xml, safety_problems, tag_problems

FIELDS_TAG = "Fields"
"""The element of a layout that the questions of a label schema replace."""


class Layout(NamedTuple):
    """The objects that a form shows, as pairs of tag and name, and the one that its questions are about."""

    name: str
    """What messages call the layout: its file."""
    default: str
    objects: tuple[tuple[str, str], ...]
    unframed: frozenset[str] = frozenset()
    """The videos without ``frameRate="$fps"``, whose frame numbers cannot be converted to seconds."""

    def find(self, field: str, *tags: str) -> str:
        """Return the name of the first object with the first of ``tags`` that the layout has.

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
        """Return ``name``. Raises ``InvalidInput`` if it is a video without its frame rate."""
        if name in self.unframed:
            raise InvalidInput(
                f"{self.name}: field {field} needs the frame rate of video {name}",
                hint='write frameRate="$fps" in the <Video> tag',
            )
        return name

    def named(self, field: str, *names: str) -> tuple[str, ...]:
        """Return ``names``. Raises ``InvalidInput`` unless the layout has an object of each name."""
        for name in names:
            if not self.tag_of(name):
                pair = " and ".join(names)
                raise InvalidInput(
                    f'{self.name}: field {field} is about the objects {pair}, and no tag has name="{name}"',
                    hint=f"give the two tags the names {pair}",
                )
        return names

    def tag_of(self, name: str) -> str:
        """Return the tag of the object ``name``, or an empty string."""
        return next((tag for tag, object_name in self.objects if object_name == name), "")


def parse_layout(text: str, *, name: str = "the layout") -> Layout:
    """Parse a layout.

    Raises ``InvalidInput`` for invalid XML, tags outside the open-source edition, duplicate object names, and unless
    there is exactly one ``<Fields toName="…"/>`` that refers to an object.
    """
    return layout_of(read_xml(text, name), name)


def layout_of(xml: ParsedXml, name: str) -> Layout:
    """Return what a parsed layout shows. Raises as ``parse_layout`` does."""
    problems = [*tag_problems(xml, allowed=OPEN_SOURCE_TAGS | {FIELDS_TAG}), *safety_problems(xml)]
    objects = objects_of(xml.root)
    names = [object_name for _, object_name in objects]
    tags = list(xml.root.iter(FIELDS_TAG))
    if len(tags) != 1:
        problems.append(f'{name} has {len(tags)} <{FIELDS_TAG} toName="…"/> where one is needed')
    elif not tags[0].get("toName"):
        problems.append(
            f"{xml.location(tags[0])}: <{FIELDS_TAG}> needs toName: the object that the questions are about"
        )
    elif tags[0].get("toName") not in names:
        valid = ", ".join(names) or "none"
        problems.append(
            f'{xml.location(tags[0])}: toName="{tags[0].get("toName")}" is not an object here; valid: {valid}'
        )
    problems += [
        f'{name}: two objects are named "{duplicate}"'
        for duplicate in sorted({object_name for object_name in names if names.count(object_name) > 1})
    ]
    if problems:
        raise InvalidInput(
            problems[0] if len(problems) == 1 else f"{name} cannot be used",
            problems=tuple(problems),
            hint=f"a layout shows the item and has one <{FIELDS_TAG}> where the questions belong",
        )
    return Layout(name, tags[0].get("toName", ""), objects, unframed_of(xml.root))


def objects_of(root: ET.Element) -> tuple[tuple[str, str], ...]:
    """Return tag and name of every object that a config shows, in order."""
    return tuple((tag.tag, tag.get("name", "")) for tag in root.iter() if tag.tag in OBJECT_TAGS and tag.get("name"))


def unframed_of(root: ET.Element) -> frozenset[str]:
    """Return the names of the videos without ``frameRate="$fps"``."""
    return frozenset(tag.get("name", "") for tag in root.iter("Video") if tag.get("frameRate") != "$fps")
