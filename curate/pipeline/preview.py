"""Write a contact sheet of each source: what preprocessing made of it."""

import fnmatch
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from curate.corpus.sources import RawFolders, SourceMissing
from curate.errors import InvalidInput, InvalidRow
from curate.media.container.decode import read_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.pipeline.walk import make_tools, open_corpus
from curate.recipe import LoadedRecipe
from curate.report.page import write_page
from curate.report.preview import Preview, render_preview
from curate.storage.workspace import Workspace

STEP_S = 0.05
Row = dict[str, Any]


def write_previews(loaded: LoadedRecipe, workspace: Workspace, folder: Path, *, source: str = "*") -> list[Path]:
    """Write a self-contained HTML page into ``folder`` for each media source whose file or file name matches a glob.

    Returns the pages. Raises ``InvalidInput`` if no source matches and ``StorageFailed`` if the folder is not writable.
    """
    corpus, tools = open_corpus(loaded, workspace), make_tools(loaded, workspace)
    rows = [row for row in corpus.read("sources").to_pylist() if row["kind"] != "text"]
    matching = [
        row for row in rows if fnmatch.fnmatch(row["file"], source) or fnmatch.fnmatch(Path(row["file"]).name, source)
    ]
    if not matching:
        raise InvalidInput(
            f"no source matches {source!r}" if rows else "there is no media to preview yet",
            hint=f"for example: --source {Path(rows[0]['file']).name!r}"
            if rows
            else "curate run RECIPE --until preprocess",
        )
    tables = {name: _by(corpus.read(name).to_pylist(), "source_id") for name in ("items", "faces", "shots")}
    rejections = _by(corpus.read("rejections").to_pylist(), "parent_id")
    pages = []
    for row in sorted(matching, key=lambda row: str(row["file"])):
        key = row["source_id"]
        preview = Preview(
            source=row,
            items=tables["items"][key],
            faces=tables["faces"][key],
            shots=tables["shots"][key],
            rejections=rejections[key],
            peaks=_peaks(tools.raw, row["file"]),
            step_s=STEP_S,
        )
        html = render_preview(preview, tools.blobs)
        pages.append(write_page(folder / _file_name(row), html, name="preview"))
    return pages


def _by(rows: list[Row], column: str) -> defaultdict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def _peaks(raw: RawFolders, name: str) -> list[float]:
    """Return the peak of each step as a share of the highest peak (0-1); empty if the file or its sound is gone."""
    try:
        samples = read_audio(raw.path(name))
    except (InvalidRow, SourceMissing):
        return []
    step = round(STEP_S * AUDIO_RATE_HZ)
    steps = samples[: len(samples) // step * step].reshape(-1, step)
    if not len(steps):
        return []
    peaks = np.maximum(steps.max(axis=1), -(steps.min(axis=1) + 1)).astype(np.float64)
    return [float(value) for value in np.round(peaks / max(1.0, float(peaks.max())), 3)]


def _file_name(row: Row) -> str:
    stem = re.sub(r"[^\w.-]+", "_", Path(row["file"]).stem).strip("._")[:80] or "source"
    return f"{stem}-{row['source_id'][:8]}.html"
