"""Which items are nearly the same, so that a split scheme can keep them together."""

import numpy as np
import pyarrow as pa

from curate.corpus.splitting.components import Numbers, connect, numbered
from curate.media.duplicates import first_duplicates
from curate.media.words.sentences import normalize_text

COLUMNS = ("picture_hash", "sound_hash", "start_s", "end_s", "text")
_MIN_WORDS = 5
"""Shorter texts, such as "Yes, of course.", are the same by chance."""


def near_duplicates(items: pa.Table) -> pa.Array:
    """Return for each item the first item that it is nearly the same as, or itself; null if nothing can be compared.

    Two items belong together if both have the same text of at least five words, apart from case and punctuation, or if
    one repeats the other by sound and picture (see ``first_duplicates``), directly or through others.
    """
    if not items.num_rows:
        return pa.array([], pa.string())
    texts = [_comparable(text) for text in items["text"].to_pylist()]
    pictures, sounds = (items[name].to_pylist() for name in ("picture_hash", "sound_hash"))
    times = zip(items["start_s"].to_pylist(), items["end_s"].to_pylist(), strict=True)
    seconds = [None if start is None or end is None else end - start for start, end in times]
    originals = first_duplicates(pictures, sounds, seconds)
    first: Numbers = np.array(
        [row if original is None else original for row, original in enumerate(originals)], np.int64
    )
    components = connect([numbered(pa.chunked_array([pa.array(texts, pa.string())])), first])
    _, smallest = np.unique(components, return_index=True)
    is_known = [bool(text or picture or sound) for text, picture, sound in zip(texts, pictures, sounds, strict=True)]
    return (
        items["item_id"]
        .combine_chunks()
        .take(pa.array(smallest[components], pa.int64(), mask=~np.array(is_known, np.bool_)))
    )


def _comparable(text: str | None) -> str | None:
    plain = normalize_text(text or "")
    return plain if len(plain.split()) >= _MIN_WORDS else None
