"""One label of a taxonomy, and one map to another taxonomy, as a file states them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME_PATTERN = r"^[a-z0-9_]+\.v\d+$"
Kind: TypeAlias = Literal["one_to_one", "many_to_one", "one_to_many", "many_to_many"]


def _check_word(value: Any) -> Any:
    if type(value) in {bool, int, float}:
        raise ValueError(f"read as {value!r} by YAML; put the word in quotes")
    return value


def _code(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _word_list(value: Any) -> Any:
    if value is None:
        return ()
    return tuple(map(_check_word, value)) if isinstance(value, list | tuple) else (_check_word(value),)


Word: TypeAlias = Annotated[str, BeforeValidator(_check_word), Field(min_length=1, max_length=100)]
Coordinate: TypeAlias = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Label(BaseModel):
    """One label: its exact name, its meaning, and its relations to other labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Word
    definition: str | None = None
    synonyms: tuple[Word, ...] = ()
    """Words that people use for it; one word may be a synonym of several labels."""
    code: Annotated[str | None, BeforeValidator(_code)] = None
    """What the corpus itself writes for it: an id, a letter."""
    parent: Word | None = None
    group: str | None = None
    """The heading that it is listed under, if that is not a label itself."""
    opposite: Word | None = None
    composed_of: tuple[Word, ...] = ()
    """The labels that it consists of: names of this taxonomy, or ``taxonomy:label``."""
    valence: Coordinate | None = None
    arousal: Coordinate | None = None
    dominance: Coordinate | None = None
    color: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    hotkey: str | None = Field(default=None, pattern=r"^[a-z0-9]$")
    absence: bool = False
    """Whether it says that nothing is shown (neutral), so that no other label goes with it."""


def from_word(value: Any) -> Any:
    """Return the settings of a label given by its name alone; anything else unchanged."""
    return value if isinstance(value, Mapping | Label) else {"name": _check_word(value)}


class MapRule(BaseModel):
    """A map to another taxonomy as a file states it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    lossy: bool
    """Whether different meanings become the same, are dropped, or are only approximated."""
    source: str | None = None
    labels: dict[Word, Annotated[tuple[Word, ...], BeforeValidator(_word_list)]] = Field(min_length=1)
    """Each label's target: one label, several, or none if it is dropped; by default that of its parent."""

    def targets(self, name: str, labels: Mapping[str, Label]) -> tuple[str, ...] | None:
        """Return the targets of a label by its own entry or its nearest ancestor's, or None without an entry.

        ``labels`` are those of the source by name.
        """
        visited: set[str] = set()
        step: str | None = name
        while step is not None and step not in visited:
            if step in self.labels:
                return self.labels[step]
            visited.add(step)
            step = labels[step].parent if step in labels else None
        return None
