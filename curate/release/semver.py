"""Semantic versions of releases (semver.org): ordered as numbers, raised by the kind of what changed."""

import re
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator

Kind = Literal["none", "patch", "minor", "major"]
"""How much differs between two releases, least first."""
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", re.ASCII)


class Version(NamedTuple):
    """A version; compares as numbers, so that 1.10.0 comes after 1.9.0."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def after(self, kind: Kind) -> "Version":
        """Return the next version after a change of a kind."""
        match kind:
            case "major":
                return Version(self.major + 1, 0, 0)
            case "minor":
                return Version(self.major, self.minor + 1, 0)
            case _:
                return Version(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


def is_version(name: str) -> bool:
    """Whether this is a version as a release is named: three numbers, such as 1.0.0."""
    return bool(_VERSION.fullmatch(name))


def parse_version(name: str) -> Version:
    """Return the version of that name. Raises ``ValueError`` for anything but three numbers."""
    match = _VERSION.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a version: write three numbers, such as 1.0.0 or 2.1.3")
    return Version(*map(int, match.groups()))


def _check_version(name: str) -> str:
    return str(parse_version(name))


VersionName = Annotated[str, AfterValidator(_check_version)]
