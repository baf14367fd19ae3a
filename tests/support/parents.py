"""Items of another corpus with answers, made by hand, for views to derive from."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.labels import FIELD_TYPES, LabelSchema, load_taxonomy
from curate.stages.derive.parents import Answer, ParentItem, Parents
from curate.stages.derive.view import Derived, Draw, LeftOut, View

_ROW = (
    *("item_id", "source_id", "unit", "layout", "start_s", "end_s", "speaker", "text", "text_b", "statement"),
    *("dialogue", "turn", "audio", "video", "image", "frame_rate_hz", "width_px", "height_px", "group", "words"),
)
_SOURCE = ("source_id", "participant", "licence", "consent", "consent_until", "collection", "title", "columns")

SEED_7 = Draw(7)


def make_parent(
    item_id: str, *answers: Answer, label: Mapping[str, Any] | None = None, source: Mapping[str, Any] = {}, **row: Any
) -> ParentItem:
    """An item of a source of its own, unless ``row`` says otherwise."""
    whole = dict.fromkeys(_ROW) | {"item_id": item_id, "source_id": f"s-{item_id}", "unit": "post", **row}
    about = dict.fromkeys(_SOURCE) | {"source_id": whole["source_id"], "licence": "CC0-1.0", **source}
    return ParentItem(whole, about, answers, label)


def make_answer(rater: str | None, arm: str | None = None, **values: Any) -> Answer:
    """What a rater said; its evidence is the rater's name."""
    return Answer(rater, arm, values, (f"act-{rater}",))


def make_schema(unit: str, **fields: dict) -> LabelSchema:
    """A label schema of one unit; taxonomies by name."""
    made = {}
    for name, settings in fields.items():
        values = settings | ({"taxonomy": load_taxonomy(settings["taxonomy"])} if "taxonomy" in settings else {})
        made[name] = FIELD_TYPES[settings["type"]](name=name, **values)
    return LabelSchema(name=f"test_{unit}.v1", unit=unit, fields=made)


def derive(
    view: View, labels: LabelSchema, parent: LabelSchema, items: Sequence[ParentItem], draw: Draw = SEED_7
) -> tuple[list[Derived], list[LeftOut]]:
    """What a view makes of items, and what it leaves out."""
    assert list(view.problems(labels, parent)) == []
    made = list(view.derive(Parents("other", parent, items), labels, draw))
    return [m for m in made if isinstance(m, Derived)], [m for m in made if isinstance(m, LeftOut)]
