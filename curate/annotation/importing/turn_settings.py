"""Dialogues, and words that are marked in them or in texts, as settings of a recipe."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.annotation.importing.value_settings import Column, Names, Template, Value

VALUE_COLUMNS = ("label", "text", "start", "end", "turn")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Turns(_Settings):
    """The dialogue of an item. Its turns are rows, or columns of a row, or a JSON list in a cell."""

    text: Column | None = None
    """The words of the turn that a row is; in a list of turns, the member with the words, by default ``content``."""
    speaker: Column | None = None
    """Who says them; in a list of turns, the member that says who, by default ``role``."""
    id: Template | None = None
    """Which dialogue the row is a turn of, if each turn is an item; without it, rows with the same ``item.id`` are the
    turns of one item. A forgotten participant is taken out of the dialogues around other turns; a single item that is
    forgotten stays in them."""
    turn: Column | None = None
    """What the turn is called in its dialogue. Numbers also say in which order turns are; else rows do."""
    around: int = Field(default=50, ge=0, le=500)
    """If each turn is an item, with how many turns before and after it."""
    columns: Names = {}
    """Instead: columns that are turns, in order, and who speaks."""
    cell: Column | None = None
    """Instead: a column whose cells are JSON lists of turns, such as ``[{"role": "user", "content": "Hi"}]``, or of
    texts."""

    @model_validator(mode="after")
    def _check(self) -> "Turns":
        if self.columns and (self.cell is not None or self.text is not None):
            raise ValueError("turns are either columns, or rows with `text`, or in a `cell`: name one of them")
        if not self.columns and self.cell is None and self.text is None:
            raise ValueError("name the `text` of the turn that a row is, or `columns` that are turns, or a `cell`")
        if not self.is_rows and (self.id is not None or self.turn is not None):
            raise ValueError("id and turn are for turns that are rows")
        for value in (self.text, self.speaker) if self.cell is not None else ():
            if value is not None and value.column is None:
                raise ValueError("with `cell`, text and speaker are names of members of its turns")
        return self

    @property
    def is_rows(self) -> bool:
        """Whether each row is a turn."""
        return self.cell is None and not self.columns

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that the turns depend on."""
        values = (self.text, self.speaker, self.id, self.turn) if self.is_rows else (self.cell,)
        return (*(name for value in values if value is not None for name in value.columns), *self.columns)


class Marks(_Settings):
    """Words that a row marks. Cells may be JSON lists of as many members, each about other words."""

    label: Column
    """The label of the words. Null in its map: nothing is marked."""
    text: Column | None = None
    """The words, exactly as they are in the turn or text, of which the first place counts; without it, or with a blank
    cell, all of it."""
    start: Column | None = None
    """Instead of ``text``: the first character, from 0."""
    end: Column | None = None
    """The character after the last."""
    turn: Column | None = None
    """The turn that the words are in, by what ``item.dialogue.turn`` calls it, or from 0 if that is not given; without
    it, the turn that the row is. Null in its map: nothing is marked."""

    @model_validator(mode="after")
    def _check_place(self) -> "Marks":
        if (self.start is None) != (self.end is None) or (self.text is not None and self.start is not None):
            raise ValueError("words are named by `text`, or by `start` and `end`")
        return self

    def values(self) -> dict[str, Value]:
        """Return what is given of the words, by the name of the setting."""
        values = {name: getattr(self, name) for name in VALUE_COLUMNS}
        return {name: value for name, value in values.items() if value is not None}


class Linked(Marks):
    """Words that a relation leads to from those that the row marks first, such as the cause of an emotion."""

    relation: Column | None = None
    """The relation: one for all of the words, or a JSON list of those that are among them."""
    own: str | None = None
    """If ``relation`` lists several: the one that leads to words in the same turn, so that another one leads to those
    in other turns. Where it stays open which of several is meant, the relation has no name."""

    def values(self) -> dict[str, Value]:
        """See ``Marks.values``."""
        return {**super().values(), **({} if self.relation is None else {"relation": self.relation})}


class SpanMarks(Marks):
    """Words that rows mark. All rows of a rater about an item are one judgement; if one cannot be read, none counts."""

    linked: tuple[Linked, ...] = ()
    """Further words, to which relations lead."""

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that the marks depend on."""
        parts = (self, *self.linked)
        return tuple(name for part in parts for value in part.values().values() for name in value.columns)
