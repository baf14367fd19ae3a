"""Bodies of replies: compressed, in any Unicode encoding, and with the key echoed in them."""

import base64
import gzip
import json
import re
import zlib

import pytest

from curate.llm.transport.client import _remove_secrets
from tests.support.asking import GOOD, KEY, ask_items, make_settings, rows
from tests.support.chat_faults import Fault, raw, says

ANSWER = GOOD["utterance_emotion.v1"]
PAGE = {
    "choices": [{"message": {"content": json.dumps({**ANSWER, "description": "Größe, 悲しい"}, ensure_ascii=False)}}],
    "model": "gpt-5-mini",
    "usage": {"prompt_tokens": 30, "completion_tokens": 20},
}
PLAIN = json.dumps(PAGE, ensure_ascii=False).encode()
BODIES = {
    "gzip": raw(gzip.compress(PLAIN), content_encoding="gzip"),
    "x-gzip": raw(gzip.compress(PLAIN), content_encoding="X-GZIP"),
    "deflate": raw(zlib.compress(PLAIN), content_encoding="deflate"),
    "Identity": raw(PLAIN, content_encoding="Identity"),
    "empty encoding": raw(PLAIN, content_encoding=""),
    "mark": raw(b"\xef\xbb\xbf" + PLAIN),
    **{name: raw(PLAIN.decode().encode(name)) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")},
    "gzip of utf-16": raw(gzip.compress(PLAIN.decode().encode("utf-16")), content_encoding="gzip"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_stored_readable_and_asked_for_once(double, tmp_path, name):
    double.then(BODIES[name])
    for _ in range(2):
        seen = ask_items(tmp_path, make_settings(double, tries=1), ["an item"])
        assert seen.replies[0].outcome == "ok", seen.replies[0].detail
        assert seen.replies[0].value["description"] == "Größe, 悲しい"
        assert (seen.replies[0].tokens_in, seen.replies[0].tokens_out) == (30, 20)
    assert len(double.calls) == 1
    (stored,) = rows(tmp_path, "answers")
    assert json.loads(stored["reply"].removeprefix("\ufeff")) == PAGE


@pytest.mark.parametrize(
    "body",
    [gzip.compress(PLAIN)[:-9], b"not compressed", gzip.compress(b"x" * 50_000_000)],
    ids=["cut", "none", "bomb"],
)
def test_bodies_that_do_not_unpack_cost_one_item_at_most(double, tmp_path, body):
    double.answer = lambda request: json.dumps(ANSWER)
    double.on("item 0", *[raw(body, content_encoding="gzip")] * 2)
    seen = ask_items(tmp_path, make_settings(double, tries=2), ["item 0", "item 1"])
    assert (seen.replies[0].outcome, seen.replies[1].outcome) in (("error", "ok"), ("invalid", "ok"))
    assert seen.lost == 0


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def in_base64(text: str, shift: int = 0) -> str:
    return base64.b64encode(b"x" * shift + text.encode()).decode()


ECHOES = {
    "plain": KEY,
    "in a header": f"Authorization: Bearer {KEY}",
    "one character escaped": KEY.replace("-", "\\u002d"),
    "all escaped": escaped(KEY),
    "upper case": escaped(KEY).replace("\\u006b", "\\u006B"),
    "solidus": KEY[:3] + "\\" + KEY[3:],
    **{f"base64, {shift}": in_base64(KEY, shift) for shift in range(3)},
    "base64 of a header": in_base64(f"Bearer {KEY}"),
    "base64 of user and password": in_base64(f"user:{KEY}"),
    "base64 for addresses": base64.urlsafe_b64encode(f"~~{KEY}".encode()).decode(),
}


def holds_key(text: str) -> bool:
    """Whether the key can be read in a text: as it is, with JSON escapes undone, or within base64."""
    plain = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text).replace("\\", "")
    for token in re.findall(r"[A-Za-z0-9+/_-]{16,}", plain):
        for start in range(4):
            part = token[start:].replace("-", "+").replace("_", "/")
            if KEY.encode() in base64.b64decode(part + "A" * (-len(part) % 4) + "AAAA"):
                return True
    return KEY in plain


@pytest.mark.parametrize("name", ECHOES)
def test_a_key_that_is_echoed_is_masked_in_bodies_and_headers(name):
    assert holds_key(ECHOES[name]) or name == "solidus"
    page = json.dumps({"choices": [{"message": {"content": json.dumps({"description": ECHOES[name]})}}]})
    for body in (ECHOES[name], page, page.replace("/", "\\/"), page.encode("utf-16")):
        data = body if isinstance(body, bytes) else body.encode()
        masked, headers = _remove_secrets((KEY,), data, {"x-request-id": ECHOES[name]})
        assert not holds_key(masked.decode())
        assert not holds_key(headers["x-request-id"])


def test_a_key_that_is_echoed_reaches_no_table_log_report_or_release(corpus, double):
    texts = [f"I am so glad today ({number})." for number in range(len(ECHOES) + 1)]
    corpus.write(texts)
    for text, echo in zip(texts, ECHOES.values(), strict=False):
        double.on(
            text, says(json.dumps({**ANSWER, "reasons": "x", "description": "The key is KEY."}).replace("KEY", echo))
        )
    double.on(
        texts[-1], *[Fault(400, json.dumps({"error": {"message": f"bad key {ECHOES['base64, 0']}"}}).encode())] * 9
    )
    done = corpus.run(labellers=[{"model": "openai/gpt-5-mini", "scores": False}])
    assert {row["outcome"] for row in corpus.rows()} >= {"ok"}
    texts = [json.dumps(corpus.rows(name), default=str) for name in ("prelabels", "labels", "items", "rejections")]
    texts += [row["reply"] + row["headers"] for row in rows(corpus.workspace.local, "answers")]
    for path in corpus.workspace.local.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".html", ".md", ".yaml"):
            texts.append(path.read_text())
    release = corpus.workspace.releases.path / "1.0.0"
    assert release.is_dir()
    assert done.report
    assert not [text[:100] for text in texts if holds_key(text)]
