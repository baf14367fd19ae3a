"""Viewing copies of items, made when somebody is to see them, and then stored."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from curate.corpus.sources import RawFolders, SourceMissing
from curate.corpus.view import Corpus
from curate.errors import InvalidRow
from curate.media.container.decode import Span, read_audio
from curate.media.container.render import render_video
from curate.storage.blobs import Blobs


class ViewingCopies:
    """Makes the viewing copies of items from the raw files, and records them in ``items``."""

    def __init__(self, corpus: Corpus, raw: RawFolders) -> None:
        self._corpus, self._raw = corpus, raw
        sources = corpus.read("sources", ["source_id", "file"]).to_pylist()
        self._files: dict[str, str] = {source["source_id"]: source["file"] for source in sources}

    def make(self, items: Sequence[Mapping[str, Any]]) -> dict[str, str | SourceMissing | InvalidRow]:
        """Return the blob of each item's copy, or the error that names why there is none, by the item's id."""
        blobs = self._corpus.workspace.blobs
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            copies = dict(
                zip([i["item_id"] for i in items], pool.map(lambda i: self._make(i, blobs), items), strict=True)
            )
        blobs.flush()
        made = {item_id: copy for item_id, copy in copies.items() if isinstance(copy, str)}
        self._corpus.update_column("items", "video", made)
        return copies

    def _make(self, item: Mapping[str, Any], blobs: Blobs) -> str | SourceMissing | InvalidRow:
        try:
            path = self._raw.path(self._files.get(item["source_id"]) or item["source_id"])
            sound = read_audio(blobs.path(item["audio"])) if item["audio"] else None
            return blobs.put(render_video(path, Span(item["start_s"], item["end_s"]), sound), "mp4")
        except (SourceMissing, InvalidRow) as error:
            return error
