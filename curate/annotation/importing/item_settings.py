"""What an item is, as far as a table has it, as settings of a recipe."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from curate.annotation.importing.turn_settings import Turns
from curate.annotation.importing.value_settings import Column, Names, Template, Value


class Item(BaseModel):
    """What is judged, as far as the table has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Template | None = None
    """Names the item in the tables; without it, rows with the same content are one item."""
    media: Annotated[
        tuple[Template, ...],
        BeforeValidator(
            lambda v: v if isinstance(v, list | tuple) else (v,), json_schema_input_type=Template | list[Template]
        ),
    ] = ()
    """The raw file: the first of these paths that exists. Without any, the item is its text, or nothing is shown."""
    start_s: Column | None = None
    """Where the item begins in its media, in seconds or as h:mm:ss.mmm: rows are then stretches of recordings. What
    ``participant`` and ``keep`` say is of the whole recording."""
    end_s: Column | None = None
    """Where it ends."""
    text: Column | None = None
    """What is judged, if it is a text; what is said in a stretch."""
    text_b: Column | None = None
    """The second text of a pair."""
    statement: Template | None = None
    """A claim about the item, to be judged true or false."""
    speaker: Column | None = None
    """Who speaks or writes."""
    participant: Column | None = None
    """The person whom the item is of, whose consent counts and whom ``curate forget`` removes."""
    title: Column | None = None
    """What the item is called."""
    dialogue: Turns | None = None
    """The dialogue that the item is, or that its text is a turn of."""
    keep: Names = {}
    """Columns to keep, under names of one's own if they are to have others."""

    @model_validator(mode="after")
    def _check(self) -> "Item":
        if (name := repeated(self.keep.values())) is not None:
            raise ValueError(f"two columns are kept as {name!r}: give each a name of its own")
        if (self.start_s is None) != (self.end_s is None):
            raise ValueError("name both start_s and end_s, or neither")
        if self.is_stretch and not self.media:
            raise ValueError("start_s and end_s are of a recording: name it in `media`")
        if self.is_stretch and (self.text_b is not None or self.title is not None):
            raise ValueError("a stretch of a recording has neither text_b nor title: keep such columns in `keep`")
        turns = self.dialogue
        if turns is not None and turns.id is not None and self.participant not in (None, turns.speaker):
            raise ValueError(
                "name the same for `participant` and `dialogue.speaker`, so that what participants said can be "
                "forgotten in the dialogues around other turns"
            )
        if self.id is None and self.is_of_rows:
            raise ValueError("name the `id` of the item: rows with the same id are the turns of its dialogue")
        return self

    @property
    def is_stretch(self) -> bool:
        """Whether rows are stretches of recordings, not all of them."""
        return self.start_s is not None and self.end_s is not None

    @property
    def times(self) -> tuple[Value, ...]:
        """The values of the start and the end, if rows are stretches."""
        return () if self.start_s is None or self.end_s is None else (self.start_s, self.end_s)

    @property
    def is_of_rows(self) -> bool:
        """Whether all rows with its id are the item: the turns of its dialogue."""
        return self.dialogue is not None and self.dialogue.is_rows and self.dialogue.id is None

    def columns_read(self) -> Iterator[tuple[str, str]]:
        """Yield the columns that the item depends on, each with the setting that names it."""
        values = [("id", self.id), *(("media", value) for value in self.media), *self.values()]
        values += zip(("start_s", "end_s"), self.times, strict=False)
        yield from ((column, f"item.{name}") for name, value in values if value is not None for column in value.columns)
        yield from ((column, "item.dialogue") for column in (self.dialogue.columns_read if self.dialogue else ()))
        yield from ((column, "item.keep") for column in self.keep)

    def values(self) -> Iterator[tuple[str, Value]]:
        """Yield what an item has, by the name of the column of ``sources``."""
        for name in ("text", "text_b", "statement", "speaker", "participant", "title"):
            if (value := getattr(self, name)) is not None:
                yield name, value


def repeated(names: Iterable[str]) -> str | None:
    """Return the first name that comes twice; None if none does."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
