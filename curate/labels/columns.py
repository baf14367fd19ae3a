"""The columns that tables and releases have besides those of a label schema, whose names no field may take."""

from functools import cache

import yaml

from curate.assets import shipped_folder
from curate.labels.features import Feature, list_of, scalar

_AUDIO: Feature = {"sampling_rate": 16_000, "_type": "Audio"}
# Decoded on request only, so that reading a row needs no decoder.
_VIDEO: Feature = {"decode": False, "_type": "Video"}

ITEM_COLUMNS: dict[str, Feature] = {
    "item_id": scalar("string"),
    "source_id": scalar("string"),
    "file": scalar("string"),
    "collection": scalar("string"),
    "licence": scalar("string"),
    "title": scalar("string"),
    "key": scalar("string"),
    "columns": list_of({"name": scalar("string"), "value": scalar("string")}),
    "unit": scalar("string"),
    "start_s": scalar("float64"),
    "end_s": scalar("float64"),
    "session": scalar("string"),
    "session_start_s": scalar("float64"),
    "other_files": list_of(
        {"source_id": scalar("string"), "file": scalar("string"), "start_s": scalar("float64")},
    ),
    "speaker": scalar("string"),
    "turn": scalar("int32"),
    "text": scalar("string"),
    "text_b": scalar("string"),
    "text_source": scalar("string"),
    "statement": scalar("string"),
    "dialogue": list_of(
        {
            "turn": scalar("int32"),
            "speaker": scalar("string"),
            "text": scalar("string"),
            "start_s": scalar("float64"),
            "end_s": scalar("float64"),
        }
    ),
    "audio": _AUDIO,
    "audio_b": _AUDIO,
    "video": _VIDEO,
    "video_b": _VIDEO,
    "image": {"_type": "Image"},
    "face": {"_type": "Image"},
    "face_outcome": scalar("string"),
    "face_identity": scalar("string"),
}
"""What a release says of the item; these columns come before the fields of the label schema."""
EVIDENCE_COLUMNS: dict[str, Feature] = {
    "label_source": scalar("string"),
    "reviewed": scalar("bool"),
    "raters": scalar("int32"),
    "agreement": list_of({"field": scalar("string"), "value": scalar("float32")}),
    "decisions": list_of(
        {
            "field": scalar("string"),
            "method": scalar("string"),
            "raters": scalar("int32"),
            "entropy": scalar("float32"),
            "decided_by": scalar("string"),
        }
    ),
}
"""What a release says of where a label comes from; ``judgements`` and ``prelabel`` follow."""
JUDGEMENT_MEMBERS: dict[str, Feature] = {
    "judgement_id": scalar("string"),
    "annotator": scalar("string"),
    "arm": scalar("string"),
    "acted_at": scalar("timestamp[us, tz=UTC]"),
    "seconds": scalar("float64"),
    "skipped": scalar("bool"),
    "cannot_judge": scalar("string"),
    "origins": list_of({"field": scalar("string"), "origin": scalar("string")}),
}
PRELABEL_MEMBERS: dict[str, Feature] = {
    name: scalar("string") for name in ("prelabel_id", "labeller", "model", "outcome")
}


@cache
def reserved_names() -> dict[str, str]:
    """Return every reserved name with a phrase for where it is used: a table or every release."""
    released = (*ITEM_COLUMNS, *EVIDENCE_COLUMNS, "judgements", *JUDGEMENT_MEMBERS, "prelabel", *PRELABEL_MEMBERS)
    names = dict.fromkeys(released, "every release")
    for path in sorted((shipped_folder("schemas") / "tables").glob("*.yaml")):
        table = yaml.safe_load(path.read_text("utf-8"))
        if table.get("per_label_schema"):
            names.update(dict.fromkeys(table["columns"], f"table {path.stem}"))
    return names
