"""What a service bills is what the account books, over several runs; and whose fault a refusal is."""

import json

import pytest

from curate.cli.commands.status import status_command
from curate.cli.output import show_missing
from curate.corpus.advice import advise
from curate.llm.reasoning import thinking_tokens
from curate.llm.replies import ReplyStore, put_entry, put_reply
from tests.support.asking import always_good, ask_items, make_settings, rows
from tests.support.chat_faults import Fault, error_body, length
from tests.support.replies import make_entry, make_reply

TEXTS = [f"item {at} of 30" for at in range(30)]


def test_a_server_that_counts_no_tokens_is_not_free(double, tmp_path):
    always_good(double).usage = {"prompt_tokens": 0, "completion_tokens": 0}
    seen = ask_items(tmp_path, make_settings(double, budget_usd=0.001), TEXTS * 7)
    assert type(seen.error).__name__ == "Interrupted"
    assert 0 < double.done < 30
    assert 0 < seen.usd <= 0.001


def test_replies_larger_than_their_reserve_stop_the_next_request(double, tmp_path):
    always_good(double).usage = {"prompt_tokens": 500, "completion_tokens": 2_000}
    seen = ask_items(tmp_path, make_settings(double, budget_usd=0.02, in_flight=64), TEXTS * 3)
    assert type(seen.error).__name__ == "Interrupted"
    assert 0.01 < seen.usd <= 0.02


def test_a_kill_costs_what_was_sent_at_the_rate_paid_before(tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as store:
        paid = [make_entry(f"p{n}", usd=0.01, tokens_in=100, tokens_out=50) for n in range(3)]
        open_ = make_entry("open", "reserved", usd=1.0, tokens_in=120, tokens_out=1_500)
        other = make_entry("other", "reserved", labeller="new", usd=1.0, tokens_in=120, tokens_out=1_500)
        store.commit_now([put_entry(entry) for entry in (*paid, open_, other)])
        store.write_off_reservations("p")
    lost = {row["id"]: row for row in rows(tmp_path, "spend") if row["state"] == "lost"}
    assert (lost["open"]["usd"], lost["open"]["tokens_out"]) == (pytest.approx(0.012), 50)
    assert (lost["other"]["usd"], lost["other"]["tokens_out"]) == (1.0, 1_500)


def refused(text="'response_format' of type json_schema is not supported"):
    return Fault(400, error_body(text))


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_a_refusal_that_everyone_gets_is_tried_again_by_the_next_run(double, tmp_path, mode):
    always_good(double).then(*[refused()] * 10)
    seen = ask_items(tmp_path, make_settings(double, mode=mode), TEXTS[:10])
    assert {reply.outcome for reply in seen.replies.values()} == {"error"}
    assert "structured: json_object" in seen.replies[0].detail
    again = ask_items(tmp_path, make_settings(double, mode=mode), TEXTS[:10])
    assert {reply.outcome for reply in again.replies.values()} == {"ok"}


def test_a_refusal_of_one_request_is_its_own_once_others_are_answered(double, tmp_path):
    always_good(double).on("item 3 of", *[refused("this text is odd")] * 9)
    ask_items(tmp_path, make_settings(double), TEXTS[:3])
    seen = ask_items(tmp_path, make_settings(double), TEXTS[:10])
    assert [at for at, reply in seen.replies.items() if reply.outcome != "ok"] == [3]
    assert seen.replies[3].outcome == "invalid"


@pytest.mark.parametrize("structured", ["json_object"])
def test_refusing_everything_names_the_setting_to_change(double, tmp_path, structured):
    always_good(double).then(*[refused("no")] * 40)
    seen = ask_items(tmp_path, make_settings(double), TEXTS)
    assert type(seen.error).__name__ == "ServiceRefused"
    assert f"structured: {structured}" in seen.error.hint


@pytest.mark.parametrize(
    ("model", "effort", "tokens"),
    [
        ("gpt-5-mini", None, 4_500),
        ("gpt-5-mini", "minimal", 500),
        ("gpt-5-chat-latest", None, 0),
        ("o3-mini", "high", 14_500),
        ("deepseek/deepseek-r1", None, 4_500),
        ("Qwen/Qwen3-8B", None, 4_500),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", None, 0),
        ("gpt-4o-mini", None, 0),
        ("gemini-2.5-flash", "low", 1_500),
        ("meta-llama/Llama-3.1-8B-Instruct", None, 0),
    ],
)
def test_thinking_is_allowed_by_the_kind_of_model(model, effort, tokens):
    assert thinking_tokens(model, effort) == tokens


def test_a_model_that_thinks_has_room_for_it_and_twice_as_much_then(corpus, double, capsys):
    double.then(*[length()] * 2)
    corpus.write(["I am so glad today."])
    done = corpus.run(model="openai/gpt-5-mini")
    advice = (
        "1 of 1 answers are truncated or invalid: raise `max_tokens` of the labeller, or lower its `reasoning_effort`"
    )
    show_missing(done.stages, workspace="w")
    assert f"next:    {advice}" in capsys.readouterr().out
    assert advice in done.report.read_text()
    status_command(corpus.loaded.path, str(corpus.workspace.local))
    assert advice in " ".join(capsys.readouterr().out.split())
    sent = [call.body["max_completion_tokens"] for call in double.calls if call.body]
    assert sent == [6_000, 12_000]
    (row,) = corpus.rows()
    assert row["outcome"] == "truncated"
    assert "`max_tokens`" in row["detail"]
    assert "`reasoning_effort`" in row["detail"]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ({"ok": 5, "truncated": 3, "invalid": 3}, "6 of 11 answers are truncated or invalid: raise `max_tokens`"),
        ({"ok": 5, "truncated": 2, "invalid": 4, "abstained": 90}, "`structured: json_object`"),
        ({"filtered": 3, "ok": 2}, "filter"),
        ({"refused": 3, "ok": 2}, "prompt"),
        ({"ok": 5, "truncated": 3, "invalid": 2}, ""),
        ({"abstained": 9, "error": 9}, ""),
        ({}, ""),
    ],
)
def test_the_setting_to_change_is_named_when_most_answers_are_of_no_use(outcomes, words):
    assert bool(advise(outcomes)) == bool(words)
    assert words in advise(outcomes)


def test_a_reply_cut_off_at_a_lower_limit_in_the_past_is_asked_for_again(corpus, double):
    corpus.write(["I am so glad today."])
    double.then(*[length()] * 2)
    corpus.run(model="openai/gpt-5-mini", name="first")
    asked = len(double.calls)
    corpus.run(model="openai/gpt-5-mini", name="first")
    assert len(double.calls) == asked


def test_replies_of_this_endpoint_are_known(tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as store:
        store.commit_now([put_reply(make_reply(endpoint="https://one/v1"))])
        assert (store.has_replies("https://one/v1"), store.has_replies("https://two/v1")) == (True, False)


def test_three_runs_book_what_is_billed(double, tmp_path):
    always_good(double)
    double.on("item 1 of", *[Fault(message={"content": None}, finish="SAFETY", charged=True)] * 9)
    double.on("item 2 of", *[Fault(answer={"choices": []}, charged=True)] * 9)
    double.on("item 4 of", *[Fault(message={"content": None, "reasoning": "hm"}, charged=True)] * 9)
    for _ in range(3):
        ask_items(tmp_path, make_settings(double), TEXTS[:8])
    assert double.done == 8
    booked = sum(row["tokens_in"] + row["tokens_out"] for row in rows(tmp_path, "spend"))
    assert booked == double.tokens["in"] + double.tokens["out"]
    assert json.dumps(sorted({row["state"] for row in rows(tmp_path, "spend")})) == '["settled"]'
