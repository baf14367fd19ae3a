"""An audformat database: a header in YAML, a table for each split, and the sounds as files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import yaml
from pyarrow import parquet

from curate.errors import InvalidInput
from curate.release.shapes.released import ReleasedRows, class_names
from curate.release.shapes.shape import Written

_SPLITS = {"train": "train", "validation": "dev", "dev": "dev", "test": "test"}
_ABOUT_ITEM = ("item_id", "speaker", "text", "start_s", "end_s", "label_source", "reviewed", "raters")
_TYPES = {"string": "str", "float32": "float", "float64": "float", "int32": "int", "int64": "int", "bool": "bool"}
_ARROW = {"str": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}
_GUIDE = """An [audformat](https://audeering.github.io/audformat) database. A field of several labels is one column of
true and false for each label; `<field>.share.<label>` is the share of raters.

```python
import audformat

database = audformat.Database.load(".")
print(database["{table}"].get())
```"""


class _Column(NamedTuple):
    """A column of the tables: its scheme, and the released column, label and kind that its values come from."""

    scheme: dict[str, Any]
    source: str
    label: str | None = None
    position: int | None = None


def write_audformat(release: ReleasedRows, folder: Path) -> Written:
    """Write ``db.yaml``, ``db.<split>.parquet`` and ``audio/``; items without sound are left out."""
    written = Written()
    columns = dict(_columns(release))
    used = {column.source for column in columns.values()}
    if skipped := [name for name in release.fields if name not in used]:
        written.left_out[f"fields that are not labels, numbers or texts ({', '.join(skipped)})"] = len(skipped)
    tables: dict[str, Any] = {}
    for split in release.splits:
        values: dict[str, list[Any]] = {name: [] for name in ("file", *columns)}
        for row in release.rows(split):
            sound = release.media(row).get("audio")
            if sound is None:
                written.left_out["items without sound"] += 1
                continue
            path = folder / "audio" / f"{release.key(row['item_id'])}{sound.suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(sound.data)
            values["file"].append(f"audio/{path.name}")
            plain = release.plain(row)
            for name, column in columns.items():
                values[name].append(_value(plain[column.source], column))
            written.counts["items"] += 1
            written.left_out["media other than sound"] += len(release.media(row)) - 1
            written.left_out["judgements of single people"] += len(row["judgements"] or ())
        if values["file"]:
            kinds = {name: _ARROW[column.scheme["dtype"]] for name, column in columns.items()}
            table = pa.table({name: pa.array(cells, kinds.get(name, pa.string())) for name, cells in values.items()})
            parquet.write_table(table, folder / f"db.{split}.parquet")
            tables[split] = {
                "type": "filewise",
                "split_id": split,
                "media_id": "audio",
                "columns": {name: {"scheme_id": name} for name in columns},
            }
    if not tables:
        raise InvalidInput(
            "no item of the release has sound, and audformat describes sounds", hint="choose another shape, such as csv"
        )
    _write_header(release, folder, columns, tables)
    written.guide = _GUIDE.format(table=next(iter(tables)))
    return written


def _columns(release: ReleasedRows) -> Iterator[tuple[str, _Column]]:
    for name in (*_ABOUT_ITEM, *release.fields):
        feature = release.features[name]
        labels = class_names(feature)
        if feature.get("_type") == "ClassLabel":
            yield name, _Column({"dtype": "str", "labels": labels}, name)
        elif labels and feature.get("_type") == "List" and feature["feature"].get("_type") == "ClassLabel":
            for label in labels:
                yield f"{name}.{label}", _Column({"dtype": "bool"}, name, label)
        elif feature.get("dtype") in _TYPES:
            yield name, _Column({"dtype": _TYPES[feature["dtype"]]} | _bounds(release, name), name)
    for name, labels in release.soft.items():
        field = name.removesuffix("_soft")
        for position, label in enumerate(labels):
            scheme = {"dtype": "float", "minimum": 0, "maximum": 1}
            yield f"{field}.share.{label}", _Column(scheme, name, position=position)


def _bounds(release: ReleasedRows, name: str) -> dict[str, float]:
    field = release.labels.fields.get(name) if release.labels else None
    minimum, maximum = getattr(field, "minimum", None), getattr(field, "maximum", None)
    return {"minimum": minimum, "maximum": maximum} if minimum is not None and maximum is not None else {}


def _value(plain: Any, column: _Column) -> Any:
    if plain is None:
        return None
    if column.position is not None:
        return plain[column.position]
    return plain if column.label is None else column.label in plain


def _write_header(
    release: ReleasedRows, folder: Path, columns: Mapping[str, _Column], tables: Mapping[str, Any]
) -> None:
    manifest = release.manifest
    header = {
        "name": manifest.recipe,
        "source": f"release {manifest.version} of {manifest.recipe}, content {manifest.content_sha256}",
        "usage": "other",
        "description": "The licence of each item is in the README.",
        "media": {"audio": {"type": "audio"}},
        "schemes": {name: column.scheme for name, column in columns.items()},
        "splits": {split: {"type": _SPLITS.get(split, "other")} for split in tables},
        "tables": dict(tables),
    }
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    (folder / "db.yaml").write_text(text, encoding="utf-8")
