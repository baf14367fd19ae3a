"""Faults of services of models, and what must come of each: one item of eight meets it."""

import json
import math
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, NamedTuple

from curate.llm.transport.client import MAX_BODY_BYTES
from tests.support.asking import GOOD
from tests.support.chat_double import BatchPlan, ChatDouble
from tests.support.chat_faults import (
    Fault,
    content_filter,
    cut,
    drop,
    error_200,
    error_body,
    expired_key,
    filtered_400,
    flagged,
    half_json,
    hang,
    html,
    length,
    no_choices,
    quota,
    raw,
    refusal,
    says,
    status,
    too_long,
    unknown_model,
)

COUNT, HIT = 8, 3
TRIES = 4


class Row(NamedTuple):
    """One fault: what the service does to one of eight items, and what must come of it.

    ``tries`` are the requests for that item as the service counts them, ``charged`` how many of them stand in the
    account. ``ends`` names the error that ends the stage.
    """

    fault: str
    plays: tuple[Fault, ...]
    outcome: str
    tries: int
    charged: int
    ends: str | None = None
    labels: str = "utterance_emotion.v1"


def answer(**changed: Any) -> Fault:
    """A good answer with some fields changed; numbers that JSON does not know are written as Python does."""
    return says(json.dumps({**GOOD["utterance_emotion.v1"], **changed}))


def span(**changed: Any) -> Fault:
    """A good answer about a dialogue with its one span changed."""
    (good,) = GOOD["emotion_causes.v1"]["causes"]["spans"]
    return says(json.dumps({"causes": {"spans": [{**good, **changed}], "relations": []}}))


def skewed(ahead_s: float) -> Fault:
    """429 that asks to wait until a date, by a clock that runs ahead of ours (or behind)."""
    here = time.time() + ahead_s
    return status(429, retry_after=formatdate(here + 1, usegmt=True), date=formatdate(here, usegmt=True))


def usage(**given: Any) -> Fault:
    return Fault(answer={"usage": given}, charged=True)


def rows() -> list[Row]:
    """The matrix."""
    spans = {"labels": "emotion_causes.v1"}
    return [
        Row("429 without retry-after, twice", (status(429),) * 2, "ok", 3, 1),
        Row("429, retry-after 0.2 (seconds)", (status(429, retry_after="0.2"),), "ok", 2, 1),
        Row("429, retry-after-ms 200", (status(429, retry_after_ms="200"),), "ok", 2, 1),
        Row("429, retry-after a date, clock 1 h ahead", (skewed(3600),), "ok", 2, 1),
        Row("429, retry-after a date, clock 1 h behind", (skewed(-3600),), "ok", 2, 1),
        Row(
            "429, retry-after nonsense",
            (status(429, retry_after="soon"), status(429, retry_after="-1e999")),
            "ok",
            3,
            1,
        ),
        Row("429 without end", (status(429, retry_after="0.01"),) * 99, "error", 4 * TRIES, 0),
        Row("500, burst of three", (status(500),) * 3, "ok", 4, 4),
        Row("503 twice", (status(503),) * 2, "ok", 3, 1),
        Row("529 (overloaded)", (status(529),), "ok", 2, 1),
        Row("500 without end", (status(500),) * 9, "error", TRIES, TRIES),
        Row("hang past the deadline, once", (hang(),), "ok", 2, 2),
        Row("hang without end", (hang(),) * 9, "error", TRIES, TRIES),
        Row("connection cut within the body", (cut(),), "ok", 2, 2),
        Row("connection cut before the head", (drop(),), "ok", 2, 2),
        Row("HTML with status 200", (html(),), "ok", 2, 1),
        Row("half JSON with status 200", (half_json(),), "ok", 2, 2),
        Row("empty body with status 200", (raw(b""),), "ok", 2, 2),
        Row("empty choices", (no_choices(),) * 9, "invalid", 1, 1),
        Row("prompt filter without choices", (prompt_filter(),) * 9, "filtered", 1, 1),
        *(
            Row(f"no content, finish_reason {reason}", (silent(finish=reason),) * 9, outcome, 1, 1)
            for reason, outcome in {
                "SAFETY": "filtered",
                "RECITATION": "filtered",
                "PROHIBITED_CONTENT": "filtered",
                "refusal": "refused",
                "stop": "invalid",
            }.items()
        ),
        Row("refusal as a part of the content", (refusing_part(),) * 9, "refused", 1, 1),
        Row("reasoning only", (silent(reasoning_content="It may be joy."),) * 9, "invalid", 1, 1),
        Row("arguments of a tool call", (tool_call(),), "ok", 1, 1),
        Row("tool call without arguments", (silent(tool_calls=[{"function": {"name": "f"}}]),) * 9, "invalid", 1, 1),
        Row("MAX_TOKENS, again", (cut_off("MAX_TOKENS"),) * 9, "truncated", 2, 2),
        Row("max_tokens, again", (cut_off("max_tokens"),) * 9, "truncated", 2, 2),
        Row("finish_reason error without end", (broken_off(),) * 9, "error", TRIES, TRIES),
        Row("error in a choice, without usage", (broken_off(usage=None),) * 2, "ok", 3, 3),
        Row("body in UTF-16 with a mark", (encoded("utf-16"),), "ok", 1, 1),
        Row("body with a byte order mark", (encoded("utf-8-sig"),), "ok", 1, 1),
        Row("usage of 0 tokens", (usage(prompt_tokens=0, completion_tokens=0),), "ok", 1, 1),
        Row("choices of another type", (raw({"choices": {"0": 1}, "usage": 7}),), "ok", 2, 2),
        Row("body of a wrong shape", (raw([1, 2]),), "ok", 2, 2),
        Row("body nested 100,000 deep", (raw(b"[" * 100_000),), "ok", 2, 2),
        Row("no error text at all, 502", (Fault(502, b""),), "ok", 2, 2),
        Row("wrong schema, once", (says('{"mood": "fine"}'),), "ok", 2, 2),
        Row("wrong schema, again", (says('{"mood": "fine"}'),) * 2, "invalid", 2, 2),
        Row("text that is no JSON, again", (says("I feel it is joy."),) * 2, "invalid", 2, 2),
        Row("empty text, again", (says(""),) * 2, "invalid", 2, 2),
        Row("label outside the taxonomy, again", (answer(emotion=["schadenfreude"]),) * 2, "invalid", 2, 2),
        Row("score NaN, again", (answer(valence=math.nan),) * 2, "invalid", 2, 2),
        Row("score Infinity, again", (answer(valence=-math.inf),) * 2, "invalid", 2, 2),
        Row("score 1e308, again", (answer(valence=1e308),) * 2, "invalid", 2, 2),
        Row("score of 400 digits, again", (answer(intensity=10**400),) * 2, "invalid", 2, 2),
        Row("span of words not said, again", (span(text="so sad"),) * 2, "invalid", 2, 2, **spans),
        Row("span beyond the text, again", (span(occurrence=7),) * 2, "invalid", 2, 2, **spans),
        Row("span in a turn that is not there, again", (span(turn=99),) * 2, "invalid", 2, 2, **spans),
        Row("10 MB of text", (says("joy " * 2_500_000),), "invalid", 1, 1),
        Row("10 MB within a good answer", (answer(description="x" * 10_000_000),), "invalid", 1, 1),
        Row("3 MB within a good answer", (answer(description="x" * 3_000_000),), "invalid", 1, 1),
        Row("refusal", (refusal(),), "refused", 1, 1),
        Row("content filter, in the answer", (content_filter(),), "filtered", 1, 1),
        Row("content filter, status 400", (filtered_400(),), "filtered", 1, 0),
        Row("content filter, status 403", (Fault(403, error_body("no", "content_filter")),), "filtered", 1, 0),
        Row("moderation, status 403, with reasons", (flagged(message="no", reasons=["violence"]),), "filtered", 1, 0),
        Row("moderation, status 403, in words", (flagged(),), "filtered", 1, 0),
        Row("moderation, within status 200", (error_200("Your input was flagged", code=403),), "filtered", 1, 0),
        Row("content filter, within status 200", (error_200("no", code="content_filter"),), "filtered", 1, 0),
        Row("429 within status 200", (error_200("slow down", code=429),) * 2, "ok", 3, 1),
        Row("502 within status 200", (error_200("the model is down", code=502),), "ok", 2, 1),
        Row("502 within status 200, without end", (error_200("down", code=502),) * 9, "error", TRIES, 0),
        Row("error in words with status 200", (Fault(200, b'{"error": "overloaded"}'),), "ok", 2, 1),
        Row("cut off at the limit of tokens, once", (length(),), "ok", 2, 2),
        Row("cut off at the limit of tokens, again", (length(),) * 2, "truncated", 2, 2),
        Row("too long for the model, status 400", (too_long(),), "invalid", 1, 0),
        Row("too large, status 413", (Fault(413, b"<html>too large"),), "invalid", 1, 0),
        Row("answered by another model", (Fault(answer={"model": "gpt-0"}, charged=True),), "ok", 1, 1),
        Row("model of another type", (Fault(answer={"model": [1]}, charged=True),), "ok", 1, 1),
        Row("content as a list of parts", (parts(),), "ok", 1, 1),
        Row("usage missing", (Fault(answer={"usage": None}, charged=True),), "ok", 1, 1),
        Row("usage NaN", (usage(prompt_tokens=math.nan, completion_tokens=5),), "ok", 1, 1),
        Row("usage negative", (usage(prompt_tokens=-5, completion_tokens=-(10**9)),), "ok", 1, 1),
        Row("usage of 10^30 tokens", (usage(prompt_tokens=10**30, completion_tokens=1),), "ok", 1, 1),
        Row("headers of nonsense", (odd_headers(),), "ok", 1, 1),
        Row("redirect elsewhere, again", (elsewhere(),) * 9, "error", TRIES, 0),
        Row("expired key (401)", (expired_key(),), "", 1, 0, "ServiceRefused"),
        Row("no right to it (403)", (status(403),), "", 1, 0, "ServiceRefused"),
        Row("account flagged (403)", (flagged(message="Your account was flagged"),), "", 1, 0, "ServiceRefused"),
        Row("unknown model (404)", (unknown_model(),), "", 1, 0, "ServiceRefused"),
        Row("quota used up (429)", (quota(),), "", 1, 0, "ServiceRefused"),
    ]


def is_counted(row: Row) -> bool:
    """Whether each answer says how many tokens it took, and is read to its end, so that the ledger can be exact."""
    is_read = all(len(str((play.message or {}).get("content"))) < MAX_BODY_BYTES for play in row.plays)
    return is_read and all(play.answer is None or "usage" not in play.answer for play in row.plays)


def silent(finish: str | None = None, **message: Any) -> Fault:
    """A whole reply without content."""
    return Fault(message={"content": None, **message}, finish=finish, charged=True)


def prompt_filter() -> Fault:
    return Fault(answer={"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, charged=True)


def refusing_part() -> Fault:
    return Fault(message={"content": [{"type": "refusal", "refusal": "I cannot."}]}, charged=True)


def tool_call() -> Fault:
    function = {"name": "answer", "arguments": json.dumps(GOOD["utterance_emotion.v1"])}
    return silent("tool_calls", tool_calls=[{"id": "t", "type": "function", "function": function}])


def cut_off(finish: str) -> Fault:
    return Fault(message={"content": '{"emotion": ["jo'}, finish=finish, charged=True)


def broken_off(**answer: Any) -> Fault:
    choice = {"message": {"content": ""}, "finish_reason": "error", "error": {"code": 502, "message": "down"}}
    return Fault(answer={"choices": [choice], **answer}, charged=True)


def encoded(encoding: str) -> Fault:
    message = {"content": json.dumps(GOOD["utterance_emotion.v1"])}
    used = {"prompt_tokens": 9, "completion_tokens": 9}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "model": "m", "usage": used}
    return Fault(200, json.dumps(body).encode(encoding), charged=True)


def nonsense(wait: str) -> Fault:
    return status(429, retry_after=wait)


def elsewhere() -> Fault:
    return Fault(302, b"", {"location": "http://127.0.0.1:9/"})


def parts() -> Fault:
    text = json.dumps(GOOD["utterance_emotion.v1"])
    return Fault(message={"content": [{"type": "text", "text": text[:20]}, {"text": text[20:]}]}, charged=True)


def odd_headers() -> Fault:
    odd = {"x-ratelimit-limit-requests": "lots", "x-ratelimit-limit-tokens": "-3", "x-ratelimit-reset-tokens": "1y"}
    return Fault(headers={**odd, "retry-after": "x" * 4000, "openai-processing-ms": "\x01\xff"}, charged=True)


def batch_rows() -> list[Row]:
    """The rows that one line of a batch can meet: a file has no connection to cut, no delay and no headers."""
    return [
        row
        for row in rows()
        if not any(play.hang or play.cut_after is not None or play.status == 302 for play in row.plays)
    ]


ABSENT = Fault(404, error_body("No such thing", "not_found"))
NAMELESS = raw({"id": "b", "status": "completed", "output_file_id": None})
LOST_SUBMISSIONS = {"dropped": drop(), "cut": cut(), "500": status(500), "HTML": html(), "429": status(429)}


def services() -> dict[str, Callable[[ChatDouble], None]]:
    """What else a service of batches does, by name: it happens in the first run, and all items are answered."""
    late = {
        "batch not shown": ("GET /v1/batches/*", ABSENT),
        "output file not shown": ("GET /v1/files/*/content", ABSENT),
        "output file empty": ("GET /v1/files/*/content", Fault(200, b"")),
        "completed, no file named": ("GET /v1/batches/*", NAMELESS),
        "state of another type": ("GET /v1/batches/*", raw({"id": "b", "status": ["completed"]})),
        "polling, 503": ("GET /v1/batches/*", status(503)),
    }
    return {
        **{f"{name}, twice": _on_path(path, fault, 2) for name, (path, fault) in late.items()},
        **{f"{name}, for a whole run": _on_path(path, fault, TRIES) for name, (path, fault) in list(late.items())[:4]},
        **{f"answer to the submission {how}": _plan(BatchPlan(reply=fault)) for how, fault in LOST_SUBMISSIONS.items()},
        **{
            f"{state} with 60 % answered": _plan(BatchPlan(state=state, share=0.6))
            for state in ("expired", "cancelled")
        },
        "failed as a whole": _plan(BatchPlan(state="failed", share=0.0)),
        "completed with 60 % of the lines": _plan(BatchPlan(share=0.6)),
        "every line twice": _plan(BatchPlan(doubled=True)),
        "upload, 503 and cut": _on_path("POST /v1/files", status(503), 1),
    }


def _on_path(path: str, fault: Fault, times: int) -> Callable[[ChatDouble], None]:
    return lambda double: double.on_path(path, *[fault] * times)


def _plan(plan: BatchPlan) -> Callable[[ChatDouble], None]:
    return lambda double: double.plan(plan)
