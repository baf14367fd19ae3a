"""The first raw files of each kind that a recipe names, opened to see whether they are what it takes them for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from curate.corpus.sources import RawFolders
from curate.errors import InvalidRow
from curate.media.container.open import open_media
from curate.media.container.pictures import is_picture, load_rgb
from curate.stages.capabilities import FirstFile
from curate.stages.ingest.files import read_source
from curate.stages.ingest.post_files import POST_SUFFIXES, first_posts
from curate.stages.ingest.posts import parse_post

_FILES = 3
_POSTS = 20


def first_files(names: Iterable[str], raw: RawFolders) -> Iterator[FirstFile]:
    """Yield what the first three files with each ending hold: 20 posts of a file of posts, or what kind of media."""
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        chosen = by_suffix[PurePosixPath(name).suffix.lower()]
        if len(chosen) < _FILES:
            chosen.append(name)
    for suffix, chosen in by_suffix.items():
        for name in chosen:
            yield from _posts(name, raw) if suffix in POST_SUFFIXES else [_file(name, suffix, raw)]


def _posts(name: str, raw: RawFolders) -> Iterator[FirstFile]:
    try:
        posts = first_posts(raw.join(name), _POSTS)
    except InvalidRow as error:
        yield FirstFile(name, None, error.message)
        return
    for line, post, problem in posts:
        file = f"{name}#{line}"
        try:
            yield FirstFile(file, None, problem) if problem else FirstFile(file, _completed(parse_post(file, post)))
        except InvalidRow as error:
            yield FirstFile(file, None, error.message)


def _file(name: str, suffix: str, raw: RawFolders) -> FirstFile:
    path = raw.join(name)
    try:
        if suffix == ".txt":
            row = {"file": name, "path": name.encode("utf-8", "surrogateescape"), "size_bytes": path.stat().st_size}
            return FirstFile(name, _completed(read_source({**row, "sidecars": None}, raw)))
        if is_picture(path):
            load_rgb(path)
            return FirstFile(name, {"kind": "image"})
        # Not measured, as ingest does: a film is long.
        with open_media(path) as media:
            kind = "video" if media.video is not None else "audio" if media.audio is not None else None
        return (
            FirstFile(name, {"kind": kind})
            if kind
            else FirstFile(name, None, f"{name} holds neither pictures nor sound")
        )
    except InvalidRow as error:
        return FirstFile(name, None, error.message)
    except OSError as error:
        return FirstFile(name, None, f"{name} cannot be opened: {error.strerror}")


def _completed(row: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(("text", "text_b", "statement", "dialogue", "speaker", "participant")), **row}
