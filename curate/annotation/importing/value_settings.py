"""Values of a table's rows, as settings of a recipe: columns, templates, constants, and what they mean."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*-\s*(-?\d+(?:\.\d+)?)\s*")
_BRACES = re.compile(r"\{([^{}]*)\}")


def _text(value: Any) -> Any:
    """Return the text that YAML made a number or a truth value of."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _with_text_keys(value: Any) -> Any:
    value = [value] if isinstance(value, str) else value
    if isinstance(value, list | tuple):
        return {_text(name): _text(name) for name in value if isinstance(name, str | int | float)}
    return {_text(key): _text(member) for key, member in value.items()} if isinstance(value, Mapping) else value


def _as_column(value: Any) -> Any:
    return {"column": _text(value)} if isinstance(value, str | int | float) else value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Globs = Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str])]
Scalar = str | int | float | bool
Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=Scalar)]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(lambda v: v if isinstance(v, list | tuple) else (v,), json_schema_input_type=Scalar | list[Scalar]),
]
Names = Annotated[
    dict[str, Text],
    BeforeValidator(_with_text_keys, json_schema_input_type=str | list[Scalar] | dict[Scalar, Scalar]),
]
"""Columns and what each stands for; a column or a list of columns stands for itself."""
Map = Annotated[
    dict[str, Text | None],
    BeforeValidator(_with_text_keys, json_schema_input_type=dict[Scalar, Scalar | None]),
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(_Settings):
    """A value of each row: a column, or a text with columns in braces, or a constant; a text alone names a column."""

    column: Text | None = None
    """The column whose cells are the values."""
    template: str | None = None
    """A text with columns in braces, such as ``{actor}_{take}``."""
    constant: Text | None = None
    """The same value for every row."""
    map: Map = Field(default={}, max_length=10_000)
    """What the table's values are called here. Null: no value. Values that are not listed stay as they are."""
    none: Texts = ()
    """Cells that say that no label applies: they are judgements without a label, unlike blank ones."""
    ranges: Annotated[dict[str, Text], BeforeValidator(_with_text_keys, json_schema_input_type=dict[str, Scalar])] = {}
    """What numbers mean, ends included, such as ``65-72: happiness``."""
    replace: Map = {}
    """Texts within the cells, and what is meant by each, such as ``_comma_: ","``; null: nothing."""
    split: str | None = Field(default=None, min_length=1)
    """What separates several values in a cell."""
    scale: tuple[float, float] | None = None
    """The ends of the table's scale, if they are not those of the field: numbers are converted."""

    @model_validator(mode="after")
    def _check(self) -> "Value":
        if sum(source is not None for source in (self.column, self.template, self.constant)) != 1:
            raise ValueError("a value is a column, a template or a constant: name one of them")
        if bad := [name for name in self.ranges if not _RANGE.fullmatch(name)]:
            raise ValueError(f"{bad[0]!r} is not a range of numbers such as 65-72")
        if "" in self.replace:
            raise ValueError("a text to replace must not be empty")
        if self.scale is not None and self.scale[0] == self.scale[1]:
            raise ValueError("the ends of a scale differ")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the value depends on."""
        if self.template is not None:
            return tuple(_BRACES.findall(self.template))
        return () if self.column is None else (self.column,)

    @property
    def number_ranges(self) -> Iterator[tuple[float, float, str]]:
        """The first and last number of each range, and what they mean."""
        for name, meaning in self.ranges.items():
            if match := _RANGE.fullmatch(name):
                yield float(match[1]), float(match[2]), meaning


Column = Annotated[Value, BeforeValidator(_as_column, json_schema_input_type=str | int | float | Value)]


def _as_template(value: Any) -> Any:
    if isinstance(value, str) and _BRACES.search(value):
        return {"template": value}
    return _as_column(value)


Template = Annotated[Value, BeforeValidator(_as_template, json_schema_input_type=str | int | float | Value)]
