"""The elements of an ``.eaf`` file as they stand, read as a stream with entities and document types forbidden."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml import DefusedXmlException

from curate.errors import InvalidRow
from curate.media.tiers.contents import (
    MAX_ANNOTATIONS,
    MAX_BYTES,
    MAX_TEXT_BYTES,
    MAX_TIERS,
    QUOTED,
    Entry,
    Fault,
    Tier,
    Vocabulary,
)

_MAX_DEPTH = 50


class RawAnnotation(NamedTuple):
    """An annotation with the time slots that it lies between, or the annotation that it refers to."""

    line: int
    name: str
    tier: str
    text: str
    slots: tuple[str, str] | None
    parent: str
    previous: str


@dataclass
class Document:
    """The content of a file. ``slots`` are times in milliseconds, None where only their order is known."""

    tiers: dict[str, Tier] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    """By tier type: how its annotations depend on those of the parent tier"""
    slots: dict[str, float | None] = field(default_factory=dict)
    annotations: list[RawAnnotation] = field(default_factory=list)
    by_name: dict[str, RawAnnotation] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    origin_ms: float = 0.0
    vocabularies: list[Vocabulary] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)


def parse(path: Path) -> Document:
    """Return the content of a file. Raises ``InvalidRow`` with a sentence if it cannot be read, or ``OSError``."""
    handler = _Handler("ANNOTATION_DOCUMENT")
    _parse(path, handler)
    return handler.finished()


def read_external(path: Path) -> list[Vocabulary]:
    """Return the vocabularies of an ``.ecv`` file. Raises ``InvalidRow`` or ``OSError`` if it cannot be read."""
    handler = _Handler("CV_RESOURCE")
    _parse(path, handler)
    return handler.finished().vocabularies


def _parse(path: Path, handler: "_Handler") -> None:
    from defusedxml.sax import parse as parse_xml

    if path.stat().st_size > MAX_BYTES:
        raise InvalidRow(f"it is longer than {MAX_BYTES // 10**6} MB: split it in ELAN (File > Export as)")
    try:
        with path.open("rb") as file:
            parse_xml(file, handler, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InvalidRow(
            "it declares a document type or entities, which ELAN never writes: remove the DOCTYPE"
        ) from error
    except SAXParseException as error:
        raise InvalidRow(f"line {error.getLineNumber()} is not XML: {error.getMessage()}") from error
    except (SAXException, UnicodeError, LookupError) as error:
        raise InvalidRow(f"it is not XML: {error}") from error


class _Handler(ContentHandler):
    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root
        self._document = Document()
        self._depth = 0
        self._text: list[str] | None = None
        self._length = 0
        self._tier = ""
        self._open: dict[str, Any] = {}
        self._vocabulary: dict[str, Any] | None = None
        self._described = ""
        self._has_value = False
        self._kinds: dict[str, dict[str, str]] = {}
        self._external: dict[str, str] = {}
        self._line = 0
        self._place: Any = None

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 (a name of SAX)
        if not self._depth and name != self._root:
            raise InvalidRow(f"its root is <{name[:QUOTED]}> instead of <{self._root}>")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise InvalidRow("its elements are nested too deeply")
        start = getattr(self, f"_start_{name.lower()}", None)
        if start is not None:
            start({key: attrs[key] for key in attrs.getNames()})

    def characters(self, content: str) -> None:
        if self._text is not None:
            self._length += len(content)
            # One character more than may be kept shows that it is too long.
            if self._length <= MAX_TEXT_BYTES + len(content):
                self._text.append(content)

    def endElement(self, name: str) -> None:  # noqa: N802
        self._depth -= 1
        end = getattr(self, f"_end_{name.lower()}", None)
        if end is not None:
            end()

    def finished(self) -> Document:
        document = self._document
        for name, tier in document.tiers.items():
            kind = self._kinds.get(tier.kind, {})
            document.tiers[name] = tier._replace(vocabulary=kind.get("CONTROLLED_VOCABULARY_REF", ""))
        document.constraints = {name: kind.get("CONSTRAINTS", "") for name, kind in self._kinds.items()}
        document.vocabularies = [
            vocabulary._replace(external=self._external.get(vocabulary.external, vocabulary.external))
            for vocabulary in document.vocabularies
        ]
        return document

    def _start_header(self, attributes: dict[str, str]) -> None:
        unit = attributes.get("TIME_UNITS", "milliseconds")
        if unit != "milliseconds":
            raise InvalidRow(f"its times are in {unit[:QUOTED]}: save it in ELAN, which then counts milliseconds")
        if attributes.get("MEDIA_FILE"):
            self._document.media.append(attributes["MEDIA_FILE"])

    def _start_media_descriptor(self, attributes: dict[str, str]) -> None:
        document = self._document
        origin = attributes.get("TIME_ORIGIN")
        if origin is not None and not document.media:
            try:
                document.origin_ms = float(int(origin))
            except ValueError:
                raise InvalidRow(
                    f"the TIME_ORIGIN {origin[:QUOTED]!r} of its recording is not in milliseconds"
                ) from None
        document.media.append(_media_path(attributes))

    def _start_property(self, attributes: dict[str, str]) -> None:
        self._open = {"property": attributes.get("NAME", "")}
        self._begin_text()

    def _end_property(self) -> None:
        self._document.properties[self._open.get("property", "")] = self._end_text()

    def _start_time_slot(self, attributes: dict[str, str]) -> None:
        name, value = attributes.get("TIME_SLOT_ID", ""), attributes.get("TIME_VALUE")
        if name in self._document.slots:
            raise InvalidRow(f"line {self._number()} defines time slot {name[:QUOTED]!r} again")
        try:
            self._document.slots[name] = None if value is None else float(int(value))
        except (ValueError, OverflowError):
            self._document.slots[name] = float("nan")

    def _start_tier(self, attributes: dict[str, str]) -> None:
        name = attributes.get("TIER_ID", "")
        if name in self._document.tiers:
            raise InvalidRow(f"line {self._number()} has a second tier {name[:QUOTED]!r}: rename one of them")
        if len(self._document.tiers) == MAX_TIERS:
            raise InvalidRow(f"it has more than {MAX_TIERS:,} tiers")
        kind, parent = attributes.get("LINGUISTIC_TYPE_REF", ""), attributes.get("PARENT_REF", "")
        people = attributes.get("PARTICIPANT", ""), attributes.get("ANNOTATOR", "")
        self._document.tiers[name] = Tier(name, *people, kind, parent)
        self._tier = name

    def _start_alignable_annotation(self, attributes: dict[str, str]) -> None:
        self._open, self._line = attributes, self._number()
        self._open["text"] = ""

    _start_ref_annotation = _start_alignable_annotation

    def _start_annotation_value(self, attributes: dict[str, str]) -> None:
        self._begin_text()

    def _end_annotation_value(self) -> None:
        self._open["text"] = self._end_text()

    def _end_alignable_annotation(self) -> None:
        slots = (self._open.get("TIME_SLOT_REF1", ""), self._open.get("TIME_SLOT_REF2", ""))
        self._add_annotation(slots)

    def _end_ref_annotation(self) -> None:
        self._add_annotation(None)

    def _add_annotation(self, slots: tuple[str, str] | None) -> None:
        document, name = self._document, self._open.get("ANNOTATION_ID", "")
        links = (self._open.get("ANNOTATION_REF", ""), self._open.get("PREVIOUS_ANNOTATION", ""))
        raw = RawAnnotation(self._line, name, self._tier, self._open["text"], slots, *links)
        if not name or name in document.by_name:
            why = f"the id of line {document.by_name[name].line} again" if name else "no id"
            document.faults.append(Fault(self._line, f"annotation {name[:QUOTED] or '?'}: it has {why}"))
            return
        document.by_name[name] = raw
        document.annotations.append(raw)
        if len(document.annotations) > MAX_ANNOTATIONS:
            raise InvalidRow(f"it has more than {MAX_ANNOTATIONS:,} annotations: split it")

    def _start_linguistic_type(self, attributes: dict[str, str]) -> None:
        self._kinds[attributes.get("LINGUISTIC_TYPE_ID", "")] = attributes

    def _start_controlled_vocabulary(self, attributes: dict[str, str]) -> None:
        description = attributes.get("DESCRIPTION", "")
        self._vocabulary = {
            "name": attributes.get("CV_ID", ""),
            "entries": [],
            "description": description,
            "external": attributes.get("EXT_REF", ""),
        }

    def _start_description(self, attributes: dict[str, str]) -> None:
        self._begin_text()

    def _end_description(self) -> None:
        text = self._end_text()
        if self._vocabulary is not None and not self._vocabulary["description"]:
            self._vocabulary["description"] = text

    def _start_cv_entry(self, attributes: dict[str, str]) -> None:
        self._described = attributes.get("DESCRIPTION", "")
        self._begin_text()

    _start_cve_value = _start_cv_entry

    def _start_cv_entry_ml(self, attributes: dict[str, str]) -> None:
        self._has_value = False

    def _end_cv_entry(self) -> None:
        value = self._end_text().strip()
        if self._vocabulary is not None and value:
            self._vocabulary["entries"].append(Entry(value, self._described.strip()))
        self._has_value = bool(value)

    def _end_cve_value(self) -> None:
        # An entry may have a value for each language, of which the first is the one that ELAN shows.
        if not self._has_value:
            self._end_cv_entry()

    def _end_controlled_vocabulary(self) -> None:
        if self._vocabulary is not None:
            self._document.vocabularies.append(Vocabulary(**self._vocabulary))
        self._vocabulary = None

    def _start_external_ref(self, attributes: dict[str, str]) -> None:
        self._external[attributes.get("EXT_REF_ID", "")] = attributes.get("VALUE", "")

    def _begin_text(self) -> None:
        self._text, self._length = [], 0

    def _end_text(self) -> str:
        text = "".join(self._text or ())
        self._text = None
        return text

    def setDocumentLocator(self, locator: Any) -> None:  # noqa: N802
        self._place = locator

    def _number(self) -> int:
        return int(self._place.getLineNumber() or 0)


def _media_path(attributes: dict[str, str]) -> str:
    """Return where a recording lies as seen from the file, as far as it says; else only its name."""
    relative = unquote(attributes.get("RELATIVE_MEDIA_URL", "")).replace("\\", "/").removeprefix("file:")
    if relative and not relative.startswith("/"):
        return PurePosixPath(relative).as_posix()
    url = unquote(relative or attributes.get("MEDIA_URL", "")).removeprefix("file:")
    return PureWindowsPath(url).name
