"""Taxonomies: the labels that a category field may take, with what people and models need to know about them."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from curate.assets import find_asset
from curate.document import load_document, parse_model


def _from_word(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Label(BaseModel):
    """One label: its exact name, a definition, and the words by which people mean it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    definition: str | None = None
    synonyms: tuple[str, ...] = ()
    color: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    hotkey: str | None = Field(default=None, pattern=r"^[a-z0-9]$")
    absence: bool = False
    """It says that nothing is shown (neutral), so it stands alone."""


class Taxonomy(BaseModel):
    """A named, versioned and ordered set of labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    taxonomy: str = Field(pattern=r"^[a-z0-9_]+\.v\d+$")
    title: str
    source: str | None = None
    labels: tuple[Annotated[Label, BeforeValidator(_from_word)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_names(self) -> "Taxonomy":
        seen: dict[str, str] = {}
        for label in self.labels:
            if label.name != label.name.strip():
                raise ValueError(f"label {label.name!r} begins or ends with a space; remove it")
            folded = " ".join(label.name.casefold().split())
            if folded in seen:
                raise ValueError(f"labels {seen[folded]!r} and {label.name!r} are the same but for case or spaces")
            seen[folded] = label.name
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels' names in order; a label's place is its class id."""
        return tuple(label.name for label in self.labels)


def load_taxonomy(name: str, beside: Path | None = None) -> Taxonomy:
    """The taxonomy ``name`` (such as ``ekman7.v1``), the user's own before the shipped one."""
    document = load_document(find_asset("schemas/taxonomies", name, suffix=".yaml", beside=beside))
    return parse_model(Taxonomy, document.data, document)
