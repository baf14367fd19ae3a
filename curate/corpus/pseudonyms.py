"""Names for raters that are the same throughout a workspace and reveal nobody."""

import hashlib
import hmac
import re

PSEUDONYM = re.compile(r"rater-[0-9a-f]{8}")
"""A pseudonym."""


def pseudonym(annotator: str | None, secret: bytes) -> str | None:
    """Return a name that is the same for one person throughout a workspace and reveals nothing (HMAC-SHA256)."""
    if annotator is None:
        return None
    return f"rater-{hmac.new(secret, annotator.encode('utf-8', 'surrogatepass'), hashlib.sha256).hexdigest()[:8]}"
