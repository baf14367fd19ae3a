"""The prelabel stage with models that are asked: rows, repeats, budgets, faults and what a user sees."""

import asyncio
import json
import re
import shutil
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from curate.cli.output import describe, describe_spending, show_missing
from curate.corpus.spec import table_spec
from curate.errors import Interrupted, InvalidInput, MissingDependency, ServiceRefused
from curate.executors.local import LocalExecutor
from curate.labels import load_labels
from curate.llm.dry_run import DryRun
from curate.llm.money.account import UsageTotals
from curate.llm.money.prices import shipped_prices
from curate.llm.replies import ReplyStore
from curate.pipeline import StagePlan, StageResult, add_accounts, plan, run
from curate.recipe import load_recipe
from curate.stages.contract import Tools
from curate.stages.prelabel.context import with_neighbours
from curate.stages.prelabel.proposer import Proposer
from curate.stages.prelabel.settings import ContextSettings
from curate.stages.prelabel.stage import Prelabel
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.builders import TEXTS, make_recipe
from tests.support.chat_double import BatchPlan, ChatDouble
from tests.support.chat_faults import length, refusal, says, status
from tests.support.posts import ONE, Posts, Quiet, asked


def test_every_answer_is_a_row_and_one_stands_for_the_item(corpus: Posts, double: ChatDouble) -> None:
    done = corpus.run(
        labellers=[
            {**ONE, "samples": 2, "temperature": 1.0},
            {"model": "openai/gpt-5", "name": "large"},
            {"model": "lexicon"},
        ],
        review={"model": "openai/gpt-5", "name": "reviewer"},
    )
    rows = corpus.rows()
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_item.setdefault(row["item_id"], []).append(row)
    assert len(by_item) == 6
    for own in by_item.values():
        names = sorted((row["labeller"], row["sample"]) for row in own if not row["labeller"].startswith("majority:"))
        assert names == [
            ("large", 0),
            ("lexicon", 0),
            ("openai/gpt-5-mini", 0),
            ("openai/gpt-5-mini", 1),
            ("reviewer", 0),
        ]
        assert sum(row["labeller"].startswith("majority:") for row in own) == 1
        assert [row["labeller"] for row in own if row["final"]] == ["reviewer"]
    answered = [row for row in rows if row["labeller"] == "large"]
    for row in answered:
        assert row["model"] == "gpt-5"
        assert row["model_answered"] == "gpt-5-2026-08-07"
        assert row["prompt"] == "utterance_emotion.v1"
        assert len(row["request_key"]) == 64
        assert row["request_id"].startswith("req_")
        assert row["tokens_in"] > 100
        assert row["usd"] > 0
        assert 0 <= row["confidence"] <= 1
        assert [extra["name"] for extra in row["extras"]] == ["reasons"]
        assert isinstance(row["answered_at"], datetime)
    account = next(result.account for result in done.stages if result.stage == "prelabel")
    assert {name: spent.requests for name, spent in account.items()} == {
        "openai/gpt-5-mini": 12,
        "large": 6,
        "reviewer": 6,
    }
    assert asked(double) == 24
    labels = {row["item_id"]: row["evidence"] for row in corpus.rows("labels")}
    finals = {row["item_id"]: [row["prelabel_id"]] for row in rows if row["final"]}
    assert labels == finals


def test_nothing_is_asked_twice(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[ONE])
    first = {row["prelabel_id"]: {**row, "work": None} for row in corpus.rows()}
    assert asked(double) == 6
    # How the work is done is no part of what is asked for.
    assert not corpus.run(labellers=[ONE], in_flight=3, tries=2, budget={"usd": 9}, workers=2).changed
    # Neither are the order of the rows, nor the other rows.
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in reversed(range(7))])
    corpus.run(labellers=[ONE])
    assert asked(double) == 12  # who writes is part of what is asked, and all writers but one have changed places
    shutil.rmtree(corpus.workspace.local / "tables" / "prelabels")
    corpus.run(labellers=[ONE])
    assert asked(double) == 12
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(6)])
    corpus.run(labellers=[ONE])
    assert asked(double) == 12
    again = {row["prelabel_id"]: {**row, "work": None} for row in corpus.rows()}
    assert {key: again[key] for key in first} == first


def test_a_budget_stops_the_stage_and_keeps_what_is_done(corpus: Posts, double: ChatDouble) -> None:
    def spent() -> int:
        return double.tokens["in"] + double.tokens["out"]

    corpus.run(labellers=[ONE], name="whole")
    needed = spent()
    corpus.folder.joinpath("ws").mkdir()
    with pytest.raises(Interrupted, match="budget"):
        corpus.run(labellers=[{**ONE, "max_tokens": 200}], budget={"tokens": needed}, in_flight=1)
    used = spent() - needed
    assert 0 < used <= needed
    done = len(corpus.rows())
    assert 0 < done < 6
    (report,) = (corpus.workspace.local / "runs").glob("*/report.html")
    assert "Asked and paid in this run" in report.read_text()
    assert "It ended before its end: the budget is spent" in report.read_text()
    assert "the budget is spent" in json.loads(report.with_name("run.json").read_text())["ended"]
    told = corpus.listener.finished[-1]
    assert describe(told) == f"{done} new: {done} rows, {6 - done} left"
    assert told.account["openai/gpt-5-mini"].outcomes["ok"] == done
    with pytest.raises(Interrupted, match="budget"):
        corpus.run(labellers=[{**ONE, "max_tokens": 200}], budget={"tokens": needed}, in_flight=1)
    assert spent() - needed == used
    corpus.run(labellers=[{**ONE, "max_tokens": 200}], budget={"tokens": 10 * needed})
    assert len(corpus.rows()) == 6


def test_what_failed_for_no_fault_of_the_item_is_tried_again(corpus: Posts, double: ChatDouble, capsys) -> None:
    double.on("(post 3)", status(500), status(500))
    double.on("(post 4)", refusal())
    double.on("(post 5)", says("no JSON"), says('{"still": "none"}'))
    show_missing(corpus.run(labellers=[ONE], tries=2).stages, workspace="w")
    assert capsys.readouterr().out == "note:    an answer is missing for 1 item (error); the next run asks again\n"
    outcomes = {row["outcome"] for row in corpus.rows()}
    assert outcomes == {"ok", "error", "refused", "invalid"}
    assert all(row["final"] and (row["outcome"] == "ok" or row["detail"]) for row in corpus.rows())
    before = asked(double)
    corpus.run(labellers=[ONE], tries=2)
    assert sorted(row["outcome"] for row in corpus.rows()) == ["invalid", "ok", "ok", "ok", "ok", "refused"]
    assert asked(double) == before + 1


def test_replies_that_nothing_can_store_or_tell_are_kept_as_rows(corpus: Posts, double: ChatDouble) -> None:
    double.on("(post 1)", refusal("no \ud800 more"))
    for depth in range(890, 990, 10):  # about as deep as can be read
        double.on("(post 2)", says('{"emotion": ' + '{"a":' * depth + "1" + "}" * depth + "}"))
    corpus.run(labellers=[ONE, *({**ONE, "name": f"seed-{at}", "seed": at} for at in range(4))])
    rows = [row for row in corpus.rows() if row["labeller"].startswith(("openai", "seed"))]
    assert len(rows) == 30
    assert {row["outcome"] for row in rows} == {"ok", "refused", "invalid"}
    assert "no \ufffd more" in next(row["detail"] for row in rows if row["outcome"] == "refused")


def test_nothing_is_paid_for_words_that_cannot_be_seen(corpus: Posts, double: ChatDouble) -> None:
    corpus.write([TEXTS[0], "\u200b\u2060\u200b"])
    corpus.run(labellers=[ONE, {**ONE, "name": "translator", "prompt": "chain_of_translation.v1"}])
    assert asked(double) == 2
    (unseen,) = [row["item_id"] for row in corpus.rows("items") if row["text"] != TEXTS[0]]
    told = {row["labeller"]: (row["outcome"], row["detail"]) for row in corpus.rows() if row["item_id"] == unseen}
    assert told["openai/gpt-5-mini"] == (
        "abstained",
        "the item has no text or faces or frames or audio, which the prompt needs",
    )
    assert told["translator"] == ("abstained", "the item has no text that can be sent, which the prompt needs")


def test_replies_are_saved_while_the_stage_runs(corpus: Posts, double: ChatDouble, monkeypatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(import_module("curate.pipeline.run"), "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(Workspace, "save_local_files", lambda self: saved.append(asked(double)))
    corpus.run(labellers=[ONE], in_flight=1)
    assert len(saved) > 2
    assert saved[-1] == asked(double) == 6


def test_replay_asks_nobody(corpus: Posts, double: ChatDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.run(labellers=[ONE])
    before = {row["item_id"]: row["emotion"] for row in corpus.rows()}
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    corpus.write([*(f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(6)), "Something new"])
    corpus.run(labellers=[{"model": "replay"}])
    live = [row for row in corpus.rows() if row["labeller"] == "replay"]
    assert {row["item_id"]: row["emotion"] for row in live if row["outcome"] == "ok"} == before
    assert [row["outcome"] for row in live if row["item_id"] not in before] == ["error"]
    assert asked(double) == 6
    with pytest.raises(MissingDependency, match="key"):
        corpus.run(labellers=[ONE], name="another")


@pytest.mark.parametrize("structured", ["json_object", "none"])
def test_services_that_know_no_schema_are_told_it(corpus: Posts, double: ChatDouble, structured: str) -> None:
    good = {"reasons": "It says so.", "emotion": ["happiness"], "intensity": 2, "valence": 0.5, "description": None}
    double.answer = lambda body: json.dumps(good)
    corpus.run(labellers=[{**ONE, "structured": structured, "scores": False}])
    assert {(row["outcome"], tuple(row["emotion"])) for row in corpus.rows()} == {("ok", ("happiness",))}
    body = next(call.body for call in double.calls if call.path == "/v1/chat/completions")
    assert body.get("response_format") == ({"type": "json_object"} if structured == "json_object" else None)
    assert '"additionalProperties": false' in body["messages"][0]["content"]


FRAMES = {
    "bare": "{}",
    "fenced": "```json\n{}\n```",
    "introduced": "Here is the JSON {{as asked}}:\n\n{}",
    "closed": "{}\n\nHope this helps! {{smile}}",
    "thought": '<think>The form is {{...}}. It is {{"emotion": 1}}.</think>\n{}',
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_reply_that_nothing_binds_may_stand_in_other_words(corpus: Posts, double: ChatDouble, frame: str) -> None:
    good = {"reasons": "It says {so}.", "emotion": ["happiness"], "intensity": 2, "valence": 0.5, "description": None}
    double.answer = lambda body: FRAMES[frame].format(json.dumps(good))
    corpus.run(labellers=[{**ONE, "structured": "none", "scores": False}])
    assert {(row["outcome"], row["extras"][0]["text"]) for row in corpus.rows()} == {("ok", "It says {so}.")}
    assert asked(double) == 6


def test_a_service_is_told_the_limit_by_the_name_that_it_knows(corpus: Posts, double: ChatDouble) -> None:
    double.on("(post 2)", length())
    corpus.run(labellers=[{**ONE, "limit_name": "max_tokens", "max_tokens": 300}])
    bodies = [call.body for call in double.calls if call.path == "/v1/chat/completions"]
    assert sorted(body["max_tokens"] for body in bodies) == [300] * 6 + [600]
    assert not any("max_completion_tokens" in body for body in bodies)


def test_replies_are_replayed_beside_models_that_are_asked(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[ONE])
    before = {row["item_id"]: row["request_id"] for row in corpus.rows()}
    corpus.run(labellers=[{"model": "openai/gpt-5"}, {"model": "replay", "name": "earlier"}])
    rows = [row for row in corpus.rows() if row["labeller"] == "earlier"]
    assert {row["item_id"]: row["request_id"] for row in rows} == before
    assert asked(double) == 12


def test_the_key_is_written_nowhere(corpus: Posts, double: ChatDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    double.answer = lambda body: json.dumps({"echo": KEY})
    double.on("(post 1)", status(500, retry_after="0"))
    corpus.run(labellers=[ONE], tries=2)
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "-wrong")
    with pytest.raises(ServiceRefused) as caught:
        corpus.run(labellers=[{**ONE, "prompt": "utterance_emotion.v1", "seed": 1}])
    assert KEY not in str(caught.value)
    files = [path for path in corpus.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes() and path.suffix != ".sqlite"] == []


def test_people_see_the_spending(corpus: Posts, double: ChatDouble) -> None:
    done = corpus.run(labellers=[ONE])
    account = next(result.account for result in done.stages if result.stage == "prelabel")
    assert describe_spending(account.values()).startswith("6 asked, ")
    assert "USD" in describe_spending(account.values())
    record = json.loads((corpus.workspace.local / "runs" / done.run_id / "run.json").read_text())
    told = next(stage["account"] for stage in record["stages"] if stage["stage"] == "prelabel")
    assert told["openai/gpt-5-mini"]["requests"] == 6
    assert told["openai/gpt-5-mini"]["usd"] == pytest.approx(sum(row["usd"] for row in corpus.rows()))
    assert "Asked and paid in this run" in done.report.read_text()


def test_the_account_adds_up_a_labeller_of_two_stages() -> None:
    one = UsageTotals(requests=6, tokens_in=60, usd=0.5, outcomes={"ok": 6})
    two = UsageTotals(requests=2, tokens_in=20, usd=0.25, outcomes={"ok": 1, "refused": 1})
    stages = [StageResult("prelabel", account={"a": one, "b": two}), StageResult("prelabel", account={"a": two})]
    account = add_accounts(*(result.account for result in stages))
    assert account == {"a": one + two, "b": two}
    assert (account["a"].requests, account["a"].usd, account["a"].outcomes) == (8, 0.75, {"ok": 7, "refused": 1})


def test_a_run_without_usable_proposals_says_so(corpus: Posts, double: ChatDouble, capsys) -> None:
    double.on("(post 3)", refusal("I cannot help"))
    told = corpus.run(labellers=[ONE]).stages[2]
    assert told.counts == {"ok": 5, "refused": 1}
    assert describe(told) == "6 new: 6 rows (5 ok, 1 refused)"
    show_missing([told], workspace="w")
    assert capsys.readouterr().out == ""

    double.on("(post ", *[refusal("I cannot help")] * 6)
    told = corpus.run(labellers=[{**ONE, "seed": 1}], name="another").stages[2]
    assert told.counts == {"refused": 6}
    show_missing([told], workspace="w")
    said = capsys.readouterr().out
    assert "6 of 6 items have no proposal, most often refused (the model refused: I cannot help); see `" in said
    assert "status -w w` and the report" in said


def planned(corpus: Posts, **settings: Any) -> StagePlan:
    """What a plan says of the prelabel stage, once the items are there."""
    recipe = make_recipe(
        corpus.folder,
        {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", **settings},
    )
    loaded, workspace = load_recipe(recipe), Workspace(corpus.folder / "ws")
    run(loaded, workspace, executor=LocalExecutor(1), listener=Quiet(), until="preprocess")
    return plan(loaded, workspace)[-1]


def dollars(note: str) -> float:
    return float(re.search(r"([\d.]+) USD", note)[1])


def test_a_plan_before_the_first_run_says_how_to_see_the_cost(corpus: Posts) -> None:
    before = [{"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"}, {"stage": "preprocess"}]

    def notes(*stages: dict[str, Any]) -> list[str]:
        loaded = load_recipe(make_recipe(corpus.folder, *before, *({"stage": "prelabel", **one} for one in stages)))
        return [each.note for each in plan(loaded, Workspace(corpus.folder / "ws"))]

    waits = "depends on the stages before it"
    step = "it asks models: to see the cost, `curate run RECIPE --until preprocess`, then plan again"
    assert notes({"model": "offline"}, {"labellers": [ONE]})[1:] == [waits, waits, f"{waits}; {step}"]
    assert notes({"model": "replay"})[-1] == waits, "which costs nothing"
    planned(corpus, labellers=[ONE])
    # Stages of one kind do not wait for each other.
    assert [note[:16] for note in notes({"labellers": [ONE]}, {"model": "openai/gpt-5"})[2:]] == [
        "about 6 requests"
    ] * 2


def tokens_in(note: str) -> int:
    return int(re.search(r"([\d,]+) tokens in", note)[1].replace(",", ""))


def test_a_plan_tells_the_cost_and_asks_nothing(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[ONE])
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(9)])
    before = asked(double)
    last = planned(corpus, labellers=[{**ONE, "samples": 2}])
    assert (last.stage, last.todo) == ("prelabel", 9)
    assert "18 requests" in last.note
    assert "6 answered before" in last.note
    assert "USD" in last.note
    assert asked(double) == before


def test_a_plan_counts_the_reviews_in(corpus: Posts, double: ChatDouble) -> None:
    review = {"model": "openai/gpt-5", "name": "reviewer"}
    alone = planned(corpus, labellers=[ONE]).note
    blind = planned(corpus, labellers=[ONE], review=review).note
    assert blind.startswith("about 12 requests, 6 of them reviews, ")
    assert dollars(blind) > 3 * dollars(alone), "the reviewer costs far more"
    corpus.run(labellers=[ONE])
    known = planned(corpus, labellers=[ONE], review=review).note
    assert known.startswith("about 12 requests, 6 of them reviews (6 answered before), ")
    corpus.run(labellers=[ONE], review=review)
    account = next(result.account for result in corpus.listener.finished[::-1] if result.stage == "prelabel")
    paid = account["reviewer"]
    assert paid.requests == 6
    assert tokens_in(known) == pytest.approx(paid.tokens_in, rel=0.1)
    first = sum(row["tokens_in"] for row in corpus.rows() if row["labeller"] == ONE["model"])
    assert tokens_in(blind) / tokens_in(alone) == pytest.approx(1 + paid.tokens_in / first, rel=0.1)
    corpus.write([*(f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(6)), "Something new"])
    assert "2 requests, 1 of them reviews, " in planned(corpus, labellers=[ONE], review=review).note
    # Another order of settings, but every question is stored, the reviews with them.
    again = planned(corpus, labellers=[{**ONE, "name": "again"}], review=review).note
    assert "14 requests, 7 of them reviews (12 answered before)" in again


def test_a_plan_reviews_what_local_labellers_say(corpus: Posts, double: ChatDouble) -> None:
    review = {"model": "openai/gpt-5", "name": "reviewer"}
    corpus.run(model="offline", review=review)
    asked_before = asked(double)
    corpus.write([*(f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(6)), ""])
    note = planned(corpus, labellers=[{"model": "offline", "name": "again"}], review=review).note
    assert f"about {asked_before} requests, {asked_before} of them reviews ({asked_before} answered before)" in note


def test_a_plan_tells_whether_the_budget_holds_it(corpus: Posts, double: ChatDouble) -> None:
    assert "budget" not in planned(corpus, labellers=[ONE]).note
    note = planned(corpus, labellers=[ONE], budget={"usd": 0.5}).note
    assert note.endswith("; the budget has 0.5000 of 0.5 USD left, which is enough")
    corpus.run(labellers=[ONE])
    rows = corpus.rows()
    usd, tokens = sum(row["usd"] for row in rows), sum(row["tokens_in"] + row["tokens_out"] for row in rows)
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(60)])
    note = planned(corpus, labellers=[ONE], budget={"usd": round(3 * usd, 4)}).note
    left = f"{round(3 * usd, 4) - usd:.4f} of {round(3 * usd, 4):g} USD"
    assert note.endswith(f"; the budget has {left} left: the run will stop early")
    note = planned(corpus, labellers=[ONE], budget={"usd": 9, "tokens": 2 * tokens}).note
    assert note.endswith(f"of 9 USD and {tokens:,} of {2 * tokens:,} tokens left: the run will stop early")
    note = planned(corpus, labellers=[ONE], budget={"tokens": tokens // 2}).note
    assert f"the budget has 0 of {tokens // 2:,} tokens left: the run will stop early" in note


def test_a_plan_counts_what_batches_under_way_will_answer(
    corpus: Posts, double: ChatDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.plan(BatchPlan(polls=1_000))
    with pytest.raises(Interrupted, match="deadline"):
        corpus.run(labellers=[ONE], mode="batch", deadline_s=2)
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(8)])
    batch = planned(corpus, labellers=[ONE], mode="batch").note
    assert batch.startswith("about 8 requests (6 under way in batches), ")
    online = planned(corpus, labellers=[ONE]).note
    assert online.startswith("about 8 requests, "), "which waits for no batch"
    assert tokens_in(batch) == pytest.approx(tokens_in(online) / 4, rel=0.05)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert planned(corpus, labellers=[ONE], mode="batch").note.startswith("about 8 requests, ")


def test_a_plan_knows_that_the_last_request_needs_more_than_it_costs(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[ONE])
    usd = sum(row["usd"] for row in corpus.rows())
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(12)])
    for more, said in ((3.0, "left: the run will stop early"), (6.0, "left, which is enough")):
        assert planned(corpus, labellers=[ONE], budget={"usd": usd * more}).note.endswith(said)
    with pytest.raises(Interrupted, match="budget"):
        corpus.run(labellers=[ONE], budget={"usd": usd * 3})
    corpus.run(labellers=[ONE], budget={"usd": usd * 6})


def test_a_plan_of_a_replay_costs_nothing_and_announces_the_errors(corpus: Posts, double: ChatDouble) -> None:
    replay = {"model": "replay", "of": "openai/gpt-5-mini", "name": "again"}
    corpus.run(labellers=[ONE])
    assert planned(corpus, labellers=[replay], budget={"usd": 5}).note == "about 6 replies to replay, all stored"
    corpus.write([f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(9)])
    of_any = {"model": "replay", "name": "again"}
    for given in (replay, of_any):
        note = planned(corpus, labellers=[given], budget={"usd": 5}).note
        assert note == "about 9 replies to replay, 6 of them stored: the other 3 will be errors"
    note = planned(corpus, labellers=[{**replay, "of": "openai/gpt-5"}]).note
    assert note == "about 9 replies to replay, none stored: all will be errors"
    chosen = {"by": "openai/text-embedding-3-small"}
    note = planned(corpus, labellers=[replay], examples=chosen).note
    assert note.startswith("about 9 replies to replay: the run shows how many are stored")
    note = planned(corpus, labellers=[{"model": "openai/gpt-5"}, replay]).note
    assert note.startswith("about 9 requests, ")
    assert note.endswith(" USD; about 9 replies to replay, 6 of them stored: the other 3 will be errors")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "gpt-5"}, "model is 'gpt-5'; valid: offline"),
        ({"model": "offline", "labellers": [ONE]}, "give either `model` or `labellers`"),
        ({"labellers": []}, "at least 1"),
        ({"labellers": [ONE, {**ONE}]}, "two labellers are called openai/gpt-5-mini"),
        ({"labellers": [{"model": "offline", "temperature": 1}]}, "offline has no setting temperature"),
        ({"labellers": [{**ONE, "prompt": "utterance_emotions.v1"}]}, "did you mean utterance_emotion.v1"),
        ({"labellers": [{**ONE, "of": "openai/gpt-5"}]}, "`of` goes with `model: replay` only"),
        ({"model": "offline", "review": {"model": "vader"}}, "vader cannot review"),
        ({"model": "offline", "examples": {"by": "magic"}}, "neither bm25 nor"),
        ({"model": "offline", "examples": {"by": "openai/"}}, "neither bm25 nor"),
        ({"labellers": [ONE], "examples": {"by": "openai/gpt-5-mini"}}, "two labellers are called openai/gpt-5-mini"),
        ({"model": "offline", "sound": "flac"}, "sound"),
        ({"model": "offline", "max_sound_s": 0}, "greater than 0"),
        ({"model": "offline", "budget": {"usd": 0}}, "greater than 0"),
        ({"model": "openai/x", "samples": 3}, "samples is a setting of a labeller: `labellers: [{model: openai/x, sam"),
    ],
)
def test_mistakes_in_the_recipe_are_told_with_their_line(tmp_path: Path, settings, sentence: str) -> None:
    recipe = make_recipe(
        tmp_path, {"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}, {"stage": "prelabel", **settings}
    )
    with pytest.raises(InvalidInput) as caught:
        load_recipe(recipe)
    assert any(sentence in problem and "sample.yaml:" in problem for problem in caught.value.problems)


def test_a_prompt_that_cannot_ask_for_the_labels_is_told_before_anything_runs(tmp_path: Path) -> None:
    stage = {"stage": "prelabel", "labellers": [{**ONE, "prompt": "image_emotion.v1"}]}
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}, stage)
    with pytest.raises(InvalidInput) as caught:
        load_recipe(recipe)
    assert any("image_emotion.v1 is for" in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("labels", "pair", "pictures", "sounds"),
    [
        ("text_preference.v1", {"text": "Oh no.", "text_b": "Well."}, 0, 0),
        ("text_preference.v1", {"text": "Oh no."}, None, None),
        ("clip_preference.v1", {"video": "aa/a.mp4", "video_b": "bb/b.mp4"}, 4, 0),
        ("clip_preference.v1", {"audio": "aa/a.flac", "audio_b": "bb/b.flac"}, 0, 2),
        ("clip_preference.v1", {"video": "aa/a.mp4", "audio": "aa/a.flac"}, None, None),
    ],
)
def test_a_pair_is_reckoned_with_where_both_are_there(tmp_path: Path, labels: str, pair, pictures, sounds) -> None:
    stage = Prelabel(
        stage="prelabel",
        labellers=[{**ONE, "prompt": "preference_critique.v1"}],
        show=["frames", "audio"],
        pictures={"count": 2},
    )
    schema = load_labels(labels)
    item = dict.fromkeys(stage.columns_used()) | {"item_id": "i", "unit": "pair", "start_s": 0.0, "end_s": 2.0} | pair
    proposer = Proposer(stage, None, Tools(Blobs(tmp_path), schema, tmp_path))
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        dry_run = DryRun(answers)
        asyncio.run(proposer.plan_requests(dry_run, item))
    kinds = [[media.kind for media in planned.request.media] for planned in dry_run.requests]
    assert [(one.count("image"), one.count("audio")) for one in kinds] == (
        [] if pictures is None else [(pictures, sounds)]
    )


@pytest.mark.parametrize(
    ("table", "settings", "line", "sentence"),
    [
        (None, {"labellers": [{"model": "openai/llama"}], "budget": {"usd": 5}}, "openai/llama", "a price for llama"),
        (None, {"model": "openai/llama", "budget": {"usd": 5}}, "openai/llama", "a price for llama"),
        (None, {"labellers": [ONE], "review": {"model": "openai/llama"}, "budget": {"usd": 5}}, "llama", "for llama"),
        (
            None,
            {"labellers": [ONE], "examples": {"by": "openai/embedder"}, "budget": {"usd": 5}},
            "embedder",
            "a price for embedder",
        ),
        (
            "models:\n- {model: a, output: 0}",
            {"labellers": [ONE]},
            "stage: prelabel",
            "prices.yaml:2: input is missing",
        ),
        ("models: {", {"labellers": [ONE], "budget": {"usd": 5}}, "budget:", "prices.yaml:1: not valid YAML"),
    ],
)
def test_prices_that_a_budget_lacks_are_told_before_anything_runs(
    tmp_path: Path, table: str | None, settings: dict[str, Any], line: str, sentence: str
) -> None:
    (tmp_path / "a.txt").write_text("What a day!")
    stage = {"stage": "prelabel", **settings}
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}, stage)
    if table:
        (tmp_path / "prices.yaml").write_text(table)
    with pytest.raises(InvalidInput) as caught:
        load_recipe(recipe)
    (told,) = caught.value.problems
    number = next(at for at, text in enumerate(recipe.read_text().splitlines(), 1) if line in text)
    assert told.startswith(f"{recipe}:{number}: ")
    assert sentence in told
    assert str(shipped_prices()) in told, "where to copy one from"


def test_prices_matter_only_where_somebody_is_asked_for_dollars(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("What a day!")
    before = [{"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}]
    unpriced = {"stage": "prelabel", "model": "openai/llama", "budget": {"tokens": 5}}
    load_recipe(make_recipe(tmp_path, *before, unpriced))
    (tmp_path / "prices.yaml").write_text("{")
    replayed = {"stage": "prelabel", "labellers": [{"model": "replay", "of": "openai/llama"}], "budget": {"usd": 5}}
    load_recipe(make_recipe(tmp_path, *before, replayed))


def test_neighbours_are_those_of_the_source_in_order_of_time() -> None:
    labels = load_labels("utterance_emotion.v1")
    said = [("a", "s1", 5.0, "third"), ("b", "s1", 0.0, "first"), ("c", "s2", 1.0, "alone"), ("d", "s1", 2.0, "second")]
    rows = [
        {"item_id": item, "source_id": source, "start_s": start_s, "text": text, "speaker": f"speaker of {item}"}
        for item, source, start_s, text in said
    ]
    rows.append({"item_id": "e", "source_id": "s1", "start_s": 3.0, "text": None})
    items = pa.Table.from_pylist(rows, schema=table_spec("items", labels).schema)
    told = with_neighbours(items, ContextSettings(before=1, after=1))
    around = {row["item_id"]: (row["around"], row["around_turn"]) for row in told.to_pylist()}
    assert [turn["text"] for turn in around["d"][0]] == ["first", "second", "third"]
    assert around["d"][1] == 1
    assert [turn["text"] for turn in around["b"][0]] == ["first", "second"]
    assert around["b"][1] == 0
    assert around["c"] == around["e"] == (None, None)


def test_examples_are_items_that_people_corrected(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[ONE])
    items = corpus.rows("items")
    first = next(row["item_id"] for row in items if row["text"].startswith(TEXTS[0]))
    now = datetime.now(UTC)
    act = {
        "annotation_id": "a1",
        "judgement_id": "j1",
        "item_id": first,
        "annotator": "anna",
        "action": "created",
        "acted_at": now,
        "emotion": ["surprise"],
        "valence": 0.25,
    }
    corpus.table("annotations").commit([act], metadata={})
    corpus.run(labellers=[ONE])
    corpus.write([*(f"{TEXTS[at % len(TEXTS)]} (post {at})" for at in range(6)), f"{TEXTS[0]} Once more!"])
    before = asked(double)
    corpus.run(labellers=[ONE], examples={"count": 2})
    said = [call.text for call in double.calls if call.path == "/v1/chat/completions"][before:]
    new = next(text for text in said if "Once more!" in text)
    text = next(row["text"] for row in corpus.rows("items") if row["item_id"] == first)
    assert '"emotion": ["surprise"]' in new
    # An item is never its own example: what is asked of it has not changed, and so it is not asked again.
    assert not [text_of for text_of in said if f"\n{text}\n" in text_of]
    assert len(said) == 6


def test_dumped_recipes_can_be_run_again(corpus: Posts, double: ChatDouble) -> None:
    done = corpus.run(labellers=[ONE], budget={"usd": 3})
    dumped = yaml.safe_load((corpus.workspace.local / "runs" / done.run_id / "recipe.yaml").read_text())
    (corpus.folder / "again.yaml").write_text(yaml.safe_dump(dumped))
    assert load_recipe(corpus.folder / "again.yaml").recipe == corpus.loaded.recipe
