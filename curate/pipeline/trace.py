"""Everything that led to the label of one item."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from curate.corpus.judgements import ACTIONS
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.pipeline.walk import open_corpus
from curate.recipe import LoadedRecipe
from curate.release.versions import Releases
from curate.storage.workspace import Workspace

_MAX_NAMED = 5


class Trace(NamedTuple):
    """The rows behind the label of one item, from its raw file to the releases that hold it."""

    item: dict[str, Any]
    source: dict[str, Any] | None
    face: dict[str, Any] | None
    prelabels: list[dict[str, Any]]
    """Every proposal, the one that stands for the item last"""
    acts: list[dict[str, Any]]
    """Every human act, oldest first"""
    label: dict[str, Any] | None
    releases: dict[str, str]
    """The split of the item by version, oldest first"""


def trace(loaded: LoadedRecipe, workspace: Workspace, item: str) -> Trace:
    """Return what is known of the item whose id is, or begins with, ``item``. Needs no raw files.

    Raises ``InvalidInput`` if there is no such item, or several.
    """
    corpus = open_corpus(loaded, workspace)
    ids = corpus.read("items", ["item_id"], with_repeats=True)["item_id"].to_pylist()
    item_id = match_item(set(ids), item)
    row = _rows(corpus, "items", "item_id", item_id)[0]
    releases = Releases(workspace.releases)
    splits = {manifest.version: releases.splits(manifest) for manifest in releases.manifests(loaded.recipe.recipe)}
    return Trace(
        item=row,
        source=_first(_rows(corpus, "sources", "source_id", row["source_id"])),
        face=_first(_rows(corpus, "faces", "face_id", row["face_id"])) if row["face_id"] else None,
        prelabels=sorted(_rows(corpus, "prelabels", "item_id", item_id), key=lambda proposal: bool(proposal["final"])),
        acts=sorted(_rows(corpus, "annotations", "item_id", item_id), key=_age),
        label=_first(_rows(corpus, "labels", "item_id", item_id)),
        releases={version: by_item[item_id] for version, by_item in splits.items() if item_id in by_item},
    )


def match_item(ids: Collection[str], name: str, *, holder: str = "the workspace holds") -> str:
    """Return the one id that is, or begins with, ``name``. Raises ``InvalidInput`` if there is none, or several."""
    matches = [name] if name in ids else sorted(item_id for item_id in ids if item_id.startswith(name))
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise InvalidInput(f"{holder} no item {name!r}", hint="item ids are in the column item_id of a release")
    raise InvalidInput(
        f"{len(matches)} items begin with {name!r}", problems=tuple(matches[:_MAX_NAMED]), hint="write more of it"
    )


def _rows(corpus: Corpus, table: str, column: str, value: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = corpus.read(table, with_repeats=True, matching=(column, [value])).to_pylist()
    return rows


def _first(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    return rows[0] if rows else None


def _age(act: Mapping[str, Any]) -> tuple[str, int]:
    """Return what acts are in order by: their times, and what they did."""
    return str(act["acted_at"] or ""), ACTIONS.index(act["action"]) if act["action"] in ACTIONS else -1
