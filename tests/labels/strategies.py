"""Random schemas over all field types, items to judge, and values of each field."""

import unicodedata
from typing import Any

from hypothesis import strategies as st

from curate.labels import FIELD_TYPES, Field, ItemContext, LabelSchema, Layout, Taxonomy, Turn, parse_layout

HOSTILE = (
    'A & B <x> "y"',
    "怒り",
    "${text}",
    "$text",
    "a'b",
    "--",
    "]]>",
    "Jealousy, Envy",
    "فرح",
    "😀👩‍👩‍👧",
    "a/b\\c",
    "&amp;",
    "x=1;y",
)
TRUTHS = ("true", "false")
"""What a taxonomy takes and a form refuses."""
BOX_SIDES = ("x", "y", "width", "height")

LAYOUT = """<View>
  <Video name="Film" value="$video" frameRate="$fps"/>
  <Audio name="Sound" value="$audio"/>
  <Image name="Picture" value="$image"/>
  <Paragraphs name="Talk" value="$dialogue" layout="dialogue" nameKey="speaker" textKey="text"/>
  <Text name="Words" value="$text"/>
  <Text name="A" value="$a"/>
  <Text name="B" value="$b"/>
  <Fields toName="Words"/>
</View>"""

SOUND_LAYOUT = "".join(line for line in LAYOUT.splitlines() if "<Video" not in line)


def layout_for(item: ItemContext) -> Layout:
    """A layout that shows the item: with its video, where it has one."""
    return parse_layout(LAYOUT if item.fps else SOUND_LAYOUT)


letters = st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co", "Zl", "Zp"))
prose = st.text(letters | st.sampled_from("😀🤦🏽‍♀️ab c\n"), min_size=1, max_size=60)
"""Text with characters inside and outside of the basic plane."""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.casefold().split()))


def names(most: int = 6) -> st.SearchStrategy[list[str]]:
    plain = st.text(letters, min_size=1, max_size=12)
    usable = (st.sampled_from(HOSTILE) | plain).filter(
        lambda s: s == s.strip() and s and is_name(s) and s not in TRUTHS
    )
    return st.lists(usable, min_size=1, max_size=most, unique_by=_folded)


def is_name(name: str) -> bool:
    """Whether a taxonomy takes it: what it refuses is its own tests' matter."""
    try:
        Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": [name]})
    except ValueError:
        return False
    return True


@st.composite
def taxonomies(draw: Any, *, tree: bool | None = None, most: int = 6) -> Taxonomy:
    labels = draw(names(most))
    rows: list[dict[str, Any]] = []
    for at, name in enumerate(labels):
        row: dict[str, Any] = {"name": name}
        if tree is not False and at and draw(st.booleans()):
            row["parent"] = labels[draw(st.integers(0, at - 1))]
        rows.append(row)
    return Taxonomy.model_validate({"taxonomy": "t.v1", "title": "A & B", "labels": rows})


@st.composite
def items(draw: Any, *, video: bool = False) -> ItemContext:
    words = draw(prose.filter(str.strip))
    turns = draw(st.lists(st.tuples(st.none() | prose, prose.filter(str.strip)), min_size=1, max_size=4))
    return ItemContext(
        text=words,
        dialogue=tuple(Turn(speaker, said) for speaker, said in turns),
        duration_s=draw(st.none() | st.floats(0.5, 500).map(lambda s: round(s, 3))),
        fps=draw(st.sampled_from([*([] if video else [None]), 25.0, 30.0, 29.97, 23.976, 12.5, 60.0])),
        width_px=draw(st.none() | st.integers(1, 4000)),
        height_px=draw(st.none() | st.integers(1, 4000)),
    )


@st.composite
def fields(draw: Any, kind: str | None = None, name: str = "f") -> Field:
    kind = kind or draw(st.sampled_from(sorted(FIELD_TYPES)))
    settings: dict[str, Any] = {"name": name, "type": kind, "required": draw(st.booleans())}
    words = prose.filter(lambda s: s.strip() and s.isprintable())
    settings["question"] = draw(st.none() | words | st.fixed_dictionaries({"en": words, "de": words}))
    match kind:
        case "category":
            settings |= {"taxonomy": draw(taxonomies()), "multiple": draw(st.booleans())}
            if settings["multiple"]:
                ranges = st.just({"minimum": 0, "maximum": 4}) | st.just({"minimum": -1, "maximum": 1, "step": 0.5})
                settings["intensity"] = draw(st.none() | st.just(list("ABCDE")) | names(4).filter(_several) | ranges)
        case "open_set":
            settings |= {"max_words": draw(st.integers(1, 6)), "max_chars": draw(st.integers(1, 30))}
            settings["taxonomy"] = draw(st.none() | taxonomies())
        case "scale":
            low = draw(st.integers(-50, 50))
            settings |= {"minimum": low, "maximum": low + draw(st.integers(1, 30))}
            settings["level"] = draw(st.sampled_from(["ordinal", "interval"]))
            settings |= draw(st.sampled_from([{}, {"low": "calm", "high": {"en": "excited", "de": "erregt"}}]))
        case "text":
            settings["max_chars"] = draw(st.integers(1, 80))
        case "spans":
            settings |= {"over": draw(st.sampled_from(["utterance", "dialogue"])), "taxonomy": draw(taxonomies())}
            settings["relations"] = draw(st.just([]) | names(3))
        case "timeline":
            settings |= {"taxonomy": draw(taxonomies()), "overlap": draw(st.booleans())}
        case "trace":
            settings |= {"minimum": -1, "maximum": 1, "step_s": draw(st.sampled_from([0.04, 0.2, 1]))}
        case "boxes":
            settings |= {"over": draw(st.sampled_from(["image", "video"])), "taxonomy": draw(taxonomies())}
        case "preference":
            settings |= {"grades": draw(st.integers(1, 4)), "tie": draw(st.booleans()), "reason": draw(st.booleans())}
    return FIELD_TYPES[kind].model_validate(settings)


def _several(words: list[str]) -> bool:
    return len(words) > 1


@st.composite
def values(draw: Any, field: Any, item: ItemContext) -> Any:
    """A canonical value of a field for an item."""
    return field.check(draw(_raw(field, item)), item)


@st.composite
def _raw(draw: Any, field: Any, item: ItemContext) -> Any:
    last_s = item.duration_s if item.duration_s is not None else 30.0
    time = st.floats(0, last_s)
    label = st.sampled_from(field.labels) if field.labels else st.nothing()
    match field.type:
        case "category" if field.intensity is not None:
            words = getattr(field.intensity, "root", None)
            bounds = () if words else (field.intensity.minimum, field.intensity.maximum)
            grade = st.sampled_from(words) if words else st.floats(*bounds)
            chosen = draw(st.lists(label, min_size=1, unique=True))
            return [{"label": each, "intensity": draw(grade)} for each in chosen]
        case "category":
            return draw(st.lists(label, min_size=1)) if field.multiple else draw(label)
        case "open_set":
            word = st.text(letters, min_size=1, max_size=field.max_chars)
            return draw(st.lists(word.filter(_is_word), min_size=1, max_size=field.max_words))
        case "scale" if field.level == "ordinal":
            return draw(st.integers(int(field.minimum), int(field.maximum)))
        case "scale":
            return draw(st.floats(field.minimum, field.maximum))
        case "text":
            return draw(st.text(letters, min_size=1, max_size=field.max_chars).filter(str.strip))
        case "spans":
            return draw(_spans(field, item))
        case "timeline" if not field.overlap:
            times = sorted(draw(st.lists(time, min_size=2, max_size=8)))
            pairs = zip(times[::2], times[1::2], strict=False)
            return [{"start_s": a, "end_s": b, "label": draw(label)} for a, b in pairs]
        case "timeline":
            pairs = draw(st.lists(st.tuples(time, time).map(sorted), min_size=1, max_size=6))
            return [{"start_s": a, "end_s": b, "label": draw(label)} for a, b in pairs]
        case "trace":
            most = max(1, min(60, int(last_s / field.step_s)))
            sample = st.none() | st.floats(-1, 1) | st.sampled_from([0.5, -0.25])
            given = draw(st.lists(sample, min_size=1, max_size=most).filter(lambda s: any(v is not None for v in s)))
            return {"step_s": field.step_s, "values": given}
        case "boxes" if field.over == "image":
            return [{**draw(_boxes()), "label": draw(label)} for _ in range(draw(st.integers(1, 4)))]
        case "boxes":
            apart = draw(st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True))
            times = [step / item.fps for step in apart if step / item.fps <= last_s] or [0.0]
            frames = [{"time_s": at, **draw(_boxes()), "visible": draw(st.booleans())} for at in times]
            return [{"label": draw(label), "keyframes": frames}]
        case "preference":
            grade = draw(st.integers(-field.grades, field.grades).filter(lambda g: g or field.tie))
            reason = draw(st.none() | st.just("Because 😀.")) if field.reason else None
            return {"grade": grade, "reason": reason}
    raise NotImplementedError(field.type)


def _is_word(word: str) -> bool:
    return bool(word.strip()) and not set(word) & set(",;\n\r，；、")


@st.composite
def _boxes(draw: Any) -> dict[str, float]:
    side = st.floats(0, 0.9)
    x, y = draw(side), draw(side)
    return {
        "x": x,
        "y": y,
        "width": draw(st.floats(0.001, 1 - x).filter(lambda w: w > 0)),
        "height": draw(st.floats(0.001, 1 - y)),
    }


@st.composite
def _spans(draw: Any, field: Any, item: ItemContext) -> Any:
    spans: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 4))):
        turn = draw(st.integers(0, len(item.dialogue) - 1)) if field.over == "dialogue" else None
        whole = item.text if turn is None else item.dialogue[turn].text
        start = draw(st.integers(0, len(whole) - 1))
        end = draw(st.integers(start + 1, len(whole)))
        if not whole[start:end].strip():
            start, end = 0, len(whole)
        label = draw(st.sampled_from(field.labels))
        where = {"turn": turn, "start": start, "end": end, "text": whole[start:end]}
        spans.append({"id": f"n{number}", **where, "label": label})
    ends = st.sampled_from([span["id"] for span in spans])
    links = []
    if field.relations:
        for begin, end, name in draw(st.lists(st.tuples(ends, ends, st.sampled_from(field.relations)), max_size=4)):
            one, other = (next(s for s in spans if s["id"] == each) for each in (begin, end))
            if _stripped(one) != _stripped(other):
                links.append({"from": begin, "to": end, "label": name})
    return {"spans": spans, "relations": links}


def _stripped(span: dict[str, Any]) -> tuple[Any, ...]:
    begin = span["start"] + len(span["text"]) - len(span["text"].lstrip())
    return span["turn"], begin, span["text"].strip(), span["label"]


@st.composite
def schemas(draw: Any) -> LabelSchema:
    """Several fields of the units that they share, some of them conditional."""
    unit = draw(st.sampled_from(["utterance", "image", "pair", "dialogue", "post"]))
    made: dict[str, Field] = {}
    claims: set[str] = set()
    for number in range(draw(st.integers(1, 5))):
        name = f"field_{number}"
        field: Any = draw(fields(name=name))
        if unit not in field.units:
            continue
        if field.exclusive_part in claims:
            continue
        claims |= {field.exclusive_part} - {""}
        above = [each for each in made.values() if each.type == "category"]
        if above and draw(st.booleans()):
            other = draw(st.sampled_from(above))
            asked = draw(st.lists(st.sampled_from(other.labels), min_size=1, unique=True))
            field = field.model_copy(update={"when": {other.name: tuple(asked)}})
        made[name] = field
    if not made:
        made["note"] = FIELD_TYPES["text"].model_validate({"name": "note", "type": "text"})
    return LabelSchema.model_validate({"name": "random.v1", "unit": unit, "fields": made})


@st.composite
def records(draw: Any, schema: LabelSchema, item: ItemContext) -> dict[str, Any]:
    """A whole record that the schema allows."""
    found: dict[str, Any] = {}
    for name, field in schema.fields.items():
        asked = schema.is_asked(name, found)
        given = asked and (field.required or draw(st.booleans()))
        found[name] = draw(values(field, item)) if given else None
    return found
