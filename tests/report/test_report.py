"""The report of a run: complete, self-contained, and deaf to what transcripts say."""

import base64
import hashlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment, PackageLoader

from curate import report
from curate.errors import StorageFailed
from curate.report.page import short
from curate.report.run import render_report, write_report
from curate.report.sections.gallery import MAX_ITEMS
from tests.support.release_builders import make_corpus, make_jpeg

RECORD = {
    "recipe": "demo_corpus",
    "stages": [
        {"stage": "ingest", "seconds": 1.25, "rows": 3, "rejected": 1, "skipped": 2, "message": ""},
        {
            "stage": "export",
            "seconds": 0.2,
            "rows": 6,
            "rejected": 0,
            "skipped": 0,
            "message": "release 1.0.0 is in /x",
        },
    ],
    "versions": {"curate": "0.1.0", "python": "3.11"},
}
EVIL = "</style></p><script>alert(1)</script><img src=http://evil/x onerror=alert(2)>\" onload='x' \u202egnp.exe"


class Page(HTMLParser):
    """Tags, attributes and text of a page as a browser takes them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.extend((tag, name, text or "") for name, text in attributes)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_it_tells_what_was_done_and_what_came_of_it(tmp_path):
    made = make_corpus(tmp_path / "ws")
    path = write_report(tmp_path / "runs" / "1" / "report.html", made.corpus, RECORD)
    page = Page(path.read_text(encoding="utf-8"))
    for words in (
        "demo_corpus",
        "ingest 3 1 2 1.2 s export 6 0.2 s",
        "release 1.0.0 is in /x",
        "Sentence 2, ünïcode",
        "Film 1",
        "CC-BY-4.0",
        "3 sources",
        "6 items",
        "3 labelled by people",
        "3 items have not been judged by people",
        "curate annotate up",
        "2 labels are proposals of a model",
        "proposed: 3",
        "curate 0.1.0",
    ):
        assert words in page.text, words
    assert "ended early" not in page.text
    assert page.tags.count("img") == 3
    assert [path.name for path in path.parent.iterdir()] == ["report.html"]


def test_rejections_are_counted_by_reason_with_examples(tmp_path):
    made = make_corpus(tmp_path / "ws")
    rows = [
        {"rejection_id": str(at), "stage": "ingest", "parent_id": f"f{at}", "subject": f"f{at}.mp4", "reason": reason}
        | {"detail": "said the decoder", "work": "sources-work"}
        for at, reason in enumerate(["truncated"] * 8 + ["no_speech"])
    ]
    made.corpus.table("rejections").commit(rows, metadata={})
    text = Page(render_report(made.corpus, RECORD)).text
    assert "ingest: truncated 8 ingest: no_speech 1" in text
    assert text.count("said the decoder") == 6
    assert "9 rejected" in text


def test_nothing_from_outside_is_obeyed_or_fetched(tmp_path):
    made = make_corpus(tmp_path / "ws", text=EVIL, title=EVIL, collection=EVIL, licence=EVIL, speaker=EVIL)
    record = {"recipe": EVIL, "versions": {EVIL: EVIL}, "stages": [{"stage": EVIL, "message": EVIL}], "ended": EVIL}
    page = Page(render_report(made.corpus, record))
    assert page.tags.count("script") == 1
    assert not [each for each in page.attributes if each[1].startswith("on")]
    links = [text for _, name, text in page.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert all(text.startswith(("data:image/jpeg;base64,", "data:video/mp4;base64,")) for text in links)
    assert page.tags.count("style") == 1
    assert EVIL in "".join(page.words)
    (policy,) = [text for tag, name, text in page.attributes if text.startswith("default-src")]
    script = (Path(report.__file__).parent / "templates" / "gallery.js").read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert script.decode() in "".join(page.words)


def test_the_largest_corpus_still_fits_a_page(tmp_path):
    made = make_corpus(tmp_path / "ws", items=MAX_ITEMS + 50)
    page = Page(render_report(made.corpus, RECORD))
    assert sum("item" in text.split() for _, name, text in page.attributes if name == "class") == MAX_ITEMS
    assert f"{MAX_ITEMS} of {MAX_ITEMS + 50}" in page.text


def test_pictures_are_made_small_and_broken_ones_are_left_out(tmp_path):
    made = make_corpus(tmp_path / "ws", items=2, face=None)
    large = make_corpus(tmp_path / "ws", items=1, first=1)
    big = large.tools.blobs.put(make_jpeg(1, size=3000), "jpg")
    make_corpus(tmp_path / "ws", items=1, first=2, face=big)
    broken = large.tools.blobs.put(b"\xff\xd8 not a picture", "jpg")
    make_corpus(tmp_path / "ws", items=1, first=3, face=broken)
    page = render_report(made.corpus, RECORD)
    assert Page(page).tags.count("img") == 2
    assert len(page) < 50_000


def test_an_empty_corpus_has_a_report(tmp_path):
    made = make_corpus(tmp_path / "ws", items=0, sources=0)
    assert "0 sources" in Page(render_report(made.corpus, {})).text


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    made = make_corpus(tmp_path / "ws")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed, match="cannot write the report"):
        write_report(tmp_path / "file" / "report.html", made.corpus, RECORD)


def test_structured_values_are_chips(tmp_path):
    value = Environment(autoescape=True, loader=PackageLoader("curate.report")).from_string(
        '{% from "parts.html" import value %}{{ value(parts) }}'
    )
    value.environment.filters["short"] = short
    assert value.render(parts=["<b>"]).strip() == "&lt;b&gt;"
    assert '<span class="chip">a</span><span class="chip">&lt;b&gt;</span>' in value.render(parts=["a", "<b>"])
    assert value.render(parts=[f"word {number}" for number in range(100)]).count("chip") == 13


def add_proposals(made, labeller, outcomes, *, item="item-0000", final=False):
    """Rows of proposals of one item: ``(outcome, detail)`` each."""
    rows = [
        {"prelabel_id": f"{labeller}-{item}-{at}", "item_id": item, "labeller": labeller, "final": final}
        | {"outcome": outcome, "detail": detail, "work": "prelabels-work"}
        for at, (outcome, detail) in enumerate(outcomes)
    ]
    made.corpus.table("prelabels").commit(rows, metadata={})


def test_the_commonest_reasons_for_failures_are_counted(tmp_path):
    made = make_corpus(tmp_path / "ws")
    many = [("error", "no reply in 60 s")] * 3 + [("error", f"status 50{at}") for at in range(4)]
    add_proposals(made, "openai/gpt-5", [*many, *[("error", "connection cut")] * 12, ("refused", EVIL)])
    add_proposals(made, "other", [("abstained", None)])
    text = Page(render_report(made.corpus, RECORD)).text
    assert "labeller outcome answers reason openai/gpt-5 error 12 connection cut" in text
    assert "error 12 connection cut openai/gpt-5 error 3 no reply in 60 s openai/gpt-5 error 1 status 500" in text
    assert "error 3 for other reasons openai/gpt-5 refused 1 </style>" in text
    assert "other abstained 1 no reason given" in text
    assert "status 501" not in text


def test_what_the_next_run_asks_again_is_a_next_step(tmp_path):
    made = make_corpus(tmp_path / "ws")
    assert "An answer is missing" not in Page(render_report(made.corpus, RECORD)).text
    add_proposals(made, "openai/gpt-5", [("error", "no reply")] * 2)
    text = Page(render_report(made.corpus, RECORD)).text
    assert "An answer is missing for 1 item ( error ). Run the recipe again to ask again." in text


def test_items_without_a_proposal_say_why(tmp_path):
    made = make_corpus(tmp_path / "ws", items=3)
    made.corpus.table("prelabels").commit([], replacing={"prelabels-work"}, metadata={})
    add_proposals(made, "openai/gpt-5", [("refused", f"it said {EVIL}")], item="item-0000", final=True)
    add_proposals(made, "openai/gpt-5", [("abstained", None)], item="item-0002", final=True)
    page = Page(render_report(made.corpus, RECORD))
    assert page.text.count("no proposal") == 2
    assert "no proposal refused: it said </style>" in page.text
    assert "no proposal abstained" in page.text
    assert page.tags.count("script") == 1
