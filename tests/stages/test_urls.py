"""Links: fetched politely and once, with one outcome each, and never from where they should not lead."""

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from curate.cli.progress import ProgressLines
from curate.corpus.fetched import FETCHED, LINKS, FetchRecord, link_copy, link_key
from curate.corpus.sources import SourceMissing
from curate.errors import InvalidInput
from curate.pipeline import open_corpus, plan
from curate.pipeline.forget.scope import Scope
from curate.pipeline.forget.takedown import forget, plan_forgetting
from curate.pipeline.walk import make_tools
from curate.recipe import load_recipe
from curate.stages.contract import REASONS
from curate.stages.ingest.urls.addresses import is_public
from curate.stages.ingest.urls.connections import split_url
from curate.stages.ingest.urls.listing import link_inputs
from curate.stages.ingest.urls.outcomes import OUTCOMES, LinkFailed, describe_outcomes
from curate.stages.ingest.urls.robots import check_page
from curate.stages.ingest.urls.settings import Urls
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.link_server import LinkServer
from tests.support.media_builders import make_tone, write_media
from tests.support.processes import wait_until
from tests.support.runs import run_quietly


@pytest.fixture
def server():
    with LinkServer() as links:
        yield links


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    write_media(path, sound=make_tone())
    return path.read_bytes()


class Inputs:
    """Lists links as the discovery of a run does, in one workspace."""

    def __init__(self, folder: Path) -> None:
        recipe = make_recipe(folder / "in", {"stage": "ingest", "files": "*.yaml"})
        self.workspace = Workspace(folder / "w")
        loaded = load_recipe(recipe)._replace(private_links=True)
        with self.workspace.lock():
            self.tools = make_tools(loaded, self.workspace, fetches=True)

    def list(self, *links: str, tools: dict | None = None, **settings) -> dict[str, str]:
        """Return the outcome of each link; ``details`` has the sentences."""
        settings = {"timeout_s": 20, "links": links, **settings}
        urls = Urls(**{name: value for name, value in settings.items() if value != ()})
        found = link_inputs(urls, self.tools._replace(**tools or {}))
        self.details = {row["file"]: row["problem"] for row in found.problems}
        return dict.fromkeys(found.names, "ok") | {row["file"]: row["reason"] for row in found.problems}

    def copy(self, url: str) -> Path:
        return link_copy(self.tools.fetched, url)


@pytest.fixture
def inputs(tmp_path) -> Inputs:
    return Inputs(tmp_path)


PAGE = {"Content-Type": "text/html; charset=utf-8"}
OUTCOME_OF = {
    "gone": (410, {}, b""),
    "missing": (404, PAGE, b"<html>not here</html>"),
    "login": (401, {}, b""),
    "secret": (403, PAGE, b"<html>members only</html>"),
    "law": (451, {}, b""),
    "country": (403, PAGE, b"<p>This video is not available in your country</p>"),
    "challenge": (503, {**PAGE, "cf-mitigated": "challenge"}, b"<title>Just a moment...</title>"),
    "captcha": (403, PAGE, b"<form class='g-recaptcha'>Prove that you are no robot: captcha</form>"),
    "gentle": (200, PAGE, b"<title>Just a moment</title>"),
    "page": (200, PAGE, b"<html><body>A page.</body></html>"),
    "meta": (200, PAGE, b'<meta content="noimageai, noai" name="robots">'),
    "header": (200, {"X-Robots-Tag": "noindex, noai"}, b"RIFF"),
    "other": (200, {"X-Robots-Tag": "googlebot: noai"}, b"RIFF"),
    "long": (200, {"Content-Length": "5000000"}, b""),
    "endless": "endless",
    "busy": (429, {"Retry-After": "9999"}, b""),
    "later": (503, {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, b""),
    "broken": (500, {}, b""),
    "empty": (200, {}, b""),
    "loop": (302, {"Location": "/loop"}, b""),
    "file": (302, {"Location": "file:///etc/passwd"}, b""),
}
EXPECTED = {
    "gone": "gone",
    "missing": "gone",
    "login": "forbidden",
    "secret": "forbidden",
    "law": "region",
    "country": "region",
    "challenge": "bot_check",
    "captcha": "bot_check",
    "gentle": "bot_check",
    "page": "wrong_type",
    "meta": "robots",
    "header": "robots",
    "other": "ok",
    "long": "too_large",
    "endless": "too_large",
    "busy": "throttled",
    "later": "throttled",
    "broken": "unavailable",
    "empty": "unavailable",
    "loop": "unavailable",
    "file": "invalid",
}


def test_one_outcome_for_each_link(server, inputs):
    server.pages = {f"/{name}": page for name, page in OUTCOME_OF.items()}
    links = {f"{server.url}/{name}": outcome for name, outcome in EXPECTED.items()}
    links |= {"https://nobody.invalid/a.mp4": "unavailable", "ftp://x/y": "invalid", "no link": "invalid"}
    links |= {"http://ann:secret@x.example/a": "invalid", f"{server.url}/a b": "invalid", "http://[::1/x": "invalid"}
    assert inputs.list(*links, max_mb=2, per_host=32) == links
    assert set(links.values()) - {"ok"} <= set(REASONS)
    assert set(OUTCOMES) - {"ok"} <= set(REASONS)
    assert "9,999 s" not in inputs.details[f"{server.url}/busy"]
    left = [path for path in inputs.copy("x").parents[1].rglob("*") if path.is_file()]
    assert left == [inputs.copy(f"{server.url}/other")], left
    server.pages["/silent"] = "silent"
    assert list(inputs.list(f"{server.url}/silent", timeout_s=0.3, robots=False).values()) == ["timeout"]
    sentence = describe_outcomes(links.values())
    assert sentence.startswith(f"of {len(links)} links, 1 was fetched; {len(links) - 1} gave no file (")
    assert describe_outcomes([]) == ""
    assert describe_outcomes(["ok", "ok"]) == "of 2 links, 2 were fetched"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *(("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("::1", False)),
        *(("169.254.169.254", False), ("0.0.0.0", False), ("100.64.0.1", False), ("192.168.0.1", False)),
        *(("::ffff:127.0.0.1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("64:ff9b::7f00:1", False)),
        *(("2002:7f00:1::", False), ("224.0.0.1", False), ("::ffff:8.8.8.8", True)),
        *(("fec0::1", False), ("::127.0.0.1", False), ("64:ff9b:1::7f00:1", False), ("4000::1", False)),
    ],
)
def test_public_addresses(address, expected):
    assert is_public(address) is expected


def test_private_addresses_are_refused_however_they_are_reached(server, inputs, sound, monkeypatch):
    server.pages = {"/a.wav": sound, "/to": (302, {"Location": "http://inside.example/a.wav"}, b"")}
    here = server.url.rpartition(":")[2]
    links = [f"{server.url}/a.wav", f"http://localhost:{here}/a.wav", f"http://2130706433:{here}/a.wav"]
    links += [f"http://[::ffff:127.0.0.1]:{here}/a.wav", f"http://public.example:{here}/to"]
    real = socket.getaddrinfo
    answers = {"public.example": "8.8.8.8", "inside.example": "10.0.0.7"}

    def resolve(host, port, *arguments, **options):
        return real(answers.get(host, host), port, *arguments, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    connect = socket.create_connection

    def to_server(address, *arguments, **options):
        # What was checked to be public is served here.
        assert address[0] == "8.8.8.8"
        return connect(("127.0.0.1", int(here)), *arguments, **options)

    monkeypatch.setattr("socket.create_connection", to_server)
    outcomes = inputs.list(*links, tools={"private_links": False}, robots=True)
    assert outcomes == dict.fromkeys(links, "private_address")
    assert "`curate run --private-links` allows it" in inputs.details[links[0]]
    assert "inside.example is at 10.0.0.7" in inputs.details[links[-1]]
    assert server.asked("/to") == 1
    # Allowed, they are asked for again at once.
    monkeypatch.undo()
    assert inputs.list(links[0]) == {links[0]: "ok"}


def test_the_next_address_is_tried(server, inputs, sound, monkeypatch):
    server.pages = {"/a.wav": sound}
    port = int(server.url.rpartition(":")[2])
    answers = [(None, None, None, None, (address, port)) for address in ("2606:4700::1111", "8.8.8.8")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answers)
    tried = []

    def to_server(address, *_):
        tried.append(address[0])
        if ":" in address[0]:
            raise OSError("Network is unreachable")
        return _connected(("127.0.0.1", address[1]))

    monkeypatch.setattr("socket.create_connection", to_server)
    link = f"http://public.example:{port}/a.wav"
    assert inputs.list(link, tools={"private_links": False}, robots=False) == {link: "ok"}
    assert tried == ["2606:4700::1111", "8.8.8.8"]


def _connected(address: tuple[str, int]) -> socket.socket:
    """Connect without asking for names."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.connect(address)
    return connection


def test_robots_txt(server, inputs, sound):
    server.pages = {"/open/a.wav": sound, "/closed/a.wav": sound}
    server.pages["/robots.txt"] = b"User-agent: *\nDisallow: /\n\nUser-agent: curate\nDisallow: /closed\n"
    links = [f"{server.url}/open/a.wav", f"{server.url}/closed/a.wav"]
    assert list(inputs.list(*links).values()) == ["ok", "robots"]
    assert (server.asked("/robots.txt"), server.asked("/closed/a.wav")) == (1, 0)
    assert server.requests[-1][1]["User-Agent"].startswith("curate/")
    assert list(inputs.list(*links, robots=False).values()) == ["ok", "ok"]
    server.pages["/open/noai.wav"] = (200, {"X-Robots-Tag": "noai"}, sound)
    noai = [f"{server.url}/open/noai.wav"]
    assert [*inputs.list(*noai).values(), *inputs.list(*noai, robots=False).values()] == ["robots", "ok"]
    other = [f"{server.url}/open/a.wav?2"]
    server.pages[other[0].removeprefix(server.url)] = sound
    server.pages["/robots.txt"] = (503, {}, b"")
    assert list(inputs.list(*other).values()) == ["unavailable"]
    server.pages["/robots.txt"] = (403, {}, b"")
    assert list(inputs.list(*other).values()) == ["ok"]


@pytest.mark.parametrize(
    ("page", "is_refused"),
    [
        (b"<META NAME = 'curate' content='noai'>", True),
        (b"<meta content='a < b, noimageai' name=robots>", True),
        (b"<meta name=viewport content=noai><p>noai", False),
        # A page that is made to take long
        (b"<meta name=robots" * 1_000, False),
    ],
)
def test_what_a_page_asks_is_seen_at_once(page, is_refused):
    begin = time.process_time()
    with pytest.raises(LinkFailed) if is_refused else nullcontext():
        check_page(page)
    assert time.process_time() - begin < 0.5


@pytest.mark.parametrize("slow_path", ["/robots.txt", "/page"])
def test_no_reply_may_come_for_longer_than_a_file(server, inputs, slow_path):
    server.pages = {slow_path: "trickle"}
    link = f"{server.url}/page"
    assert inputs.list(link, max_s=0.1) == {link: "timeout"}


def test_connections_are_used_again(server, inputs, sound):
    paths = [f"/{number}.wav" for number in range(40)]
    server.pages = dict.fromkeys(paths, sound)
    server.pages["/7.wav"] = (200, {"Connection": "close"}, sound)
    assert set(inputs.list(*(server.url + path for path in paths), per_host=4).values()) == {"ok"}
    assert server.connections <= 6


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(server, inputs, sound):
    server.idle_s = 0.1
    server.pages = {"/a.wav": sound, "/b.wav": sound, "/robots.txt": b"User-agent: *\nCrawl-delay: 0.4\n"}
    assert set(inputs.list(f"{server.url}/a.wav", f"{server.url}/b.wav", connections=1).values()) == {"ok"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip that is none", "bomb"])
def test_replies_that_are_compressed_although_nobody_asked(server, inputs, sound, encoding):
    body = {"gzip": gzip.compress(sound), "deflate": zlib.compress(sound), "bomb": gzip.compress(bytes(50_000_000))}
    headers = {"Content-Encoding": {"bomb": "gzip", "gzip that is none": "gzip"}.get(encoding, encoding)}
    server.pages = {"/a.wav": (200, headers, body.get(encoding, b"no such thing"))}
    link = f"{server.url}/a.wav"
    expected = {"gzip": "ok", "deflate": "ok", "bomb": "too_large"}.get(encoding, "unavailable")
    assert inputs.list(link, max_mb=2) == {link: expected}
    if expected == "ok":
        assert inputs.copy(link).read_bytes() == sound


def test_what_comes_is_followed(server, inputs, sound):
    server.latency_s = 0.3
    paths = [f"/{number}.wav" for number in range(4)]
    server.pages = dict.fromkeys(paths[:3], sound)
    told = []
    tools = {"fetching": lambda *numbers: told.append(numbers)}
    inputs.list(*(server.url + path for path in paths), per_host=1, robots=False, tools=tools)
    assert told[-1] == (4, 4, 3 * len(sound))
    assert len(told) > 2
    assert told == sorted(told)


def test_progress_without_a_terminal(capsys):
    lines = ProgressLines()
    for done in range(5):
        lines.files_fetched(done, 4, done * 1_500_000)
    assert capsys.readouterr().err == "4 of 4 files asked for, 6.0 MB fetched\n"


def test_a_file_that_ends_early_is_not_a_file(server, inputs, sound):
    server.pages = {"/a.wav": (200, {"Content-Length": str(len(sound) + 10), "Connection": "close"}, sound)}
    link = f"{server.url}/a.wav"
    assert inputs.list(link) == {link: "unavailable"}
    assert "the connection was closed before the end" in inputs.details[link]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/x y", ("http", "a.example", 80, "/x%20y")),
        ("https://bücher.example/ä?q=ö#top", ("https", "xn--bcher-kva.example", 443, "/%C3%A4?q=%C3%B6")),
        ("http://[::1]:8080?a=%20b", ("http", "::1", 8080, "/?a=%20b")),
    ],
)
def test_parts_of_a_url(url, expected):
    assert split_url(url) == expected


def test_limits_and_pace(server, inputs, sound):
    server.latency_s = 0.05
    paths = [f"/{number}.wav" for number in range(12)]
    server.pages = dict.fromkeys(paths, sound)
    links = [server.url + path for path in paths]
    assert set(inputs.list(*links, per_host=3, robots=False).values()) == {"ok"}
    assert server.most_open == 3
    server.pages["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.1\n"
    server.pages |= {f"{path}?2": sound for path in paths[:4]}
    begin = time.monotonic()
    assert set(inputs.list(*(f"{link}?2" for link in links[:4])).values()) == {"ok"}
    assert time.monotonic() - begin >= 0.3


def test_a_busy_server_is_asked_again_when_it_says(server, inputs, sound):
    busy = (429, {"Retry-After": "0"}, b"")
    server.pages = {"/a.wav": [busy, busy, sound], "/b.wav": [(500, {}, b""), sound]}
    assert set(inputs.list(f"{server.url}/a.wav", f"{server.url}/b.wav").values()) == {"ok"}
    assert (server.asked("/a.wav"), server.asked("/b.wav")) == (3, 2)


def test_what_came_is_not_asked_for_again(server, inputs, sound):
    big = sound * 20
    server.pages = {"/a.wav": big, "/gone.wav": None}
    server.cut_after = {"/a.wav": 300_000}
    link, gone = f"{server.url}/a.wav", f"{server.url}/gone.wav"
    assert inputs.list(link, gone) == {link: "ok", gone: "gone"}
    ranges = [headers.get("Range") for path, headers in server.requests if path == "/a.wav"]
    assert ranges[0] is None
    assert ranges[1] == "bytes=300000-"
    assert inputs.copy(link).read_bytes() == big
    asked = len(server.requests)
    assert inputs.list(link, gone) == {link: "ok", gone: "gone"}
    assert len(server.requests) == asked
    # After a week, a link that was gone is looked for again; a file that is lost is fetched again, with equal inputs.
    state = inputs.copy(link).stat()
    inputs.copy(link).unlink()
    later = inputs.tools.today + timedelta(days=8)
    server.pages["/gone.wav"] = sound
    assert inputs.list(link, gone, tools={"today": later}) == {link: "ok", gone: "ok"}
    assert inputs.copy(link).stat().st_mtime_ns == state.st_mtime_ns
    assert 0 < state.st_mtime_ns < time.time_ns()


def test_a_file_that_changes_while_it_is_fetched_is_fetched_whole(server, inputs, sound):
    link = f"{server.url}/a.wav"
    part = inputs.copy(link).with_name(inputs.copy(link).name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"old bytes")
    part.with_name(part.name + ".json").write_text(f'{{"url": "{link}", "validator": "\\"old\\""}}')
    server.pages = {"/a.wav": sound}
    assert inputs.list(link) == {link: "ok"}
    assert inputs.copy(link).read_bytes() == sound


def test_checksums_in_a_table(server, inputs, sound, tmp_path):
    server.pages = {"/a.wav": sound, "/b.wav": sound, "/c.wav": sound}
    digest = hashlib.sha256(sound).hexdigest()
    rows = [
        f"{server.url}/a.wav,{digest.upper()}",
        f"{server.url}/b.wav,{'0' * 64}",
        f"{server.url}/c.wav,",
        ",",
        "x,y,z",
    ]
    (tmp_path / "in/links.csv").write_text("\n".join(["file,sum", *rows, rows[0]]) + "\n")
    outcomes = inputs.list(links=(), table="links.csv", column="file", sha256="sum")
    assert sorted(outcomes.values()) == ["checksum", "invalid", "invalid", "ok", "ok"]
    assert outcomes[f"{server.url}/b.wav"] == "checksum"
    assert f"its SHA-256 is {digest}" in inputs.details[f"{server.url}/b.wav"]
    assert not inputs.copy(f"{server.url}/b.wav").exists()
    with pytest.raises(InvalidInput, match="has no column nothing"):
        inputs.list(links=(), table="links.csv", column="nothing")


def test_a_run_over_links(server, tmp_path, sound):
    signed = "X-Amz-Signature=0123abcd"
    server.pages = {
        f"/a.wav?{signed}": sound,
        "/posts.jsonl": (200, {"Content-Type": "text/plain"}, b'{"text": "I am glad"}\n'),
    }
    links = [f"{server.url}/{name}" for name in (f"a.wav?{signed}", "posts.jsonl", "gone.wav")]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/labels.csv").write_text(f"clip,emotion\n{links[0]},anger\nhttps://elsewhere.example/x,fear\n")
    table = {
        "table": "labels.csv",
        "item": {"id": "clip", "media": "clip"},
        "rater": {"constant": "expert"},
        "long": {"emotion": "emotion"},
    }
    ingest = {"stage": "ingest", "urls": {"links": links}, "tables": [table], "licence": "CC0-1.0"}
    stages = [ingest, {"stage": "preprocess", "unit": "clip"}, {"stage": "annotate", "server": False}]
    stages += [{"stage": "aggregate"}, {"stage": "export"}]
    recipe = make_recipe(tmp_path / "in", *stages, labels="acted_emotion.v1")
    loaded, root = load_recipe(recipe), tmp_path / "w"
    (ingest_plan, *_) = plan(loaded, Workspace(root))
    assert server.requests == []
    assert (ingest_plan.note, ingest_plan.changes) == ("3 links are to be fetched", True)
    run_quietly(loaded._replace(private_links=True), root)
    corpus = open_corpus(loaded, Workspace(root))
    rows = {row["file"]: (row["kind"], row["key"]) for row in corpus.read("sources").to_pylist()}
    assert rows == {
        links[0]: ("audio", links[0]),
        f"{links[1]}#1": ("text", None),
        "labels.csv#3": ("record", "https://elsewhere.example/x"),
    }
    rejected = {
        row["subject"]: row["reason"] for row in corpus.read("rejections").to_pylist() if row["stage"] == "ingest"
    }
    assert rejected == {links[2]: "gone", "labels.csv#3:media": "unavailable"}
    card = next((root / "releases").glob("*/README.md")).read_text().replace("\\", "")
    assert "Of 3 links, 2 were fetched; 1 gave no file (1 gone)." in card
    for path in (root / "releases").rglob("*"):
        assert path.is_dir() or b"0123abcd" not in path.read_bytes(), path
    (shard,) = (root / "releases").glob("*/data/train*.parquet")
    assert {f"{server.url}/a.wav"} <= set(pl.read_parquet(shard)["file"])
    asked = len(server.requests)
    assert not run_quietly(loaded._replace(private_links=True), root).changed
    assert len(server.requests) == asked

    workspace = Workspace(root)
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, Scope("source", links[0]), "asked", today=date(2026, 1, 1)))
    assert not link_copy(root / FETCHED, links[0]).exists()
    assert links[0].encode() not in (root / FETCHED).read_bytes()
    run_quietly(loaded._replace(private_links=True), root)
    assert len(server.requests) == asked
    assert not link_copy(root / FETCHED, links[0]).exists()
    with pytest.raises(SourceMissing, match="cannot be read"):
        make_tools(loaded, workspace).raw.path(links[0])


KILLED = """
import sys
from pathlib import Path
from curate.recipe import load_recipe
from tests.support.runs import run_quietly
run_quietly(load_recipe(Path(sys.argv[1]))._replace(private_links=True), Path(sys.argv[2]))
"""


def test_a_killed_run_goes_on_where_it_was(server, tmp_path, sound):
    server.latency_s = 0.2
    paths = [f"/{number}.wav" for number in range(8)]
    server.pages = dict.fromkeys(paths, sound)
    urls = {"links": [server.url + path for path in paths], "per_host": 2, "robots": False}
    recipe = make_recipe(tmp_path / "in", {"stage": "ingest", "urls": urls, "licence": "CC0-1.0"})
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(recipe), str(tmp_path / "w")])
    wait_until(lambda: len(server.requests) > 3, timeout_s=30)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    done = len(list((tmp_path / "w/links").glob("*/*.wav")))
    assert 0 < done < 8
    kept = [path for path in paths if link_copy(tmp_path / "w" / FETCHED, server.url + path).is_file()]
    run_quietly(load_recipe(recipe)._replace(private_links=True), tmp_path / "w")
    assert len(open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("sources")) == 1
    assert [server.asked(path) for path in kept] == [1] * done
    record = FetchRecord(tmp_path / "w" / FETCHED)
    assert [record.get(LINKS, link_key(server.url + path))["outcome"] for path in paths] == ["ok"] * 8


@pytest.mark.parametrize(
    ("urls", "sentence"),
    [
        ({}, "name either `links` or `table`"),
        ({"links": ["https://a"], "sha256": "sum"}, "`sha256` is a column of `table`"),
        ({"table": "none.csv"}, "there is no file 'none.csv'"),
        ({"links": ["https://a"], "types": ["video"]}, "types"),
        ({"links": ["https://a"], "allow_private": True}, "allow_private is not a setting"),
    ],
)
def test_settings_that_cannot_be(tmp_path, urls, sentence):
    with pytest.raises(InvalidInput) as raised:
        load_recipe(make_recipe(tmp_path, {"stage": "ingest", "urls": urls}))
    assert any(sentence in problem for problem in raised.value.problems), raised.value.problems
