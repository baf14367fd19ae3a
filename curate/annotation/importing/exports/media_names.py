"""The name of the file that a task shows, from a path, a URL, or what an annotation tool made of one."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

MEDIA_COLUMN = "<media>"
"""A column that every export has: the name of the file that a task is about; blank if it is a text."""
_SUFFIX = re.compile(
    r"\.(?:mp4|m4v|mov|mkv|avi|webm|ogv|mpe?g|ts|wav|mp3|flac|ogg|opus|m4a|aac|wma|jpe?g|png|gif|bmp|tiff?|webp)$",
    re.IGNORECASE,
)
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
_MAX_CHARS = 4_000


def media_name(values: Iterable[str | None]) -> str | None:
    """Return the name of the first value that is a file of media, without folders; None if there is none."""
    for value in values:
        if not value or len(value) > _MAX_CHARS or "\n" in value or value.startswith("data:"):
            continue
        name = _name(value)
        if _SUFFIX.search(name):
            return name
    return None


def _name(value: str) -> str:
    try:
        url = urlsplit(value)
    except ValueError:
        return value.replace("\\", "/").rpartition("/")[2]
    path = value if not (url.scheme or url.path.startswith("/data/")) else unquote(url.path)
    # Label Studio serves local files by a query, and puts a code before the names of uploads.
    path = parse_qs(url.query).get("d", [path])[0] if url.path.endswith("/local-files/") else path
    folder, _, name = path.replace("\\", "/").rpartition("/")
    return _UPLOADED.sub("", name, count=1) if "/upload/" in f"/{folder}/" else name
