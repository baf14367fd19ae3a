"""The readers of exports by tool, and the columns that every export has."""

from pathlib import Path

from curate.annotation.importing.exports import argilla, coco, cvat, doccano, prodigy, via
from curate.annotation.importing.exports.contract import Export, Options, Reader
from curate.annotation.importing.exports.label_studio import tasks
from curate.annotation.importing.exports.media_names import MEDIA_COLUMN, media_name
from curate.annotation.importing.settings import RATER_COLUMN, ExportFormat
from curate.errors import InvalidRow

READERS: dict[ExportFormat, Reader] = {
    "label-studio": tasks.read,
    "argilla": argilla.read,
    "prodigy": prodigy.read,
    "doccano": doccano.read,
    "coco": coco.read,
    "cvat": cvat.read,
    "via": via.read,
}
SUFFIXES: dict[ExportFormat, tuple[str, ...]] = {
    "label-studio": (".json", ".csv", ".tsv"),
    "argilla": (".json",),
    "prodigy": (".jsonl",),
    "doccano": (".jsonl",),
    "coco": (".json",),
    "cvat": (".xml",),
    "via": (".json", ".csv"),
}
"""The ends of the names of the files that each tool exports."""


def read_export(path: Path, tool: ExportFormat, options: Options) -> Export:
    """Return the rows of an export; each task also has the name of its file of media. Raises ``InvalidRow``."""
    if path.suffix.lower() not in SUFFIXES[tool]:
        raise InvalidRow(f"exports of {tool} that can be read are {' and '.join(SUFFIXES[tool])} files")
    export = READERS[tool](path, options)
    rows = [row._replace(task={**row.task, MEDIA_COLUMN: media_name(row.task.values())}) for row in export.rows]
    return export._replace(rows=rows)


def columns_of(export: Export) -> list[str]:
    """Return the names of the columns of an export."""
    return [*dict.fromkeys([*export.columns, MEDIA_COLUMN, RATER_COLUMN])]
