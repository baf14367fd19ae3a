"""Much that was answered before: workers make the rows of stored replies, and only the rest is asked."""

import shutil
from importlib import import_module
from typing import Any

import pytest

from curate.errors import Interrupted
from curate.executors.local import LocalExecutor
from curate.pipeline import run
from curate.stages.prelabel import stage as prelabel
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import refusal, says
from tests.support.posts import MINI, Posts, count_chat_requests, post_texts

LARGE = {"model": "openai/gpt-5", "name": "large"}
COUNT = 12


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch, corpus: Posts) -> None:
    monkeypatch.setattr(prelabel, "_MIN_REPLAY_ITEMS", 2)
    corpus.write(post_texts(COUNT))


@pytest.fixture
def recalled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each batch of this process recalled, the sample before it included."""
    found: list[int] = []
    own = prelabel.Prelabel.replay

    def replay(self, batch, tools):
        made = own(self, batch, tools)
        found.append(len(made.indices))
        return made

    monkeypatch.setattr(prelabel.Prelabel, "replay", replay)
    return found


def forget(corpus: Posts) -> dict[str, dict[str, Any]]:
    """The rows by id, whose table is then gone."""
    rows = {row["prelabel_id"]: row for row in corpus.rows()}
    shutil.rmtree(corpus.workspace.local / "tables" / "prelabels")
    return rows


def spending(done) -> dict[str, tuple[int, int, dict[str, int]]]:
    account = next(result.account for result in done.stages if result.stage == "prelabel")
    return {name: (one.requests, one.from_cache, dict(one.outcomes)) for name, one in account.items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"labellers": [LARGE]},
        {"labellers": [{**MINI, "scores": False, "structured": "none"}], "context": {"before": 0, "after": 0}},
        {"labellers": [{**MINI, "samples": 3, "temperature": 1.0}, LARGE, {"model": "lexicon"}], "combine": "union"},
        {"labellers": [MINI], "review": {"model": "openai/gpt-5", "name": "reviewer"}},
        {"labellers": [MINI, {"model": "replay", "name": "earlier"}]},
    ],
    ids=["one", "without-scores", "several", "reviewed", "replayed"],
)
def test_rows_of_stored_replies_are_the_same(corpus: Posts, double: ChatDouble, recalled, settings) -> None:
    double.on("(post 3)", refusal())
    double.on("(post 5)", says("no JSON"), says('{"still": "none"}'))
    double.on("(post 7)", says("no JSON"))
    corpus.run(labellers=[MINI])
    first = corpus.run(**settings)
    rows, before = forget(corpus), count_chat_requests(double)
    recalled.clear()
    again = corpus.run(**settings)
    assert recalled == [COUNT, COUNT]
    assert count_chat_requests(double) == before
    assert {row["prelabel_id"]: row for row in corpus.rows()} == rows
    outcomes = {name: counts for name, (_, _, counts) in spending(first).items()}
    assert {name: counts for name, (_, _, counts) in spending(again).items()} == outcomes
    assert {name: requests + cached for name, (requests, cached, _) in spending(first).items()} == {
        name: cached for name, (_, cached, _) in spending(again).items()
    }


def test_workers_recall_without_a_key(corpus: Posts, double: ChatDouble, monkeypatch) -> None:
    corpus.run(labellers=[MINI])
    rows = forget(corpus)
    monkeypatch.delenv("OPENAI_API_KEY")
    done = corpus.run(labellers=[MINI], workers=2)
    assert {row["prelabel_id"]: row for row in corpus.rows()} == rows
    assert spending(done) == {"openai/gpt-5-mini": (0, COUNT, {"ok": COUNT})}


def test_only_what_is_not_known_is_asked(corpus: Posts, double: ChatDouble, recalled) -> None:
    corpus.run(labellers=[MINI])
    rows = forget(corpus)
    texts = post_texts(COUNT)
    corpus.write([*texts[:4], "Quite new.", *texts[5:], "Newer still."])
    done = corpus.run(labellers=[MINI])
    assert recalled == [COUNT - 1, COUNT - 1]
    assert count_chat_requests(double) == COUNT + 2
    assert spending(done) == {"openai/gpt-5-mini": (2, COUNT - 1, {"ok": COUNT + 1})}
    now = {row["prelabel_id"]: row for row in corpus.rows()}
    assert len(now) == COUNT + 1
    assert len(now.keys() & rows.keys()) == COUNT - 1
    assert sum(now.get(name) == row for name, row in rows.items()) == COUNT - 1


def test_nothing_counts_twice_where_a_review_is_new(corpus: Posts, double: ChatDouble, monkeypatch, recalled) -> None:
    corpus.run(labellers=[MINI])
    monkeypatch.setattr(prelabel.Prelabel, "should_replay", lambda self, todo, tools: True)
    done = corpus.run(labellers=[MINI], review={"model": "openai/gpt-5", "name": "reviewer"})
    assert recalled == [0]
    assert spending(done) == {
        "openai/gpt-5-mini": (0, COUNT, {"ok": COUNT}),
        "reviewer": (COUNT, 0, {"ok": COUNT}),
    }


def test_little_that_is_known_is_left_to_the_stream(corpus: Posts, double: ChatDouble, recalled) -> None:
    corpus.run(labellers=[MINI])
    corpus.write([*(f"Another text, number {at}." for at in range(COUNT))])
    corpus.run(labellers=[MINI])
    assert recalled == [0]
    assert count_chat_requests(double) == 2 * COUNT


def test_stopped_on_the_way_it_goes_on(corpus: Posts, double: ChatDouble, monkeypatch) -> None:
    corpus.run(labellers=[MINI])
    rows = forget(corpus)
    monkeypatch.setattr(import_module("curate.pipeline.drive"), "REPLAY_ROWS", 4)
    corpus.listener.accounts.clear()
    executor = LocalExecutor(1)
    with pytest.raises(Interrupted):
        run(
            corpus.loaded,
            corpus.workspace,
            executor=executor,
            listener=corpus.listener,
            stop=lambda: bool(corpus.listener.accounts),
        )
    assert 0 < len(corpus.rows()) < COUNT
    corpus.run(labellers=[MINI])
    assert {row["prelabel_id"]: row for row in corpus.rows()} == rows
    assert count_chat_requests(double) == COUNT
