"""Files that are one source each: media, and posts in ``.txt`` files."""

from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.files import sha256_of_file
from curate.media.words.subtitles import find_sidecar
from curate.stages.ingest.inspecting import inspect_media
from curate.stages.ingest.posts import MAX_POST_BYTES, is_unicode, post_source


def file_input(name: str, file: str, folder: Path) -> dict[str, Any]:
    """Return the input of ingest for a file: its path, size and time of change, and those of its subtitles.

    ``name`` is its path relative to ``folder``, and ``file`` the same as valid Unicode.
    """
    path = folder / name
    state = path.stat()
    row = {
        "file": file,
        "path": name.encode("utf-8", "surrogateescape"),
        "size_bytes": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    sidecar = sidecar_of(path)
    if sidecar is not None:
        state = sidecar.stat()
        row |= {
            "sidecar": Path(name).with_name(sidecar.name).as_posix(),
            "sidecar_size_bytes": state.st_size,
            "sidecar_mtime_ns": state.st_mtime_ns,
        }
    if not is_unicode(name):
        row["problem"] = "its name is not valid UTF-8"
    return row


def sidecar_of(path: Path) -> Path | None:
    """Return the subtitles next to a media file, if there are any whose name can be stored."""
    sidecar = None if path.suffix.lower() == ".txt" else find_sidecar(path)
    return sidecar if sidecar is not None and is_unicode(sidecar.name) else None


def read_source(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the source columns of a file. Raises ``InvalidRow``, with reason ``unavailable`` if it is out of reach."""
    path = folder / row["path"].decode("utf-8", "surrogateescape")
    try:
        if path.suffix.lower() == ".txt":
            return _read_text(row, path)
        # Read whole before it is decoded: a disk that fails then is not mistaken for a damaged file.
        columns = {"source_id": sha256_of_file(path), "size_bytes": path.stat().st_size}
        if row["sidecar"]:
            digest = sha256_of_file(folder / row["sidecar"])
            columns |= {"subtitles_file": row["sidecar"], "subtitles_sha256": digest}
    except OSError as error:
        raise InvalidRow(f"{row['file']} cannot be read: {error.strerror}", reason="unavailable") from error
    return columns | inspect_media(path)


def _read_text(row: dict[str, Any], path: Path) -> dict[str, Any]:
    if row["size_bytes"] > MAX_POST_BYTES:
        raise InvalidRow(f"{row['file']} is longer than {MAX_POST_BYTES} bytes")
    content = path.read_bytes()
    if not content:
        raise InvalidRow(f"{row['file']} is empty", reason="empty_file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRow(f"{row['file']} is not UTF-8 text (byte {error.start})") from error
    return post_source(row["file"], {"text": text}, len(content))
