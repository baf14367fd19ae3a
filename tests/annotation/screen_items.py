"""An item of every unit, and a value of every field type that it can have: what the forms are tried with."""

from typing import Any

from curate.labels import Field, LabelSchema, Turn
from curate.storage.blobs import Blobs
from tests.annotation.annotation_builders import make_clip, make_id

SECONDS, RATE_HZ = 4, 25
KINDS = {
    "utterance": ("video", "audio", "text"),
    "window": ("video",),
    "frame": ("image",),
    "clip": ("video", "audio"),
    "image": ("image",),
    "post": ("text",),
    "dialogue": ("text", "video"),
    "pair": ("video", "audio", "text"),
}
"""What there can be to look at of an item of each unit."""
TURNS = (
    Turn("Ann", "You are late again, and I waited for an hour in the rain."),
    Turn("Ben", "I know. The train stood still and my phone was dead."),
    Turn("Ann", "I was so worried that something had happened to you!"),
    Turn("Ben", "I am sorry, I really am. Let me make you some tea."),
)
TEXT = TURNS[2].text
STATEMENT = "The speaker is relieved, although she sounds angry."


def make_shown(unit: str, shown: str, blobs: Blobs, *, recipe: str) -> dict[str, Any]:
    """An item with all that a layout may show of such an item."""
    timed = unit in ("utterance", "window", "clip", "dialogue")
    item: dict[str, Any] = {
        "item_id": make_id(recipe, unit, shown),
        "source_id": make_id("source", unit, shown),
        "unit": unit,
        "layout": shown,
        "start_s": 10.0 if timed else None,
        "end_s": 10.0 + SECONDS if timed else None,
        "speaker": None if unit in ("image", "frame", "pair", "dialogue", "window") else "Ann",
        "text": None if unit in ("image", "frame", "dialogue") else TEXT,
        "statement": STATEMENT,
        "work": "items-work",
    }
    if unit in ("utterance", "dialogue", "pair"):
        item["dialogue"] = [{"turn": at, **turn._asdict()} for at, turn in enumerate(TURNS)]
        item["turn"] = 2 if unit == "utterance" else None
    if unit == "pair":
        item |= {"text": TURNS[3].text, "text_b": "Oh. Well, these things happen."}
        item["dialogue"] = item["dialogue"][:3]
    if shown in ("video", "audio"):
        item["audio"] = blobs.put(make_clip("flac", seconds=SECONDS), "flac")
    if shown == "video":
        item |= {"video": blobs.put(make_clip("mp4", seconds=SECONDS), "mp4"), "frame_rate_hz": float(RATE_HZ)}
        item |= {"width_px": 640, "height_px": 480}
    if shown == "image":
        picture = blobs.put(make_clip("jpg"), "jpg")
        item |= {"image": picture, "face": picture, "width_px": 640, "height_px": 480}
    if unit == "pair" and shown in ("video", "audio"):
        kind = {"video": "mp4", "audio": "flac"}[shown]
        item[f"{shown}_b"] = blobs.put(make_clip(kind, seconds=SECONDS - 1), kind)
    return item


def make_record(labels: LabelSchema) -> dict[str, Any]:
    """A pre-label's values: one for each field that is asked."""
    values: dict[str, Any] = {}
    for name, field in labels.fields.items():
        values[name] = None
        if labels.is_asked(name, values):
            values[name] = make_value(field)
    return values


def make_value(field: Any) -> Any:
    """A value that any item of ``make_shown`` can have."""
    match field.type:
        case "category":
            return _labels(field)
        case "scale":
            quarter = field.minimum + (field.maximum - field.minimum) / 4
            # A value with a button of its own, where there are any.
            near = min(field.buttons, key=lambda value: abs(value - quarter), default=quarter)
            return field.minimum + 2 if field.level == "ordinal" else near
        case "text":
            return "Her voice is loud, and then breaks."
        case "open_set":
            return ["worry", "relief"]
        case "spans":
            return _spans(field)
        case "timeline":
            first, second = field.labels[1:3]
            return [
                {"start_s": 0.4, "end_s": 1.6, "label": first},
                {"start_s": 2.0, "end_s": 3.2, "label": second},
            ]
        case "trace":
            third = max(1, int(1 / field.step_s))
            values = [-0.5] * third + [0.3] * third + [0.8] * third
            return {"step_s": field.step_s, "values": values}
        case "boxes":
            box = {"x": 0.25, "y": 0.2, "width": 0.3, "height": 0.5}
            if field.over == "image":
                return [{**box, "label": field.labels[0]}]
            later = {**box, "x": 0.4, "time_s": 2.0, "visible": True}
            return [{"label": field.labels[0], "keyframes": [{**box, "time_s": 0.0, "visible": True}, later]}]
        case "preference":
            return {"grade": -1, "reason": "It names the feeling." if field.reason else None}
    raise AssertionError(f"make a value of a field of type {field.type} here")


def _labels(field: Any) -> Any:
    shown = [
        label.name for label in field.taxonomy.labels if not label.absence and not field.taxonomy.children(label.name)
    ]
    if field.intensity is not None:
        grades = getattr(field.intensity, "root", None) or (field.intensity.minimum, field.intensity.maximum)
        return [{"label": shown[0], "intensity": grades[1]}, {"label": shown[2], "intensity": grades[0]}]
    return [shown[0], shown[2]] if field.multiple else shown[1]


def _spans(field: Field) -> dict[str, Any]:
    if field.over == "utterance":
        place = {"turn": None, "start": TEXT.index("so worried"), "text": "so worried", "label": field.labels[:3][-1]}
        return {"spans": [{"id": "s1", **place, "end": place["start"] + len("so worried")}], "relations": []}
    found = [(0, "I waited for an hour", field.labels[-1]), (2, "so worried", field.labels[2])]
    spans = []
    for at, (turn, words, label) in enumerate(found, start=1):
        start = TURNS[turn].text.index(words)
        place = {"turn": turn, "start": start, "end": start + len(words), "text": words, "label": label}
        spans.append({"id": f"s{at}", **place})
    relations = [{"from": "s2", "to": "s1", "label": field.relations[1]}] if field.relations else []
    return {"spans": spans, "relations": relations}
