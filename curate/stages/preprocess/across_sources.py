"""Comparisons across sources: which sources and items repeat others, and which faces are of the same person."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus
from curate.files import digest
from curate.media.duplicates import first_duplicates
from curate.media.faces.identity import assign_identities
from curate.media.words.sentences import normalize_text

_NOTE = "compared"
_TEXTS = ("text", "text_b", "statement")


def repeated_sources(sources: pa.Table) -> list[str | None]:
    """Return for each source the file of the first source, by file name, that it repeats, or None."""
    columns = ["file", "kind", *_TEXTS, "dialogue", "duration_s", "picture_hash", "sound_hash"]
    rows = sources.select(columns).to_pylist()
    order = sorted(range(len(rows)), key=lambda index: rows[index]["file"])
    repeated: list[str | None] = [None] * len(rows)
    files: dict[tuple[str, ...], str] = {}
    for index in order:
        if rows[index]["kind"] == "text":
            first = files.setdefault(_normalized_texts(rows[index]), rows[index]["file"])
            repeated[index] = None if first == rows[index]["file"] else first
    media = [index for index in order if rows[index]["kind"] != "text"]
    hashes = ([rows[index][name] for index in media] for name in ("picture_hash", "sound_hash", "duration_s"))
    for index, original in zip(media, first_duplicates(*hashes), strict=True):
        repeated[index] = None if original is None else rows[media[original]]["file"]
    return repeated


def namesakes(sources: pa.Table) -> list[list[str] | None]:
    """Return for each source the files with the same stem in other folders, or None."""
    files = sources["file"].to_pylist()
    by_stem: dict[str, list[str]] = {}
    for file, kind in zip(files, sources["kind"].to_pylist(), strict=True):
        if kind in ("video", "audio"):
            by_stem.setdefault(Path(file).stem, []).append(file)
    return [
        sorted(namesake for namesake in by_stem.get(Path(file).stem, ()) if Path(namesake).parent != Path(file).parent)
        or None
        for file in files
    ]


def _normalized_texts(source: Mapping[str, Any]) -> tuple[str, ...]:
    texts = [source[name] or "" for name in _TEXTS] + [turn["text"] for turn in source["dialogue"] or ()]
    return tuple(map(normalize_text, texts))


def compare_sources(corpus: Corpus, stage: str, *, drop_repeats: bool, name_people: bool) -> bool:
    """Mark items that repeat others, and name the people that faces show; return whether any row changed.

    Nothing is compared if the current items and faces are those of the last time, since the time that it takes grows
    with their square.
    """
    if not (drop_repeats or name_people):
        return False
    fingerprint = digest([corpus.live["items"].fingerprint, drop_repeats, name_people])
    items = corpus.table("items")
    # The note is that of the newest transaction: any row that is written afterwards makes it void.
    if items.metadata().get(_NOTE) == fingerprint:
        return False
    is_changed = drop_repeats and mark_repeats(corpus, stage)
    is_changed = (name_people and name_faces(corpus)) or is_changed
    items.annotate({_NOTE: fingerprint})
    return is_changed


def name_faces(corpus: Corpus) -> bool:
    """Set ``identity`` of faces and ``face_identity`` of items; return whether any row changed.

    Only faces with an embedding have an identity. The same rows always get the same names.
    """
    faces = corpus.read("faces", ["face_id", "source_id", "embedding"])
    faces = faces.filter(pc.is_valid(faces["embedding"])).combine_chunks()
    if not faces.num_rows:
        return False
    face_ids = faces["face_id"].to_pylist()
    embeddings = np.asarray(pc.list_flatten(faces["embedding"]), np.float32).reshape(len(face_ids), -1)
    people = dict(zip(face_ids, assign_identities(face_ids, faces["source_id"].to_pylist(), embeddings), strict=True))
    items = corpus.read("items", ["item_id", "face_id"], with_repeats=True)
    face_of_item = zip(items["item_id"].to_pylist(), items["face_id"].to_pylist(), strict=True)
    changed = corpus.update_column("faces", "identity", people)
    changed += corpus.update_column("items", "face_identity", {item: people.get(face) for item, face in face_of_item})
    return changed > 0


def mark_repeats(corpus: Corpus, stage: str) -> bool:
    """Set ``repeats`` of items, and reject each item that repeats another; return whether any row changed.

    The first item by file and time is the original.
    """
    sources = corpus.read("sources", ["source_id", "file"])
    files = dict(zip(sources["source_id"].to_pylist(), sources["file"].to_pylist(), strict=True))
    items = _items_in_order(corpus, files)
    originals = _originals(items)
    repeats = {item["item_id"]: None if original is None else original["item_id"] for item, original in originals}
    works = {item["work"] for item in items if item["repeats"] != repeats[item["item_id"]]}
    if not works:
        return False
    rejected = [
        _rejection(item, f"it repeats item {original['item_id']} of {files[original['source_id']]}", stage)
        for item, original in originals
        if original is not None and item["work"] in works
    ]
    # The items come last: as long as they are not marked, a run that was killed writes the rejections again.
    _replace_rejections(corpus, works, repeats, rejected, stage)
    corpus.update_column("items", "repeats", repeats)
    return True


def _items_in_order(corpus: Corpus, files: Mapping[str, str]) -> list[dict[str, Any]]:
    columns = ["item_id", "source_id", "start_s", "end_s", "picture_hash", "sound_hash", "repeats", "work"]
    items = corpus.read("items", columns, with_repeats=True).to_pylist()
    return sorted(items, key=lambda item: (files.get(item["source_id"], ""), item["start_s"] or 0.0, item["item_id"]))


def _originals(items: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return each item with the earlier one that it repeats, or None."""
    lengths = [None if item["end_s"] is None else item["end_s"] - item["start_s"] for item in items]
    indices = first_duplicates(
        [item["picture_hash"] for item in items], [item["sound_hash"] for item in items], lengths
    )
    return [(item, None if index is None else items[index]) for item, index in zip(items, indices, strict=True)]


def _replace_rejections(
    corpus: Corpus, works: set[str], item_ids: Mapping[str, Any], rejected: Sequence[dict[str, Any]], stage: str
) -> None:
    """Replace what was rejected of these works as near-duplicates; their other rejections stay."""
    table = corpus.table("rejections")
    stored = table.read()
    stored = stored.filter(pc.is_in(stored["work"], value_set=pa.array(sorted(works), pa.string())))
    remaining = [
        row for row in stored.to_pylist() if row["subject"] not in item_ids or row["reason"] != "near_duplicate"
    ]
    table.commit([*remaining, *rejected], replacing=works, metadata={"stage": stage})


def _rejection(item: dict[str, Any], detail: str, stage: str) -> dict[str, Any]:
    return {
        "rejection_id": f"{item['work'][:16]}-{item['item_id']}-near_duplicate",
        "stage": stage,
        "parent_id": item["source_id"],
        "subject": item["item_id"],
        "reason": "near_duplicate",
        "detail": detail,
        "work": item["work"],
    }
