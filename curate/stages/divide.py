"""Divide the items of a workspace as a release would, and as earlier releases did."""

from collections.abc import Sequence

import pyarrow as pa

from curate.corpus.kept import KEPT_COLUMNS
from curate.corpus.sessions import join_groups, read_sessions
from curate.corpus.splitting.keys import COLUMNS
from curate.corpus.splitting.splits import SplitSettings, split_items
from curate.corpus.view import Corpus
from curate.release.versions import Releases
from curate.stages import near_duplicates
from curate.stages.capabilities import Dividing
from curate.stages.contract import Tools

_OF_SOURCES = ("source_id", "file", "key", "participant", KEPT_COLUMNS)
_OF_ITEMS = ("item_id", "source_id", "speaker", "group", "face_identity")
_NEAR = COLUMNS["near_duplicate"]


def current_release(corpus: Corpus, tools: Tools) -> str | None:
    """Return the version that holds all that the tables do; empty if none does, None if a recipe makes no releases."""
    stage = _dividing(tools)
    return None if stage is None else stage.current_release(corpus, tools) or ""


def _dividing(tools: Tools) -> Dividing | None:
    return next((stage for stage in tools.stages if isinstance(stage, Dividing)), None)


def planned_splits(corpus: Corpus, tools: Tools) -> pa.Table | None:
    """Return the columns ``item_id`` and ``split`` as the next release would have them; None if a recipe makes none.

    The split of an item is null if it would join splits, and, under a stratified scheme, before its first release.
    """
    stage = _dividing(tools)
    if stage is None:
        return None
    settings = stage.split_settings(tools)
    items, sources = read_items(corpus, (), [settings]), read_sources(corpus, (), [settings])
    earlier = Releases(corpus.workspace.releases).earlier_splits(corpus.workspace.recipe or "corpus", settings.identity)
    return pa.table({"item_id": items["item_id"], "split": split_items(items, sources, settings, earlier)})


def read_items(corpus: Corpus, columns: Sequence[str], schemes: Sequence[SplitSettings]) -> pa.Table:
    """Read columns of the current items, and those that divide them."""
    near = any(_NEAR in scheme.keys for scheme in schemes)
    wanted = [*columns, *_OF_ITEMS, *_named(schemes), *(near_duplicates.COLUMNS if near else ())]
    stored = corpus.table("items").spec.schema.names
    items = corpus.read("items", [name for name in dict.fromkeys(wanted) if name in stored])
    items = join_groups(items, read_sessions(corpus))
    return items.append_column(_NEAR, near_duplicates.near_duplicates(items)) if near else items


def read_sources(corpus: Corpus, columns: Sequence[str], schemes: Sequence[SplitSettings]) -> pa.Table:
    """Read columns of the current sources, and those that divide their items."""
    stored = corpus.table("sources").spec.schema.names
    wanted = dict.fromkeys([*columns, *_OF_SOURCES, *_named(schemes)])
    return corpus.read("sources", [name for name in wanted if name in stored])


def _named(schemes: Sequence[SplitSettings]) -> list[str]:
    return [name for scheme in schemes for name in scheme.columns if name != KEPT_COLUMNS]
