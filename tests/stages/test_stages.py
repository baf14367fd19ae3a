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

VERSIONS = {"ingest": 4, "preprocess": 4, "prelabel": 6}
GOLDEN = {
    ("posts", "ingest"): "343780ae091225c88e99ef4c39cce36938a2a957d733e172f9ecb2c6b185c2b8",
    ("posts", "preprocess"): "d38764b0c4ef4b2b6cb834c25db0ba3581250d9a55fb59fb597544f9af2585bd",
    ("posts", "prelabel"): "f7a3525962774db3fc3558918d23f2d1e4898cb678752d8785c46afad330dc2d",
    ("film", "ingest"): "ed4c2abec58da7dbe182499eefc1f014a93e33935c7bad0d7290fb1c4f588d46",
    ("film", "preprocess"): "e7cae587a5462bc8ad382447d0370cd1be9c991bdeb7b8f3703298d75d3fe81f",
    ("sound", "ingest"): "7c160c5b99fc013701aff758b5b25bfedc0e2c0159b04725ed543e1bdc4486d5",
    ("sound", "preprocess"): "9af48a76ba397b6d815812801ff9d3919dfba314084736324647109d9ade5910",
    ("pictures", "ingest"): "283e512061ec54e63d851f1e89b013ec2c5d7a26e061119cb7ba74020a59ff7f",
    ("pictures", "preprocess"): "2094b0ca41ee0aa6b326ca8c0b0b325554542448843d09920b5ee6af298a9a32",
}
"""Hashes of what the stages make of each kind of input."""
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
