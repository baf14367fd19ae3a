"""Which split each item is in, before and after there is a release."""

import pyarrow as pa

from curate.corpus.view import Corpus
from curate.release.build import SplitSettings, assign
from curate.release.versions import Releases


def splits_of(items: pa.Table, sources: pa.Table, corpus: Corpus, settings: SplitSettings) -> dict[str, str]:
    """The split of every item: where the newest release has it, else where the next one would put it."""
    people = dict(zip(sources["source_id"].to_pylist(), sources["participant"].to_pylist(), strict=True))
    participants = [people.get(source) for source in items["source_id"].to_pylist()]
    known = items.append_column("participant", pa.array(participants, pa.string()))
    return assign(known, settings, Releases(corpus.workspace.releases), corpus.workspace.recipe or "corpus")
