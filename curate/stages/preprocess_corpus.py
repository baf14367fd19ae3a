"""What only all sources together tell: whose faces are the same person's."""

import numpy as np
import pyarrow.compute as pc

from curate.media.identity import name_people
from curate.stage import digest
from curate.storage.corpus import Corpus


def name_faces(corpus: Corpus) -> bool:
    """Fill in ``identity`` of faces and ``face_identity`` of items; gives whether any row changed.

    Only faces with an embedding have one; the same rows always give the same names.
    """
    works = sorted({*corpus.live["faces"], *corpus.live["items"]})
    fingerprint = digest(works)
    if corpus.workspace.table("items", corpus.labels).metadata().get("people") == fingerprint:
        return False
    faces = corpus.read("faces", ["face_id", "source_id", "embedding"])
    faces = faces.filter(pc.is_valid(faces["embedding"])).combine_chunks()
    if not faces.num_rows:
        return False
    face_ids = faces["face_id"].to_pylist()
    vectors = np.asarray(pc.list_flatten(faces["embedding"]), np.float32).reshape(len(face_ids), -1)
    people = dict(zip(face_ids, name_people(face_ids, faces["source_id"].to_pylist(), vectors), strict=True))
    items = corpus.read("items", ["item_id", "face_id"])
    shown = zip(items["item_id"].to_pylist(), items["face_id"].to_pylist(), strict=True)
    # Items last: what is noted there says that all is done.
    changed = corpus.amend("faces", "identity", people)
    changed += corpus.amend(
        "items",
        "face_identity",
        {item: people.get(face) for item, face in shown},
        metadata={"people": fingerprint},
    )
    return changed > 0
