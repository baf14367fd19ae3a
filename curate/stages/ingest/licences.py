"""Whether a licence is stated in a way that others can look up: an SPDX expression."""

import difflib
import re

_MAX_CHARS = 200
_COMMON = (
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0"),
    *("CC-BY-3.0", "CC-BY-SA-3.0", "CC-BY-NC-3.0", "CC-BY-NC-SA-3.0", "CC-BY-2.0", "ODbL-1.0", "ODC-By-1.0"),
    *("PDDL-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "Apache-2.0", "MIT", "BSD-3-Clause", "GPL-3.0-only"),
)
"""SPDX names of licences that data sets have."""


def licence_notice(licence: str | None) -> str | None:
    """Return what to know of a licence that is missing or no SPDX expression; None if it is one."""
    if licence is None or not licence.strip():
        return "no licence is stated: set `licence:` to an SPDX name such as CC-BY-4.0, or to LicenseRef-<name>"
    if _is_spdx(licence):
        return None
    similar = difflib.get_close_matches(_plain(licence), [_plain(name) for name in _COMMON], n=1, cutoff=0.6)
    names = {_plain(name): name for name in _COMMON}
    similar_hint = f"; did you mean {names[similar[0]]}?" if similar else ""
    custom_hint = "" if similar else "; terms of one's own are written LicenseRef-<name>"
    return f"licence {licence[:_MAX_CHARS]!r} is not an SPDX name{similar_hint}{custom_hint}"


def _is_spdx(licence: str) -> bool:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if len(licence) > _MAX_CHARS:
        return False
    try:
        canonicalize_license_expression(licence)
    except (InvalidLicenseExpression, ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def _plain(text: str) -> str:
    """Return the letters and digits of a name."""
    return re.sub(r"[^a-z0-9]", "", text.lower().replace("creative commons", "cc").replace("attribution", "by"))
