"""Contact sheets."""

import re

import pytest
from PIL import Image

from curate.pipeline.preview import write_previews
from curate.recipe import load_recipe
from curate.report.page import MediaBudget
from curate.report.preview import Preview, render_preview
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import sample
from tests.support.runs import run_quietly

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def make_preview(blobs, *, text=HOSTILE, seconds=40.0, faces=2):
    file = blobs.root.parent / "crop.jpg"
    Image.new("RGB", (256, 256), (200, 120, 90)).save(file)
    crop = blobs.put(file.read_bytes(), "jpg")
    source = {"file": text, "title": text, "kind": "video", "duration_s": seconds, "width_px": 1280, "height_px": 720}
    words = [{"word": text, "start_s": 1.0, "end_s": 1.4}]
    items = [
        {"item_id": str(at), "start_s": 9.0 * at, "end_s": 9.0 * at + 5, "text": text, "speaker": text, "words": words,
         "face": crop, "face_id": "f0", "face_outcome": "speaker face", "face_score": 0.8}
        for at in range(4)
    ]  # fmt: skip
    tracks = [
        {"face_id": f"f{at}", "start_s": 5.0 * at, "end_s": 30.0, "scores": [0.9, 0.7], "size_px": 120.0,
         "visible_share": 1.0, "sharpness": 80.0, "crop": crop, "yaw_deg": -4.0, "pitch_deg": 2.0, "roll_deg": 0.0}
        for at in range(faces)
    ]  # fmt: skip
    shots = [{"start_s": 0.0, "end_s": 12.0}, {"start_s": 12.0, "end_s": seconds}]
    rejections = [{"reason": "no_face", "detail": text}]
    return Preview(source, items, tracks, shots, rejections, [0.1, 0.9] * int(seconds * 10), 0.05)


def test_a_sheet_shows_shots_sound_words_and_faces(blobs):
    page = render_preview(make_preview(blobs, text="Good news"), blobs)
    assert page.count("<svg") == 2
    assert page.count('class="shot"') == 3
    assert page.count("data:image/jpeg;base64,") == 6
    assert page.count('class="wave"') == 2
    assert "Good news" in page
    assert "speaker face (0.80)" in page
    assert "0.80 over 2 looks" in page


def test_hostile_text_stays_text(blobs):
    page = render_preview(make_preview(blobs), blobs)
    assert not re.findall(r"<script|<img (?!alt)|onerror=(?!alert\(2\)&gt;)", page)
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("seconds", [0.05, 36_000.0])
def test_very_short_and_very_long_sources(blobs, seconds):
    page = render_preview(make_preview(blobs, seconds=seconds, faces=0)._replace(items=[], shots=[]), blobs)
    assert 1 <= page.count("<svg") <= 60


def test_a_lost_crop_leaves_a_blank(blobs):
    preview = make_preview(blobs)
    for path in blobs.root.rglob("*.jpg"):
        path.unlink()
    assert "data:image" not in render_preview(preview, blobs)


def test_the_command(tmp_path, run_curate):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "good [1] news.mp4").write_bytes(sample().read_bytes())
    recipe = make_recipe(
        tmp_path, {"stage": "ingest", "files": "raw/*.mp4", "licence": "CC0-1.0"}, {"stage": "preprocess"}
    )
    assert run_curate("run", recipe, "-w", "w").returncode == 0
    done = run_curate("preview", "-w", "w", "--out", "sheets", "--source", "*news*")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.endswith("index.html lists 1 preview:")
    written = tmp_path / second.strip()
    page = written.read_text()
    assert f'href="{written.name}"' in (tmp_path / "sheets" / "index.html").read_text()
    assert 'href="index.html"' in page
    assert page.count("<audio controls") == 2, "one item is silent"
    assert page.count('class="panel item"') == 3
    assert 'class="wave"' in page
    none = run_curate("preview", "-w", "w", "--source", "nothing*")
    assert none.returncode == 1
    assert "no source matches" in none.stderr
    assert "Traceback" not in none.stderr
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    assert "cannot write the preview" in run_curate("preview", "-w", "w", "--out", blocked).stderr


def test_the_sound_of_items_is_there_until_the_page_is_full(blobs, monkeypatch):
    audio = blobs.put(b"fLaC" + b"x" * 1000, "flac")
    preview = make_preview(blobs, text="words")
    items = [{**row, "audio": audio} for row in preview.items]
    monkeypatch.setattr("curate.report.preview.MediaBudget", lambda: MediaBudget(2100))
    page = render_preview(preview._replace(items=items), blobs)
    assert page.count('<audio controls preload="none" src="data:audio/flac;base64,') == 2
    assert "The sound of 2 items is left out" in page
    assert "media-src data:" in page


def test_posts_have_a_page_with_their_labels(tmp_path, posts_recipe):
    run_quietly(posts_recipe, tmp_path / "w")
    index, *pages = write_previews(load_recipe(posts_recipe), Workspace(tmp_path / "w"), tmp_path / "out")
    assert index.name == "index.html"
    (page,) = [path.read_text() for path in pages]
    assert page.count('class="panel item plain"') == 6
    assert page.count('class="by model"') == 6
    assert "<dt>emotion</dt>" in page
    assert "<audio" not in page
    assert "6 items · 6 labelled" in index.read_text()
