"""The page of what changed between two releases: every change is counted, and nothing from outside is obeyed."""

from curate.release.diff import Change, Difference
from curate.report.diff import MAX_LISTED, render_diff, write_diff
from tests.report.test_report import EVIL, Page

SAME = Difference("1", "2", "none", 4, 4, [], [], [], {}, [], {}, [], [], [], False)


def test_every_kind_of_change_is_counted_and_shown(tmp_path):
    moved = [Change(f"item-{n}", "anger", "fear" if n % 3 else None) for n in range(MAX_LISTED + 50)]
    difference = SAME._replace(
        kind="major", added=["new-1"], removed=["old-1", "old-2"], items_after=3, columns_added=["mood"],
        resplit=[Change("item-7", "train", "test")], relabelled={"emotion": moved},
        changed_texts=[Change("item-8", "Befor", "Before")], changed={"speaker": ["item-9"]},
    )  # fmt: skip
    text = Page(write_diff(tmp_path / "diff.html", difference).read_text(encoding="utf-8")).text
    for words in (
        "1 → 2",
        "A major change: 1 column added; 1 item added; 2 items removed; 1 item in another split",
        "4 → 3 items",
        "anger → fear 166 anger → none 84",
        "the first 200 of 250 items",
        "train → test 1 1 item item before after item-7 train test",
        "item-8 Befor Before",
        "added mood",
        "2 removed old-1 old-2",
        "1 with other speaker item-9",
    ):
        assert words in text, words
    assert text.count("item-") == MAX_LISTED + 3


def test_equal_releases_say_so():
    text = Page(render_diff(SAME)).text
    assert "Every row is the same." in text
    assert "Labels" not in text


def test_hostile_words_are_data():
    change = [Change(EVIL, EVIL, EVIL)]
    hostile = SAME._replace(
        before=EVIL, kind="major", added=[EVIL], relabelled={EVIL: change}, changed_texts=change, resplit=change,
        changed={EVIL: [EVIL]}, columns_removed=[EVIL],
    )  # fmt: skip
    page = Page(render_diff(hostile))
    assert {"script", "img", "a"}.isdisjoint(page.tags)
    assert not [each for each in page.attributes if each[1].startswith("on") or each[1] in ("src", "href")]
    assert EVIL in "".join(page.words)
