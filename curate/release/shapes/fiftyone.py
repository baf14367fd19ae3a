"""Pictures with labels in FiftyOne's format for image classification."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.errors import InvalidInput
from curate.labels import Feature
from curate.release.shapes.released import ReleasedRows, class_names
from curate.release.shapes.shape import Written

_PICTURES = ("image", "face")
_GUIDE = """Each split has its pictures in `data/`, and a file of labels for each field in FiftyOne's format
`FiftyOneImageClassificationDataset`; numbers and facts about the item are attributes.

```python
import fiftyone

dataset = fiftyone.Dataset.from_dir(
    dataset_type=fiftyone.types.FiftyOneImageClassificationDataset,
    data_path="{split}/data",
    labels_path="{split}/labels/{field}.json",
    label_field="{field}",
    tags="{split}",
)
```"""


def write_fiftyone(release: ReleasedRows, folder: Path) -> Written:
    """Write ``<split>/data`` and ``<split>/labels/<field>.json``; of an item, the whole picture or else the face."""
    written = Written()
    fields = {name: class_names(release.features[name]) for name in release.fields}
    fields = {name: names for name, names in fields.items() if names and _is_classification(release.features[name])}
    if not fields:
        raise InvalidInput(
            f"label schema {release.manifest.label_schema} has no field of labels, and FiftyOne classifies pictures",
            hint="choose another shape, such as webdataset",
        )
    if unsupported := [
        name for name in release.fields if name not in fields and not _is_number(release.features[name])
    ]:
        written.left_out[f"fields that are not labels or numbers ({', '.join(unsupported)})"] = len(unsupported)
    for split in release.splits:
        targets: dict[str, dict[str, Any]] = defaultdict(dict)
        for row in release.rows(split):
            media = release.media(row)
            picture = next((media[name] for name in _PICTURES if name in media), None)
            if picture is None:
                written.left_out["items without a picture"] += 1
                continue
            key = release.key(row["item_id"])
            path = folder / split / "data" / f"{key}{picture.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture.data)
            plain = release.plain(row)
            for name in fields:
                targets[name][key] = _target(release, plain, name)
            written.counts["items"] += 1
            written.left_out["other media"] += len(media) - 1
            written.left_out["judgements of single people"] += len(row["judgements"] or ())
        for name, labels in targets.items():
            document = {"classes": fields[name], "labels": labels}
            path = folder / split / "labels" / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(document, ensure_ascii=True), encoding="utf-8")
    if not written.counts["items"]:
        raise InvalidInput("no item of the release has a picture", hint="choose another shape, such as webdataset")
    first = next(split for split in release.splits if (folder / split).exists())
    written.guide = _GUIDE.format(split=first, field=next(iter(fields)))
    return written


def _is_classification(feature: Feature) -> bool:
    inner = feature["feature"] if feature.get("_type") == "List" else feature
    return inner.get("_type") == "ClassLabel"


def _is_number(feature: Feature) -> bool:
    return feature.get("dtype") in ("float32", "float64", "int32", "int64")


def _target(release: ReleasedRows, plain: Mapping[str, Any], name: str) -> Any:
    """Return the labels of a picture as FiftyOne reads them: one or several, or None; each with its attributes."""
    numbers = {field: plain[field] for field in release.fields if _is_number(release.features[field])}
    facts = {"item_id": plain["item_id"], "speaker": plain["speaker"], "reviewed": plain["reviewed"]}
    attributes = {key: value for key, value in (numbers | facts).items() if value is not None}
    value = plain[name]
    if value is None:
        return None
    if isinstance(value, list):
        return [{"label": label, "attributes": attributes} for label in value]
    return {"label": value, "attributes": attributes}
