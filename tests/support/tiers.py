"""Builders of files of tiers, as ELAN, Praat and others write them."""

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

Aligned = tuple[float | None, float | None, str]


def make_eaf(
    path: Path,
    tiers: Mapping[str, Sequence[Aligned]],
    *,
    tier_attributes: Mapping[str, str] | None = None,
    header: str = "",
    types: str = "",
    more_tiers: str = "",
    more: str = "",
) -> Path:
    """An .eaf file by hand: annotations as (start, end, text) in seconds; None is a time slot without a value.

    Annotations of a tier that touch share a slot. ``tier_attributes`` has XML attributes by tier.
    """
    slots: list[float | None] = []
    body = []
    count = 0
    for name, annotations in tiers.items():
        attributes = (tier_attributes or {}).get(name, "")
        lines = [f'<TIER TIER_ID={quoteattr(name)} LINGUISTIC_TYPE_REF="default" {attributes}>']
        last: tuple[float | None, int] | None = None
        for start, end, text in annotations:
            if last is None or last[0] != start:
                slots.append(start)
                last = (start, len(slots))
            slots.append(end)
            count += 1
            refs = f'TIME_SLOT_REF1="ts{last[1]}" TIME_SLOT_REF2="ts{len(slots)}"'
            lines.append(f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{count}" {refs}>')
            lines.append(f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>")
            last = (end, len(slots))
        body.append("\n".join([*lines, "</TIER>"]))
    order = "\n".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{number}"' + ("/>" if time is None else f' TIME_VALUE="{round(time * 1000)}"/>')
        for number, time in enumerate(slots, start=1)
    )
    text = "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">',
            f'<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{header}</HEADER>',
            f"<TIME_ORDER>{order}</TIME_ORDER>",
            *body,
            more_tiers,
            '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default" TIME_ALIGNABLE="true"/>',
            types,
            more,
            "</ANNOTATION_DOCUMENT>",
        ]
    )
    path.write_text(text, encoding="utf-8")
    return path


def make_nova(
    path: Path, scheme: str, lines: Sequence[str], *, meta: str = '<meta annotator="ann" role="child"/>'
) -> Path:
    """A NOVA annotation: the header at ``path``, the data beside it."""
    info = f'<info ftype="ASCII" size="{len(lines)}"/>'
    path.write_text(f'<?xml version="1.0" ?><annotation ssi-v="3">{info}{meta}{scheme}</annotation>', encoding="utf-8")
    path.with_name(path.name + "~").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_wav(path: Path, seconds: float = 6.0) -> Path:
    """Noise, as a recording."""
    samples = (np.random.default_rng(0).normal(size=int(seconds * 16_000)) * 3_000).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path
