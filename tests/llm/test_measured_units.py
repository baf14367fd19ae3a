"""Action units that a tool measured reach the prompt that reasons from them, with the right figures."""

import re
import shutil
from typing import Any

import numpy as np
import pytest

from curate.corpus.spec import open_table
from curate.labels import load_labels
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.media_builders import sample
from tests.support.runs import run_quietly
from tests.support.signals import write_openface

MINI = {"model": "openai/gpt-5-mini", "prompt": "action_units_to_emotion.v2"}
TIMES = np.arange(185) / 25


@pytest.fixture
def double(monkeypatch):
    with ChatDouble(key=KEY) as double:
        monkeypatch.setenv("OPENAI_BASE_URL", double.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield double


def ask(folder, double: ChatDouble, **settings: Any) -> list[str]:
    """Run the recipe, and return the user's message of each request."""
    before = len(double.calls)
    recipe = make_recipe(
        folder,
        {"stage": "ingest", "files": "*.mp4", "signals": [{"name": "openface", "files": "of/*.csv"}]},
        {"stage": "preprocess"},
        {"stage": "prelabel", "labellers": [MINI], "show": [], **settings},
    )
    run_quietly(recipe, folder / "ws")
    bodies = [call.body for call in double.calls[before:] if call.path == "/v1/chat/completions"]
    contents = [body["messages"][-1]["content"] for body in bodies]
    return [text if isinstance(text, str) else "\n".join(part["text"] for part in text) for text in contents]


def test_requests_hold_what_was_measured_within_each_item(tmp_path, double):
    shutil.copy(sample(), tmp_path / "film.mp4")
    write_openface(tmp_path / "of/film.csv", times_s=TIMES, shift=1, failed=range(10, 20))
    texts = ask(tmp_path, double)
    items = open_table(Workspace(tmp_path / "ws"), "items", load_labels("utterance_emotion.v1")).read().to_pylist()
    assert len(texts) == len(items) == 2
    for item in items:
        inside = (item["start_s"] <= TIMES) & (item["end_s"] > TIMES)
        index = np.flatnonzero(inside & ~np.isin(np.arange(len(TIMES)), range(10, 20)))
        # AU1 is 1, and .01 more each frame, so that its last frame is its highest; AU12 is there in every second one.
        peak, mean = 1 + index[-1] / 100, (1 + index / 100).mean()
        au1 = f"highest {peak:.1f} of 5 ({'B' if peak < 2.5 else 'C'}) at {TIMES[index[-1]] - item['start_s']:.2f} s"
        first_odd = index[index % 2 == 1][0]
        share = (index % 2 == 1).mean()
        lines = [
            f"Measured by OpenFace at 25 Hz: {len(index)} of {inside.sum()} frames; times in seconds from the start of",
            f"- AU1 (inner brow raiser): present in 100% of the measured frames; {au1}, mean ",
            f"- AU12 (lip corner puller): present in {share:.0%} of the measured frames; highest 3.2 of 5 (C) at "
            f"{TIMES[first_odd] - item['start_s']:.2f} s",
        ]
        (text,) = [text for text in texts if all(line in text for line in lines)]
        fenced = re.search(r"<action_units-([0-9a-f]{10})>\n(.*)\n</action_units-\1>", text, re.DOTALL)
        assert fenced, text
        assert all(line in fenced[2] for line in lines)
        means = [float(figure) for figure in re.findall(r"mean (\d\.\d\d)", fenced[2])]
        assert means[0] == pytest.approx(mean, abs=0.0051)
    # Nothing is asked again until the signal is another one.
    assert ask(tmp_path, double) == []
    write_openface(tmp_path / "of/film.csv", times_s=TIMES, shift=2)
    again = ask(tmp_path, double)
    assert len(again) == 2
    assert not set(again) & set(texts)


def test_an_item_that_nothing_was_measured_of_is_not_asked_about(tmp_path, double):
    shutil.copy(sample(), tmp_path / "film.mp4")
    write_openface(tmp_path / "of/film.csv", times_s=TIMES, failed=range(len(TIMES)))
    assert ask(tmp_path, double) == []
    rows = open_table(Workspace(tmp_path / "ws"), "prelabels", load_labels("utterance_emotion.v1")).read().to_pylist()
    assert {(row["outcome"], row["detail"]) for row in rows} == {
        ("abstained", "the item has no image or faces or action_units, which the prompt needs")
    }
