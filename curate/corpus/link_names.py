"""Links as others may see them: without what lets a stranger use them in somebody's name."""

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.compute as pc

_PRIVATE = r"^https?://([^/?#]*@|[^?#]*\?)"
_SECRET = re.compile(
    r"(x-(amz|goog|ms|oss|cos|bce)-.*|.*(signature|token|secret|password|passwd|credential|session|jwt|hmac).*"
    r"|sig|sign|auth.*|pw|pwd|policy|key-pair-id|(api|access|subscription|account)?[-_]?key|awsaccesskeyid|googleaccessid|sas)",
    re.IGNORECASE,
)


def public_link(name: str) -> str:
    """Return the name of a raw file; a link without user, password, signature, token or key in its query."""
    try:
        parts = urlsplit(name)
        query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        return name.partition("?")[0]
    if parts.scheme not in ("http", "https"):
        return name
    kept = [f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query if not _SECRET.fullmatch(key)]
    is_whole = len(kept) == len(query)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query if is_whole else "&".join(kept), parts.fragment))


def public_links(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the names of raw files, with ``public_link`` of those that are links with something to hide."""
    suspects = pc.fill_null(pc.match_substring_regex(names, _PRIVATE), False)
    if not pc.any(suspects, min_count=0).as_py():
        return names
    public = pa.array([public_link(name) for name in names.filter(suspects).to_pylist()], names.type)
    return pa.chunked_array([pc.replace_with_mask(names.combine_chunks(), suspects.combine_chunks(), public)])
