"""Which licence a release of several sources can have: the most restrictive one, if they can be combined at all.

A release is an adaptation of its sources: they are cut, labelled and joined. By the rules of the licences:

- Creative Commons: https://creativecommons.org/faq/#can-i-combine-material-under-different-creative-commons-licenses-in-my-work
- ODbL 1.0, section 4.4; CDLA-Sharing 1.0, section 3.1; GNU GPL 3, section 5: the whole is under the same licence.
"""

import re
from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from curate.errors import InvalidInput

NOT_STATED = "not stated"
_CREATIVE_COMMONS = re.compile(r"cc-by(?P<nc>-nc)?(?P<nd>-nd)?(?P<sa>-sa)?-(?P<version>[1-4]\.[05])(-[a-z]+)?")
_PERMISSIVE = {
    **dict.fromkeys(("cc0-1.0", "pddl-1.0", "unlicense", "0bsd"), 0),
    **dict.fromkeys(("mit", "bsd-2-clause", "bsd-3-clause", "cdla-permissive-1.0", "cdla-permissive-2.0"), 1),
    **dict.fromkeys(("apache-2.0", "odc-by-1.0"), 2),
}
"""Licences that any other may be combined with, and how much they ask for: nothing, a notice, more."""
_COPYLEFT = {
    **dict.fromkeys(("odbl-1.0", "cdla-sharing-1.0"), ""),
    **dict.fromkeys(("gpl-3.0-only", "gpl-3.0-or-later", "gpl-3.0"), "gpl-3.0"),
}
"""Licences that the whole must have, and a common name for those that are one."""


class Terms(NamedTuple):
    """What a licence asks for. ``family`` is that of a licence which the whole must be under."""

    rank: int
    """How restrictive it is: where licences can be combined, the greatest holds"""
    family: str = ""
    non_commercial: bool = False
    no_derivatives: bool = False
    version: str = ""


class Combination(NamedTuple):
    """The licence of several sources together; None if it is not known. ``problems`` say why there can be none."""

    licence: str | None
    problems: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    """Licences whose terms are not known here, such as ``LicenseRef-`` names, in order"""

    def sentences(self) -> list[str]:
        """Return what a card says of them."""
        if not self.unknown:
            return []
        stated = [name for name in self.unknown if name != NOT_STATED]
        lines = (
            [f"The terms of {', '.join(stated)} are unknown here: read them before you use this data."]
            if stated
            else []
        )
        return [*lines, *(["Some sources have no stated licence."] if NOT_STATED in self.unknown else [])]


def combine_licences(licences: Iterable[str | None]) -> Combination:
    """Return the most restrictive of the licences (SPDX names, None if not stated), or why they exclude each other."""
    names = sorted({(licence or "").strip() or NOT_STATED for licence in licences})
    terms = {name: licence_terms for name in names if (licence_terms := terms_of(name)) is not None}
    unknown = tuple(name for name in names if name not in terms)
    problems = [
        f"{name} forbids adaptations, and a release is one: its sources are cut and labelled"
        for name, term in terms.items()
        if term.no_derivatives
    ]
    problems += [
        f"{first} and {second} exclude each other: {reason}"
        for (first, ours), (second, theirs) in combinations(terms.items(), 2)
        if (reason := _conflict(ours, theirs))
    ]
    if problems or unknown or not terms:
        return Combination(None, tuple(problems), unknown)
    return Combination(max(terms, key=lambda name: (terms[name].rank, terms[name].version, name)))


def check_licences(combination: Combination) -> None:
    """Raise ``InvalidInput`` if licences exclude each other."""
    if combination.problems:
        raise InvalidInput(
            "the licences of the sources do not allow one release of them all",
            problems=combination.problems,
            hint="release them apart; or, if you have other rights, say so: "
            "`licence_override: {licence: …, reason: …}` in the stage export",
        )


def terms_of(licence: str) -> Terms | None:
    """Return what a licence asks for, by its SPDX name in any case; None if it is not known."""
    plain = licence.strip().lower()
    if plain in _PERMISSIVE:
        return Terms(_PERMISSIVE[plain])
    if plain in _COPYLEFT:
        return Terms(5, _COPYLEFT[plain] or plain)
    match = _CREATIVE_COMMONS.fullmatch(plain)
    if match is None or (match["nd"] and match["sa"]):
        return None
    has_nc, has_sa = bool(match["nc"]), bool(match["sa"])
    family = f"cc-by{match['nc'] or ''}-sa" if has_sa else ""
    return Terms(3 + has_nc + 2 * has_sa, family, has_nc, bool(match["nd"]), match["version"])


def _conflict(first: Terms, second: Terms) -> str:
    """Return why works under two licences cannot be combined; empty if they can, or if one forbids it by itself."""
    if first.no_derivatives or second.no_derivatives:
        return ""
    if first.family and second.family and first.family != second.family:
        return "each wants the whole under itself"
    for copyleft, partner in ((first, second), (second, first)):
        if copyleft.family and not copyleft.non_commercial and partner.non_commercial:
            return "one wants the whole to be free for commercial use, the other forbids that"
    return ""
