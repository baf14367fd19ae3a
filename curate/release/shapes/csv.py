"""A table of labels as CSV, without media, and what each of its columns holds."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.release.features import MEDIA
from curate.release.shapes.released import ReleasedRows, class_names
from curate.release.shapes.shape import Written

_LEFT_OUT = ("judgements", "prelabel")
_GUIDE = """Lists and groups are JSON, labels are names, and a missing value is an empty cell. Import texts as text:
spreadsheets calculate what begins with `=`.

| column | type |
|---|---|
{columns}

```python
import pandas

labels = pandas.read_csv("{file}", keep_default_na=False, na_values=[""])
```"""


def write_csv(release: ReleasedRows, folder: Path) -> Written:
    """Write ``<split>.csv`` with a row for each item; ``<field>_soft`` is JSON with the share of each label."""
    written = Written()
    columns = [name for name in release.features if name not in (*MEDIA, *_LEFT_OUT)]
    for split in release.splits:
        path = folder / f"{split}.csv"
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            for row in release.rows(split, with_media=False):
                written.left_out["media"] += sum(row.get(name) is not None for name in MEDIA)
                written.left_out["judgements of single people"] += len(row["judgements"] or ())
                written.left_out["proposals of models"] += row["prelabel"] is not None
                writer.writerow(_cells(release.soft, columns, release.plain(row)))
                written.counts["items"] += 1
        written.files = {**written.files, split: path.name}
    lines = "\n".join(f"| `{name}` | {kind} |" for name, kind in _types(release, columns))
    written.guide = _GUIDE.format(columns=lines, file=next(iter(written.files.values()), "train.csv"))
    return written


def _cells(soft: Mapping[str, list[str]], columns: list[str], plain: Mapping[str, Any]) -> Iterator[Any]:
    for name in columns:
        value = plain[name]
        if name in soft and value is not None:
            value = dict(zip(soft[name], value, strict=True))
        yield value if value is None or isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def _types(release: ReleasedRows, columns: list[str]) -> Iterator[tuple[str, str]]:
    for name in columns:
        feature = release.features[name]
        names = class_names(feature)
        kind = {"Value": feature.get("dtype", ""), "ClassLabel": "text", "List": "JSON list"}.get(
            feature.get("_type", ""), "JSON object"
        )
        if name in release.soft:
            kind = "JSON object: share of raters by label"
        yield name, f"{kind}, of {', '.join(names)}" if names else kind
