"""Ingest: find the raw files, say what each is, and record where it comes from."""

import csv
import glob
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from curate.errors import InvalidInput, InvalidRow
from curate.files import digest
from curate.media.container.decode import read_start
from curate.media.container.pictures import load_rgb
from curate.media.container.probe import Probe, probe
from curate.media.duplicates import HEARD_S, film_hash, picture_hash, sound_hash
from curate.media.words.subtitles import SUFFIXES, find_sidecar
from curate.stages.capabilities import Discovered
from curate.stages.contract import Outcome, Problem, Rejection, Tools

MAX_POST_BYTES = 1_000_000
MAX_TURNS = 500
MAX_STATEMENT_CHARS = 2_000
"""It goes with each sentence of its post."""
_BESIDE = ("text_b", "statement")
"""What a post may hold besides its text; part of its identity where it does."""
INPUTS = pa.schema(
    [
        ("file", pa.string()),
        ("path", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sidecar", pa.string()),
        ("sidecar_size_bytes", pa.int64()),
        ("sidecar_mtime_ns", pa.int64()),
        ("post", pa.binary()),
        ("problem", pa.string()),
    ]
)


class Ingest(Discovered):
    """Every file that the globs match becomes a source: media by looking inside, posts from .txt, .jsonl and .csv."""

    version: ClassVar[int] = 3
    reads: ClassVar[str] = ""
    writes: ClassVar[tuple[str, ...]] = ("sources",)
    repeatable: ClassVar[bool] = True
    batch_rows: ClassVar[int] = 8

    stage: Literal["ingest"] = "ingest"
    files: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Globs relative to the recipe's folder; ``**`` reaches into folders. Workers elsewhere read the same paths."""
    licence: str | None = None
    collection: str | None = None
    consent: str | None = None

    def missing(self, folder: Path) -> Iterable[Problem]:
        """Return the patterns that match no file."""
        for pattern in self._patterns():
            if not _matches(pattern, folder):
                yield ("files",), f"no file matches {pattern!r} in {folder.resolve()}"

    def discover(self, tools: Tools) -> pa.Table:
        """Return one row a file, and one a line of a file of posts, in order of their names.

        Raises ``InvalidInput`` naming each pattern that matches nothing.
        """
        problems = tuple(sentence for _, sentence in self.missing(tools.folder))
        if problems:
            raise InvalidInput(problems[0], problems=problems, hint="the pattern is relative to the recipe's folder")
        names = {name for pattern in self._patterns() for name in _matches(pattern, tools.folder)}
        rows = [row for name in sorted(names) for row in _to_inputs(name, tools.folder)]
        return pa.Table.from_pylist(rows, schema=INPUTS)

    def apply(self, batch: pa.Table, tools: Tools) -> Outcome:
        outcome = Outcome(rows={"sources": []})
        origin = {"licence": self.licence, "collection": self.collection, "consent": self.consent}
        for row in batch.to_pylist():
            try:
                found = _post(row) if row["post"] is not None or row["problem"] else _file(row, tools.folder)
                outcome.rows["sources"].append({"file": row["file"], **origin, **found})
            except InvalidRow as error:
                outcome.rejections.append(Rejection(row["file"], row["file"], error.reason, error.message))
        return outcome

    def _patterns(self) -> tuple[str, ...]:
        return (self.files,) if isinstance(self.files, str) else self.files


def _matches(pattern: str, folder: Path) -> list[str]:
    if "\0" in pattern:
        return []
    found = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (Path.glob refuses absolute patterns)
    return [name for name in found if Path(name).suffix.lower() not in SUFFIXES and (folder / name).is_file()]


def _to_inputs(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / name
    shown = Path(name).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".csv"):
        yield from _to_posts(path, shown, suffix)
        return
    state = path.stat()
    row: dict[str, Any] = {"file": shown, "path": str(name).encode("utf-8", "surrogateescape")}
    row |= {"size_bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    sidecar = None if suffix == ".txt" else find_sidecar(path)
    if sidecar is not None and _is_text(sidecar.name):
        of = sidecar.stat()
        beside = Path(name).with_name(sidecar.name).as_posix()
        row |= {"sidecar": beside, "sidecar_size_bytes": of.st_size, "sidecar_mtime_ns": of.st_mtime_ns}
    if not _is_text(name):
        row["problem"] = "its name is not valid UTF-8"
    yield row


def _to_posts(path: Path, shown: str, suffix: str) -> Iterator[dict[str, Any]]:
    try:
        posts = list(_json_lines(path) if suffix == ".jsonl" else _csv_lines(path))
    except (OSError, UnicodeError, csv.Error, InvalidRow) as error:
        yield {"file": shown, "problem": f"it cannot be read as posts: {error}"}
        return
    for number, post in posts:
        row: dict[str, Any] = {"file": f"{shown}#{number}", "post": post[:MAX_POST_BYTES]}
        if len(post) > MAX_POST_BYTES:
            row |= {"post": b"", "problem": f"the line is longer than {MAX_POST_BYTES} bytes"}
        yield row
    if not posts:
        yield {"file": shown, "problem": "it holds no post"}


def _json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            line = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if line:
                yield number, line


def _csv_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if "text" not in (reader.fieldnames or ()):
            raise InvalidRow("its first line names no column `text`")
        for row in reader:
            known = {key: row[key] for key in ("text", "speaker", "author", "title") if row.get(key) is not None}
            # A cell cannot be left out as a member can.
            known |= {key: row[key] for key in _BESIDE if (row.get(key) or "").strip()}
            yield reader.line_num, json.dumps(known, ensure_ascii=False).encode("utf-8", "replace")


def _post(row: dict[str, Any]) -> dict[str, Any]:
    if row["problem"]:
        raise InvalidRow(f"{row['file']}: {row['problem']}", reason="invalid")
    try:
        post = json.loads(row["post"])
    except (ValueError, RecursionError) as error:
        raise InvalidRow(f"{row['file']} is not JSON: {error}", reason="invalid") from error
    if not isinstance(post, dict):
        raise InvalidRow(f"{row['file']} is not a JSON object", reason="invalid")
    return _text_source(row["file"], post, len(row["post"]))


def _file(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = folder / row["path"].decode("utf-8", "surrogateescape")
    try:
        if path.suffix.lower() == ".txt":
            if row["size_bytes"] > MAX_POST_BYTES:
                raise InvalidRow(f"{row['file']} is longer than {MAX_POST_BYTES} bytes", reason="invalid")
            raw = path.read_bytes()
            if not raw:
                raise InvalidRow(f"{row['file']} is empty", reason="empty_file")
            return _text_source(row["file"], {"text": raw.decode("utf-8-sig")}, len(raw))
        probed = probe(path)
        found = {**probed._asdict(), **_hashes(path, probed)}
        found["width_px"], found["height_px"] = found.pop("width"), found.pop("height")
        found |= {"source_id": _sha256(path), "size_bytes": path.stat().st_size}
        if row["sidecar"]:
            found |= {"subtitles_file": row["sidecar"], "subtitles_sha256": _sha256(folder / row["sidecar"])}
    except OSError as error:
        raise InvalidRow(f"{row['file']} cannot be read: {error.strerror}", reason="unreadable") from error
    except UnicodeDecodeError as error:
        raise InvalidRow(f"{row['file']} is not UTF-8 text (byte {error.start})", reason="invalid") from error
    return found


def _hashes(path: Path, probed: Probe) -> dict[str, str | None]:
    """What the file looks and sounds like; a stream that cannot be decoded is like nothing."""
    if probed.kind == "image":
        return {"picture_hash": picture_hash(load_rgb(path))}
    seen = film_hash(path, probed.duration_s or 0.0) if probed.kind == "video" else None
    heard = None if probed.audio_codec is None else sound_hash(read_start(path, HEARD_S))
    return {"picture_hash": seen, "sound_hash": heard}


def _text_source(file: str, post: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    text, author, title = post.get("text"), post.get("speaker", post.get("author")), post.get("title")
    beside = {name: post[name] for name in _BESIDE if post.get(name) is not None}
    for name, value in {"text": text, "speaker": author, "title": title, **beside}.items():
        _check_text(file, name, value)
    dialogue = None if post.get("dialogue") is None else _dialogue(file, post["dialogue"])
    if not (text or "").strip() and (text is not None or "text_b" in beside or dialogue is None):
        raise InvalidRow(f"{file} has no text", reason="invalid")
    if blank := [name for name, value in beside.items() if not value.strip()]:
        raise InvalidRow(f"{file}: {blank[0]} is blank", reason="invalid")
    if len(beside.get("statement", "")) > MAX_STATEMENT_CHARS:
        raise InvalidRow(f"{file}: statement is longer than {MAX_STATEMENT_CHARS} characters", reason="invalid")
    told = {"text": text.strip()} if text else {}
    told |= {name: value.strip() for name, value in beside.items()}
    told |= {"dialogue": dialogue} if dialogue else {}
    author = (author or "").strip() or None
    found = {"source_id": digest({**told, "author": author}), "kind": "text", "size_bytes": size_bytes}
    return {**found, **told, "speaker": author, "title": title}


def _dialogue(file: str, turns: Any) -> list[dict[str, str | None]]:
    if not isinstance(turns, list) or not turns:
        raise InvalidRow(f"{file}: dialogue is not a list of turns", reason="invalid")
    if len(turns) > MAX_TURNS:
        raise InvalidRow(f"{file}: dialogue has {len(turns)} turns, more than {MAX_TURNS}", reason="invalid")
    told = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise InvalidRow(
                f"{file}: turn {number} of dialogue is not an object with speaker and text", reason="invalid"
            )
        text, speaker = turn.get("text"), turn.get("speaker")
        _check_text(file, f"text of turn {number} of dialogue", text)
        _check_text(file, f"speaker of turn {number} of dialogue", speaker)
        if text is None or not text.strip():
            raise InvalidRow(f"{file}: turn {number} of dialogue has no text", reason="invalid")
        told.append({"speaker": (speaker or "").strip() or None, "text": text.strip()})
    return told


def _check_text(file: str, name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and _is_text(value)):
        raise InvalidRow(f"{file}: {name} is not a text", reason="invalid")


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
