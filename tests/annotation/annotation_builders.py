"""Small corpora to judge, made in the test that needs them."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from curate.corpus.live import LiveWork
from curate.corpus.spec import open_table
from curate.corpus.view import Corpus
from curate.labels import LabelSchema, load_labels
from curate.stages.contract import Tools
from curate.storage.workspace import Workspace

ITEMS, PRELABELS = "items-work", "prelabels-work"


def make_labels() -> LabelSchema:
    return load_labels("utterance_emotion.v1")


def make_id(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def make_item(n: int = 0, *, layout: str = "text", **changed: Any) -> dict[str, Any]:
    unit = "post" if layout in ("text", "image") else "utterance"
    item = {
        "item_id": make_id("item", n, layout),
        "source_id": make_id("source", n),
        "unit": unit,
        "layout": layout,
        "start_s": 0.0 if unit == "utterance" else None,
        "end_s": 3.0 if unit == "utterance" else None,
        "speaker": "Ben" if unit == "utterance" else None,
        "text": f"I can not believe that you did this to me, number {n}!",
        "work": ITEMS,
    }
    return {**item, **changed}


def make_prelabel(item: Mapping[str, Any], labels: LabelSchema | None = None, **changed: Any) -> dict[str, Any]:
    """A pre-label of ``utterance_emotion.v1``, or of other labels with all its values in ``changed``."""
    values = {"emotion": ["anger", "sadness"], "intensity": 4.0, "valence": -0.6, "description": None}
    prelabel = {
        "item_id": item["item_id"],
        "labeller": "offline",
        "final": True,
        "model": "offline 1",
        "outcome": "ok",
        "scores": [{"field": "emotion", "label": "anger", "score": 0.8}],
        "schema_sha256": (labels or make_labels()).sha256,
        "work": PRELABELS,
        **({} if labels else values),
        **changed,
    }
    prelabel["prelabel_id"] = make_id("prelabel", sorted(prelabel.items(), key=lambda pair: pair[0]))
    return prelabel


def make_corpus(
    root: Path,
    items: Iterable[Mapping[str, Any]],
    prelabels: Iterable[Mapping[str, Any]] = (),
    *,
    recipe: str = "test",
    labels: LabelSchema | None = None,
) -> Corpus:
    workspace = Workspace(root)
    workspace.claim(recipe, root / f"{recipe}.yaml")
    labels = labels or make_labels()
    open_table(workspace, "items", labels).commit(list(items), replacing=[ITEMS], metadata={})
    open_table(workspace, "prelabels", labels).commit(list(prelabels), replacing=[PRELABELS], metadata={})
    return Corpus(workspace, labels, {"items": LiveWork.of([ITEMS]), "prelabels": LiveWork.of([PRELABELS])})


def make_tools(corpus: Corpus, folder: Path) -> Tools:
    return Tools(corpus.workspace.blobs, corpus.labels, folder)


@cache
def make_clip(kind: str = "mp4", *, seconds: int = 3, size: str = "640x480") -> bytes:
    """A moving test picture with a tone (mp4), a tone (flac) or a still picture (jpg)."""
    import imageio_ffmpeg

    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}"]
    tone = ["-f", "lavfi", "-i", f"sine=sample_rate=16000:duration={seconds}"]
    how = {
        "mp4": [*picture, *tone, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart"],
        "flac": [*tone, "-ac", "1"],
        "jpg": [*picture, "-frames:v", "1"],
    }[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{kind}"
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *how, str(path)], check=True)
        return path.read_bytes()
