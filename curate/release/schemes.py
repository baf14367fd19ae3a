"""What a release says of each of its split schemes."""

from pydantic import BaseModel, ConfigDict

SPLIT_PREFIX = "split_"
"""How the columns of schemes begin that do not divide the files; the name of the scheme follows."""


class KeyFacts(BaseModel):
    """How a scheme treats what items may share, such as their speaker."""

    model_config = ConfigDict(frozen=True)

    disjoint: bool
    """Whether the scheme keeps its values apart; proved of every release"""
    known: int
    """Items that have a value"""
    shared: int
    """Values that occur in more than one split: 0 if ``disjoint``"""


class SchemeFacts(BaseModel):
    """How a scheme divides the items of a release; counts are of released items."""

    model_config = ConfigDict(frozen=True)

    identity: str
    """Hash of the settings"""
    rule: str
    """How items are divided, in words"""
    primary: bool
    """Whether the files are divided by it; the others are columns"""
    splits: dict[str, int]
    """Items by split; empty where splits are named like people, and people may have to be forgotten"""
    sizes: tuple[int, ...] = ()
    """The sizes of these splits, largest first"""
    wanted: dict[str, float] = {}
    """The share of each split that was asked for"""
    without: int = 0
    """Items without a split; those of the primary scheme are not released"""
    keys: dict[str, KeyFacts] = {}
    balance: dict[str, dict[str, float]] = {}
    """By label field and split: how far the shares of the labels are from those in all splits, from 0 (the same) to 1
    (total variation distance)"""
    hidden: tuple[str, ...] = ()
    """Splits whose labels and judgements are not in the release"""
