"""Every fault of the matrix, played by a server: the outcome, the tries, the account, and no item lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from curate.llm.transport.faults import classify_error_page, classify_status, make_mask
from tests.llm.fault_matrix import play, play_service
from tests.llm.fault_rows import COUNT, HIT, batch_rows, is_counted, rows, services


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.fault)
def test_fault(row, tmp_path):
    played = play(row, tmp_path)
    (seen,) = played.runs
    assert played.tries == [row.tries]
    assert seen.charged - sum(reply is not None for at, reply in seen.replies.items() if at != HIT) == row.charged
    if row.ends:
        assert type(seen.error).__name__ == row.ends
        return
    assert seen.error is None, seen.error
    assert seen.lost == 0
    hit = seen.replies[HIT]
    assert hit.outcome == row.outcome, hit.detail
    assert (hit.value is None) == (row.outcome != "ok")
    assert bool(hit.detail) == (row.outcome != "ok")
    assert [seen.replies[at].outcome for at in range(COUNT) if at != HIT] == ["ok"] * (COUNT - 1)


def test_over_three_runs_the_bill_is_the_ledger_and_nothing_is_bought_twice(tmp_path):
    """A sample of the faults, at once, online and in batches; ``python -m tests.llm.fault_matrix`` has all of them."""
    online, batch = ([row for row in each if is_counted(row)] for each in (rows()[5::16], batch_rows()[8::16]))
    cases = {
        **{f"{row.fault}, online": (partial(play, row, runs=3), is_counted(row)) for row in online},
        **{f"{row.fault}, batch": (partial(play, row, mode="batch", runs=3), is_counted(row)) for row in batch},
        **{name: (partial(play_service, name), True) for name in list(services())[::6]},
    }

    def judge(name: str) -> list[str]:
        run, is_exact = cases[name]
        folder = tmp_path / str(list(cases).index(name))
        folder.mkdir()
        return run(folder).problems(is_exact=is_exact)

    with ThreadPoolExecutor(8) as pool:
        problems = dict(zip(cases, pool.map(judge, cases), strict=True))
    assert not {name: found for name, found in problems.items() if found}


def judge_403(message: str) -> str:
    body = json.dumps({"error": {"message": message, "code": 403}}).encode()
    return classify_status(403, {}, body, make_mask()).action


@pytest.mark.parametrize(
    "message",
    [
        'gpt-5 requires moderation. Your input was flagged for "violence". No credits were charged.',
        "Your prompt has been flagged",
        "Content blocked: keyword detected",
    ],
)
def test_words_of_a_moderation_concern_one_request(message):
    assert judge_403(message) == "filtered"


@pytest.mark.parametrize(
    "message",
    [
        "Your account was flagged for content that we do not allow",
        "You have no permission to use the moderation of this project",
        "Your request was blocked.",
        "Your IP address was flagged",
        "",
    ],
)
def test_words_about_whoever_asks_end_the_stage(message):
    assert judge_403(message) == "key"


@pytest.mark.parametrize("page", ["<p>content filter", "your input was flagged", '["content filter"]'])
def test_pages_on_the_way_moderate_nothing(page):
    assert classify_status(403, {}, page.encode(), make_mask()).action == "key"


@pytest.mark.parametrize(
    "page",
    [{}, {"error": None}, {"error": {}}, {"error": {"code": 429}, "choices": [{}]}, {"error": "x", "data": [1]}, [], 7],
)
def test_what_is_no_error_page_with_status_200(page):
    assert classify_error_page({}, json.dumps(page).encode(), make_mask()) is None


def test_a_limit_with_status_200_is_waited_for():
    judged = classify_error_page({"retry-after": "7"}, b'{"error": {"type": "rate_limit_error"}}', make_mask())
    assert (judged.action, judged.limited, judged.wait_s, judged.charged) == ("retry", True, 7, False)
    assert judged.detail == "the reply is an error: rate_limit_error"


@pytest.mark.parametrize("error", [{"code": [1], "message": {"a": 1}, "metadata": 3}, {"metadata": []}, [1], "x", 5])
def test_errors_of_odd_shapes_are_tried_again(error):
    judged = classify_error_page({}, json.dumps({"error": error}).encode(), make_mask())
    assert (judged.action, judged.charged) == ("retry", False)
