"""Random fields of every type and values of each: a new field type joins with two strategies in ``STRATEGIES``."""

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from curate.labels import FIELD_TYPES, Field, ItemContext, LabelSchema
from tests.support.label_strategies import LETTERS, PROSE, names, taxonomies

BOX_SIDES = ("x", "y", "width", "height")


class FieldStrategies(NamedTuple):
    """What a field type needs to take part in the contract suite."""

    settings: st.SearchStrategy[dict[str, Any]]
    """Settings besides those that every field has; every ``max_…`` varies."""
    value: Callable[[Any, ItemContext], st.SearchStrategy[Any]]
    """Values of a field for an item; they need not be in canonical form."""


def labels_of(field: Any) -> st.SearchStrategy[str]:
    return st.sampled_from(field.labels)


@st.composite
def category_settings(draw: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"taxonomy": draw(taxonomies()), "multiple": draw(st.booleans())}
    if settings["multiple"]:
        ranges = st.sampled_from([{"minimum": 0, "maximum": 4}, {"minimum": -1, "maximum": 1, "step": 0.5}])
        words = st.just(list("ABCDE")) | names(4).filter(lambda grades: len(grades) > 1)
        settings["intensity"] = draw(st.none() | words | ranges)
    return settings


def category_value(field: Any, item: ItemContext) -> st.SearchStrategy[Any]:
    if not field.multiple:
        return labels_of(field)
    compatible = field.taxonomy.compatible
    labels = st.lists(labels_of(field), min_size=1, unique=True).map(compatible)
    if field.intensity is None:
        return labels
    words = getattr(field.intensity, "root", None)
    grade = st.sampled_from(words) if words else st.floats(field.intensity.minimum, field.intensity.maximum)
    entries = st.fixed_dictionaries({"label": labels_of(field), "intensity": grade})
    graded = st.lists(entries, min_size=1, unique_by=lambda entry: entry["label"])
    return graded.filter(lambda value: len(compatible(entry["label"] for entry in value)) == len(value))


def open_set_value(field: Any, item: ItemContext) -> st.SearchStrategy[Any]:
    word = st.text(LETTERS, min_size=1, max_size=field.max_chars).filter(
        lambda word: word.strip() and not set(word) & set(",;\n\r，；、")
    )
    common = st.sampled_from(["a", "A", "b", "é", "e"])
    return st.lists(common | word, min_size=1, max_size=field.max_words)


@st.composite
def scale_settings(draw: Any) -> dict[str, Any]:
    minimum = draw(st.integers(-50, 50))
    words = draw(st.sampled_from([{}, {"low": "calm", "high": {"en": "excited", "de": "erregt"}}]))
    level = draw(st.sampled_from(["ordinal", "interval"]))
    return {"minimum": minimum, "maximum": minimum + draw(st.integers(1, 30)), "level": level, **words}


def scale_value(field: Any, item: ItemContext) -> st.SearchStrategy[Any]:
    if field.level == "ordinal":
        return st.integers(int(field.minimum), int(field.maximum))
    return st.floats(field.minimum, field.maximum)


def text_value(field: Any, item: ItemContext) -> st.SearchStrategy[Any]:
    return st.text(LETTERS, min_size=1, max_size=field.max_chars).filter(str.strip)


@st.composite
def spans_value(draw: Any, field: Any, item: ItemContext) -> Any:
    spans: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, min(field.max_spans, 4)))):
        turn = draw(st.integers(0, len(item.dialogue) - 1)) if field.over == "dialogue" else None
        text = (item.text or "") if turn is None else item.dialogue[turn].text
        start = draw(st.sampled_from([index for index, char in enumerate(text) if char.strip()]))
        end = draw(st.integers(start + 1, min(start + field.max_chars, len(text))))
        position = {"turn": turn, "start": start, "end": end, "text": text[start:end]}
        spans.append({"id": f"n{number}", **position, "label": draw(labels_of(field))})
    relations = []
    if field.relations:
        ends = st.sampled_from(spans)
        drawn = draw(st.lists(st.tuples(ends, ends, st.sampled_from(field.relations)), max_size=4))
        for begin, end, name in drawn:
            if _stripped(begin) != _stripped(end):
                relations.append({"from": begin["id"], "to": end["id"], "label": name})
    return {"spans": spans, "relations": relations}


def _stripped(span: dict[str, Any]) -> tuple[Any, ...]:
    return span["turn"], span["start"], span["text"].strip(), span["label"]


def last_s(item: ItemContext) -> float:
    return item.duration_s if item.duration_s is not None else 30.0


@st.composite
def timeline_value(draw: Any, field: Any, item: ItemContext) -> Any:
    # Whole seconds make ranges of several raters meet, and be instants.
    time = st.floats(0, last_s(item)) | st.integers(0, min(3, int(last_s(item)))).map(float)
    count = draw(st.integers(1, min(field.max_segments, 5)))
    if field.overlap:
        pairs = [sorted((draw(time), draw(time))) for _ in range(count)]
    else:
        times = sorted(draw(time) for _ in range(2 * count))
        pairs = [times[index : index + 2] for index in range(0, len(times), 2)]
    return [{"start_s": start, "end_s": end, "label": draw(labels_of(field))} for start, end in pairs]


@st.composite
def trace_value(draw: Any, field: Any, item: ItemContext) -> Any:
    sample = st.floats(-1, 1) | st.sampled_from([0.5, -0.25])
    samples: list[float | None] = []
    for _ in range(draw(st.integers(1, min(field.max_changes, 8)))):
        samples += [None] * draw(st.integers(0, 2))
        samples += [draw(sample)] * draw(st.integers(1, 3))
    max_samples = max(1, int(min(last_s(item), field.max_s) / field.step_s))
    samples = samples[:max_samples]
    return {"step_s": field.step_s, "values": samples if any(s is not None for s in samples) else [draw(sample)]}


@st.composite
def boxes(draw: Any) -> dict[str, float]:
    x, y = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
    return {"x": x, "y": y, "width": draw(st.floats(0.001, 1 - x)), "height": draw(st.floats(0.001, 1 - y))}


@st.composite
def boxes_value(draw: Any, field: Any, item: ItemContext) -> Any:
    count = draw(st.integers(1, min(field.max_boxes, 4)))
    if field.over == "image":
        return [{**draw(boxes()), "label": draw(labels_of(field))} for _ in range(count)]
    tracks = []
    for _ in range(count):
        steps = draw(st.lists(st.integers(0, 20), min_size=1, max_size=min(field.max_keyframes, 4), unique=True))
        times = [step / item.fps for step in steps if step / item.fps <= last_s(item)] or [0.0]
        keyframes = [{"time_s": time_s, **draw(boxes()), "visible": draw(st.booleans())} for time_s in times]
        tracks.append({"label": draw(labels_of(field)), "keyframes": keyframes})
    return tracks


@st.composite
def preference_value(draw: Any, field: Any, item: ItemContext) -> Any:
    grade = draw(st.integers(-field.grades, field.grades).filter(lambda grade: grade or field.tie))
    reasons = st.none() | st.sampled_from("ab😀") | st.just("Because 😀."[: field.max_chars])
    return {"grade": grade, "reason": draw(reasons) if field.reason else None}


def settings(**strategies: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(strategies)


STRATEGIES: dict[str, FieldStrategies] = {
    "category": FieldStrategies(category_settings(), category_value),
    "open_set": FieldStrategies(
        settings(max_words=st.integers(1, 6), max_chars=st.integers(1, 30), taxonomy=st.none() | taxonomies()),
        open_set_value,
    ),
    "scale": FieldStrategies(scale_settings(), scale_value),
    "text": FieldStrategies(settings(max_chars=st.integers(1, 80)), text_value),
    "spans": FieldStrategies(
        settings(
            over=st.sampled_from(["utterance", "dialogue"]),
            taxonomy=taxonomies(max_size=3),
            relations=st.just([]) | names(3),
            max_spans=st.integers(1, 4),
            max_chars=st.integers(1, 60),
        ),
        spans_value,
    ),
    "timeline": FieldStrategies(
        settings(taxonomy=taxonomies(max_size=3), overlap=st.booleans(), max_segments=st.integers(1, 5)),
        timeline_value,
    ),
    "trace": FieldStrategies(
        settings(
            minimum=st.just(-1),
            maximum=st.just(1),
            step_s=st.sampled_from([0.04, 0.2, 1]),
            max_s=st.sampled_from([1, 7.5, 600]),
            max_changes=st.integers(1, 8),
        ),
        trace_value,
    ),
    "boxes": FieldStrategies(
        settings(
            over=st.sampled_from(["image", "video"]),
            taxonomy=taxonomies(),
            max_boxes=st.integers(1, 4),
            max_keyframes=st.integers(1, 4),
        ),
        boxes_value,
    ),
    "preference": FieldStrategies(
        settings(grades=st.integers(1, 4), tie=st.booleans(), reason=st.booleans(), max_chars=st.integers(1, 20)),
        preference_value,
    ),
}


@st.composite
def fields(draw: Any, kind: str | None = None, name: str = "f") -> Field:
    """Fields of a type, or of any type."""
    kind = kind or draw(st.sampled_from(sorted(STRATEGIES)))
    words = PROSE.filter(lambda text: text.strip() and text.isprintable())
    question = draw(st.none() | words | st.fixed_dictionaries({"en": words, "de": words}))
    common = {"name": name, "type": kind, "required": draw(st.booleans()), "question": question}
    return FIELD_TYPES[kind].model_validate({**common, **draw(STRATEGIES[kind].settings)})


@st.composite
def values(draw: Any, field: Any, item: ItemContext) -> Any:
    """Values of a field for an item, in canonical form."""
    return field.check(draw(STRATEGIES[field.type].value(field, item)), item)


@st.composite
def schemas(draw: Any) -> LabelSchema:
    """Schemas of several fields of one unit, some of them conditional."""
    unit = draw(st.sampled_from(["utterance", "image", "pair", "dialogue", "post"]))
    schema_fields: dict[str, Field] = {}
    exclusive: set[str] = set()
    for number in range(draw(st.integers(1, 5))):
        field: Any = draw(fields(name=f"field_{number}"))
        if unit not in field.units or field.exclusive_part in exclusive:
            continue
        exclusive |= {field.exclusive_part} - {""}
        conditions = [above for above in schema_fields.values() if above.can_be_condition]
        if conditions and draw(st.booleans()):
            condition = draw(st.sampled_from(conditions))
            labels = draw(st.lists(labels_of(condition), min_size=1, unique=True))
            field = field.model_copy(update={"when": {condition.name: tuple(labels)}})
        schema_fields[field.name] = field
    if not schema_fields:
        schema_fields["note"] = FIELD_TYPES["text"].model_validate({"name": "note", "type": "text"})
    return LabelSchema.model_validate({"name": "random.v1", "unit": unit, "fields": schema_fields})


@st.composite
def records(draw: Any, schema: LabelSchema, item: ItemContext) -> dict[str, Any]:
    """Whole records that the schema allows."""
    record: dict[str, Any] = {}
    for name, field in schema.fields.items():
        is_answered = schema.is_asked(name, record) and (field.required or draw(st.booleans()))
        record[name] = draw(values(field, item)) if is_answered else None
    return record
