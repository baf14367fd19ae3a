"""Examples chosen by embeddings: which they are, what they cost, and what happens without a vector."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from curate.corpus.spec import open_table
from curate.errors import Interrupted, ServiceRefused, ServiceUnavailable
from curate.executors.local import LocalExecutor
from curate.llm.settings import EngineSettings
from curate.pipeline import plan, run
from curate.recipe import load_recipe
from tests.support.asking import KEY, rows
from tests.support.builders import TEXTS, make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import expired_key
from tests.support.chat_rules import Refused
from tests.support.posts import MINI, Posts, post_texts
from tests.support.runs import Quiet

BY = "openai/text-embedding-3-small"
EXAMPLES = {"count": 1, "by": BY}


@pytest.fixture
def double(double):
    double.vector = by_language
    return double


@pytest.fixture
def corpus(corpus) -> Posts:
    """Posts, two of which people have labelled, with two new ones."""
    posts = corpus
    posts.run(model="offline")
    acts = [
        {
            "annotation_id": f"a{index}",
            "judgement_id": f"j{index}",
            "item_id": next(row["item_id"] for row in posts.rows("items") if row["text"].startswith(TEXTS[index])),
            "annotator": "anna",
            "action": "created",
            "acted_at": datetime.now(UTC),
            "emotion": [emotion],
            "valence": 0.25,
        }
        for index, emotion in ((0, "surprise"), (1, "fear"))
    ]
    open_table(posts.workspace, "annotations", posts.loaded.labels).commit(acts, metadata={})
    posts.run(model="offline")
    posts.write([*post_texts(6), "Ach, wie ekelhaft!", "Wie schön!"])
    return posts


def by_language(text: str) -> list[float]:
    """An embedding that knows what words mean: disgust in one direction, joy in another."""
    axes = (("disgusting", "ekelhaft"), ("happy", "schön"))
    return [float(any(word in text for word in words)) for words in axes] + [0.1]


def embedded(double: ChatDouble) -> list[str]:
    return [text for call in double.calls if call.path == "/v1/embeddings" for text in call.body["input"]]


def requests_about(double: ChatDouble, text: str) -> list[str]:
    """Return the messages of each request about a text, as JSON."""
    requests = [json.dumps(call.body["messages"], ensure_ascii=False) for call in double.calls if is_chat(call)]
    if double.batches:
        lines = [line for batch in double.batches.values() for line in batch["lines"]]
        requests += [json.dumps(line["body"]["messages"], ensure_ascii=False) for line in lines]
    return [request for request in requests if text in request]


def is_chat(call: Any) -> bool:
    return call.path == "/v1/chat/completions"


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_examples_are_those_nearest_in_meaning_and_each_text_is_embedded_once(corpus, double, mode, monkeypatch):
    quick = partial(EngineSettings, batch_idle_s=0.05, batch_poll_s=0.05)
    monkeypatch.setattr("curate.stages.prelabel.streaming.EngineSettings", quick)
    done = corpus.run(labellers=[MINI], examples=EXAMPLES, mode=mode)
    (disgust,), (joy,) = requests_about(double, "Ach, wie ekelhaft!"), requests_about(double, "Wie schön!")
    assert "take it away" in disgust
    assert "you came" not in disgust
    assert "you came" in joy
    texts = {row["text"] for row in corpus.rows("items")}
    assert sorted(embedded(double)) == sorted(texts)
    account = next(result.account for result in done.stages if result.stage == "prelabel")
    assert account[BY].requests <= 3
    assert account[BY].outcomes == {"ok": 8}
    assert account[BY].usd > 0
    assert len(double.batches) == (mode == "batch")
    # Once more from the start: nothing is embedded or asked.
    before = len(double.calls)
    corpus.run(labellers=[MINI], examples=EXAMPLES, max_text_chars=7_000)
    assert [call for call in double.calls[before:] if call.method == "POST"] == []
    corpus.run(labellers=[{"model": "replay"}], examples=EXAMPLES)
    assert [call for call in double.calls[before:] if call.method == "POST"] == []
    replayed = [row for row in corpus.rows() if row["labeller"] == "replay"]
    assert {row["outcome"] for row in replayed} <= {"ok", "abstained"}
    assert len(replayed) == 8


def test_an_item_that_cannot_be_embedded_has_no_examples_and_says_so(corpus, double):
    def picky(text: str) -> list[float]:
        if "ekelhaft" in text:
            raise Refused("this input cannot be embedded")
        return by_language(text)

    double.vector = picky
    done = corpus.run(labellers=[MINI, {"model": "lexicon"}], examples=EXAMPLES)
    by_text = {row["item_id"]: row["text"] for row in corpus.rows("items")}
    details = {by_text[row["item_id"]]: row["detail"] for row in corpus.rows() if row["labeller"] == MINI["model"]}
    assert details.pop("Ach, wie ekelhaft!") == ("no examples were shown: status 400: this input cannot be embedded")
    assert not [detail for detail in details.values() if "examples" in (detail or "")]
    (request,) = requests_about(double, "Ach, wie ekelhaft!")
    assert "take it away" not in request
    account = next(result.account for result in done.stages if result.stage == "prelabel")
    assert account[BY].outcomes == {"ok": 7, "invalid": 1}


def test_examples_that_cannot_be_embedded_are_left_out(corpus, double):
    def picky(text: str) -> list[float]:
        return [0.0] if "take it away" in text else by_language(text)

    double.vector = picky
    corpus.run(labellers=[MINI], examples=EXAMPLES)
    (request,) = requests_about(double, "Ach, wie ekelhaft!")
    assert "you came" in request


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_a_service_that_cannot_embed_ends_the_stage_before_any_request(corpus, double, mode):
    def run_it(**settings: Any) -> Callable[[], Any]:
        return lambda: corpus.run(labellers=[MINI], mode=mode, **{"examples": EXAMPLES, **settings})

    double.on_path("POST /v1/embeddings", expired_key())
    for fails, kind, sentence in (
        (run_it(), ServiceRefused, "refuses the key"),
        (run_it(examples={"by": "openai/no-such"}), ServiceRefused, "does not know the model"),
        (run_it(budget={"tokens": 3}), Interrupted, "the budget is spent"),
    ):
        with pytest.raises(kind, match=sentence):
            fails()
    double.vector = lambda text: [0.0] * 3
    with pytest.raises(ServiceUnavailable, match=r"none of the 2 examples could be embedded .*: .* vector of zeros"):
        run_it()()
    assert not [call for call in double.calls if is_chat(call) or call.path == "/v1/batches"]
    double.vector = by_language


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_requests_and_embeddings_share_one_budget(corpus, double, mode, monkeypatch):
    quick = partial(EngineSettings, batch_idle_s=0.05, batch_poll_s=0.05)
    monkeypatch.setattr("curate.stages.prelabel.streaming.EngineSettings", quick)
    labeller = {**MINI, "max_tokens": 1_500}
    for _ in range(2):
        with pytest.raises(Interrupted, match="the budget is spent"):
            corpus.run(labellers=[labeller], examples=EXAMPLES, mode=mode, in_flight=2, budget={"tokens": 4_500})
    entries = rows(corpus.workspace.local, "spend")
    assert {entry["labeller"] for entry in entries} == {BY, MINI["model"]}
    assert {entry["state"] for entry in entries} == {"settled"}
    assert 1_000 < sum(entry["tokens_in"] + entry["tokens_out"] for entry in entries) <= 4_500
    assert len(set(embedded(double))) == len(embedded(double))


def test_without_examples_nothing_is_embedded(tmp_path, double, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", double.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    corpus = Posts(tmp_path / "posts")
    corpus.run(labellers=[MINI], examples=EXAMPLES)
    assert embedded(double) == []
    assert {row["detail"] for row in corpus.rows()} == {None}


def test_a_plan_counts_the_texts_to_embed(corpus, double):
    stages = [
        {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", "labellers": [MINI], "examples": EXAMPLES},
    ]
    loaded = load_recipe(make_recipe(corpus.folder, *stages))
    executor = LocalExecutor(1)
    run(loaded, corpus.workspace, executor=executor, listener=Quiet(), until="preprocess")
    note = plan(loaded, corpus.workspace)[-1].note
    assert "; about 10 texts to embed, " in note
    assert note.endswith("0.00 USD")
    assert not double.calls
    run(loaded, corpus.workspace, executor=executor, listener=Quiet())
    executor.close()
    recipe = make_recipe(corpus.folder, *stages[:2], {**stages[2], "labellers": [{**MINI, "seed": 1}]})
    assert "10 texts to embed (10 embedded before), 0 tokens" in plan(load_recipe(recipe), corpus.workspace)[-1].note
