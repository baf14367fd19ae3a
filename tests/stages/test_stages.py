"""Rows change only with the version of their stage."""

import ast
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curate.corpus.ledger import RETRIED
from curate.files import digest
from curate.recipe import load_recipe
from curate.stages.contract import REASONS, Tools
from curate.storage.blobs import Blobs
from tests.support.builders import make_posts, make_recipe
from tests.support.media_builders import RATE_HZ, sample
from tests.support.stages import walk_stages

VERSIONS = {"ingest": 5, "preprocess": 5, "prelabel": 7}
GOLDEN = {
    ("posts", "ingest"): "6b059a41ab15f64405b92c8962dad957c3eafebb67e5b6398dda9487d59fd9c1",
    ("posts", "preprocess"): "a1d44a688704fd3c17c183d72a372a4192e8623959e6705deb57ed88f92dcd06",
    ("posts", "prelabel"): "65e0232dce94a2a4bce4dc74869c7c043228bd74275f1f0b7a3b7efeb6afa65b",
    ("film", "ingest"): "9f504db88ad9bdab4f91cf2d28bbfa08204e901be2250417e2574f9dfff94047",
    ("film", "preprocess"): "e1f20ccd97583b8610a295fe1afb4127a3ec1f3f9cb4a38c5482e2cfbc49ff68",
    ("sound", "ingest"): "79c8a73c9a2614857a2e9cb0998f2ca5222098416f8acda74a7057aa615c1b18",
    ("sound", "preprocess"): "7776fa7a935afbf6c0dede90707311b78309cf936f86f6fcfe32be11ad8cfaa9",
    ("pictures", "ingest"): "67ddcc9e8761e9255d40338234900fdcefffef8bdc083dcac3964a07f0373567",
    ("pictures", "preprocess"): "2094b0ca41ee0aa6b326ca8c0b0b325554542448843d09920b5ee6af298a9a32",
}
"""Hashes of what the stages make of each kind of input, without what is null."""
UNSTABLE = {
    # Follow the label schema, which has a version of its own.
    "prelabels": {"schema_sha256", "prelabel_id"},
    # Decoders and models may differ in the last digits from machine to machine.
    "sources": {"picture_hash", "sound_hash"},
}
STABLE = {
    "items": {"item_id", "source_id", "unit", "layout", "start_s", "end_s", "text", "text_source", "speaker",
              "speaker_source", "turn", "dialogue", "language", "group", "channel", "face_outcome", "width_px",
              "height_px", "word_time_source"},
    "faces": {"source_id", "start_s", "end_s", "detector"},
    "shots": {"shot_id", "source_id", "start_s", "end_s"},
}  # fmt: skip
"""The columns of media that are the same on every machine, times rounded to 10 ms."""


def make_film(folder: Path) -> Path:
    for path in (sample(), sample().with_suffix(".srt")):
        shutil.copy(path, folder)
    return make_recipe(folder, {"stage": "ingest", "files": "*.mp4"}, {"stage": "preprocess"})


def make_sound(folder: Path) -> Path:
    """Eight tenths of a second of a square wave, from whole numbers alone."""
    samples = np.where(np.arange(RATE_HZ * 8 // 10) // 20 % 2, 8_000, -8_000).astype("<i2")
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    stages = ({"stage": "ingest", "files": "*.wav"}, {"stage": "preprocess", "unit": "window"})
    return make_recipe(folder, *stages, labels="window_emotion.v1")


def make_pictures(folder: Path) -> Path:
    """Two pictures without a compressor: a chequered one and one that is cut off."""
    board = np.indices((48, 64)).sum(axis=0) // 8 % 2 * 200
    Image.fromarray(np.dstack([board] * 3).astype(np.uint8)).save(folder / "board.bmp")
    (folder / "broken.bmp").write_bytes((folder / "board.bmp").read_bytes()[:40])
    stages = ({"stage": "ingest", "files": "*.bmp"}, {"stage": "preprocess"})
    return make_recipe(folder, *stages, labels="image_emotion.v1")


CASES = {
    "posts": lambda folder: make_posts(folder, 6),
    "film": make_film,
    "sound": make_sound,
    "pictures": make_pictures,
}


def stable(table: str, row: dict) -> dict:
    names = STABLE.get(table, row.keys()) - UNSTABLE.get(table, set())
    return rounded({name: row[name] for name in sorted(names) if row.get(name) is not None})


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(member) for member in value]
    return round(value, 2) if isinstance(value, float) else value


@pytest.mark.parametrize("case", CASES)
def test_rows_change_only_with_the_version(tmp_path, case):
    """When this fails because a stage now makes other rows: raise its ``version``, then take over the new hash."""
    folder = tmp_path / "in"
    folder.mkdir()
    made, versions = {}, {}
    for step in walk_stages(CASES[case](folder), tmp_path / "blobs"):
        name = step.stage.stage
        rows = {table: [stable(table, row) for row in step.outcome.dicts(table)] for table in step.outcome.rows}
        reasons = [(rejection.subject, rejection.reason) for rejection in step.outcome.rejections]
        made[case, name] = digest([rows, reasons])
        versions[name] = step.stage.version
    assert made == {key: value for key, value in GOLDEN.items() if key[0] == case}
    assert versions.items() <= VERSIONS.items()


def test_settings_count_and_workers_do_not(tmp_path):
    recipe = make_posts(tmp_path, 2)
    identities = set()
    for override in ((), ("stages.preprocess.max_pause_s=0.5",), ("stages.preprocess.faces.every=7",)):
        loaded = load_recipe(recipe, override)
        tools = Tools(Blobs(tmp_path / "b"), loaded.labels, loaded.folder, 0, "x")
        identities.add(loaded.recipe.stages[1].identity(tools))
    assert len(identities) == 3


def test_reasons_are_a_closed_list():
    """Every reason that the code spells out, as a keyword of an error or in a rejection."""
    used = set(RETRIED)
    for path in (Path(__file__).parents[2] / "curate").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", "")
            values = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
            values += call.args[2:3] if name == "Rejection" else []
            if name in ("InvalidRow", "Rejection"):
                used |= {value.value for value in values if isinstance(value, ast.Constant)}
    assert len(used) > 10
    assert used <= set(REASONS)
