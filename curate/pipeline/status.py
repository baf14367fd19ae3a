"""The state of a workspace: rows by table, rejections by reason, releases, and the last run."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from curate.corpus.judgements import UNJUDGED_COLUMNS, count_cannot_judge
from curate.corpus.set_aside import set_aside
from curate.corpus.view import Corpus
from curate.pipeline.walk import open_corpus
from curate.recipe import LoadedRecipe
from curate.release.versions import Releases
from curate.stages import written_tables
from curate.storage.workspace import Workspace


class Status(NamedTuple):
    """Counts of the current rows; ``prelabels`` by labeller and outcome; ``rejections`` by stage and reason.

    ``examples`` has a sentence on one rejection by stage and reason. ``releases`` are in order, from old to new.
    """

    workspace: str
    recipe: str
    tables: dict[str, int]
    units: dict[str, int]
    prelabels: dict[str, dict[str, int]]
    annotations: dict[str, int]
    cannot_judge: dict[str, int]
    labels: dict[str, int]
    rejections: dict[str, dict[str, int]]
    examples: dict[str, dict[str, str]]
    set_aside: list[str]
    """Sentences on judgements that the present recipe leaves out"""
    releases: list[str]
    last_run: dict[str, Any] | None


def status(loaded: LoadedRecipe, workspace: Workspace) -> Status:
    """Return the state of the recipe's corpus. Needs no raw files."""
    corpus = open_corpus(loaded, workspace)
    tables = (*written_tables(), "rejections")
    rejections = corpus.read("rejections", ["stage", "reason", "detail"]).to_pylist()
    return Status(
        workspace=workspace.location,
        recipe=loaded.recipe.recipe,
        tables={name: corpus.read(name, [corpus.table(name).spec.key]).num_rows for name in tables},
        units=_count(corpus, "items", "unit"),
        prelabels=_count_nested(corpus, "prelabels", "labeller", "outcome"),
        annotations=_count(corpus, "annotations", "action"),
        cannot_judge=count_cannot_judge(corpus.read("annotations", UNJUDGED_COLUMNS)),
        labels=_count(corpus, "labels", "label_source"),
        rejections=_count_nested(corpus, "rejections", "stage", "reason"),
        examples=_nest((row["stage"], row["reason"], row["detail"]) for row in reversed(rejections)),
        set_aside=set_aside(corpus).sentences(),
        releases=[manifest.version for manifest in Releases(workspace.releases).manifests(loaded.recipe.recipe)],
        last_run=last_run(workspace),
    )


def list_rejections(loaded: LoadedRecipe, workspace: Workspace) -> list[dict[str, Any]]:
    """Return every rejection with its ``stage``, ``reason``, ``subject`` and ``detail``, by stage and reason."""
    columns = ["stage", "reason", "subject", "detail"]
    order = [(name, "ascending") for name in columns]
    rows: list[dict[str, Any]] = open_corpus(loaded, workspace).read("rejections", columns).sort_by(order).to_pylist()
    return rows


def _nest(entries: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    nested: dict[str, dict[str, str]] = {}
    for outer, inner, value in entries:
        nested.setdefault(outer, {})[inner] = value
    return nested


def _count(corpus: Corpus, table: str, column: str) -> dict[str, int]:
    return dict(sorted(Counter(corpus.read(table, [column])[column].to_pylist()).items()))


def _count_nested(corpus: Corpus, table: str, outer: str, inner: str) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in corpus.read(table, [outer, inner]).to_pylist():
        by_inner = counts.setdefault(row[outer], {})
        by_inner[row[inner]] = by_inner.get(row[inner], 0) + 1
    return counts


def last_run(workspace: Workspace) -> dict[str, Any] | None:
    """Return the id, report and stages of the newest run, and what else its record says; None before the first."""
    records = workspace.runs.glob("*/run.json")
    if not records:
        return None
    run_id = records[-1].partition("/")[0]
    folder = workspace.runs.child(run_id)
    report = f"{folder.location}/report.html" if folder.exists("report.html") else None
    record: dict[str, Any] = {}
    try:
        record = json.loads(workspace.runs.read(records[-1]).decode("utf-8"))
        stages = [dict(stage) for stage in record["stages"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        # A damaged record of a run says nothing about the corpus.
        record, stages = {}, []
    summary = {key: record[key] for key in ("recipe", "ended") if isinstance(record.get(key), str)}
    versions = record.get("versions")
    summary |= {"versions": versions} if isinstance(versions, dict) else {}
    return {**summary, "run_id": run_id, "report": report, "stages": stages}
