"""Read NOVA's annotations: a header in XML (``.annotation``) and lines of data (``.annotation~``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException

from curate.errors import InvalidRow
from curate.media.tiers.contents import (
    MAX_ANNOTATIONS,
    QUOTED,
    Annotation,
    Entry,
    Fault,
    Tier,
    TierFile,
    Vocabulary,
    checked_seconds,
    text_problem,
    time_problem,
)
from curate.media.tiers.lines import load_lines

_MAX_HEADER_BYTES = 5_000_000
_REST = "-1"
_REST_NAME = "GARBAGE"
"""What NOVA calls stretches that are of none of its labels."""
_KINDS = ("DISCRETE", "FREE", "CONTINUOUS")


class _Scheme(NamedTuple):
    name: str
    kind: str
    labels: Mapping[str, str]
    rate_hz: float
    minimum: float
    maximum: float


def read_nova(path: Path) -> TierFile:
    """Return the annotations of one scheme, which is the tier; its role is the participant.

    Each sample of a continuous scheme is an annotation until the next, whose text is the score; samples that are NaN,
    for which nobody gave a score, are left out. Raises ``InvalidRow`` if a file as a whole cannot be read, ``OSError``.
    """
    root = _header(path)
    scheme = _scheme(root)
    info, meta = root.find("info"), root.find("meta")
    if info is not None and info.get("ftype", "ASCII").upper() != "ASCII":
        raise InvalidRow("its data are binary: save it in NOVA as ASCII")
    data = path.with_name(path.name + "~")
    if not data.is_file() or data.is_symlink():
        raise InvalidRow(f"its data are in {data.name[:QUOTED]}, which is not beside it")
    tier = Tier(
        scheme.name,
        participant="" if meta is None else meta.get("role", ""),
        annotator="" if meta is None else meta.get("annotator", ""),
        kind=scheme.kind,
        vocabulary=scheme.name if scheme.labels else "",
    )
    annotations: list[Annotation] = []
    faults: list[Fault] = []
    sample, blank_line = 0, 0
    for line, text in enumerate(load_lines(data), start=1):
        text = text.partition(" //")[0].strip() if scheme.kind == "CONTINUOUS" else text.strip()
        if not text:
            blank_line = blank_line or line
            continue
        if blank_line and scheme.kind == "CONTINUOUS":
            raise InvalidRow(
                f"line {blank_line} of {data.name[:QUOTED]} has no score: the times after it are not certain"
            )
        sample += 1
        try:
            annotation = _annotation(line, sample - 1, text.split(";"), scheme)
        except ValueError as error:
            faults.append(Fault(line, f"{data.name}, line {line}: {error}"))
            continue
        if annotation is not None:
            annotations.append(annotation)
        if len(annotations) > MAX_ANNOTATIONS:
            raise InvalidRow(f"it has more than {MAX_ANNOTATIONS:,} lines: split it")
    entries = [Entry(label) for label in scheme.labels.values()]
    vocabularies = [Vocabulary(scheme.name, entries)] if entries else []
    return TierFile({tier.name: tier}, annotations, faults, vocabularies=vocabularies)


def _header(path: Path) -> Element:
    from defusedxml.ElementTree import parse

    if path.stat().st_size > _MAX_HEADER_BYTES:
        raise InvalidRow("it is too long for a header of NOVA")
    try:
        root: Element | None = parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise InvalidRow("it declares a document type or entities, which NOVA never writes") from error
    except (ParseError, UnicodeError, LookupError, ValueError) as error:
        raise InvalidRow(f"it is not XML: {error}") from error
    if root is None or root.tag != "annotation" or root.find("scheme") is None:
        raise InvalidRow("it is not an annotation of NOVA: it has no <scheme> within <annotation>")
    return root


def _scheme(root: Element) -> _Scheme:
    element = root.find("scheme")
    if element is None:
        raise InvalidRow("it has no scheme")
    kind = element.get("type", "").upper()
    if kind not in _KINDS:
        raise InvalidRow(f"its scheme is {kind[:QUOTED]}: {', '.join(_KINDS)} can be read")
    labels = {item.get("id", ""): item.get("name", "") for item in element.iter("item")}
    try:
        limits = [checked_seconds(element.get(name, default)) for name, default in _LIMITS.items()]
    except ValueError:
        raise InvalidRow("its rate or range is not a number") from None
    if kind == "CONTINUOUS" and not 0 < limits[0] <= 100_000:
        raise InvalidRow(f"its sample rate {element.get('sr', '')[:QUOTED]!r} is not a number of samples a second")
    return _Scheme(element.get("name", "") or "annotation", kind, labels, *limits)


_LIMITS = {"sr": "0", "min": "0", "max": "1"}


def _annotation(line: int, sample: int, cells: Sequence[str], scheme: _Scheme) -> Annotation | None:
    if scheme.kind == "CONTINUOUS":
        return _sample(line, sample, cells, scheme)
    if cells[-1].startswith("color="):
        cells = cells[:-1]
    if len(cells) < 4:
        raise ValueError(f"it has {len(cells)} cells instead of start; end; label; confidence")
    start_s, end_s = checked_seconds(cells[0]), checked_seconds(cells[1])
    text, confidence = ";".join(cells[2:-1]), cells[-1].strip()
    if scheme.kind == "DISCRETE":
        number = text.strip()
        label = scheme.labels.get(number) or (_REST_NAME if number == _REST else None)
        if label is None:
            raise ValueError(f"label {number[:QUOTED]!r} is not in the scheme {scheme.name}")
        text = label
    if problem := time_problem(start_s, end_s) or text_problem(text):
        raise ValueError(problem)
    return Annotation(line, scheme.name, start_s, end_s, text, confidence=confidence)


def _sample(line: int, sample: int, cells: Sequence[str], scheme: _Scheme) -> Annotation | None:
    text = cells[0].strip()
    if text.casefold() == "nan":
        return None
    try:
        score = checked_seconds(text)
    except ValueError:
        raise ValueError(f"{text[:QUOTED]!r} is not a score") from None
    if not scheme.minimum <= score <= scheme.maximum:
        raise ValueError(f"score {text[:QUOTED]} is not on the scale from {scheme.minimum:g} to {scheme.maximum:g}")
    times = (round(sample / scheme.rate_hz, 6), round((sample + 1) / scheme.rate_hz, 6))
    return Annotation(line, scheme.name, *times, text, confidence=cells[1].strip() if len(cells) > 1 else "")
