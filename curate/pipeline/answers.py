"""Write the answers of a split that a release withholds, for those who score others on it."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curate.errors import InvalidInput
from curate.files import replace_whole
from curate.labels.columns import EVIDENCE_COLUMNS
from curate.pipeline.walk import open_corpus
from curate.recipe import LoadedRecipe
from curate.release.columns import find_rows
from curate.release.features import arrow_schema
from curate.release.rows import ReleaseRows
from curate.release.versions import Releases
from curate.stages.released_tables import read_tables
from curate.storage.workspace import Workspace


class Answers(NamedTuple):
    """What was written: the release and its withheld splits, and how many of their items have a label."""

    version: str
    splits: tuple[str, ...]
    items: int
    labelled: int


def write_answers(loaded: LoadedRecipe, workspace: Workspace, path: Path, *, version: str | None = None) -> Answers:
    """Write the labels that the withheld items of a release (by default the newest) have now, as Parquet.

    The columns are those of a release: ``item_id``, the label fields, their soft labels, and what is behind them.
    Raises ``InvalidInput`` if there is no such release, or if it withholds nothing.
    """
    corpus = open_corpus(loaded, workspace)
    releases = Releases(workspace.releases)
    manifests = {manifest.version: manifest for manifest in releases.manifests(loaded.recipe.recipe)}
    manifest = manifests.get(version or next(reversed(manifests), ""))
    if manifest is None:
        raise InvalidInput(f"there is no release {version or ''}".rstrip(), hint="`curate releases` lists them")
    hidden = next(facts.hidden for facts in manifest.schemes.values() if facts.primary)
    if not hidden:
        raise InvalidInput(
            f"release {manifest.version} withholds no answers",
            hint="`export: {hidden: test}` withholds those of a split",
        )
    ids = pa.array([item for item, split in releases.splits(manifest).items() if split in hidden], pa.string())
    rows = ReleaseRows(
        read_tables(corpus, loaded.labels, []), loaded.labels, secret=workspace.secret, folder=workspace.local
    )
    positions = find_rows(pa.chunked_array([ids.sort()]), rows.item_ids)
    exported = {*loaded.labels.fields, *(f"{name}_soft" for name in loaded.labels.fields), *EVIDENCE_COLUMNS, "item_id"}
    features = {name: feature for name, feature in rows.features.items() if name in exported}
    table = rows.table(positions[positions >= 0]).select(list(features)).cast(arrow_schema(features))
    with replace_whole(path, mode=0o600) as partial:
        parquet.write_table(table, partial, compression="zstd")
    labelled = pc.sum(table["label_source"].is_valid()).as_py() or 0
    return Answers(manifest.version, hidden, table.num_rows, labelled)
