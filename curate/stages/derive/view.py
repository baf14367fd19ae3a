"""The contract of a view: what it makes of the items of another corpus, and what it leaves out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from curate.document import nearest
from curate.files import sha256_of
from curate.labels import LabelSchema
from curate.stages.contract import Problem
from curate.stages.derive.parents import Answer, ParentItem, Parents


@dataclass(frozen=True, kw_only=True)
class Derived:
    """An item made from ``parents``; ``detail`` tells it from others that the view makes of the same parents.

    ``media`` names blobs of the parents' workspace by column. ``cut_s`` is the part of the sound that is kept, in
    seconds from its beginning, and ``still_s`` the time in the viewing copy of the picture to take. ``facts`` are
    released with the item, by name.
    """

    parents: tuple[ParentItem, ...]
    unit: str
    detail: str = ""
    text: str | None = None
    text_b: str | None = None
    statement: str | None = None
    speaker: str | None = None
    dialogue: Sequence[Mapping[str, Any]] | None = None
    turn: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    media: Mapping[str, str] = field(default_factory=dict)
    cut_s: tuple[float, float] | None = None
    still_s: float | None = None
    layout: str = "text"
    group: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()


class LeftOut(NamedTuple):
    """An item that nothing is derived from: a reason from the closed list, and a sentence that is the same for all."""

    item_id: str
    reason: str
    sentence: str


class Draw(NamedTuple):
    """What random choices depend on: the recipe's seed, and the keys of what earlier runs drew, which stays drawn."""

    seed: int
    earlier: frozenset[str] = frozenset()

    def number(self, *names: str) -> int:
        """Return a number from 0 to 2**64 - 1 that only the seed and the names decide."""
        return int(sha256_of("\n".join([str(self.seed), *names]))[:16], 16)


class View(BaseModel, ABC):
    """How items are derived. Subclasses add ``view: Literal["<name>"]`` and their settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: str

    @property
    def is_judged(self) -> bool:
        """Whether derived items come with judgements."""
        return True

    @abstractmethod
    def problems(self, labels: LabelSchema, parent: LabelSchema | None) -> Iterable[Problem]:
        """Yield what does not fit the label schema, or that of the parents (None if it is not at hand)."""

    @abstractmethod
    def derive(self, parents: Parents, labels: LabelSchema, draw: Draw) -> Iterator[Derived | LeftOut]:
        """Yield derived items, and what is left out. The same parents in any order give the same items."""


def field_problems(location: tuple[str | int, ...], name: str, labels: LabelSchema, *types: str) -> Iterator[Problem]:
    """Yield a problem if a label schema has no field of that name, or one of another type."""
    field = labels.fields.get(name)
    if field is None:
        yield location, f"{name} is not a field of {labels.name}{nearest(name, tuple(labels.fields))}"
    elif types and field.type not in types:
        yield location, f"{name} of {labels.name} is a field of type {field.type}; {' or '.join(types)} is needed"


def unit_problems(view: str, unit: str, labels: LabelSchema) -> Iterator[Problem]:
    """Yield a problem if a label schema does not judge the unit that a view makes."""
    if unit not in labels.units:
        yield ("view",), f"{view} makes items of unit {unit}, and {labels.name} is about {' and '.join(labels.units)}"
