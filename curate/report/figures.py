"""Bars as inline SVG beside text in tables, with everything from outside escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

_BINS = 10


class Bar(NamedTuple):
    """One row of a bar chart: its parts by CSS class, in order."""

    name: str
    parts: Mapping[str, float]
    note: str = ""

    @property
    def total(self) -> float:
        """The length of the bar."""
        return sum(self.parts.values())


def bar_table(bars: Sequence[Bar], *, unit: str = "") -> str:
    """Horizontal bars on one scale, each with its name and number."""
    most = max((bar.total for bar in bars), default=0) or 1
    rows = []
    for bar in bars:
        rects, at = [], 0.0
        for kind, amount in bar.parts.items():
            width = 100 * amount / most
            rects.append(f'<rect class="{kind}" x="{at:.2f}" width="{width:.2f}" height="10"/>')
            at += width
        svg = f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(rects)}</svg>'
        number = bar.note or f"{bar.total:,.0f}{unit}"
        rows.append(
            f'<tr><th scope="row" dir="auto">{escape(bar.name)}</th><td class="bar">{svg}</td>'
            f'<td class="number">{escape(number)}</td></tr>'
        )
    return f'<table class="bars">{"".join(rows)}</table>'


def histogram(values: Sequence[float]) -> list[Bar]:
    """Counts of numbers: one bar for each whole number where there are few, else ten equal ranges."""
    least, most = min(values), max(values)
    if all(value.is_integer() for value in values) and most - least < _BINS:
        steps = range(int(least), int(most) + 1)
        return [Bar(str(step), {"count": sum(value == step for value in values)}) for step in steps]
    if least == most:
        return [Bar(f"{least:g}", {"count": len(values)})]
    width = (most - least) / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(int((value - least) / width), _BINS - 1)] += 1
    return [
        Bar(f"{least + at * width:.2f} to {least + (at + 1) * width:.2f}", {"count": count})
        for at, count in enumerate(counts)
    ]
