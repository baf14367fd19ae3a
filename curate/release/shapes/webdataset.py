"""WebDataset: tar archives in which the files of an item lie next to each other."""

import io
import json
import tarfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from curate.release.shapes.released import ReleasedRows
from curate.release.shapes.shape import Written

MAX_BYTES = 500 * 2**20
_BLOCK = 512
_GUIDE = """Every item is one `.json` member with all that the release says of it (labels by name), and a member for
each of its media, such as `.audio.flac` or `.face.jpg`:

```python
import webdataset

for sample in webdataset.WebDataset("{first}", shardshuffle=False).decode():
    print(sample["__key__"], sample["json"]["text"])
```"""


class _Archives:
    """The archives of a split, of at most ``max_bytes`` each; a single item may be larger."""

    def __init__(self, folder: Path, split: str, max_bytes: int) -> None:
        self._folder, self._split, self._max_bytes = folder, split, max_bytes
        self._archive: tarfile.TarFile | None = None
        self._filled = 0
        self.count = 0

    def add(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Add the files of an item, all to one archive."""
        size = sum(len(data) + 2 * _BLOCK for _, data in members)
        if self._archive is None or self._filled + size > self._max_bytes:
            self.close()
            path = self._folder / f"{self._split}-{self.count:05d}.tar"
            self._archive = tarfile.TarFile(path, "w", format=tarfile.USTAR_FORMAT)
            self._filled, self.count = 0, self.count + 1
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            self._archive.addfile(entry, io.BytesIO(data))
        self._filled += size

    def close(self) -> None:
        """End the last archive."""
        if self._archive is not None:
            self._archive.close()


def write_webdataset(release: ReleasedRows, folder: Path, *, max_bytes: int = MAX_BYTES) -> Written:
    """Write ``<split>-00000.tar`` and so on; equal rows give equal bytes."""
    written, kinds = Written(), set[tuple[str, ...]]()
    for split in release.splits:
        with closing(_Archives(folder, split, max_bytes)) as archives:
            for row in release.rows(split):
                media = release.media(row)
                document = json.dumps(release.plain(row), ensure_ascii=False).encode("utf-8", "backslashreplace")
                kinds.add(tuple(media))
                members = [(file.name, file.data) for file in media.values()]
                archives.add([(f"{release.key(row['item_id'])}.json", document), *members])
                written.counts["items"] += 1
                written.counts["media files"] += len(media)
        if archives.count:
            written.counts["archives"] += archives.count
            written.files = {**written.files, split: f"{split}-*.tar"}
    first = next(iter(written.files), "train")
    # `datasets` refuses archives in which items differ in their media.
    if len(kinds) > 1:
        written.files = {}
    written.guide = _GUIDE.format(first=f"{first}-00000.tar")
    return written
