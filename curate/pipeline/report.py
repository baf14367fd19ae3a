"""Gather what a report says of a corpus, and write it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.consensus.agreement.design import has_arms
from curate.consensus.audit.rows import figure_name, topic_of
from curate.corpus.figures import Figure
from curate.corpus.set_aside import set_aside
from curate.corpus.view import Corpus
from curate.pipeline.agreement import measure_corpus
from curate.pipeline.audit import audit_summary
from curate.pipeline.status import last_run
from curate.pipeline.walk import make_tools, open_corpus
from curate.recipe import LoadedRecipe
from curate.report.findings import Findings, NamedFigure
from curate.report.run import write_report
from curate.stages.divide import current_release, planned_splits
from curate.storage.folder import DiskFolder
from curate.storage.workspace import Workspace

FILE = "report.html"
MEGABYTE = 2**20
_MAX_RATERS = 100
_QUICK = 50_000
"""Judgements or items up to which the report of a run holds what takes long"""


def write_corpus_report(
    loaded: LoadedRecipe, workspace: Workspace, path: Path | None = None, *, draws: int = 200, media_mb: int = 12
) -> Path:
    """Write the report of a recipe's corpus and return its path, by default ``report.html`` in the workspace.

    ``draws`` are those of the bootstrap intervals of agreement. The page holds at most ``media_mb`` of sound and video;
    if it lies in the workspace, links lead to the rest. Raises ``StorageFailed`` if it cannot be written.
    """
    corpus = open_corpus(loaded, workspace)
    destination = path or workspace.local / FILE
    record = {**(last_run(workspace) or {}), **_title(loaded)}
    agreement = _agreement(loaded, corpus, draws=draws, groups=("rater", "arm"))
    findings = Findings(
        agreement,
        _audit(loaded, corpus, draws=draws),
        _splits(loaded, corpus),
        current_release(corpus, make_tools(loaded, workspace)),
        _notices(corpus),
        media_mb * MEGABYTE,
        _blobs(corpus, destination),
    )
    return write_report(destination, corpus, record, findings)


def write_run_report(loaded: LoadedRecipe, corpus: Corpus, path: Path, record: Mapping[str, Any]) -> Path:
    """Write the report at the end of a run: without intervals, and of a large corpus without what takes long."""
    judgements = corpus.read("annotations", ["item_id"]).num_rows
    is_small = max(judgements, corpus.read("items", ["item_id"]).num_rows) <= _QUICK
    notices = _notices(corpus)
    if not is_small:
        notices.append("`curate report` adds agreement, audit and splits, which take long for a corpus of this size")
    findings = Findings(
        _agreement(loaded, corpus, draws=0, groups=("rater", "arm")) if is_small else {},
        _audit(loaded, corpus, draws=0) if is_small else (),
        _splits(loaded, corpus) if is_small else None,
        current_release(corpus, make_tools(loaded, corpus.workspace)),
        notices,
        blobs_path=_blobs(corpus, path),
    )
    return write_report(path, corpus, {**record, **_title(loaded)}, findings)


def _title(loaded: LoadedRecipe) -> dict[str, str]:
    """Return what a report is called: by the recipe's title, or its name."""
    return {"recipe": loaded.recipe.title or loaded.recipe.recipe}


def _agreement(
    loaded: LoadedRecipe, corpus: Corpus, *, draws: int, groups: Sequence[str]
) -> dict[str, Sequence[Figure]]:
    """Return the agreement of all judgements, and in those groups of which there are several and not too many."""
    acts = corpus.read("annotations", ["annotator", "arm", "origins", "prelabel_id"])
    counts = {"rater": _distinct(acts["annotator"]), "arm": _distinct(acts["arm"]) if has_arms(acts) else 0}
    rows: dict[str, Sequence[Figure]] = {"": measure_corpus(loaded, corpus, draws=draws).rows}
    for by in groups:
        if 1 < counts[by] <= _MAX_RATERS:
            rows[by] = measure_corpus(loaded, corpus, by=by, draws=draws).rows
    return {by: figures for by, figures in rows.items() if figures}


def _audit(loaded: LoadedRecipe, corpus: Corpus, *, draws: int) -> list[NamedFigure]:
    return [NamedFigure(topic_of(row), figure_name(row), row) for row in audit_summary(loaded, corpus, draws=draws)]


def _distinct(values: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(values).as_py())


def _splits(loaded: LoadedRecipe, corpus: Corpus) -> pa.Table | None:
    return planned_splits(corpus, make_tools(loaded, corpus.workspace))


def _notices(corpus: Corpus) -> list[str]:
    return set_aside(corpus).sentences()


def _blobs(corpus: Corpus, page: Path) -> str | None:
    """Return the way from a page in the workspace to the folder of media; None for any other page."""
    workspace = corpus.workspace
    if not isinstance(workspace.folder, DiskFolder) or not page.absolute().is_relative_to(workspace.local):
        return None
    return Path(os.path.relpath(workspace.local / "blobs", page.absolute().parent)).as_posix()
