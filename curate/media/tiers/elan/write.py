"""Write ``.eaf`` files (schema 3.0): tiers with times, their vocabularies, recordings and properties."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from curate.media.tiers.contents import Annotation, Tier, Vocabulary

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_LANGUAGE = "und"
_LANGUAGE_DEFINITION = "http://cdb.iso.org/lg/CDB-00130975-001"
_FREE = "annotation"
# What XML cannot hold at all, however it is written.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Recording(NamedTuple):
    """A recording as a file links to it: its path as seen from the file, and which second of it is second 0 there."""

    path: str
    kind: str
    start_s: float = 0.0


def to_eaf(
    tiers: Sequence[tuple[Tier, Sequence[Annotation]]],
    *,
    recordings: Sequence[Recording] = (),
    vocabularies: Sequence[Vocabulary] = (),
    properties: Mapping[str, str] | None = None,
    written_at: datetime,
) -> bytes:
    """Return a file with these tiers, whose annotations are rounded to milliseconds and do not overlap."""
    root = ET.Element("ANNOTATION_DOCUMENT", {"AUTHOR": "", "DATE": written_at.isoformat(timespec="seconds")})
    root.attrib |= {"FORMAT": "3.0", "VERSION": "3.0", "xmlns:xsi": _XSI, "xsi:noNamespaceSchemaLocation": _SCHEMA}
    root.append(_header(recordings, properties or {}))
    order = ET.SubElement(root, "TIME_ORDER")
    times = sorted(
        (round(time_s * 1000), tier_number, number, is_end)
        for tier_number, (_, annotations) in enumerate(tiers)
        for number, annotation in enumerate(annotations)
        for is_end, time_s in enumerate((annotation.start_s, annotation.end_s))
    )
    slots: dict[tuple[int, int, int], str] = {}
    for count, (milliseconds, *place) in enumerate(times, start=1):
        slots[place[0], place[1], place[2]] = f"ts{count}"
        ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": f"ts{count}", "TIME_VALUE": str(milliseconds)})
    count = 0
    for tier_number, (tier, annotations) in enumerate(tiers):
        attributes = {"LINGUISTIC_TYPE_REF": tier.vocabulary or _FREE, "TIER_ID": _clean(tier.name)}
        people = {"PARTICIPANT": tier.participant, "ANNOTATOR": tier.annotator}
        attributes |= {name: _clean(person) for name, person in people.items() if person}
        element = ET.SubElement(root, "TIER", attributes)
        for number, annotation in enumerate(annotations):
            count += 1
            places = {f"TIME_SLOT_REF{end + 1}": slots[tier_number, number, end] for end in (0, 1)}
            holder = ET.SubElement(element, "ANNOTATION")
            aligned = ET.SubElement(holder, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{count}", **places})
            ET.SubElement(aligned, "ANNOTATION_VALUE").text = _clean(annotation.text)
    _add_types(root, vocabularies)
    ET.indent(root, "    ")
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _header(recordings: Sequence[Recording], properties: Mapping[str, str]) -> ET.Element:
    header = ET.Element("HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    for recording in recordings:
        url = quote(recording.path)
        attributes = {"MEDIA_URL": url, "MIME_TYPE": recording.kind, "RELATIVE_MEDIA_URL": url}
        if recording.start_s:
            attributes["TIME_ORIGIN"] = str(round(recording.start_s * 1000))
        ET.SubElement(header, "MEDIA_DESCRIPTOR", attributes)
    for name, value in properties.items():
        ET.SubElement(header, "PROPERTY", {"NAME": name}).text = _clean(value)
    return header


def _add_types(root: ET.Element, vocabularies: Sequence[Vocabulary]) -> None:
    """Add a type of tiers for each vocabulary, and one without, then the vocabularies: the order of the schema."""
    common = {"GRAPHIC_REFERENCES": "false", "TIME_ALIGNABLE": "true"}
    ET.SubElement(root, "LINGUISTIC_TYPE", {**common, "LINGUISTIC_TYPE_ID": _FREE})
    for vocabulary in vocabularies:
        name = _clean(vocabulary.name)
        attributes = {"CONTROLLED_VOCABULARY_REF": name, **common, "LINGUISTIC_TYPE_ID": name}
        ET.SubElement(root, "LINGUISTIC_TYPE", attributes)
    if vocabularies:
        language = {"LANG_DEF": _LANGUAGE_DEFINITION, "LANG_ID": _LANGUAGE, "LANG_LABEL": "undetermined (und)"}
        ET.SubElement(root, "LANGUAGE", language)
    for vocabulary in vocabularies:
        element = ET.SubElement(root, "CONTROLLED_VOCABULARY", {"CV_ID": _clean(vocabulary.name)})
        ET.SubElement(element, "DESCRIPTION", {"LANG_REF": _LANGUAGE}).text = _clean(vocabulary.description)
        for number, entry in enumerate(vocabulary.entries, start=1):
            holder = ET.SubElement(element, "CV_ENTRY_ML", {"CVE_ID": f"{_identifier(vocabulary.name)}-{number}"})
            value = {"DESCRIPTION": _clean(entry.description), "LANG_REF": _LANGUAGE}
            ET.SubElement(holder, "CVE_VALUE", value).text = _clean(entry.value)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _identifier(text: str) -> str:
    return "cve_" + re.sub(r"[^A-Za-z0-9_-]", "_", text)
