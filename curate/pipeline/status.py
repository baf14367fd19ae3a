"""How a workspace stands: rows by table, rejections by reason, releases, and the last run."""

import json
from collections import Counter
from typing import Any, NamedTuple

from curate.pipeline.plan import open_corpus
from curate.recipe import LoadedRecipe
from curate.release.folder import Releases
from curate.storage.workspace import Workspace


class Status(NamedTuple):
    """Counts of the current rows; ``rejections`` by stage and reason; ``releases`` from old to new."""

    workspace: str
    recipe: str
    tables: dict[str, int]
    units: dict[str, int]
    prelabels: dict[str, int]
    annotations: dict[str, int]
    labels: dict[str, int]
    rejections: dict[str, dict[str, int]]
    releases: list[str]
    last_run: dict[str, Any] | None


def status(loaded: LoadedRecipe, workspace: Workspace) -> Status:
    """The state of the recipe's corpus."""
    corpus = open_corpus(loaded, workspace)

    def count(table: str, column: str) -> dict[str, int]:
        return dict(sorted(Counter(corpus.read(table, [column])[column].to_pylist()).items()))

    tables = {
        name: corpus.read(name, [workspace.table(name, loaded.labels).spec.key]).num_rows
        for name in ("sources", "items", "faces", "prelabels", "annotations", "labels", "rejections")
    }
    rejections: dict[str, dict[str, int]] = {}
    for row in corpus.read("rejections", ["stage", "reason"]).to_pylist():
        by_reason = rejections.setdefault(row["stage"], {})
        by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + 1
    return Status(
        workspace=workspace.place,
        recipe=loaded.recipe.recipe,
        tables=tables,
        units=count("items", "unit"),
        prelabels=count("prelabels", "outcome"),
        annotations=count("annotations", "action"),
        labels=count("labels", "label_source"),
        rejections=rejections,
        releases=[m.version for m in Releases(workspace.releases).manifests(loaded.recipe.recipe)],
        last_run=_last_run(workspace),
    )


def _last_run(workspace: Workspace) -> dict[str, Any] | None:
    records = workspace.runs.names("*/run.json")
    if not records:
        return None
    record = json.loads(workspace.runs.read(records[-1]).decode("utf-8"))
    folder = workspace.runs.child(record["run_id"])
    report = f"{folder.place}/report.html" if folder.holds("report.html") else None
    return {"run_id": record["run_id"], "report": report, "stages": record["stages"]}
