"""What a field type has to say about itself, so that every other part can work without knowing it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic import Field as Setting

from curate.labels.layout import Layout
from curate.labels.taxonomy import Label, Taxonomy
from curate.labels.units import UNITS, ItemContext, Unit

DEFAULT_LANGUAGE = "en"
_VARIABLE = re.compile(r"\$(?=[\w\[\].{}])")

Result = dict[str, Any]
"""One entry of a Label Studio result."""
Language = Annotated[str, Setting(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Words = (
    Annotated[str, Setting(min_length=1, max_length=2_000)]
    | Annotated[dict[Language, Annotated[str, Setting(min_length=1, max_length=2_000)]], Setting(min_length=1)]
)
"""A text, or one text by language."""
LabelNames = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]


How = Literal["majority", "union", "intersection", "mean"]
"""Which parts of several judgements are kept: those of more than half, of anyone, or of all; or the mean of numbers."""


class Aggregate(NamedTuple):
    """Several judgements as one value (None where they do not settle it) and the share of raters behind each label."""

    value: Any
    soft: dict[str, float]


class Field(BaseModel, ABC):
    """One thing that is judged. A field type is a subclass in a module of its own under ``labels/fields``.

    A value is plain data: ``str``, ``float``, ``list[str]``, a dict of such …; None means not answered. Every method
    takes and gives values in their canonical form, which ``check`` makes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Setting(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    type: str
    question: Words | None = None
    help: Words | None = None
    required: bool = False
    when: dict[str, LabelNames] = Setting(default={}, max_length=1)
    """Asked only when the category field of this name has one of these labels."""

    labels: ClassVar[tuple[str, ...]] = ()
    """The names of labels that a value can hold, in order."""
    soft_labels: ClassVar[tuple[str, ...]] = ()
    """The labels for which ``aggregate`` gives shares of raters."""
    level: ClassVar[str]
    """The level of measurement, for agreement: nominal, ordinal, interval, set, spans, segments, trace, boxes, text."""

    @property
    def units(self) -> frozenset[Unit]:
        """The units of annotation that may have this field."""
        return UNITS

    @property
    def claim(self) -> str:
        """What of a form only one field of a schema can have, in words; empty for nothing."""
        return ""

    @property
    @abstractmethod
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of a value in every table that carries labels."""

    @property
    def release_type(self) -> pa.DataType:
        """The Arrow type of a value in a released shard; ``feature`` derives exactly this type."""
        return self.arrow_type

    @property
    @abstractmethod
    def feature(self) -> dict[str, Any]:
        """The Hugging Face feature of a released value, as the JSON that Parquet metadata carries."""

    def to_release(self, value: Any) -> Any:
        """A value as it is stored in a released shard (labels become class ids). Raises ``ValueError``."""
        return value

    def from_release(self, released: Any) -> Any:
        """The value that ``to_release`` was given."""
        return released

    def labels_of(self, value: Any) -> list[str]:
        """The labels that a value names, as often as it names them."""
        return []

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """The JSON schema of a value in a model's answer, within what strict mode allows."""

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        """A value as a model is to write it."""
        return value

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        """The checked value that a model wrote; None where it says that there is nothing. Raises ``ValueError``."""
        return self.check(answer, item)

    def mend_answer(self, answer: Any, item: ItemContext) -> tuple[Any, list[str]]:
        """What a model wrote with slips put right that leave no doubt, and a sentence for each; as it is by default."""
        return answer, []

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        """What a model has to know to answer, besides the question, as lines for a prompt."""
        return []

    @abstractmethod
    def check(self, value: Any, item: ItemContext | None = None) -> Any:
        """The value in its canonical form; with ``item``, also that it fits the item.

        Raises ``ValueError`` saying what is wrong with it.
        """

    @abstractmethod
    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        """The Label Studio tags that ask for it.

        A control is named like the field, or like the field with ``-`` and a suffix. Raises ``InvalidInput`` when the
        layout lacks what the field is about.
        """

    def controls(self, layout: Layout, language: str = DEFAULT_LANGUAGE) -> list[ET.Element]:
        """The question as a header, the help text, and the tags that ask."""
        asked = self.asked(language)
        header = ET.Element("Header", {"value": plain(asked if self.required else f"{asked} (optional)"), "size": "5"})
        told = in_language(self.help, language)
        hint = [ET.Element("Header", {"value": plain(told), "size": "6"})] if told else []
        return [header, *hint, *self.inputs(layout, language)]

    @abstractmethod
    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        """Label Studio results that fill the form with ``value``. Raises ``ValueError`` where it does not fit."""

    @abstractmethod
    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        """The value that this field's results hold, None where they hold none.

        ``results`` are those of the field's controls, and the relations between its regions. Raises ``ValueError`` on
        what the schema lacks.
        """

    def distance(self, one: Any, other: Any) -> float | None:
        """How far two values are apart (0 same … 1 opposite), or None where that has no meaning."""
        return None

    def agreement(self, values: Sequence[Any]) -> float | None:
        """The mean of one minus the distance over all pairs of values (0-1); None below two, or without a distance."""
        gaps = [self.distance(one, other) for one, other in combinations(values, 2)]
        known = [gap for gap in gaps if gap is not None]
        return 1 - fmean(known) if known else None

    @abstractmethod
    def aggregate(self, values: Sequence[Any], how: How = "majority") -> Aggregate:
        """Several raters' values as one; ``values`` is not empty and holds no None. Equal values give that value."""

    @abstractmethod
    def describe(self) -> str:
        """What is judged and on what scale, as one Markdown line for the data card."""

    def asked(self, language: str = DEFAULT_LANGUAGE) -> str:
        """The question in a language, in English or another where it is not asked in that, else the field's name."""
        return in_language(self.question, language) or self.name.replace("_", " ").capitalize()

    def result(self, kind: str, value: Result, to_name: str, *, control: str = "", region: str = "") -> Result:
        """A result of one of the field's controls; ``region`` tells regions apart."""
        name = f"{self.name}-{control}" if control else self.name
        return {
            "id": f"{name}-{region}" if region else name,
            "type": kind,
            "from_name": name,
            "to_name": to_name,
            "value": value,
        }


def in_language(words: str | dict[str, str] | None, language: str) -> str:
    """The text in a language, else in English, else in the first language that there is; empty for none."""
    if words is None or isinstance(words, str):
        return words or ""
    return words.get(language) or words.get(DEFAULT_LANGUAGE) or next(iter(words.values()))


def plain(text: str) -> str:
    """Words for an attribute in which Label Studio replaces ``$name`` by the task's data: an unseen sign parts them."""
    return _VARIABLE.sub("$\u2060", text)


def shown_label(name: str) -> str:
    """A label as people read it: without a comma, at which Label Studio cuts the labels of a condition."""
    return plain(name).replace(",", "\u201a")


def choice(tag: str, name: str, shown: str = "", **attributes: str | None) -> ET.Element:
    """A label to choose. What comes back is ``name`` exactly; ``shown`` is what people read where that differs."""
    words = plain(shown) if shown else shown_label(name)
    alias = {} if words == name else {"alias": name}
    more = {key: value for key, value in attributes.items() if value}
    return ET.Element(tag, {"value": words, **alias, **more})


def control_suffix(result: Mapping[str, Any]) -> str:
    """Which of a field's controls a result is of: empty for the one named like the field."""
    return str(result.get("from_name") or "").partition("-")[2]


def member(results: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """``value[key]`` of every result, lists joined. Raises ``ValueError`` for a result of another shape."""
    found: list[Any] = []
    for result in results:
        value = value_of(result)
        if key not in value:
            raise ValueError(f"a result without {key!r}")
        found.extend(value[key] if isinstance(value[key], list) else [value[key]])
    return found


def value_of(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``value`` of a result. Raises ``ValueError`` when it has none."""
    value = result.get("value")
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"a result of type {result.get('type')} without a value")


def one_label(result: Mapping[str, Any], key: str, taxonomy: Taxonomy) -> str:
    """The one label of a region. Raises ``ValueError`` for none, several and unknown ones."""
    given = value_of(result).get(key)
    if not isinstance(given, list) or len(given) != 1:
        raise ValueError(f"a region with {len(given) if isinstance(given, list) else 'no'} labels where one is needed")
    return known_label(given[0], taxonomy)


def known_label(name: Any, taxonomy: Taxonomy) -> str:
    """``name`` if the taxonomy has it. Raises ``ValueError``."""
    if not isinstance(name, str) or name not in taxonomy.by_name:
        raise ValueError(f"{name!r} is not a label of {taxonomy.taxonomy}")
    return name


def members(value: Any, *names: str, optional: Sequence[str] = ()) -> list[Any]:
    """The members of a mapping in order, None for an optional one. Raises ``ValueError`` for lacking and other ones."""
    given = value if isinstance(value, Mapping) else {}
    if lacking := [name for name in names if name not in given]:
        raise ValueError(f"{lacking[0]} is missing in {repr(value)[:60]}")
    if strange := [name for name in given if name not in names and name not in optional]:
        raise ValueError(f"{strange[0]!r} is none of {', '.join((*names, *optional))}")
    return [given.get(name) for name in (*names, *optional)]


def class_label(names: Sequence[str]) -> dict[str, Any]:
    """The Hugging Face feature of a label, stored as its place among ``names``."""
    return {"names": list(names), "_type": "ClassLabel"}


def list_of(feature: dict[str, Any]) -> dict[str, Any]:
    """The Hugging Face feature of a list."""
    return {"feature": feature, "_type": "List"}


def scalar(dtype: str) -> dict[str, Any]:
    """The Hugging Face feature of a plain value."""
    return {"dtype": dtype, "_type": "Value"}


def strict_object(properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object that has exactly these members."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def is_enough(votes: int, raters: int, how: How) -> bool:
    """Whether so many of the raters settle a part of a value."""
    return votes > 0 if how == "union" else votes == raters if how == "intersection" else votes * 2 > raters


def label_lines(taxonomy: Taxonomy, *, several: bool = False) -> list[str]:
    """A line for each label, those below another indented: its name, what it means, and whether it stands alone."""
    lines = []
    for label in taxonomy.labels:
        indent = "  " * (len(taxonomy.path(label.name)) - 1)
        alone = " Never together with another label." if several and label.absence else ""
        lines.append(f"{indent}- {label.name}{_meaning(label)}{alone}")
    return lines


def _meaning(label: Label) -> str:
    if label.definition:
        return f": {label.definition}"
    return f" (such as {', '.join(label.synonyms[:4])})" if label.synonyms else ""


def unanimous(values: Sequence[Any]) -> bool:
    """Whether all raters gave the same value."""
    return all(value == values[0] for value in values)
