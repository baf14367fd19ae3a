"""What only all sources together tell: whose faces are the same person's, and which items repeat others."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus
from curate.files import digest
from curate.media.duplicates import first_alike
from curate.media.faces.identity import name_people


def name_faces(corpus: Corpus) -> bool:
    """Fill in ``identity`` of faces and ``face_identity`` of items; gives whether any row changed.

    Only faces with an embedding have one; the same rows always give the same names.
    """
    works = sorted({*corpus.live["faces"], *corpus.live["items"]})
    fingerprint = digest(works)
    if corpus.table("items").metadata().get("people") == fingerprint:
        return False
    faces = corpus.read("faces", ["face_id", "source_id", "embedding"])
    faces = faces.filter(pc.is_valid(faces["embedding"])).combine_chunks()
    if not faces.num_rows:
        return False
    face_ids = faces["face_id"].to_pylist()
    vectors = np.asarray(pc.list_flatten(faces["embedding"]), np.float32).reshape(len(face_ids), -1)
    people = dict(zip(face_ids, name_people(face_ids, faces["source_id"].to_pylist(), vectors), strict=True))
    items = corpus.read("items", ["item_id", "face_id"], with_repeats=True)
    shown = zip(items["item_id"].to_pylist(), items["face_id"].to_pylist(), strict=True)
    # Items last: what is noted there says that all is done.
    changed = corpus.update_column("faces", "identity", people)
    changed += corpus.update_column(
        "items",
        "face_identity",
        {item: people.get(face) for item, face in shown},
        metadata={"people": fingerprint},
    )
    return changed > 0


def mark_repeats(corpus: Corpus, stage: str) -> bool:
    """Fill in ``repeats`` of items, with a rejection for each that has one; gives whether any row changed.

    The first item by file and time stays. The time taken grows with the square of the items: 10,000 take seconds.
    """
    columns = ["item_id", "source_id", "start_s", "end_s", "picture_hash", "sound_hash", "repeats", "work"]
    sources = corpus.read("sources", ["source_id", "file"])
    files = dict(zip(sources["source_id"].to_pylist(), sources["file"].to_pylist(), strict=True))
    items = corpus.read("items", columns, with_repeats=True).to_pylist()
    items.sort(key=lambda item: (files.get(item["source_id"], ""), item["start_s"] or 0.0, item["item_id"]))
    lengths = [None if item["end_s"] is None else item["end_s"] - item["start_s"] for item in items]
    alike = first_alike([item["picture_hash"] for item in items], [item["sound_hash"] for item in items], lengths)
    firsts = {item["item_id"]: None if at is None else items[at] for item, at in zip(items, alike, strict=True)}
    now = {item: first and first["item_id"] for item, first in firsts.items()}
    works = {item["work"] for item in items if item["repeats"] != now[item["item_id"]]}
    if not works:
        return False
    rejections = corpus.table("rejections")
    stored = rejections.read()
    stored = stored.filter(pc.is_in(stored["work"], value_set=pa.array(sorted(works), pa.string()))).to_pylist()
    kept = [row for row in stored if row["subject"] not in now or row["reason"] != "near_duplicate"]
    for item in items:
        first = firsts[item["item_id"]]
        if item["work"] in works and first is not None:
            kept.append(_rejection(item, f"it repeats item {first['item_id']} of {files[first['source_id']]}", stage))
    # Items last: while they are not marked, the rejections are told anew.
    rejections.commit(kept, replacing=works, metadata={"stage": stage})
    corpus.update_column("items", "repeats", now)
    return True


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
