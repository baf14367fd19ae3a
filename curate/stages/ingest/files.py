"""Files that are one source each: media, and posts in ``.txt`` files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.corpus.archives.members import is_archive
from curate.corpus.sources import MEMBER, RawFolders
from curate.errors import InvalidRow
from curate.files import sha256_of_file
from curate.media.words.encodings import guess_encoding, is_unicode
from curate.media.words.sidecars import Sidecar, find_sidecars
from curate.stages.ingest.inspecting import inspect_media
from curate.stages.ingest.matching import LeadsOutside
from curate.stages.ingest.posts import MAX_POST_BYTES, post_source

_EXCERPT_BYTES = 32_768
_MAX_COPIES = 4


def file_input(name: str, file: str, raw: RawFolders) -> dict[str, Any]:
    """Return the input of ingest for a file: its path, size and time of change, and the subtitle files beside it.

    ``file`` is the name as valid Unicode. Raises ``LeadsOutside`` if subtitles are a link out of the folders.
    """
    path = raw.join(name)
    state = path.stat()
    row = {
        "file": file,
        "path": name.encode("utf-8", "surrogateescape"),
        "size_bytes": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    sidecars = _own_sidecars(path)
    for sidecar in sidecars:
        if sidecar.path.is_symlink() and not raw.boundary()(real := os.path.realpath(sidecar.path)):
            raise LeadsOutside(str(sidecar.path), real)
    row["sidecars"] = [_sidecar(sidecar, row) for sidecar in sidecars]
    if not is_unicode(name):
        row["problem"] = "its name is not valid UTF-8"
    return row


def sidecar_paths(path: Path) -> list[Path]:
    """Return the subtitle files beside a media file."""
    return [sidecar.path for sidecar in _own_sidecars(path)]


def _own_sidecars(path: Path) -> list[Sidecar]:
    sidecars = [] if path.suffix.lower() == ".txt" else find_sidecars(path)
    return [sidecar for sidecar in sidecars if is_unicode(sidecar.path.name)]


def _sidecar(sidecar: Sidecar, row: dict[str, Any]) -> dict[str, Any]:
    state = sidecar.path.stat()
    return {
        "file": Path(row["file"]).with_name(sidecar.path.name).as_posix(),
        "size_bytes": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "language": sidecar.language,
        "beside": row["path"],
    }


def share_sidecars(rows: Sequence[dict[str, Any]], raw: RawFolders) -> None:
    """Give the inputs of files that may be copies of each other the subtitles that lie beside any of them.

    Files are compared if their sizes are equal and one has subtitles; ``read_source`` compares all of their bytes.
    """
    by_size: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row.get("path") is not None and row["size_bytes"]:
            by_size.setdefault(row["size_bytes"], []).append(row)
    for same_size in by_size.values():
        if len(same_size) < 2 or not any(row["sidecars"] for row in same_size):
            continue
        by_content: dict[bytes, list[dict[str, Any]]] = {}
        for row in same_size:
            by_content.setdefault(_excerpt(raw.join(os.fsdecode(row["path"]))), []).append(row)
        for copies in by_content.values():
            sidecar_lists = [row["sidecars"] for row in copies if row["sidecars"]][:_MAX_COPIES]
            for row in copies:
                own_sidecars = row["sidecars"]
                row["sidecars"] = [
                    *own_sidecars,
                    *(sidecar for sidecars in sidecar_lists if sidecars is not own_sidecars for sidecar in sidecars),
                ]


def _excerpt(path: Path) -> bytes:
    """Return a hash of the beginning, middle and end of a file; one of its name if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            parts = []
            for start in (0, size // 2, max(size - _EXCERPT_BYTES, 0)):
                file.seek(start)
                parts.append(file.read(_EXCERPT_BYTES))
    except OSError:
        parts = [os.fsencode(path)]
    return hashlib.sha256(b"".join(parts)).digest()


def read_source(row: dict[str, Any], raw: RawFolders) -> dict[str, Any]:
    """Return the source columns of a file. Raises ``InvalidRow``, with reason ``unavailable`` if it is out of reach."""
    if is_archive(row["file"]):
        nested = "unpack it" if MEMBER in row["file"] else f"write `{row['file']}{MEMBER}**` for its members"
        raise InvalidRow(f"{row['file']} is an archive: {nested}", reason="not_media")
    path = raw.join(row["path"].decode("utf-8", "surrogateescape"))
    try:
        if path.suffix.lower() == ".txt":
            return _read_text(row, path)
        # Read whole before it is decoded: a disk that fails then is not mistaken for a damaged file.
        columns: dict[str, Any] = {"source_id": sha256_of_file(path), "size_bytes": path.stat().st_size}
        columns |= _subtitles(row, columns["source_id"], raw)
    except OSError as error:
        raise InvalidRow(f"{row['file']} cannot be read: {error.strerror}", reason="unavailable") from error
    return columns | inspect_media(path)


def _subtitles(row: dict[str, Any], source_id: str, raw: RawFolders) -> dict[str, Any]:
    """Return the columns of subtitles beside a file, and beside other files with the same bytes."""
    digests = {row["path"]: source_id}
    subtitles = []
    for sidecar in row["sidecars"] or ():
        media_path = sidecar["beside"]
        if media_path not in digests:
            digests[media_path] = sha256_of_file(raw.join(os.fsdecode(media_path)))
        if digests[media_path] == source_id:
            digest = sha256_of_file(raw.join(sidecar["file"]))
            subtitles.append({"file": sidecar["file"], "sha256": digest, "language": sidecar["language"]})
    if not subtitles:
        return {}
    first = subtitles[0]
    return {"subtitles_file": first["file"], "subtitles_sha256": first["sha256"], "subtitles": subtitles}


def _read_text(row: dict[str, Any], path: Path) -> dict[str, Any]:
    if row["size_bytes"] > MAX_POST_BYTES:
        raise InvalidRow(f"{row['file']} is longer than {MAX_POST_BYTES} bytes")
    content = path.read_bytes()
    if not content:
        raise InvalidRow(f"{row['file']} is empty", reason="empty_file")
    encoding, doubt = guess_encoding(content)
    if doubt:
        raise InvalidRow(f"{row['file']} is not UTF-8 text, and its encoding is unclear: save it as UTF-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidRow(f"{row['file']} is damaged {error.encoding} text (byte {error.start})") from error
    return post_source(row["file"], {"text": text}, len(content))
