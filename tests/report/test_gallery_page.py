"""The gallery of a report in a browser: pages, filters, a phone's width, and no script but its own."""

import os

import pytest

from curate.report.run import write_report
from tests.annotation.conftest import CHROMIUM
from tests.report.test_report import EVIL, RECORD
from tests.support.release_builders import make_corpus


@pytest.fixture(scope="module")
def browser():
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip(f"no Chromium at {CHROMIUM}; name one in CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=CHROMIUM, headless=True, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    made = make_corpus(folder / "ws", items=60, title=EVIL, speaker=EVIL)
    return write_report(folder / "report.html", made.corpus, RECORD)


def test_it_is_paged_and_filtered(browser, report):
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    visible = page.locator("#gallery > .item:visible")
    assert (visible.count(), page.locator("#status").inner_text()) == (24, "1 to 24 of 60")
    assert page.get_by_role("button", name="Previous").is_disabled()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert (visible.count(), page.locator("#status").inner_text()) == (12, "49 to 60 of 60")
    assert page.get_by_role("button", name="Next").is_disabled()
    page.locator("select[name=outcomes]").select_option("labelled by people")
    assert page.locator("#status").inner_text() == "1 to 24 of 30"
    page.locator("select[name=labels]").select_option("anger")
    assert page.locator("#status").inner_text() == "1 to 15 of 15"
    assert set(visible.locator(".by").all_inner_texts()) == {"people"}
    page.locator("select[name=labels]").select_option("sadness")
    assert (visible.count(), page.locator("#status").inner_text()) == (0, "0 to 0 of 0")
    assert not problems
    page.close()


def test_it_fits_a_phone(browser, report):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#gallery > .item:visible").count() == 8
    page.close()
