"""Ingest and preprocess files without a workspace."""

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.spec import table_spec
from curate.labels import load_labels
from curate.stages.contract import REASONS, Outcome, Tools
from curate.stages.ingest.stage import Ingest
from curate.stages.preprocess.posts import COLUMNS_READ
from curate.stages.preprocess.stage import Preprocess
from curate.storage.blobs import Blobs

UNITS = ("utterance", "post", "image")


class Preprocessed(NamedTuple):
    """What preprocess made of some files."""

    outcome: Outcome
    tools: Tools

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.outcome.dicts("items")

    @property
    def faces(self) -> list[dict[str, Any]]:
        return self.outcome.dicts("faces")

    @property
    def reasons(self) -> list[str]:
        return [rejection.reason for rejection in self.outcome.rejections]


def make_sources(folder: Path, *files: str, stage: Preprocess | None = None) -> pa.Table:
    """Ingest files, and return the inputs of preprocess."""
    labels = load_labels("utterance_emotion.v1")
    tools, ingest = Tools(Blobs(folder), labels, folder), Ingest(files=files)
    rows = ingest.apply(ingest.discover(tools), tools).dicts("sources")
    sources = pa.Table.from_pylist(rows, schema=table_spec("sources", labels).schema)
    stage = stage or Preprocess()
    return stage.inputs(sources, tools).select(list(dict.fromkeys([*stage.columns_used(), *COLUMNS_READ])))


def preprocess(folder: Path, *files: str, blobs: Path, units: tuple[str, ...] = UNITS, **settings) -> Preprocessed:
    """Ingest and preprocess files, and check that every source is kept or rejected."""
    labels = load_labels("utterance_emotion.v1").model_copy(update={"units": units})
    tools, stage = Tools(Blobs(blobs), labels, folder), Preprocess(**settings)
    sources = make_sources(folder, *files, stage=stage)
    outcome = stage.apply(sources, tools)
    kept = {row["source_id"] for row in outcome.dicts("items")}
    rejected = {rejection.subject for rejection in outcome.rejections}
    assert set(sources.column("source_id").to_pylist()) == kept | (rejected & set(sources["source_id"].to_pylist()))
    assert {rejection.reason for rejection in outcome.rejections} <= set(REASONS)
    assert {face["source_id"] for face in outcome.dicts("faces")} <= kept
    return Preprocessed(outcome, tools)
