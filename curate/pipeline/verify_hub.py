"""Verify a release on the Hugging Face Hub like one in a folder."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from curate.errors import InvalidInput
from curate.hub.upload import fetch_files
from curate.release.manifest import read_manifest

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://(?:datasets/)?([A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*)@([A-Za-z0-9][\w.-]*)", re.ASCII)


@contextmanager
def fetched_release(address: str) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder with the release at ``hf://NAME@TAG``, and the shards there that its manifest does not list.

    Raises ``InvalidInput`` for another address, and the errors of ``curate.hub``.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InvalidInput(f"{address} does not name a release", hint="write hf://acme/interviews@1.0.0: name and tag")
    with TemporaryDirectory(prefix="curate-verify-") as temporary:
        fetched = Path(temporary) / "fetched"
        fetched.mkdir()
        names = fetch_files(match[1], match[2], fetched, lambda _: [file.path for file in read_manifest(fetched).files])
        manifest = read_manifest(fetched)
        folder = fetched.rename(fetched.with_name(manifest.version))
        listed = {file.path for file in manifest.files}
        yield folder, [name for name in names if name.startswith("data/") and name not in listed]
