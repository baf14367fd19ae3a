"""Speech is rated as people would; filters may ask for a rating."""

import numpy as np
import pytest

from curate.errors import MissingDependency
from curate.media.speech import dnsmos
from curate.media.speech.dnsmos import rate_speech
from curate.recipe import load_recipe
from curate.stages.contract import Tools
from curate.stages.preprocess.stage import Preprocess
from tests.support.builders import make_recipe
from tests.support.media_builders import RATE_HZ, make_speech, sample
from tests.support.preprocessing import preprocess


def test_noise_is_heard():
    speech = make_speech()
    noise = np.random.default_rng(0).normal(size=len(speech)) * speech.std()
    clean = rate_speech(speech)
    noisy = rate_speech(np.clip(speech + noise, -32768, 32767).astype(np.int16))
    assert all(1 <= value <= 5 for value in (*clean, *noisy))
    assert clean.dnsmos_ovr > noisy.dnsmos_ovr + 0.5
    assert clean.dnsmos_bak > noisy.dnsmos_bak + 1


def test_any_length_is_rated_as_the_whole_is():
    speech = make_speech()
    assert rate_speech(speech[:100]) == (None, None, None)
    assert rate_speech(speech[:0]) == (None, None, None)
    assert np.allclose(rate_speech(np.tile(speech, 2)), rate_speech(speech), atol=0.3)
    assert rate_speech(np.zeros(RATE_HZ, np.int16)).dnsmos_sig is not None


def test_items_carry_ratings_where_asked(tmp_path):
    plain = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path)
    assert not any("dnsmos_ovr" in item for item in plain.items)
    rated = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, quality={"dnsmos": True})
    assert all(1 <= item[f"dnsmos_{name}"] <= 5 for item in rated.items for name in ("sig", "bak", "ovr"))
    strict = {"min_dnsmos_ovr": 4.9}
    none = preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, quality={"dnsmos": True}, filters=strict)
    assert not none.items
    assert "low_mos" in none.reasons


def test_a_filter_without_what_it_needs_is_told_before_anything_runs(tmp_path):
    assert [place for place, _ in Preprocess(filters={"min_dnsmos_bak": 2}).problems(tmp_path)] == [
        ("filters", "min_dnsmos_bak")
    ]
    assert not list(Preprocess(filters={"min_dnsmos_bak": 2}, quality={"dnsmos": True}).problems(tmp_path))


def test_the_network_is_part_of_the_identity(tmp_path):
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*"}, {"stage": "preprocess"})
    loaded = load_recipe(recipe)
    tools = Tools(None, loaded.labels, tmp_path)
    with_it, without = (set(Preprocess(quality={"dnsmos": on}).assets(tools)) for on in (True, False))
    assert with_it - without == {dnsmos.DNSMOS.sha256}


def test_without_the_package_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(dnsmos, "DNSMOS", dnsmos.DNSMOS._replace(package="no_such_package"))
    dnsmos.open_dnsmos.cache_clear()
    with pytest.raises(MissingDependency, match="not installed") as caught:
        preprocess(sample().parent, "good_news.mp4", blobs=tmp_path, quality={"dnsmos": True})
    assert caught.value.hint == "install it: pip install 'curate[dnsmos]'"
