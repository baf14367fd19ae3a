"""The settings of a split scheme: by shares and lists of ids, by a column, into folds, or one group at a time."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.corpus.sources import RawFolders
from curate.corpus.splitting.splits import MAX_SPLITS, SplitSettings
from curate.document import read_text

_SPLIT = re.compile(r"[A-Za-z]\w{0,39}", re.ASCII)
_WAYS = ("column", "leave_one_out", "folds")
Division = float | tuple[str, ...] | str
"""What makes up a split: a share, a list of ids, or a file with an id in each line"""


def is_split_name(name: str) -> bool:
    """Whether this can name a split, its files and the column of a scheme."""
    return bool(_SPLIT.fullmatch(name)) and name != "all"


class Scheme(BaseModel):
    """How items are divided: splits by name, each with a share or a list of ids; or by ``column`` and so on."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Division] = Field(init=False)

    disjoint_by: tuple[str, ...] | None = None
    """What no two splits may share: ``source``, ``speaker``, ``participant``, ``group``, ``identity`` (the person whose
    face an item shows; it needs a model pack with a recognition network), ``near_duplicate`` (nearly the same picture,
    sound or text), or a column. By default source and speaker where items are drawn."""
    column: str | None = None
    """The column with the split of each item, such as the official one that ``ingest`` kept of a table"""
    leave_one_out: str | None = None
    """What is a split of its own for each of its values, such as ``speaker``"""
    folds: int | None = Field(default=None, ge=2, le=MAX_SPLITS)
    """Into how many parts of equal size to divide, named fold_1, fold_2, …"""
    stratify_by: str | None = None
    """The label field or column whose values all splits should have alike, as far as what belongs together allows"""
    seed: int | None = None
    """Another seed divides the items of this scheme anew; by default the recipe's"""

    @model_validator(mode="after")
    def _check(self) -> "Scheme":
        splits = self.__pydantic_extra__ or {}
        settings = [setting for setting in _WAYS if getattr(self, setting) is not None]
        if len(settings) + bool(splits) > 1:
            names = [*settings, *(["splits by name"] if splits else [])]
            raise ValueError(f"{' and '.join(names)} exclude each other: give each its own scheme in `splits`")
        if self.leave_one_out and self.disjoint_by:
            raise ValueError("leave_one_out parts items by what it leaves out, and cannot be disjoint_by anything else")
        if self.column == "participant":
            raise ValueError("splits of column participant would show people's names: use leave_one_out: participant")
        if self.stratify_by and (self.column or self.leave_one_out):
            raise ValueError(f"stratify_by has no effect on {settings[0]}, which says where each item belongs")
        for name in splits:
            if not is_split_name(name):
                raise ValueError(f"{name!r} cannot name a split: use letters, digits and underscores, and not 'all'")
        self._check_shares()
        if len(splits) > MAX_SPLITS:
            raise ValueError(f"{len(splits)} splits are more than {MAX_SPLITS}: use leave_one_out")
        return self

    def _check_shares(self) -> None:
        shares = self.shares
        for name, share in shares.items():
            if not 0 < share <= 1:
                raise ValueError(f"the share of {name} is {share:g}, and must be above 0 and at most 1")
        if shares and abs(sum(shares.values()) - 1) > 1e-6:
            rest = " of the items that no list names" if self.lists else ""
            raise ValueError(f"the shares{rest} add up to {sum(shares.values()):g} instead of 1")

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are shares of the items that no list names."""
        if self.folds is not None:
            return {f"fold_{number}": 1 / self.folds for number in range(1, self.folds + 1)}
        if self.column is not None or self.leave_one_out is not None:
            return {}
        splits = self.__pydantic_extra__ or {}
        shares = {name: division for name, division in splits.items() if isinstance(division, float)}
        return shares if shares or "train" in splits else {"train": 1.0}

    @property
    def lists(self) -> dict[str, tuple[str, ...] | str]:
        """The splits that are lists of ids, or files of them."""
        splits = self.__pydantic_extra__ or {}
        return {name: division for name, division in splits.items() if not isinstance(division, float)}

    def rule(self) -> str:
        """Return how the scheme divides items, in words."""
        if self.column is not None:
            division = f"as column {self.column} says"
        elif self.leave_one_out is not None:
            division = f"each {self.leave_one_out} is a split of its own"
        elif self.folds is not None:
            division = f"{self.folds} folds of equal size"
        else:
            listed = [f"{name} by a list of ids" for name in self.lists]
            drawn = [f"{name} {share:.0%}" for name, share in self.shares.items()]
            division = ", ".join([*listed, *drawn])
        alike = f"; stratified by {self.stratify_by}" if self.stratify_by else ""
        apart = f"; apart by {', '.join(self.disjoint_by)}" if self.disjoint_by else ""
        return f"{division}{alike}{apart}"

    def problem(self, folder: Path) -> str | None:
        """Return what is wrong with the files that the scheme names in the recipe's folder, if anything."""
        for name, division in self.lists.items():
            if isinstance(division, str) and not (folder / division).is_file():
                return f"{name}: there is no file {division}; a split is a share, a list of ids, or a file of ids"
        return None

    def settings(self, seed: int, raw: RawFolders) -> SplitSettings:
        """Return how items are divided; ``seed`` is the recipe's. Raises ``InvalidInput`` for an unreadable list."""
        lists: Mapping[str, Sequence[str]] = {
            name: _read_ids(raw.path(division)) if isinstance(division, str) else division
            for name, division in self.lists.items()
        }
        is_drawn = not (lists or self.column or self.leave_one_out)
        default = ("source", "speaker") if is_drawn else ()
        return SplitSettings(
            self.shares,
            default if self.disjoint_by is None else self.disjoint_by,
            seed if self.seed is None else self.seed,
            ids=lists,
            column=self.column,
            leave_one_out=self.leave_one_out,
            balanced=self.folds is not None,
            stratify_by=self.stratify_by,
        )


def _read_ids(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
