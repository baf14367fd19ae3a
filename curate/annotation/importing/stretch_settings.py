"""Stretches of time that rows mark within items, as settings of a recipe."""

from pydantic import BaseModel, ConfigDict, model_validator

from curate.annotation.importing.value_settings import Column, Value


class Stretches(BaseModel):
    """Stretches of time that rows mark. All rows of a rater about an item are one judgement; a bad row costs itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_s: Column = Value(column="start_s")
    """Where the stretch begins, in seconds of the recording or as h:mm:ss.mmm, also if the item begins later."""
    end_s: Column = Value(column="end_s")
    """Where it ends."""
    label: Column | None = None
    """Its label, for a timeline. Null in its map: the row marks nothing."""
    value: Column | None = None
    """The number that holds throughout it, for a trace."""

    @model_validator(mode="after")
    def _check(self) -> "Stretches":
        if (self.label is None) == (self.value is None):
            raise ValueError("name the `label` of each stretch, or the `value` that holds throughout it")
        return self

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that the stretches depend on."""
        values = (self.start_s, self.end_s, self.label, self.value)
        return tuple(name for value in values if value is not None for name in value.columns)
