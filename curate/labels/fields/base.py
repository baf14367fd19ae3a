"""The contract of a field type: everything that the rest of the code needs to know about it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple
from xml.etree import ElementTree as ET

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic import Field as Setting

from curate.labels.features import Feature
from curate.labels.fields.marks import Marks
from curate.labels.fields.phrases import DEFAULT_LANGUAGE, Words, in_language, phrase
from curate.labels.fields.results import Result
from curate.labels.layout import Layout
from curate.labels.markup import literal
from curate.labels.taxonomy import Taxonomy
from curate.labels.units import UNITS, ItemContext, Unit

LabelNames = Annotated[tuple[str, ...], BeforeValidator(lambda names: (names,) if isinstance(names, str) else names)]

Comparison = Literal[
    "label", "labels", "ordinal", "interval", "preference", "trace", "ranges", "spans", "boxes", "text"
]
"""How raters' values are compared, which decides which measures of agreement fit them."""

AggregationRule = Literal["majority", "union", "intersection", "mean"]
"""Which parts of several values are kept: those of more than half of the raters, of any, or of all; ``mean`` averages
numbers and is ``majority`` for everything else."""


class Aggregate(NamedTuple):
    """Several raters' values as one (None if they do not settle it), and the share of raters (0-1) by label."""

    value: Any
    soft: dict[str, float]


class Field(BaseModel, ABC):
    """One thing that is judged. A field type is a subclass in a module of its own under ``labels/fields``.

    A value is plain data (``str``, ``float``, ``list[str]``, a dict of these); None means not answered. ``check``
    returns a value in its canonical form; every other method takes and returns values in that form. The methods come in
    groups: how values are stored, answered by models, imported, asked on screen, compared and described.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Setting(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    """The field's name: the key under ``fields``."""
    type: str
    question: Words | None = None
    """What raters are asked; by language: ``{en: …, de: …}``."""
    help: Words | None = None
    """An explanation below the question; also by language."""
    required: bool = False
    """Whether a form can only be submitted with an answer."""
    when: dict[str, LabelNames] = Setting(default={}, max_length=1)
    """The field is asked only if the field of this name has one of these labels."""

    @property
    def units(self) -> frozenset[Unit]:
        """The units of annotation that may have this field."""
        return UNITS

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels that a value can contain, in order."""
        return ()

    @abstractmethod
    def check(self, value: Any, item: ItemContext | None = None) -> Any:
        """Return the value in its canonical form; with ``item``, also check that it fits the item.

        Raises ``ValueError`` saying what is wrong with it.
        """

    def within(self, value: Any, item: ItemContext, *, start_s: float = 0.0) -> Any:
        """Return a value whose times count from ``start_s`` before the item, as far as it lies within the item.

        Times then count from the start of the item. None if nothing of the value is there.
        """
        return value

    # Stored: the columns of tables and releases, and what is counted there.

    @property
    @abstractmethod
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of a value in every table that carries labels."""

    @property
    @abstractmethod
    def feature(self) -> Feature:
        """The Hugging Face feature of a released value; it also decides the Arrow type in a release."""

    def to_release(self, value: Any) -> Any:
        """Return a value as a release stores it (labels become class ids). Raises ``ValueError``."""
        return value

    def from_release(self, released: Any) -> Any:
        """Return the value that ``to_release`` was given."""
        return released

    def labels_of(self, value: Any) -> list[str]:
        """Return the labels that a value contains, repeated as often as they occur."""
        return []

    def number_of(self, value: Any) -> float | None:
        """Return the number that stands for a value in histograms and means, or None if the type has none."""
        return None

    # Migrated: stored values under a label schema that has changed.

    def relabelled(self, value: Any, names: Mapping[str, str | None]) -> Any:
        """Return a stored value with other labels; None as a name removes the label with what it marks.

        Labels that ``names`` lacks stay. Returns None if nothing is left. The result is not checked.
        """
        if isinstance(value, str):
            return names.get(value, value)
        if isinstance(value, Mapping):
            label = names.get(value["label"], value["label"])
            return None if label is None else {**value, "label": label}
        parts = [part for entry in value if (part := self.relabelled(entry, names)) is not None]
        return parts or None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and the highest number of a value that is numbers on a scale; None for other types."""
        return None

    def rescaled(self, value: Any, ends: tuple[float, float], *, rounded: bool) -> Any:
        """Return a value from a scale with other ``ends``, converted linearly; with ``rounded``, to whole numbers.

        Raises ``ValueError`` for a number outside of ``ends``, and for a field without a scale.
        """
        raise ValueError(f"a field of type {self.type} has no scale")

    # Answered: what a model or another labeller has to know, and what it returns.

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of a value in a model's answer, within what strict mode allows."""

    def to_answer(self, value: Any, item: ItemContext) -> Any:
        """Return a value as a model should write it."""
        return value

    def from_answer(self, answer: Any, item: ItemContext) -> Any:
        """Return the checked value in a model's answer, or None if it found nothing. Raises ``ValueError``."""
        return self.check(answer, item)

    def repair_answer(self, answer: Any, item: ItemContext) -> tuple[Any, list[str]]:
        """Return a model's answer with unambiguous slips corrected, and one sentence for each correction."""
        return answer, []

    def instructions(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        """Return what a model needs to know to answer, apart from the question, as lines of a prompt."""
        return []

    @property
    def scored_taxonomy(self) -> Taxonomy | None:
        """The taxonomy of a field whose value is labels and nothing else, so that scores of labels can decide it."""
        return None

    @property
    def graded_taxonomy(self) -> Taxonomy | None:
        """The taxonomy of a field whose value is labels, each with how strong it is."""
        return None

    @property
    def is_multiple(self) -> bool:
        """Whether a value may contain several labels."""
        return False

    def from_labels(self, labels: Sequence[str]) -> Any:
        """Return the value for labels of ``scored_taxonomy``, likeliest first. Raises ``ValueError`` without one."""
        raise ValueError(f"a field of type {self.type} is not decided by labels alone")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of a scale on which every number is a value; None for other types."""
        return None

    # Imported: answers in tables and in exports of other tools.

    def from_text(self, text: str) -> Any:
        """Return the checked value that a cell of a table holds: JSON. Raises ``ValueError``."""
        try:
            return self.check(json.loads(text))
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(f"{text[:60]!r} is not JSON") from None

    @property
    def marked_taxonomy(self) -> Taxonomy | None:
        """The taxonomy of a field whose value is labelled places in an item; None for other types."""
        return None

    @property
    def link_names(self) -> tuple[str, ...]:
        """The names of lines between the places of a value."""
        return ()

    def from_marks(self, marked: Marks, item: ItemContext) -> Any:
        """Return the value that consists of marks with the field's labels; ``within`` brings its times to the item.

        Raises ``ValueError`` for marks of another kind, or that do not fit the item's text and picture.
        """
        raise ValueError(f"a field of type {self.type} holds no marks")

    # Asked on screen: the Label Studio controls of a field, and both directions of their results.

    @property
    def can_be_condition(self) -> bool:
        """Whether other fields may be asked depending on the labels chosen here."""
        return False

    @property
    def exclusive_part(self) -> str:
        """What only one field of a form can have, in words, such as relations; empty for nothing."""
        return ""

    @property
    def hotkey_control(self) -> str:
        """The name of the control whose labels get hotkeys; empty for none."""
        return self.name

    def question_text(self, language: str = DEFAULT_LANGUAGE) -> str:
        """Return the question in ``language``, in English or any other language, or the field's name in words."""
        return in_language(self.question, language) or self.name.replace("_", " ").capitalize()

    @abstractmethod
    def inputs(self, layout: Layout, language: str) -> list[ET.Element]:
        """Return the elements that take the answer.

        A control is named like the field, or like the field with ``-`` and a suffix. Raises ``InvalidInput`` if the
        layout lacks what the field is about.
        """

    def controls(self, layout: Layout, language: str = DEFAULT_LANGUAGE) -> list[ET.Element]:
        """Return the question as a header, the help text, and the elements that take the answer."""
        question = self.question_text(language)
        header = literal(question if self.required else f"{question} ({phrase('optional', language)})")
        help_text = in_language(self.help, language)
        inputs = self.inputs(layout, language)
        for tag in (tag for control in inputs for tag in control.iter() if tag.get("required") == "true"):
            tag.set("requiredMessage", literal(f"{phrase('required', language)}: {question}"))
        return [
            ET.Element("Header", {"value": header, "size": "5"}),
            *([ET.Element("Header", {"value": literal(help_text), "size": "6"})] if help_text else []),
            *inputs,
        ]

    @abstractmethod
    def to_prediction(self, value: Any, layout: Layout, item: ItemContext) -> list[Result]:
        """Return results that fill the form with ``value``. Raises ``ValueError`` if it does not fit the item."""

    @abstractmethod
    def from_result(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> Any:
        """Return the value in the results of this field's controls, or None if there is none.

        ``results`` includes the relations between its regions. Raises ``ValueError`` for values that are not allowed,
        ``PartlyRead`` with the value if only a part of it is not.
        """

    def count_cut(self, results: Sequence[Mapping[str, Any]], item: ItemContext) -> int:
        """Return how many stretches in results that ``from_result`` reads are cut at the end of the item."""
        return 0

    def result(self, kind: str, value: Result, to_name: str, *, control: str = "", region: str = "") -> Result:
        """Return a result of the field's control with suffix ``control``; ``region`` makes its id unique."""
        name = f"{self.name}-{control}" if control else self.name
        return {
            "id": f"{name}-{region}" if region else name,
            "type": kind,
            "from_name": name,
            "to_name": to_name,
            "value": value,
        }

    # Compared: how far values differ, and several of them as one.

    @property
    def comparison(self) -> Comparison:
        """How raters' values are compared."""
        return "text"

    def comparable(self, value: Any) -> Any:
        """Return a value in the form of its ``comparison``.

        A label; a frozenset of labels; a number (ordinal, interval, preference); a list of ``Region`` (ranges, spans,
        boxes); otherwise the value itself.
        """
        return value

    @property
    def categories(self) -> tuple[Any, ...]:
        """All comparable values there can be, in order, if they are few enough to name; empty otherwise."""
        return ()

    @property
    def soft_labels(self) -> tuple[str, ...]:
        """The labels for which ``aggregate`` returns shares of raters."""
        return ()

    def distance(self, a: Any, b: Any) -> float | None:
        """Return how far two values differ, from 0 (the same) to 1 (opposite), or None if that has no meaning."""
        return None

    def pairwise_agreement(self, values: Sequence[Any]) -> float | None:
        """Return one minus the mean distance over all pairs (0-1), not corrected for chance; None without a pair."""
        distances = [self.distance(a, b) for a, b in combinations(values, 2)]
        defined = [distance for distance in distances if distance is not None]
        return 1 - fmean(defined) if defined else None

    @property
    def is_graded(self) -> bool:
        """Whether a value says more of each of its labels, such as how strong it is."""
        return False

    def select(self, labels: Sequence[str], values: Sequence[Any], support: Mapping[str, float] | None) -> Any:
        """Return the value that consists of ``labels``, out of what several raters answered; None without a label.

        ``support`` says how strongly they stand behind each label, which decides between labels that exclude another;
        without it, a label that excludes others stays only alone.
        """
        return None

    @abstractmethod
    def aggregate(self, values: Sequence[Any], rule: AggregationRule = "majority") -> Aggregate:
        """Combine several raters' values, at least one, none of them None.

        Equal values give that value. The result is None or a value that ``check`` accepts: of more parts than a value
        may have, those that most raters support are kept.
        """

    # Described: for people, in the data card and in reports.

    @abstractmethod
    def describe(self) -> str:
        """Return what is judged and on what scale, as one Markdown line."""

    def show(self, value: Any) -> list[str]:
        """Return a value in words for people: one short text, or one for each of its parts."""
        return [str(value)]
