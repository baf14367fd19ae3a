"""How several judgements become one label: the methods by name, and which of them fit a field."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from curate.labels import Field as LabelField
from curate.labels import LabelSchema
from curate.labels.fields.base import Comparison

Method = Literal[
    "majority",
    "plurality",
    "all_inclusive",
    "union",
    "intersection",
    "threshold",
    "dawid_skene",
    "mace",
    "glad",
    "gold_weighted",
    "mean",
    "median",
    "ewe",
    "aligned_mean",
]
TieRule = Literal["none", "first"]
"""What decides between labels with equally many votes: nothing (no label), or the order of the taxonomy."""

MODELLED: frozenset[str] = frozenset({"dawid_skene", "mace", "glad", "gold_weighted"})
"""Methods that estimate how good each rater is, and so must know who gave a judgement."""
_VOTES: tuple[Method, ...] = ("majority", "plurality", "all_inclusive", "union", "intersection", "threshold")
_ESTIMATED: tuple[Method, ...] = ("dawid_skene", "mace", "glad", "gold_weighted")
_REGIONS: tuple[Method, ...] = ("majority", "union", "intersection")
FITTING: Mapping[Comparison, tuple[Method, ...]] = {
    "label": (*_VOTES, *_ESTIMATED),
    "labels": (*_VOTES, *_ESTIMATED),
    "ordinal": ("majority", "median", "mean", "ewe"),
    "interval": ("majority", "mean", "median", "ewe"),
    "preference": ("majority", "median", "intersection"),
    "trace": ("majority", "union", "intersection", "aligned_mean"),
    "ranges": _REGIONS,
    "spans": _REGIONS,
    "boxes": ("majority",),
    "text": ("majority",),
}
"""The methods that fit each kind of value. Of numbers, ``majority`` is the median (ordinal) or the mean (interval)."""


def fitting(field: LabelField) -> tuple[Method, ...]:
    """Return the methods that fit a field. Free words have no list of labels that shares could be of."""
    return FITTING[field.comparison] if field.labels or field.comparison != "labels" else _REGIONS


class FieldSettings(BaseModel):
    """How the judgements of a field are combined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = "majority"
    """How judgements become a label."""
    ties: TieRule = "none"
    """What decides between equally many votes: ``none`` leaves the label out, ``first`` takes the taxonomy's order."""
    at_least: float = Field(default=0.5, gt=0, le=1)
    """For ``threshold``, the share of raters who must name a label."""
    strict: bool = False
    """For ``all_inclusive``, leave out labels with at most the share that chance would give (1 / number of labels)."""
    experts: tuple[str, ...] = ()
    """For ``gold_weighted``, the raters whose judgements are taken as the truth."""


def problems_of(labels: LabelSchema, settings: FieldSettings, by_field: Mapping[str, FieldSettings]) -> Iterator[str]:
    """Yield what does not fit together, such as a method for numbers on a field of labels."""
    for name, field_settings in by_field.items():
        if name not in labels.fields:
            yield f"{name} is not a field of {labels.name}; its fields are {', '.join(labels.fields)}"
            continue
        methods = fitting(labels.fields[name])
        if field_settings.method not in methods:
            yield f"{field_settings.method} does not fit field {name}; what fits is {', '.join(methods)}"
    if not any(settings.method in fitting(field) for field in labels.fields.values()):
        yield f"{settings.method} fits no field of {labels.name}"
    for field_settings in (settings, *by_field.values()):
        if field_settings.method == "gold_weighted" and not field_settings.experts:
            yield "gold_weighted needs `experts`: the raters whose judgements are taken as the truth"


def settings_of(
    labels: LabelSchema, settings: FieldSettings, by_field: Mapping[str, FieldSettings]
) -> dict[str, FieldSettings]:
    """Return the settings of every field; a method that does not fit a field leaves it to the majority."""
    chosen = {}
    for name, field in labels.fields.items():
        field_settings = by_field.get(name, settings)
        fits = field_settings.method in fitting(field)
        chosen[name] = field_settings if fits else field_settings.model_copy(update={"method": "majority"})
    return chosen
