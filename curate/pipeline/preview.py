"""Write a contact sheet of each source, as it stands after preprocessing."""

import fnmatch
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

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
    """One self-contained HTML for each media source whose file, or its name, matches the pattern, in ``folder``.

    Raises ``InvalidInput`` where none matches and ``StorageFailed`` where the folder cannot be written.
    """
    corpus, tools = open_corpus(loaded, workspace), make_tools(loaded, workspace)
    rows = [row for row in corpus.read("sources").to_pylist() if row["kind"] != "text"]
    chosen = [
        row for row in rows if fnmatch.fnmatch(row["file"], source) or fnmatch.fnmatch(Path(row["file"]).name, source)
    ]
    if not chosen:
        raise InvalidInput(
            f"no source matches {source!r}" if rows else "there is no media to preview yet",
            hint=f"for example: --source {Path(rows[0]['file']).name!r}"
            if rows
            else "curate run RECIPE --until preprocess",
        )
    parts = {}
    for name in ("items", "faces", "shots"):
        parts[name] = _by(corpus.read(name).to_pylist(), "source_id")
    rejections = _by(corpus.read("rejections").to_pylist(), "parent_id")
    written = []
    for row in sorted(chosen, key=lambda one: str(one["file"])):
        key = row["source_id"]
        preview = Preview(
            source=row,
            items=parts["items"][key],
            faces=parts["faces"][key],
            shots=parts["shots"][key],
            rejections=rejections[key],
            peaks=_peaks(tools.folder / row["file"]),
            step_s=STEP_S,
        )
        page = render_preview(preview, tools.blobs)
        written.append(write_page(folder / _file_name(row), page, name="preview"))
    return written


def _by(rows: list[Row], column: str) -> defaultdict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def _peaks(path: Path) -> list[float]:
    """The loudest sample of each step as a share of the loudest of all; nothing where there is no sound any more."""
    try:
        samples = read_audio(path)
    except InvalidRow:
        return []
    step = round(STEP_S * AUDIO_RATE_HZ)
    whole = samples[: len(samples) // step * step].reshape(-1, step)
    if not len(whole):
        return []
    peaks = np.maximum(whole.max(axis=1), -(whole.min(axis=1) + 1)).astype(np.float64)
    return [float(value) for value in np.round(peaks / max(1.0, float(peaks.max())), 3)]


def _file_name(row: Row) -> str:
    stem = re.sub(r"[^\w.-]+", "_", Path(row["file"]).stem).strip("._")[:80] or "source"
    return f"{stem}-{row['source_id'][:8]}.html"
