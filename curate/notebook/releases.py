"""Releases as objects of the library ``datasets``, its one importer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.document import nearest
from curate.errors import InvalidInput
from curate.release.manifest import FILE, read_manifest
from curate.release.semver import is_version
from curate.release.verify import release_damages
from curate.release.versions import Releases
from curate.storage.folder import DiskFolder
from curate.storage.workspace import Workspace

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def load_release(path: str | Path, *, split: str | None = None, streaming: bool = False) -> "DatasetDict | Dataset":
    """Return the release in a folder as a ``datasets.DatasetDict``, or one ``split`` of it as a ``Dataset``.

    Sounds and pictures stay encoded until a row is asked for. With ``streaming``, rows are read as they are asked for,
    and nothing is copied into the cache of ``datasets``. Raises ``WorkspaceUnusable`` if the folder holds no whole
    release, and ``InvalidInput`` for an unknown split.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if split is not None and split not in manifest.splits:
        raise InvalidInput(
            f"release {folder} has no split {split!r}{nearest(split, list(manifest.splits))}", hint="name one of those"
        )
    if damages := release_damages(DiskFolder(folder.absolute())):
        raise InvalidInput(f"release {folder} is damaged", problems=tuple(damages), hint="see curate verify")
    import datasets

    loaded: Any = datasets.load_dataset(str(folder.absolute()), split=split, streaming=streaming)
    return loaded


def find_release(release: str | Path, workspace: str | Path | Workspace) -> Path:
    """Return the folder of a version in the workspace, or of a release elsewhere.

    Raises ``InvalidInput`` if there is neither.
    """
    name = str(release)
    if (Path(release) / FILE).is_file():
        return Path(release)
    opened = workspace if isinstance(workspace, Workspace) else None
    if is_version(name) and (opened or Path(str(workspace)).is_dir() or "://" in str(workspace)):
        opened = opened or Workspace(str(workspace), create=False)
        releases = Releases(opened.releases)
        manifests = {manifest.version: manifest for manifest in releases.manifests()}
        if name in manifests:
            return releases.fetch(manifests[name])
        versions = ", ".join(manifests) or "none"
        raise InvalidInput(f"there is no release {name} in {opened.location}", hint=f"its releases: {versions}")
    location = opened.location if opened else workspace
    raise InvalidInput(f"{name} is neither a release folder nor a version in {location}", hint="see curate releases")
