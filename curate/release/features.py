"""The columns of a release: one Hugging Face feature each, from which Arrow types, file metadata and card follow."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from curate.labels import Feature, LabelSchema, arrow_type, compile_features
from curate.labels.columns import ITEM_COLUMNS
from curate.labels.features import scalar
from curate.labels.markup import MEDIA_VARIABLES

MEDIA = MEDIA_VARIABLES
"""The columns of a release that hold files."""


def released_features(labels: LabelSchema, columns: Iterable[str] = ()) -> dict[str, Feature]:
    """Return the columns of a release, with further ones of text after those that describe the item."""
    features = compile_features(labels)
    described = {name: features.pop(name) for name in ITEM_COLUMNS}
    return described | dict.fromkeys(columns, scalar("string")) | features


def arrow_schema(features: dict[str, Feature]) -> pa.Schema:
    """Return the schema of a shard, with the features in its metadata."""
    # The order of struct members matters: readers silently ignore a feature whose order differs from the file's.
    metadata = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    fields = [pa.field(name, arrow_type(feature)) for name, feature in features.items()]
    return pa.schema(fields, metadata={"huggingface": metadata})


def card_features(features: dict[str, Feature]) -> list[dict[str, Any]]:
    """Return the features in the form of ``dataset_info`` in the YAML of a card."""
    return [{"name": name, **_card_feature(feature)} for name, feature in features.items()]


def _card_feature(feature: Feature) -> dict[str, Any]:
    kind = feature.get("_type")
    if kind is None:
        return {"struct": card_features(feature)}
    options = {key: setting for key, setting in feature.items() if key not in ("_type", "feature")}
    match kind:
        case "Value":
            return options
        case "List":
            inner = _card_feature(feature["feature"])
            short = next(iter(inner.values())) if list(inner) in (["dtype"], ["struct"]) else inner
            return {"list": short, **options}
        case "ClassLabel":
            # The Hub requires strings as keys here.
            names = {str(index): name for index, name in enumerate(options["names"])}
            return {"dtype": {"class_label": {"names": names}}}
        case _:
            return {"dtype": {kind.lower(): options} if options else kind.lower()}
