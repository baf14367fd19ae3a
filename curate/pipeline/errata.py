"""Add errata to a workspace: about an item that it or one of its releases holds, or about a release."""

from collections.abc import Sequence
from datetime import UTC, datetime

from curate.corpus.errata import Erratum, add_erratum
from curate.corpus.spec import open_table
from curate.errors import InvalidInput
from curate.pipeline.trace import match_item
from curate.recipe import LoadedRecipe
from curate.release.versions import Releases
from curate.storage.workspace import Workspace


def note_erratum(loaded: LoadedRecipe, workspace: Workspace, words: Sequence[str], *, release: str | None) -> Erratum:
    """Store what ``words`` say is wrong, of ``release`` or of the item that the first word names.

    Takes the workspace's lock. Raises ``InvalidInput`` for an unknown item or release, and if neither is named.
    """
    releases = Releases(workspace.releases)
    versions = [manifest.version for manifest in releases.used()]
    if release is not None and release not in versions:
        raise InvalidInput(f"there is no release {release}", hint=f"its releases: {', '.join(versions) or 'none'}")
    item_id = None
    if release is None:
        if len(words) < 2:
            raise InvalidInput(
                "an erratum is about an item or a release, and says what is wrong with it",
                hint='curate errata add ITEM "the transcript is of another clip", or --release VERSION "…"',
            )
        item_id, words = _item_id(loaded, workspace, words[0]), words[1:]
    with workspace.lock():
        day = datetime.now(UTC).date().isoformat()
        return add_erratum(workspace, " ".join(words), item_id=item_id, release=release, day=day)


def _item_id(loaded: LoadedRecipe, workspace: Workspace, name: str) -> str:
    """Return the id that is, or begins with, ``name``, among all items that were ever made or released."""
    ids = set(open_table(workspace, "items", loaded.labels).read(["item_id"])["item_id"].to_pylist())
    releases = Releases(workspace.releases)
    for manifest in releases.manifests(loaded.recipe.recipe):
        ids.update(releases.splits(manifest))
    return match_item(ids, name, holder="the workspace and its releases hold")
