"""Write a contact sheet of each source: what preprocessing made of it."""

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from curate.corpus.sources import RawFolders, SourceMissing
from curate.errors import InvalidInput, InvalidRow
from curate.media.container.decode import read_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.pipeline.walk import make_tools, open_corpus
from curate.recipe import LoadedRecipe
from curate.report.page import thumbnail, write_page
from curate.report.preview import Preview, PreviewLink, describe_source, render_index, render_preview
from curate.report.sections.items import final_proposals
from curate.storage.workspace import Workspace

STEP_S = 0.05
INDEX = "index.html"
"""The page that lists all previews."""
Row = dict[str, Any]


def write_previews(loaded: LoadedRecipe, workspace: Workspace, folder: Path, *, source: str = "*") -> list[Path]:
    """Write a self-contained HTML page into ``folder`` for each source whose file or file name matches a glob.

    The posts of one file share a page. Returns the pages; the first lists the others. Raises ``InvalidInput`` if no
    source matches and ``StorageFailed`` if the folder is not writable.
    """
    corpus, tools = open_corpus(loaded, workspace), make_tools(loaded, workspace)
    rows = corpus.read("sources").to_pylist()
    files = _by([{**row, "file": str(row["file"])} for row in rows], "file", lambda name: name.partition("#")[0])
    matching = sorted(
        name for name in files if fnmatch.fnmatch(name, source) or fnmatch.fnmatch(Path(name).name, source)
    )
    if not matching:
        raise InvalidInput(
            f"no source matches {source!r}" if rows else "there is nothing to preview yet",
            hint=f"for example: --source {Path(next(iter(files))).name!r}"
            if rows
            else "curate run RECIPE --until preprocess",
        )
    tables = {name: _by(corpus.read(name).to_pylist(), "source_id") for name in ("items", "faces", "shots")}
    rejections = _by(corpus.read("rejections").to_pylist(), "parent_id")
    labels = {row["item_id"]: row for row in corpus.read("labels").to_pylist()}
    proposals = {row["item_id"]: row for row in final_proposals(corpus.read("prelabels")).to_pylist()}
    pages, links = [], []
    for name in matching:
        sources = files[name]
        ids = [row["source_id"] for row in sources]
        items = [row for key in ids for row in tables["items"][key]]
        item_ids = [row["item_id"] for row in items]
        preview = Preview(
            source=sources[0] | {"file": name} | ({"title": name} if len(sources) > 1 else {}),
            items=items,
            faces=[row for key in ids for row in tables["faces"][key]],
            shots=[row for key in ids for row in tables["shots"][key]],
            rejections=[row for key in ids for row in rejections[key]],
            peaks=[] if sources[0]["kind"] == "text" else _peaks(tools.raw, name),
            step_s=STEP_S,
            labels={key: labels[key] for key in item_ids if key in labels},
            proposals={key: proposals[key] for key in item_ids if key in proposals},
            index_page=INDEX,
        )
        html = render_preview(preview, tools.blobs, loaded.labels)
        pages.append(write_page(folder / _file_name(sources[0] | {"file": name}), html, name="preview"))
        picture = next((row["face"] for row in items if row["face"]), None)
        title = str(preview.source["title"] or name)
        links.append(PreviewLink(pages[-1].name, title, describe_source(preview), thumbnail(picture, tools.blobs)))
    index = write_page(folder / INDEX, render_index(loaded.recipe.recipe, links), name="preview")
    return [index, *pages]


def _by(rows: list[Row], column: str, key: Callable[[str], str] = str) -> defaultdict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row[column])].append(row)
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
