"""Read ``.eaf`` files: tiers, annotations with their lines, vocabularies, recordings and properties."""

from pathlib import Path

from curate.media.tiers.contents import QUOTED, Annotation, Fault, TierFile, text_problem, time_problem
from curate.media.tiers.elan.parse import parse
from curate.media.tiers.elan.times import align


def read_eaf(path: Path) -> TierFile:
    """Return what a file holds; times are those of its first recording.

    Time slots without a value are spread evenly between those around them, as ELAN shows them. Annotations without
    times, with an end that is not after their start, or with one id twice are faults, as are those that depend on such.
    Raises ``InvalidRow`` if the file as a whole cannot be read, ``OSError`` if it cannot be opened.
    """
    document = parse(path)
    start_s = document.origin_ms / 1000
    times, faults = align(document)
    annotations = list[Annotation]()
    for raw in document.annotations:
        if raw.name in faults or raw.name not in times:
            continue
        begin_s, end_s = (milliseconds / 1000 + start_s for milliseconds in times[raw.name])
        problem = time_problem(begin_s, end_s) or text_problem(raw.text)
        if problem is not None:
            faults[raw.name] = problem
            continue
        parent = document.by_name.get(raw.parent)
        text = "" if parent is None else parent.text
        annotations.append(Annotation(raw.line, raw.tier, begin_s, end_s, raw.text, raw.name, text))
    named = [Fault(document.by_name[name].line, f"annotation {name[:QUOTED]}: {why}") for name, why in faults.items()]
    return TierFile(
        document.tiers,
        annotations,
        sorted([*named, *document.faults]),
        document.media,
        document.vocabularies,
        document.properties,
        start_s,
    )
