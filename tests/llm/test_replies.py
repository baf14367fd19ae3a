"""The file of replies: durable, shared, and honest about a disk that fails."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC

import pytest

from curate.errors import StorageFailed, WorkspaceUnusable
from curate.llm.replies import ReplyStore, delete_entry, kept_headers, put_entry, put_reply
from tests.support.replies import make_entry, make_reply


@pytest.fixture
def answers(tmp_path):
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        yield answers


def test_what_was_written_is_found_by_request_and_by_content(answers):
    answer = make_reply(reply='{"a": "\x00\ufffd👩"}')
    answers.commit_now([put_reply(answer), put_reply(make_reply("k0", created_at="2020-01-01T00:00:00+00:00"))])
    assert answers.find("k1") == answer
    assert answers.find("k1").created.tzinfo == UTC
    assert answers.find_content("c1").key == "k0"
    assert answers.find("k2") is answers.find_content("c2") is None


def test_the_first_reply_to_a_request_stays(answers):
    answers.commit_now([put_reply(make_reply(reply="first"))])
    answers.commit_now([put_reply(make_reply(reply="second"))])
    assert answers.find("k1").reply == "first"


def test_many_coroutines_share_transactions_and_each_is_written(answers):
    async def write_all():
        await asyncio.gather(*(answers.commit([put_reply(make_reply(f"k{n}"))]) for n in range(300)))
        assert all(answers.find(f"k{n}") for n in range(300))

    asyncio.run(write_all())


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (("INSERT INTO spend VALUES (1)", ()), WorkspaceUnusable),
        (put_reply(make_reply("k4")._replace(answered_by="gpt\ud800")), StorageFailed),
        (put_reply(make_reply("k4")._replace(status=10**30)), StorageFailed),
        (put_reply(make_reply("k4")._replace(model=[])), WorkspaceUnusable),
    ],
    ids=["statement", "half a character", "number", "type"],
)
def test_a_transaction_is_whole_and_a_bad_one_fails_alone(answers, bad, error):
    async def write_all():
        return await asyncio.gather(
            answers.commit([put_reply(make_reply("k1"))]),
            answers.commit([put_reply(make_reply("k2")), bad]),
            answers.commit([put_reply(make_reply("k3"))]),
            return_exceptions=True,
        )

    first, second, third = asyncio.run(write_all())
    assert (first, third) == (None, None)
    assert isinstance(second, error)
    assert [answers.find(key) is not None for key in ("k1", "k2", "k3", "k4")] == [True, False, True, False]


def test_the_account_counts_what_is_open_and_lost_over_runs(answers):
    answers.commit_now([
        put_entry(make_entry("a")),
        put_entry(make_entry("b", "reserved")),
        put_entry(make_entry("c", "reserved", batch="b1")),
        put_entry(make_entry("d", account="other", usd=None)),
    ])  # fmt: skip
    assert answers.total("p") == (3.0, 45)
    answers.write_off_reservations("p")
    answers.commit_now([delete_entry("a")])
    assert answers.total("p") == (2.0, 30)
    assert [entry.id for entry in answers.reserved("b1")] == ["c"]
    assert answers.total("other") == (0.0, 15)


def test_what_was_committed_outlives_a_killed_process(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from curate.llm.replies import ReplyStore
from curate.llm.replies import put_entry
from tests.support.replies import make_entry
answers = ReplyStore(Path({str(tmp_path / "answers.sqlite")!r}))
for n in range(50):
    answers.commit_now([put_entry(make_entry(f"s{{n}}"))])
    print(n, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split()[-1] == "49"
    with ReplyStore(tmp_path / "answers.sqlite") as answers:
        assert answers.total("p").usd == 50.0


def test_other_threads_and_processes_read_while_it_is_written(answers):
    answers.commit_now([put_reply(make_reply())])
    found = []
    thread = threading.Thread(target=lambda: found.append(answers.find("k1")))
    thread.start()
    thread.join()
    with ReplyStore(answers.path) as other:
        found.append(other.find("k1"))
    assert [answer.key for answer in found] == ["k1", "k1"]


def test_a_file_that_is_none_and_one_from_the_future(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 100)
    with pytest.raises(WorkspaceUnusable, match="cannot be used"):
        ReplyStore(path)
    path.unlink()
    ReplyStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(WorkspaceUnusable, match="format 99"):
        ReplyStore(path)
    with pytest.raises(StorageFailed, match="unable to open"):
        ReplyStore(tmp_path / "nowhere" / "answers.sqlite")


def fill(answers):
    for n in range(100):
        answers.commit_now([put_reply(make_reply(f"k{n}", reply="x" * 100_000))])


def test_a_full_disk_is_said_to_be_full(answers):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
    try:
        with pytest.raises(StorageFailed) as caught:
            fill(answers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free some space" in caught.value.hint
    assert answers.find("k0") is not None
    answers.commit_now([put_reply(make_reply("after"))])
    assert answers.find("after") is not None


def test_only_known_headers_are_kept_and_none_is_long():
    given = {"X-Request-Id": "r" * 999, "Authorization": "Bearer sk-1", "set-cookie": "a=b", "retry-after": "3"}
    assert kept_headers(given) == '{"x-request-id":"' + "r" * 200 + '","retry-after":"3"}'
