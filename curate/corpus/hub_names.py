"""Names of files of data sets on the Hugging Face Hub, at the commit that was read, and where copies of them are."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from curate.errors import InvalidRow
from curate.storage.cache import cache_folder

HUB = "hf://"
DATASET = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
"""A regular expression for the name of a data set."""
_NAME = re.compile(rf"hf://datasets/({DATASET})@([0-9a-f]{{40}})/(.+)", re.ASCII | re.DOTALL)


class HubFile(NamedTuple):
    """A file of a data set at a commit. Its name is as fsspec and polars have it."""

    dataset: str
    commit: str
    path: str

    @property
    def name(self) -> str:
        """The name in ``sources``: ``hf://datasets/owner/name@commit/path``."""
        return f"{HUB}datasets/{self.dataset}@{self.commit}/{self.path}"

    @property
    def copy(self) -> Path:
        """Where this machine's copy is, if it has one."""
        return cache_folder() / "hub" / self.dataset.replace("/", "--") / self.commit / self.path


def parse_hub_name(name: str) -> HubFile:
    """Return the file of a name. Raises ``InvalidRow`` if it is none, or leads out of the data set."""
    match = _NAME.fullmatch(name)
    path = PurePosixPath(match[3]) if match else PurePosixPath("..")
    if match is None or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise InvalidRow(f"{name[:100]!r} is not the name of a file at a commit of a data set")
    return HubFile(match[1], match[2], str(path))
