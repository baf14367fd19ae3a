"""`curate check` opens the first raw files, and says what none of them can give before anything runs."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from curate.assets import shipped_folder
from curate.errors import InvalidInput
from curate.pipeline.first_files import check_first_files
from curate.recipe import load_recipe
from tests.support.builders import make_recipe
from tests.support.media_builders import make_tone, write_media


def check(folder: Path, *files: str, labels: str = "utterance_emotion.v1", **preprocess) -> list[str]:
    """The notices of a check, without the place in front of each."""
    recipe = make_recipe(
        folder, {"stage": "ingest", "files": list(files)}, {"stage": "preprocess", **preprocess}, labels=labels
    )
    return [notice.partition(": ")[2] for notice in check_first_files(load_recipe(recipe))]


def refusal(folder: Path, *files: str, **settings) -> str:
    with pytest.raises(InvalidInput) as caught:
        check(folder, *files, **settings)
    (problem,) = caught.value.problems
    place, _, sentence = problem.partition(": ")
    assert place.endswith("sample.yaml:4")
    return sentence


def test_a_table_of_posts_without_a_column_for_the_text(tmp_path):
    (tmp_path / "posts.csv").write_text("Text,label\nWell done.,joy\n")
    assert refusal(tmp_path, "posts.csv") == (
        "posts.csv gives no item: the file has columns Text, label; a column `text` is needed: rename it, or add a "
        "first line, or map it with `tables: [{table: posts.csv, item: {text: Text}}]`"
    )


def test_files_that_the_label_schema_does_not_judge(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_tone(1.0))
    write_media(tmp_path / "b.wav", sound=make_tone(1.0))
    sentence = "none of the first 2 files gives an item, such as a.wav: the label schema asks for image, which audio"
    assert refusal(tmp_path, "*.wav", labels="image_emotion.v1").startswith(sentence)
    assert check(tmp_path, "*.wav") == []
    Image.new("RGB", (40, 40)).save(tmp_path / "c.png")
    assert check(tmp_path, "*.png", labels="image_emotion.v1") == []
    assert check(tmp_path, "*.wav", "*.png") == [
        "c.png gives no item: the label schema asks for utterance and post, which image cannot give"
    ]


def test_pairs_need_a_second_text(tmp_path):
    (tmp_path / "posts.jsonl").write_text(json.dumps({"text": "One."}) + "\n")
    sentence = refusal(tmp_path, "posts.jsonl", labels="text_preference.v1")
    assert (
        sentence
        == "posts.jsonl#1 gives no item: the label schema asks for pair, which text cannot give: it has no text_b"
    )
    (tmp_path / "posts.jsonl").write_text(json.dumps({"text": "One.", "text_b": "Two."}) + "\n")
    assert check(tmp_path, "posts.jsonl", labels="text_preference.v1") == []


def test_what_is_no_media_is_named_and_the_rest_is_good(tmp_path):
    shutil.copy(shipped_folder("recipes") / "quickstart" / "good_news.mp4", tmp_path)
    for index in range(5):
        (tmp_path / f"notes{index}.pdf").write_bytes(b"%PDF-1.4 no media")
    (tmp_path / "posts.jsonl").write_text('{"text": "One."}\n{"texts": "Two."}\n{"text": "Three."}\n')
    (tmp_path / "empty.wav").touch()
    notices = check(tmp_path, "*.mp4", "*.pdf", "*.jsonl", "*.wav")
    assert len(notices) == 3
    assert "3 of the first 3 files give no item" not in notices
    assert any(notice.startswith("none of the first 3 files gives an item, such as notes0.pdf: ") for notice in notices)
    assert "1 of the first 3 posts gives no item, such as posts.jsonl#2: has no text" in notices
    assert any(notice.startswith("empty.wav gives no item: ") for notice in notices)


def test_broken_names_and_texts_end_in_a_sentence(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.jsonl").write_text("[" * 100_000)
    assert refusal(tmp_path, "a.txt")
    assert "is not JSON" in refusal(tmp_path, "b.jsonl")
