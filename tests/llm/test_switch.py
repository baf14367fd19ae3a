"""From batches to single requests: what a batch holds or has brought is not asked a second time."""

import pytest

from tests.support.asking import account, always_good, ask_items, make_settings, rows
from tests.support.chat_double import BatchPlan
from tests.support.chat_faults import Fault, error_body, status

TEXTS = [f"item {at} of 12" for at in range(12)]


@pytest.fixture
def double(double):
    return always_good(double)


def leave_batch(double, folder, **plan):
    """A run that is stopped while its batch of eight texts is in progress."""
    double.plan(BatchPlan(**{"polls": 10_000, **plan}))
    settings = make_settings(double, mode="batch", batch_poll_s=0.1, grace_s=0.0)

    def is_followed() -> bool:
        return any(batch["polled"] for batch in double.batches.values())

    stopped = ask_items(folder, settings, TEXTS[:8], stop=is_followed)
    assert not any(stopped.replies.values())
    assert not double.done
    return next(iter(double.batches.values()))


def let_end(batch, polls):
    batch["plan"] = batch["plan"]._replace(polls=batch["polled"] + polls)


def is_settled(folder):
    states = {row["state"] for row in rows(folder, "batches")}
    return states <= {"done", "failed"} and not [row for row in rows(folder, "spend") if row["state"] == "reserved"]


@pytest.mark.parametrize("polls", [1, 15])
def test_online_takes_over_what_batches_bring_and_asks_the_rest(double, tmp_path, polls):
    let_end(leave_batch(double, tmp_path), polls)
    seen = ask_items(tmp_path, make_settings(double, budget_usd=1.0), TEXTS)
    assert seen.error is None
    assert [reply.outcome for reply in seen.replies.values()] == ["ok"] * 12
    assert double.done == 12
    assert double.requests == 4
    assert seen.charged == 12
    assert is_settled(tmp_path)
    assert sum(row["batch"] is not None for row in rows(tmp_path, "answers")) == 8


def test_a_batch_that_nobody_waits_for_is_settled_where_it_has_ended(double, tmp_path):
    let_end(leave_batch(double, tmp_path), 1)
    seen = ask_items(tmp_path, make_settings(double), TEXTS[8:])
    assert seen.error is None
    assert is_settled(tmp_path)
    assert seen.charged == 12
    again = ask_items(tmp_path, make_settings(double), TEXTS)
    assert all(reply.from_cache for reply in again.replies.values())


@pytest.mark.parametrize(("state", "share"), [("failed", 0.0), ("expired", 0.5), ("cancelled", 0.0)])
def test_what_a_batch_leaves_is_asked_online(double, tmp_path, state, share):
    let_end(leave_batch(double, tmp_path, state=state, share=share), 3)
    seen = ask_items(tmp_path, make_settings(double), TEXTS)
    assert seen.error is None
    assert [reply.outcome for reply in seen.replies.values()] == ["ok"] * 12
    assert len(double.batches) == 1
    assert double.requests == 12 - 8 * share
    assert double.done == seen.charged == 12
    assert is_settled(tmp_path)


def test_a_deadline_ends_the_wait_and_others_are_answered(double, tmp_path):
    leave_batch(double, tmp_path)
    seen = ask_items(tmp_path, make_settings(double, deadline_s=5.0), TEXTS)
    assert type(seen.error).__name__ == "Interrupted"
    assert [reply is not None for reply in seen.replies.values()] == [False] * 8 + [True] * 4
    assert double.requests == 4
    assert sum(row["state"] == "reserved" for row in rows(tmp_path, "spend")) == 8


def test_money_that_a_batch_holds_is_waited_for(double, tmp_path):
    let_end(leave_batch(double, tmp_path), 3)
    held = sum(row["usd"] for row in rows(tmp_path, "spend"))
    seen = ask_items(tmp_path, make_settings(double, budget_usd=held * 1.01), TEXTS)
    assert seen.error is None
    assert seen.charged == 12


def test_a_batch_service_that_fails_ends_the_run_and_keeps_what_is_reserved(double, tmp_path):
    leave_batch(double, tmp_path)
    held = sum(row["usd"] for row in rows(tmp_path, "spend"))
    double.on_path("GET /v1/batches/*", *[status(503)] * 20)
    # Nobody asks what is in the batch, and the money that it holds is missing.
    seen = ask_items(tmp_path, make_settings(double, budget_usd=held, tries=2), TEXTS[8:])
    assert type(seen.error).__name__ in ("Interrupted", "ServiceUnavailable")
    assert account(tmp_path)[0] == 0
    assert sum(row["state"] == "reserved" for row in rows(tmp_path, "spend")) == 8


@pytest.mark.parametrize("code", [404, 405, 501])
def test_a_service_that_turned_out_to_have_no_batches_can_be_asked_online(double, tmp_path, code):
    nothing = Fault(code, error_body("no such page"))
    for path in ("POST /v1/files", "POST /v1/batches", "GET /v1/batches"):
        double.on_path(path, *[nothing] * 20)
    assert ask_items(tmp_path, make_settings(double, mode="batch", tries=1), TEXTS).error is not None
    seen = ask_items(tmp_path, make_settings(double), TEXTS)
    assert seen.error is None
    assert seen.charged == double.requests == 12
    assert is_settled(tmp_path)
