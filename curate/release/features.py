"""The columns of a release: one Hugging Face feature each, from which Arrow types, file metadata and card follow."""

import json
from typing import Any

import pyarrow as pa

from curate.errors import InvalidInput
from curate.labels import LabelSchema

Feature = dict[str, Any]
"""A feature as the ``datasets`` library writes it to JSON; a plain dict of features is a struct."""

AUDIO_RATE_HZ = 16_000
MEDIA = ("audio", "face")

_SCALARS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
}
_FILE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def value(dtype: str) -> Feature:
    """The feature of a scalar."""
    return {"dtype": dtype, "_type": "Value"}


def list_of(feature: Feature) -> Feature:
    """The feature of a list."""
    return {"feature": feature, "_type": "List"}


def release_features(labels: LabelSchema) -> dict[str, Feature]:
    """Every column of a release in order, with its feature.

    Raises ``InvalidInput`` when a label field is named like another column.
    """
    fields = {name: field.feature for name, field in labels.fields.items()}
    soft = {f"{name}_soft": list_of(value("float32")) for name, field in labels.fields.items() if field.soft_labels}
    pairs = list_of({"field": value("string"), "value": value("float32")})
    origins = list_of({"field": value("string"), "origin": value("string")})
    judgement = {
        "judgement_id": value("string"),
        "annotator": value("string"),
        "acted_at": value("timestamp[us, tz=UTC]"),
        "skipped": value("bool"),
        "origins": origins,
    }
    prelabel = {name: value("string") for name in ("prelabel_id", "labeller", "model", "outcome")}
    before: dict[str, Feature] = {
        "item_id": value("string"),
        "source_id": value("string"),
        "collection": value("string"),
        "licence": value("string"),
        "title": value("string"),
        "unit": value("string"),
        "start_s": value("float64"),
        "end_s": value("float64"),
        "speaker": value("string"),
        "text": value("string"),
        "text_source": value("string"),
        "audio": {"sampling_rate": AUDIO_RATE_HZ, "_type": "Audio"},
        "face": {"_type": "Image"},
        "face_outcome": value("string"),
        "face_identity": value("string"),
    }
    after = {
        "label_source": value("string"),
        "reviewed": value("bool"),
        "raters": value("int32"),
        "agreement": pairs,
        "judgements": list_of(judgement | fields),
        "prelabel": prelabel | fields,
    }
    taken = {*before, *after, *judgement, *prelabel, *soft}
    if clash := sorted(taken & set(fields)):
        raise InvalidInput(
            f"label schema {labels.name}: field {clash[0]!r} has the name of a column of every release",
            hint=f"rename it, for example to label_{clash[0]}",
        )
    return before | fields | soft | after


def arrow_type(feature: Feature) -> pa.DataType:
    """The one Arrow type under which ``datasets`` recognises a feature."""
    match feature.get("_type"):
        case "Value":
            return _SCALARS[feature["dtype"]]
        case "ClassLabel":
            return pa.int64()
        case "Audio" | "Image" | "Video":
            return _FILE
        case "List":
            length = feature.get("length", -1)
            return pa.list_(arrow_type(feature["feature"]), length)
        case _:
            return pa.struct([pa.field(name, arrow_type(member)) for name, member in feature.items()])


def arrow_schema(features: dict[str, Feature]) -> pa.Schema:
    """The schema of a shard, with the features in its metadata."""
    # The order of struct members counts: where it differs from the file's, the feature is silently ignored.
    metadata = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    fields = [pa.field(name, arrow_type(feature)) for name, feature in features.items()]
    return pa.schema(fields, metadata={"huggingface": metadata})


def card_features(features: dict[str, Feature]) -> list[dict[str, Any]]:
    """The features as they stand under ``dataset_info`` in the YAML of a card."""
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
            # The Hub wants keys that are strings here.
            return {"dtype": {"class_label": {"names": {str(at): name for at, name in enumerate(options["names"])}}}}
        case _:
            return {"dtype": {kind.lower(): options} if options else kind.lower()}
