"""What listings read elsewhere, kept in the workspace so that nothing is asked twice."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from curate.files import sha256_of
from curate.storage.sqlite import open_connection, sqlite_errors

FETCHED = "fetched.sqlite"
"""The workspace's file of what was read elsewhere."""
LINKS = "link"
"""The kind of record of a link, under the hash of its URL."""
LISTINGS = "listing"
"""The kind of record of what a pattern such as ``s3://bucket/**`` matches, under its hash: versions by URL"""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_SCHEMA = "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key))"


def link_key(url: str) -> str:
    """Return the key of a link's record: a hash, so that a link that is forgotten can be known again."""
    return sha256_of(url)


def link_copy(fetched: Path, url: str) -> Path:
    """Return where the file of a link is, next to the file of records ``fetched``."""
    key = link_key(url)
    try:
        suffix = PurePosixPath(urlsplit(url).path).suffix
    except ValueError:
        suffix = ""
    return fetched.parent / "links" / key[:2] / (key + (suffix.lower() if _SUFFIX.fullmatch(suffix) else ""))


class FetchRecord:
    """JSON objects by kind and key, in an SQLite file that is made by the first that is stored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return what is stored; None if nothing is."""
        return next((value for name, value in self.all(kind) if name == key), None)

    def all(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the keys and values of a kind."""
        if not self.path.is_file():
            return
        with closing(open_connection(self.path)) as connection, sqlite_errors(self.path):
            connection.execute(_SCHEMA)
            rows = connection.execute("SELECT key, value FROM records WHERE kind = ?", (kind,)).fetchall()
        yield from ((key, json.loads(value)) for key, value in rows)

    def put(self, kind: str, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Store values by key, in place of those that are stored under the same keys."""
        with closing(open_connection(self.path)) as connection, sqlite_errors(self.path):
            connection.execute(_SCHEMA)
            # What is replaced may be of something forgotten.
            connection.execute("PRAGMA secure_delete=ON")
            rows = [(kind, key, json.dumps(value)) for key, value in values.items()]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    def forget_listed(self, urls: Collection[str]) -> None:
        """Remove files from what listings found."""
        for key, listing in list(self.all(LISTINGS)):
            left = {url: version for url, version in listing.items() if url not in urls}
            if len(left) < len(listing):
                self.put(LISTINGS, {key: left})
