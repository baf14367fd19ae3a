"""Cut a release again without the items that were forgotten since, for places where it is published already."""

import json
import re
import shutil
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pyarrow import parquet

from curate.corpus.tombstones import Tombstones
from curate.document import parse_value
from curate.errors import WorkspaceUnusable
from curate.release.content import read_content_hash, read_signal_hashes
from curate.release.manifest import CARD, Manifest
from curate.release.shards import describe_file, open_writer
from curate.release.takedown import OTHER_FILES, drop_other_files, read_ids
from curate.sentences import count_of

_CROISSANT = "croissant.json"
_ERRATUM = re.compile(r"- item `([^`\n]*)`: [^\n]*\n?")
"""The line of an erratum about an item in a card"""
_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


def recut(folder: Path, manifest: Manifest, tombstones: Tombstones, target: Path, *, day: str) -> int:
    """Write the release in ``folder`` to ``target`` without forgotten items, and return how many that are.

    Its version stays, and its card says that it was cut again on ``day``; other figures in the card are as they were.
    Raises ``WorkspaceUnusable`` for a file that cannot be read.
    """
    shutil.rmtree(target, ignore_errors=True)
    removed: set[str] = set()
    files = []
    # Files of items first: they say of which source an item is, whose judgements go with it.
    for file in sorted(manifest.files, key=lambda file: file.split is None and file.rows is not None):
        rows = None
        (target / file.path).parent.mkdir(parents=True, exist_ok=True)
        if file.rows is not None:
            # Rows of raters stay: a release whose raters are forgotten is not cut, but removed.
            ids, _ = read_ids(folder / file.path)
            is_gone = pc.or_(
                tombstones.forgotten_rows(ids),
                pc.is_in(ids["item_id"].combine_chunks(), pa.array(sorted(removed), pa.string())),
            )
            removed.update(ids.filter(is_gone)["item_id"].to_pylist())
            rows = _copy_rows(folder / file.path, target / file.path, pc.invert(is_gone), tombstones)
        elif file.path.endswith(".jsonl"):
            _copy_lines(folder / file.path, target / file.path, tombstones)
        elif file.path != CARD:
            shutil.copy(folder / file.path, target / file.path)
        files.append((file, rows))
    recut_manifest = manifest.model_copy(update={"files": tuple(f._replace(rows=rows) for f, rows in files)})
    content = read_content_hash(target, recut_manifest)
    shards = {file.path: rows for file, rows in files if rows is not None}
    text = _without_errata((folder / CARD).read_text(encoding="utf-8"), tombstones)
    card = _card(text, target, shards, content, day, len(removed))
    (target / CARD).write_text(card, encoding="utf-8")
    if (target / _CROISSANT).is_file():
        _correct_croissant(target, manifest, content)
    splits = Counter[str]()
    for file, rows in files:
        if file.split is not None and rows is not None:
            splits[file.split] += rows
    changes = {
        "content_sha256": content,
        "signals": read_signal_hashes(target, recut_manifest),
        "splits": {name: splits[name] for name in manifest.splits},
        "files": tuple(describe_file(target, file.path, rows=rows) for file, rows in files),
    }
    manifest.model_copy(update=changes).write(target)
    return len(removed)


def _copy_rows(source: Path, target: Path, is_kept: pa.Array, tombstones: Tombstones) -> int:
    """Copy the rows of a shard that are kept, row group by row group, and return how many.

    They name no file of a forgotten source as another one of their session.
    """
    try:
        with parquet.ParquetFile(source) as file, open_writer(target, file.schema_arrow) as writer:
            start = written = 0
            for index in range(file.num_row_groups):
                group = file.read_row_group(index)
                rows = _without_files(group.filter(is_kept.slice(start, group.num_rows)), tombstones)
                start += group.num_rows
                if rows.num_rows:
                    writer.write_table(rows, row_group_size=rows.num_rows)
                    written += rows.num_rows
    except (OSError, pa.ArrowException) as error:
        raise WorkspaceUnusable(f"{source} cannot be read as a shard", hint="download the release again") from error
    return written


def _without_files(rows: pa.Table, tombstones: Tombstones) -> pa.Table:
    """Return the rows without files of forgotten sources in ``other_files``."""
    if OTHER_FILES not in rows.column_names or rows[OTHER_FILES].null_count == rows.num_rows:
        return rows
    column = rows[OTHER_FILES].to_pylist()
    forgotten = tombstones.holds("source", {entry["source_id"] for files in column for entry in files or ()})
    return drop_other_files(rows, forgotten)


def _copy_lines(source: Path, target: Path, tombstones: Tombstones) -> None:
    """Copy lines of JSON, such as errata, without those of forgotten items."""
    lines = []
    for line in source.read_text(encoding="utf-8").splitlines():
        try:
            item = json.loads(line).get("item_id")
        except (ValueError, AttributeError):
            continue
        if not (isinstance(item, str) and tombstones.holds("item", [item])):
            lines.append(line)
    target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _without_errata(card: str, tombstones: Tombstones) -> str:
    """Return a card without the lines of errata about forgotten items."""
    forgotten = tombstones.holds("item", {match[1] for match in _ERRATUM.finditer(card)})
    return _ERRATUM.sub(lambda match: "" if match[1] in forgotten else match[0], card)


def _correct_croissant(folder: Path, manifest: Manifest, content: str) -> None:
    """Give the description for machines the hashes and sizes of the new files."""
    paths = {file.sha256: file.path for file in manifest.files}

    def correct(value: Any) -> Any:
        if isinstance(value, list):
            return [correct(part) for part in value]
        if not isinstance(value, dict):
            return content if value == manifest.content_sha256 else value
        corrected = {name: correct(part) for name, part in value.items()}
        if (path := paths.get(value.get("sha256", ""))) is not None:
            now = describe_file(folder, path)
            corrected |= {"sha256": now.sha256, "contentSize": f"{now.size_bytes} B"}
        return corrected

    path = folder / _CROISSANT
    document = correct(json.loads(path.read_text(encoding="utf-8").replace(manifest.content_sha256, content)))
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _card(text: str, folder: Path, shards: dict[str, int], content: str, day: str, removed: int) -> str:
    """Return a card with the numbers of rows that loaders check, and a sentence on what happened."""
    match = _FRONT_MATTER.match(text)
    header = parse_value(match[1]) if match else None
    if match is None or not isinstance(header, dict):
        raise WorkspaceUnusable(f"{CARD} does not begin with a block of YAML", hint="download the release again")
    infos = header.get("dataset_info")
    for info in infos if isinstance(infos, list) else [infos]:
        _set_counts(info, header, folder, shards, content)
    block = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120)
    sentence = (
        f"> **Cut again on {day}** without {count_of(removed, 'item')}, which had to be removed. Shares, counts and "
        "agreement below were computed before that."
    )
    return f"---\n{block}---\n\n{sentence}\n{text[match.end() :]}"


def _set_counts(info: Any, header: dict[str, Any], folder: Path, shards: dict[str, int], content: str) -> None:
    if not isinstance(info, dict):
        return
    info["description"] = f"Content hash {content}"
    name = info.get("config_name", "default")
    config: dict[str, Any] = next(
        (c for c in header.get("configs") or () if c.get("config_name", "default") == name), {}
    )
    globs = {entry.get("split"): entry.get("path") for entry in config.get("data_files") or ()}
    total = 0
    for split in info.get("splits") or ():
        patterns = globs.get(split.get("name")) or ()
        paths = [
            p for p in shards if any(fnmatch(p, g) for g in ([patterns] if isinstance(patterns, str) else patterns))
        ]
        split["num_examples"] = sum(shards[path] for path in paths)
        total += sum((folder / path).stat().st_size for path in paths)
    info["download_size"] = total
