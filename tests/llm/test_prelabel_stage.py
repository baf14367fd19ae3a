"""The prelabel stage with chat models: rows, repeats, budgets, faults, plans and messages."""

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
from tests.support.posts import MINI, Posts, count_chat_requests, post_texts
from tests.support.runs import Quiet


def test_every_answer_is_a_row_and_one_is_final(corpus: Posts, double: ChatDouble) -> None:
    done = corpus.run(
        labellers=[
            {**MINI, "samples": 2, "temperature": 1.0},
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
    for item_rows in by_item.values():
        names = sorted(
            (row["labeller"], row["sample"]) for row in item_rows if not row["labeller"].startswith("majority:")
        )
        assert names == [
            ("large", 0),
            ("lexicon", 0),
            ("openai/gpt-5-mini", 0),
            ("openai/gpt-5-mini", 1),
            ("reviewer", 0),
        ]
        assert sum(row["labeller"].startswith("majority:") for row in item_rows) == 1
        assert [row["labeller"] for row in item_rows if row["final"]] == ["reviewer"]
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
    assert count_chat_requests(double) == 24
    labels = {row["item_id"]: row["evidence"] for row in corpus.rows("labels")}
    finals = {row["item_id"]: [row["prelabel_id"]] for row in rows if row["final"]}
    assert labels == finals


def test_nothing_is_asked_twice(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[MINI])
    first = {row["prelabel_id"]: {**row, "work": None} for row in corpus.rows()}
    assert count_chat_requests(double) == 6
    # How requests are sent does not matter,
    assert not corpus.run(labellers=[MINI], in_flight=3, tries=2, budget={"usd": 9}, workers=2).changed
    # nor do the order of the rows and the other rows.
    corpus.write(post_texts(7)[::-1])
    corpus.run(labellers=[MINI])
    # The author is part of a request, and all authors but one have changed.
    assert count_chat_requests(double) == 12
    shutil.rmtree(corpus.workspace.local / "tables" / "prelabels")
    corpus.run(labellers=[MINI])
    assert count_chat_requests(double) == 12
    corpus.write(post_texts(6))
    corpus.run(labellers=[MINI])
    assert count_chat_requests(double) == 12
    again = {row["prelabel_id"]: {**row, "work": None} for row in corpus.rows()}
    assert {key: again[key] for key in first} == first


def test_a_budget_stops_the_stage_and_keeps_what_is_done(corpus: Posts, double: ChatDouble) -> None:
    def spent() -> int:
        return double.tokens["in"] + double.tokens["out"]

    corpus.run(labellers=[MINI], name="whole")
    needed = spent()
    corpus.folder.joinpath("ws").mkdir()
    with pytest.raises(Interrupted, match="budget"):
        corpus.run(labellers=[{**MINI, "max_tokens": 200}], budget={"tokens": needed}, in_flight=1)
    used = spent() - needed
    assert 0 < used <= needed
    done = len(corpus.rows())
    assert 0 < done < 6
    (report,) = (corpus.workspace.local / "runs").glob("*/report.html")
    assert "Asked and paid in this run" in report.read_text()
    assert "The run ended early: the budget is spent" in report.read_text()
    assert "the budget is spent" in json.loads(report.with_name("run.json").read_text())["ended"]
    result = corpus.listener.finished[-1]
    assert describe(result) == f"{done} new: {done} rows, {6 - done} left"
    assert result.account["openai/gpt-5-mini"].outcomes["ok"] == done
    with pytest.raises(Interrupted, match="budget"):
        corpus.run(labellers=[{**MINI, "max_tokens": 200}], budget={"tokens": needed}, in_flight=1)
    assert spent() - needed == used
    corpus.run(labellers=[{**MINI, "max_tokens": 200}], budget={"tokens": 10 * needed})
    assert len(corpus.rows()) == 6


def test_errors_of_the_service_are_tried_again(corpus: Posts, double: ChatDouble, capsys) -> None:
    double.on("(post 3)", status(500), status(500))
    double.on("(post 4)", refusal())
    double.on("(post 5)", says("no JSON"), says('{"still": "none"}'))
    show_missing(corpus.run(labellers=[MINI], tries=2).stages, workspace="w")
    assert capsys.readouterr().out == "note:    an answer is missing for 1 item (error); the next run asks again\n"
    outcomes = {row["outcome"] for row in corpus.rows()}
    assert outcomes == {"ok", "error", "refused", "invalid"}
    assert all(row["final"] and (row["outcome"] == "ok" or row["detail"]) for row in corpus.rows())
    before = count_chat_requests(double)
    corpus.run(labellers=[MINI], tries=2)
    assert sorted(row["outcome"] for row in corpus.rows()) == ["invalid", "ok", "ok", "ok", "ok", "refused"]
    assert count_chat_requests(double) == before + 1


def test_replies_with_lone_surrogates_or_deep_nesting_are_rows(corpus: Posts, double: ChatDouble) -> None:
    double.on("(post 1)", refusal("no \ud800 more"))
    for depth in range(890, 990, 10):  # about as deep as can be read
        double.on("(post 2)", says('{"emotion": ' + '{"a":' * depth + "1" + "}" * depth + "}"))
    corpus.run(labellers=[MINI, *({**MINI, "name": f"seed-{seed}", "seed": seed} for seed in range(4))])
    rows = [row for row in corpus.rows() if row["labeller"].startswith(("openai", "seed"))]
    assert len(rows) == 30
    assert {row["outcome"] for row in rows} == {"ok", "refused", "invalid"}
    assert "no \ufffd more" in next(row["detail"] for row in rows if row["outcome"] == "refused")


def test_nothing_is_paid_for_invisible_text(corpus: Posts, double: ChatDouble) -> None:
    corpus.write([TEXTS[0], "\u200b\u2060\u200b"])
    corpus.run(labellers=[MINI, {**MINI, "name": "translator", "prompt": "chain_of_translation.v1"}])
    assert count_chat_requests(double) == 2
    assert [row["text"] for row in corpus.rows("items")] == [TEXTS[0]]


def test_replies_are_saved_while_the_stage_runs(corpus: Posts, double: ChatDouble, monkeypatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(import_module("curate.pipeline.run"), "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(Workspace, "save_local_files", lambda self: saved.append(count_chat_requests(double)))
    corpus.run(labellers=[MINI], in_flight=1)
    assert len(saved) > 2
    assert saved[-1] == count_chat_requests(double) == 6


def test_replay_sends_no_requests(corpus: Posts, double: ChatDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.run(labellers=[MINI])
    before = {row["item_id"]: row["emotion"] for row in corpus.rows()}
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    corpus.write([*post_texts(6), "Something new"])
    corpus.run(labellers=[{"model": "replay"}])
    live = [row for row in corpus.rows() if row["labeller"] == "replay"]
    assert {row["item_id"]: row["emotion"] for row in live if row["outcome"] == "ok"} == before
    assert [row["outcome"] for row in live if row["item_id"] not in before] == ["error"]
    assert count_chat_requests(double) == 6
    with pytest.raises(MissingDependency, match="key"):
        corpus.run(labellers=[MINI], name="another")


@pytest.mark.parametrize("structured", ["json_object", "none"])
def test_the_prompt_holds_the_schema_if_the_service_has_none(
    corpus: Posts, double: ChatDouble, structured: str
) -> None:
    good = {"reasons": "It says so.", "emotion": ["happiness"], "intensity": 2, "valence": 0.5, "description": None}
    double.answer = lambda body: json.dumps(good)
    corpus.run(labellers=[{**MINI, "structured": structured, "scores": False}])
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
def test_unconstrained_replies_may_surround_the_object_with_text(corpus: Posts, double: ChatDouble, frame: str) -> None:
    good = {"reasons": "It says {so}.", "emotion": ["happiness"], "intensity": 2, "valence": 0.5, "description": None}
    double.answer = lambda body: FRAMES[frame].format(json.dumps(good))
    corpus.run(labellers=[{**MINI, "structured": "none", "scores": False}])
    assert {(row["outcome"], row["extras"][0]["text"]) for row in corpus.rows()} == {("ok", "It says {so}.")}
    assert count_chat_requests(double) == 6


def test_the_token_limit_has_the_name_that_the_service_knows(corpus: Posts, double: ChatDouble) -> None:
    double.on("(post 2)", length())
    corpus.run(labellers=[{**MINI, "limit_name": "max_tokens", "max_tokens": 300}])
    bodies = [call.body for call in double.calls if call.path == "/v1/chat/completions"]
    assert sorted(body["max_tokens"] for body in bodies) == [300] * 6 + [600]
    assert not any("max_completion_tokens" in body for body in bodies)


def test_replayed_labellers_work_with_requested_ones(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[MINI])
    before = {row["item_id"]: row["request_id"] for row in corpus.rows()}
    corpus.run(labellers=[{"model": "openai/gpt-5"}, {"model": "replay", "name": "earlier"}])
    rows = [row for row in corpus.rows() if row["labeller"] == "earlier"]
    assert {row["item_id"]: row["request_id"] for row in rows} == before
    assert count_chat_requests(double) == 12


def test_the_key_is_written_nowhere(corpus: Posts, double: ChatDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    double.answer = lambda body: json.dumps({"echo": KEY})
    double.on("(post 1)", status(500, retry_after="0"))
    corpus.run(labellers=[MINI], tries=2)
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "-wrong")
    with pytest.raises(ServiceRefused) as caught:
        corpus.run(labellers=[{**MINI, "prompt": "utterance_emotion.v1", "seed": 1}])
    assert KEY not in str(caught.value)
    files = [path for path in corpus.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes() and path.suffix != ".sqlite"] == []


def test_spending_is_shown_and_recorded(corpus: Posts, double: ChatDouble) -> None:
    done = corpus.run(labellers=[MINI])
    account = next(result.account for result in done.stages if result.stage == "prelabel")
    assert describe_spending(account.values()).startswith("6 asked, ")
    assert "USD" in describe_spending(account.values())
    record = json.loads((corpus.workspace.local / "runs" / done.run_id / "run.json").read_text())
    recorded = next(stage["account"] for stage in record["stages"] if stage["stage"] == "prelabel")
    assert recorded["openai/gpt-5-mini"]["requests"] == 6
    assert recorded["openai/gpt-5-mini"]["usd"] == pytest.approx(sum(row["usd"] for row in corpus.rows()))
    assert "Asked and paid in this run" in done.report.read_text()


def test_accounts_of_two_stages_add_up() -> None:
    first = UsageTotals(requests=6, tokens_in=60, usd=0.5, outcomes={"ok": 6})
    second = UsageTotals(requests=2, tokens_in=20, usd=0.25, outcomes={"ok": 1, "refused": 1})
    stages = [
        StageResult("prelabel", account={"a": first, "b": second}),
        StageResult("prelabel", account={"a": second}),
    ]
    account = add_accounts(*(result.account for result in stages))
    assert account == {"a": first + second, "b": second}
    assert (account["a"].requests, account["a"].usd, account["a"].outcomes) == (8, 0.75, {"ok": 7, "refused": 1})


def test_missing_proposals_are_reported(corpus: Posts, double: ChatDouble, capsys) -> None:
    double.on("(post 3)", refusal("I cannot help"))
    result = corpus.run(labellers=[MINI]).stages[2]
    assert result.counts == {"ok": 5, "refused": 1}
    assert describe(result) == "6 new: 6 rows (5 ok, 1 refused)"
    show_missing([result], workspace="w")
    assert capsys.readouterr().out == ""

    double.on("(post ", *[refusal("I cannot help")] * 6)
    result = corpus.run(labellers=[{**MINI, "seed": 1}], name="another").stages[2]
    assert result.counts == {"refused": 6}
    show_missing([result], workspace="w")
    output = capsys.readouterr().out
    assert "6 of 6 items have no proposal, most often refused (the model refused: I cannot help); see `" in output
    assert "status -w w` and the report" in output


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
        loaded = load_recipe(
            make_recipe(corpus.folder, *before, *({"stage": "prelabel", **settings} for settings in stages))
        )
        return [step.note for step in plan(loaded, Workspace(corpus.folder / "ws"))]

    waits = "depends on the stages before it"
    step = "it asks models: to see the cost, `curate run RECIPE --until preprocess`, then plan again"
    assert notes({"model": "offline"}, {"labellers": [MINI]})[1:] == [waits, waits, f"{waits}; {step}"]
    assert notes({"model": "replay"})[-1] == waits, "which costs nothing"
    planned(corpus, labellers=[MINI])
    # Stages of one kind do not wait for each other.
    assert [note[:16] for note in notes({"labellers": [MINI]}, {"model": "openai/gpt-5"})[2:]] == [
        "about 6 requests"
    ] * 2


def tokens_in(note: str) -> int:
    return int(re.search(r"([\d,]+) tokens in", note)[1].replace(",", ""))


def test_a_plan_shows_the_cost_and_sends_nothing(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[MINI])
    corpus.write(post_texts(9))
    before = count_chat_requests(double)
    last = planned(corpus, labellers=[{**MINI, "samples": 2}])
    assert (last.stage, last.todo) == ("prelabel", 9)
    assert "18 requests" in last.note
    assert "6 answered before" in last.note
    assert "USD" in last.note
    assert count_chat_requests(double) == before


def test_a_plan_includes_the_reviews(corpus: Posts, double: ChatDouble) -> None:
    review = {"model": "openai/gpt-5", "name": "reviewer"}
    alone = planned(corpus, labellers=[MINI]).note
    blind = planned(corpus, labellers=[MINI], review=review).note
    assert blind.startswith("about 12 requests, 6 of them reviews, ")
    assert dollars(blind) > 3 * dollars(alone), "the reviewer costs far more"
    corpus.run(labellers=[MINI])
    after_run = planned(corpus, labellers=[MINI], review=review).note
    assert after_run.startswith("about 12 requests, 6 of them reviews (6 answered before), ")
    corpus.run(labellers=[MINI], review=review)
    account = next(result.account for result in corpus.listener.finished[::-1] if result.stage == "prelabel")
    paid = account["reviewer"]
    assert paid.requests == 6
    assert tokens_in(after_run) == pytest.approx(paid.tokens_in, rel=0.1)
    first = sum(row["tokens_in"] for row in corpus.rows() if row["labeller"] == MINI["model"])
    assert tokens_in(blind) / tokens_in(alone) == pytest.approx(1 + paid.tokens_in / first, rel=0.1)
    corpus.write([*post_texts(6), "Something new"])
    assert "2 requests, 1 of them reviews, " in planned(corpus, labellers=[MINI], review=review).note
    # Another order of settings, but every question is stored, the reviews with them.
    again = planned(corpus, labellers=[{**MINI, "name": "again"}], review=review).note
    assert "14 requests, 7 of them reviews (12 answered before)" in again


def test_a_plan_includes_reviews_of_local_labellers(corpus: Posts, double: ChatDouble) -> None:
    review = {"model": "openai/gpt-5", "name": "reviewer"}
    corpus.run(model="offline", review=review)
    asked_before = count_chat_requests(double)
    corpus.write([*post_texts(6), ""])
    note = planned(corpus, labellers=[{"model": "offline", "name": "again"}], review=review).note
    assert f"about {asked_before} requests, {asked_before} of them reviews ({asked_before} answered before)" in note


def test_a_plan_compares_the_cost_with_the_budget(corpus: Posts, double: ChatDouble) -> None:
    assert "budget" not in planned(corpus, labellers=[MINI]).note
    note = planned(corpus, labellers=[MINI], budget={"usd": 0.5}).note
    assert note.endswith("; the budget has 0.5000 of 0.5 USD left, which is enough")
    corpus.run(labellers=[MINI])
    rows = corpus.rows()
    usd, tokens = sum(row["usd"] for row in rows), sum(row["tokens_in"] + row["tokens_out"] for row in rows)
    corpus.write(post_texts(60))
    note = planned(corpus, labellers=[MINI], budget={"usd": round(3 * usd, 4)}).note
    remaining = f"{round(3 * usd, 4) - usd:.4f} of {round(3 * usd, 4):g} USD"
    assert note.endswith(f"; the budget has {remaining} left: the run will stop early")
    note = planned(corpus, labellers=[MINI], budget={"usd": 9, "tokens": 2 * tokens}).note
    assert note.endswith(f"of 9 USD and {tokens:,} of {2 * tokens:,} tokens left: the run will stop early")
    note = planned(corpus, labellers=[MINI], budget={"tokens": tokens // 2}).note
    assert f"the budget has 0 of {tokens // 2:,} tokens left: the run will stop early" in note


def test_a_plan_counts_requests_in_open_batches(
    corpus: Posts, double: ChatDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.plan(BatchPlan(polls=1_000))
    with pytest.raises(Interrupted, match="deadline"):
        corpus.run(labellers=[MINI], mode="batch", deadline_s=2)
    corpus.write(post_texts(8))
    batch = planned(corpus, labellers=[MINI], mode="batch").note
    assert batch.startswith("about 8 requests (6 under way in batches), ")
    online = planned(corpus, labellers=[MINI]).note
    assert online.startswith("about 8 requests, "), "which waits for no batch"
    assert tokens_in(batch) == pytest.approx(tokens_in(online) / 4, rel=0.05)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert planned(corpus, labellers=[MINI], mode="batch").note.startswith("about 8 requests, ")


def test_a_plan_includes_the_reservation_of_the_last_request(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[MINI])
    usd = sum(row["usd"] for row in corpus.rows())
    corpus.write(post_texts(12))
    for more, ending in ((3.0, "left: the run will stop early"), (12.0, "left, which is enough")):
        assert planned(corpus, labellers=[MINI], budget={"usd": usd * more}).note.endswith(ending)
    with pytest.raises(Interrupted, match="budget"):
        corpus.run(labellers=[MINI], budget={"usd": usd * 3})
    corpus.run(labellers=[MINI], budget={"usd": usd * 12})


def test_a_plan_of_a_replay_costs_nothing_and_counts_the_errors(corpus: Posts, double: ChatDouble) -> None:
    replay = {"model": "replay", "of": "openai/gpt-5-mini", "name": "again"}
    corpus.run(labellers=[MINI])
    assert planned(corpus, labellers=[replay], budget={"usd": 5}).note == "about 6 replies to replay, all stored"
    corpus.write(post_texts(9))
    of_any = {"model": "replay", "name": "again"}
    for labeller in (replay, of_any):
        note = planned(corpus, labellers=[labeller], budget={"usd": 5}).note
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
        ({"model": "offline", "labellers": [MINI]}, "give either `model` or `labellers`"),
        ({"labellers": []}, "at least 1"),
        ({"labellers": [MINI, {**MINI}]}, "two labellers are called openai/gpt-5-mini"),
        ({"labellers": [{"model": "offline", "temperature": 1}]}, "offline has no setting temperature"),
        ({"labellers": [{**MINI, "prompt": "utterance_emotions.v1"}]}, "did you mean utterance_emotion.v1"),
        ({"labellers": [{**MINI, "of": "openai/gpt-5"}]}, "`of` goes with `model: replay` only"),
        ({"model": "offline", "review": {"model": "vader"}}, "vader cannot review"),
        ({"model": "offline", "examples": {"by": "magic"}}, "neither bm25 nor"),
        ({"model": "offline", "examples": {"by": "openai/"}}, "neither bm25 nor"),
        ({"labellers": [MINI], "examples": {"by": "openai/gpt-5-mini"}}, "two labellers are called openai/gpt-5-mini"),
        ({"model": "offline", "sound": "flac"}, "sound"),
        ({"model": "offline", "max_sound_s": 0}, "greater than 0"),
        ({"model": "offline", "budget": {"usd": 0}}, "greater than 0"),
        ({"model": "openai/x", "samples": 3}, "samples is a setting of a labeller: `labellers: [{model: openai/x, sam"),
    ],
)
def test_mistakes_in_the_recipe_are_reported_with_their_line(tmp_path: Path, settings, sentence: str) -> None:
    recipe = make_recipe(
        tmp_path, {"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}, {"stage": "prelabel", **settings}
    )
    with pytest.raises(InvalidInput) as caught:
        load_recipe(recipe)
    assert any(sentence in problem and "sample.yaml:" in problem for problem in caught.value.problems)


def test_unsuitable_prompts_are_reported_before_a_run(tmp_path: Path) -> None:
    stage = {"stage": "prelabel", "labellers": [{**MINI, "prompt": "image_emotion.v1"}]}
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
def test_complete_pairs_are_planned(tmp_path: Path, labels: str, pair, pictures, sounds) -> None:
    stage = Prelabel(
        stage="prelabel",
        labellers=[{**MINI, "prompt": "preference_critique.v1"}],
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
    assert [(kinds_of_request.count("image"), kinds_of_request.count("audio")) for kinds_of_request in kinds] == (
        [] if pictures is None else [(pictures, sounds)]
    )


@pytest.mark.parametrize(
    ("table", "settings", "line", "sentence"),
    [
        (None, {"labellers": [{"model": "openai/llama"}], "budget": {"usd": 5}}, "openai/llama", "a price for llama"),
        (None, {"model": "openai/llama", "budget": {"usd": 5}}, "openai/llama", "a price for llama"),
        (None, {"labellers": [MINI], "review": {"model": "openai/llama"}, "budget": {"usd": 5}}, "llama", "for llama"),
        (
            None,
            {"labellers": [MINI], "examples": {"by": "openai/embedder"}, "budget": {"usd": 5}},
            "embedder",
            "a price for embedder",
        ),
        (
            "models:\n- {model: a, output: 0}",
            {"labellers": [MINI]},
            "stage: prelabel",
            "prices.yaml:2: input is missing",
        ),
        ("models: {", {"labellers": [MINI], "budget": {"usd": 5}}, "budget:", "prices.yaml:1: not valid YAML"),
    ],
)
def test_missing_prices_are_reported_before_a_run(
    tmp_path: Path, table: str | None, settings: dict[str, Any], line: str, sentence: str
) -> None:
    (tmp_path / "a.txt").write_text("What a day!")
    stage = {"stage": "prelabel", **settings}
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}, stage)
    if table:
        (tmp_path / "prices.yaml").write_text(table)
    with pytest.raises(InvalidInput) as caught:
        load_recipe(recipe)
    (problem,) = caught.value.problems
    number = next(line_number for line_number, text in enumerate(recipe.read_text().splitlines(), 1) if line in text)
    assert problem.startswith(f"{recipe}:{number}: ")
    assert sentence in problem
    assert str(shipped_prices()) in problem, "where to copy one from"


def test_prices_matter_only_for_paid_requests_with_a_budget_in_dollars(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("What a day!")
    before = [{"stage": "ingest", "files": "*.txt"}, {"stage": "preprocess"}]
    unpriced = {"stage": "prelabel", "model": "openai/llama", "budget": {"tokens": 5}}
    load_recipe(make_recipe(tmp_path, *before, unpriced))
    (tmp_path / "prices.yaml").write_text("{")
    replayed = {"stage": "prelabel", "labellers": [{"model": "replay", "of": "openai/llama"}], "budget": {"usd": 5}}
    load_recipe(make_recipe(tmp_path, *before, replayed))


def test_neighbours_are_of_the_same_source_in_order_of_time() -> None:
    labels = load_labels("utterance_emotion.v1")
    utterances = [
        ("a", "s1", 5.0, "third"),
        ("b", "s1", 0.0, "first"),
        ("c", "s2", 1.0, "alone"),
        ("d", "s1", 2.0, "second"),
    ]
    rows = [
        {"item_id": item, "source_id": source, "start_s": start_s, "text": text, "speaker": f"speaker of {item}"}
        for item, source, start_s, text in utterances
    ]
    rows.append({"item_id": "e", "source_id": "s1", "start_s": 3.0, "text": None})
    items = pa.Table.from_pylist(rows, schema=table_spec("items", labels).schema)
    with_turns = with_neighbours(items, ContextSettings(before=1, after=1))
    around = {row["item_id"]: (row["around"], row["around_turn"]) for row in with_turns.to_pylist()}
    assert [turn["text"] for turn in around["d"][0]] == ["first", "second", "third"]
    assert around["d"][1] == 1
    assert [turn["text"] for turn in around["b"][0]] == ["first", "second"]
    assert around["b"][1] == 0
    assert around["c"] == around["e"] == (None, None)


def test_examples_are_items_that_people_corrected(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(labellers=[MINI])
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
    corpus.run(labellers=[MINI])
    corpus.write([*post_texts(6), f"{TEXTS[0]} Once more!"])
    before = count_chat_requests(double)
    corpus.run(labellers=[MINI], examples={"count": 2})
    messages = [call.text for call in double.calls if call.path == "/v1/chat/completions"][before:]
    new = next(text for text in messages if "Once more!" in text)
    text = next(row["text"] for row in corpus.rows("items") if row["item_id"] == first)
    assert '"emotion": ["surprise"]' in new
    # An item is never its own example, so the request about it has not changed and is not sent again.
    assert not [text_of for text_of in messages if f"\n{text}\n" in text_of]
    assert len(messages) == 6


def test_dumped_recipes_can_be_run_again(corpus: Posts, double: ChatDouble) -> None:
    done = corpus.run(labellers=[MINI], budget={"usd": 3})
    dumped = yaml.safe_load((corpus.workspace.local / "runs" / done.run_id / "recipe.yaml").read_text())
    (corpus.folder / "again.yaml").write_text(yaml.safe_dump(dumped))
    assert load_recipe(corpus.folder / "again.yaml").recipe == corpus.loaded.recipe
