"""Items that repeat those of other sources are left out, and come back when what they repeat is gone."""

from pathlib import Path

import numpy as np
import pytest

from curate.media.duplicates import first_duplicates
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import RATE_HZ, make_speech, make_talk, write_media
from tests.support.runs import run_quietly


def make_compilations(folder: Path) -> Path:
    """Two files that have one of their utterances in common, and a recipe that wants each only once."""
    recipe = make_recipe(
        folder,
        {"stage": "ingest", "files": "*.wav"},
        {"stage": "preprocess", "filters": {"drop_near_duplicates": True}},
        {"stage": "prelabel", "model": "offline"},
    )
    talk, spans = make_talk(gaps_s=[0.8] * 4)
    pieces = [talk[round(span.start_s * RATE_HZ) : round(span.end_s * RATE_HZ)] for span in spans]
    pause = np.zeros(RATE_HZ, np.int16)
    write_media(folder / "a.wav", sound=np.concatenate([pause, pieces[0], pause, pieces[2], pause]))
    quiet = (pieces[2] * 0.5).astype(np.int16)
    write_media(folder / "b.wav", sound=np.concatenate([pause, pieces[1], pause, quiet, pause, pieces[3], pause]))
    return recipe


def rows(recipe: Path, workspace: Path, table: str, **how) -> list[dict]:
    return open_corpus(load_recipe(recipe), Workspace(workspace)).read(table, **how).to_pylist()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_two_files_have_in_common_is_used_once(tmp_path, workers):
    recipe = make_compilations(tmp_path / "in")
    run_quietly(recipe, tmp_path / "w", workers=workers)
    files = {row["source_id"]: row["file"] for row in rows(recipe, tmp_path / "w", "sources")}
    items = rows(recipe, tmp_path / "w", "items")
    assert sorted(files[item["source_id"]] for item in items) == ["a.wav", "a.wav", "b.wav", "b.wav"]
    (rejected,) = rows(recipe, tmp_path / "w", "rejections")
    (hidden,) = [item for item in rows(recipe, tmp_path / "w", "items", with_repeats=True) if item["repeats"]]
    assert (rejected["subject"], rejected["reason"]) == (hidden["item_id"], "near_duplicate")
    assert files[rejected["parent_id"]] == "b.wav"
    assert rejected["detail"].endswith("of a.wav")
    assert hidden["repeats"] in {item["item_id"] for item in items}
    labelled = {row["item_id"] for row in rows(recipe, tmp_path / "w", "prelabels")}
    assert labelled == {item["item_id"] for item in items}
    assert not run_quietly(recipe, tmp_path / "w").changed


def test_an_item_comes_back_when_what_it_repeats_is_gone(tmp_path):
    recipe = make_compilations(tmp_path / "in")
    run_quietly(recipe, tmp_path / "w")
    (tmp_path / "in" / "a.wav").unlink()
    run_quietly(recipe, tmp_path / "w")
    assert len(rows(recipe, tmp_path / "w", "items")) == 3
    assert not rows(recipe, tmp_path / "w", "rejections")
    assert len(rows(recipe, tmp_path / "w", "prelabels")) == 3


def test_an_earlier_file_that_comes_later_takes_over(tmp_path):
    recipe = make_compilations(tmp_path / "in")
    (tmp_path / "in" / "a.wav").rename(tmp_path / "later.wav")
    run_quietly(recipe, tmp_path / "grown")
    (tmp_path / "later.wav").rename(tmp_path / "in" / "a.wav")
    run_quietly(recipe, tmp_path / "grown")
    run_quietly(recipe, tmp_path / "new")
    for table in ("items", "rejections"):
        assert rows(recipe, tmp_path / "grown", table) == rows(recipe, tmp_path / "new", table)


def test_a_run_killed_between_the_two_tables_ends_the_same(tmp_path, monkeypatch):
    recipe = make_compilations(tmp_path / "in")

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("curate.corpus.view.Corpus.update_column", die)
        with pytest.raises(KeyboardInterrupt):
            run_quietly(recipe, tmp_path / "w")
    run_quietly(recipe, tmp_path / "w")
    run_quietly(recipe, tmp_path / "new")
    for table in ("items", "rejections"):
        assert rows(recipe, tmp_path / "w", table) == rows(recipe, tmp_path / "new", table)


@pytest.mark.parametrize("repeats", [True, False])
def test_nothing_is_compared_while_nothing_changes(tmp_path, monkeypatch, repeats):
    recipe = make_compilations(tmp_path / "in")
    if not repeats:
        (tmp_path / "in" / "b.wav").unlink()
    assert run_quietly(recipe, tmp_path / "w", until="preprocess").changed
    compared = []

    def compare(*hashes):
        compared.append(hashes)
        return first_duplicates(*hashes)

    monkeypatch.setattr("curate.stages.preprocess.across_sources.first_duplicates", compare)
    assert not run_quietly(recipe, tmp_path / "w", until="preprocess").changed
    (sources,) = compared
    assert len(sources[0]) == 1 + repeats, "only whole sources, whose number is small"
    compared.clear()
    write_media(tmp_path / "in" / "c.wav", sound=make_speech("night_noise"))
    assert run_quietly(recipe, tmp_path / "w", until="preprocess").changed
    assert len(compared) == 2
