"""Valence against arousal, where a label schema has both."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.labels import Field, LabelSchema

MAX_POINTS = 600
_CELLS, _BINS = 24, 5
_SIZE_PX = 300


class AffectPlot(NamedTuple):
    """Where items lie by valence (to the right) and arousal (upwards).

    ``points`` are x, y in pixels and who labelled; of more than ``MAX_POINTS`` items, ``cells`` are squares instead: x,
    y, side and how full (0-1). ``rows`` are the counts behind it, arousal from high to low.
    """

    items: int
    size: int
    ranges: tuple[tuple[float, float], tuple[float, float]]
    points: list[tuple[float, float, str]]
    cells: list[tuple[float, float, float, float]]
    columns: list[str]
    rows: list[tuple[str, list[int]]]
    zero: tuple[float, float] | None
    """Where both are 0, in pixels, if the ranges hold it"""


def affect_plot(schema: LabelSchema, labels: pa.Table) -> AffectPlot | None:
    """Return the plot; None unless fields named valence and arousal hold numbers of some items."""
    fields = [schema.fields.get(name) for name in ("valence", "arousal")]
    if not all(field is not None and field.comparison in ("ordinal", "interval") for field in fields):
        return None
    rows = labels.filter(pc.and_(pc.is_valid(labels["valence"]), pc.is_valid(labels["arousal"])))
    if not rows.num_rows:
        return None
    x, y = (np.asarray(rows[name].cast(pa.float64())) for name in ("valence", "arousal"))
    spans = [_range(field, values) for field, values in zip(fields, (x, y), strict=True) if field is not None]
    (left, right), (bottom, top) = spans
    across = (x - left) / (right - left)
    up = (y - bottom) / (top - bottom)
    points, cells = [], []
    if rows.num_rows <= MAX_POINTS:
        sources = rows["label_source"].to_pylist()
        pixels = zip(
            (across * _SIZE_PX).round(1).tolist(), ((1 - up) * _SIZE_PX).round(1).tolist(), sources, strict=True
        )
        points = [(px, py, "human" if source == "human" else "model") for px, py, source in pixels]
    else:
        side = _SIZE_PX / _CELLS
        counts = _binned(across, up, _CELLS)
        fullest = max(counts.values())
        cells = [
            (round(i * side, 2), round(_SIZE_PX - (j + 1) * side, 2), round(side, 2), round((n / fullest) ** 0.5, 3))
            for (i, j), n in sorted(counts.items())
        ]
    binned = _binned(across, up, _BINS)
    table = [(_bin(bottom, top, j), [binned[i, j] for i in range(_BINS)]) for j in reversed(range(_BINS))]
    has_zero = left < 0 < right and bottom < 0 < top
    zero = (_SIZE_PX * -left / (right - left), _SIZE_PX * (1 + bottom / (top - bottom))) if has_zero else None
    columns = [_bin(left, right, i) for i in range(_BINS)]
    return AffectPlot(rows.num_rows, _SIZE_PX, ((left, right), (bottom, top)), points, cells, columns, table, zero)


def _range(field: Field, values: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    least, greatest = getattr(field, "minimum", None), getattr(field, "maximum", None)
    if isinstance(least, float | int) and isinstance(greatest, float | int):
        return float(least), float(greatest)
    return float(values.min()) - 0.5, float(values.max()) + 0.5


def _binned(across: np.ndarray, up: np.ndarray, count: int) -> Counter[tuple[int, int]]:  # type: ignore[type-arg]
    columns, rows = (np.clip((values * count).astype(int), 0, count - 1).tolist() for values in (across, up))
    return Counter(zip(columns, rows, strict=True))


def _bin(least: float, greatest: float, index: int) -> str:
    width = (greatest - least) / _BINS
    return f"{least + index * width:.2g} to {least + (index + 1) * width:.2g}"
