"""Stretches of time that rows mark within items, as settings of a recipe."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.annotation.importing.value_settings import Column, Value


class Stretches(BaseModel):
    """Stretches of time that rows mark. All rows of a rater about an item are one judgement; a bad row costs itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_s: Column = Value(column="start_s")
    """Where the stretch begins, in seconds of the recording or as h:mm:ss.mmm, also if the item begins later;
    ``<index>`` if rows are samples in order."""
    end_s: Column | None = None
    """Where it ends; by default the column ``end_s``, unless it has a length."""
    per_s: float = Field(default=1, gt=0)
    """How many of the units of times a second has: 1000 for milliseconds, 25 for numbers of pictures."""
    lasts_s: float | None = Field(default=None, gt=0)
    """Instead of an end: the seconds that each stretch lasts, for samples that hold until the next one."""
    label: Column | None = None
    """Its label, for a timeline. Null in its map: the row marks nothing."""
    value: Column | None = None
    """The number that holds throughout it, for a trace."""

    @model_validator(mode="after")
    def _check(self) -> "Stretches":
        if (self.label is None) == (self.value is None):
            raise ValueError("name the `label` of each stretch, or the `value` that holds throughout it")
        if self.end_s is not None and self.lasts_s is not None:
            raise ValueError("name either `end_s` or `lasts_s`")
        return self

    @property
    def end(self) -> Value | None:
        """Where stretches end, if it is not that they all last equally long."""
        return self.end_s or (Value(column="end_s") if self.lasts_s is None else None)

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that the stretches depend on."""
        values = (self.start_s, self.end, self.label, self.value)
        return tuple(name for value in values if value is not None for name in value.columns)
