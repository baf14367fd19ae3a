"""Subtitles of any make become the words of a stretch of time."""

import pytest

from curate.errors import InvalidRow
from curate.media.decode import Span
from curate.media.transcript import find_sidecar, load_cues, words_of

SRT = "1\n00:00:01,000 --> 00:00:02,000\n{}\n\n2\n00:00:03,000 --> 00:00:04,500\nGoodbye.\n"


def cues(tmp_path, content, name="a.srt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_cues(path)


def texts(tmp_path, content, name="a.srt"):
    return [(cue.text, cue.speaker) for cue in cues(tmp_path, content, name)]


def test_an_srt(tmp_path):
    found = cues(tmp_path, SRT.format("Hello <i>there</i>,\nfriend"))
    assert [cue.text for cue in found] == ["Hello there, friend", "Goodbye."]
    assert found[1].span == Span(3.0, 4.5)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_encoding(tmp_path, encoding):
    said = "Où êtes-vous ? Là-bas, à côté de la fenêtre, très fâchée."
    assert texts(tmp_path, SRT.format(said).encode(encoding))[0] == (said, None)


def test_speakers(tmp_path):
    vtt = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Mary Ann>Hi &amp; welcome\n\n"
        "00:02.000 --> 00:03.000\n<v.loud Bob>No!</v>\n<v Mary Ann>Yes."
    )
    assert texts(tmp_path, vtt, "a.vtt") == [("Hi & welcome", "Mary Ann"), ("No!", "Bob"), ("Yes.", "Mary Ann")]
    assert texts(tmp_path, SRT.format("DR. WHO: Run!"))[0] == ("Run!", "DR. WHO")
    assert texts(tmp_path, SRT.format("Listen: it is late."))[0] == ("Listen: it is late.", None)
    assert texts(tmp_path, SRT.format("At 10:30 we leave"))[0] == ("At 10:30 we leave", None)
    assert texts(tmp_path, SRT.format("- Who?\n- Me."))[0] == ("Who? Me.", None)


def test_a_cue_goes_to_the_span_that_it_overlaps_most(tmp_path):
    found = cues(tmp_path, SRT.format("Hello"))
    words = words_of(found, [Span(0.0, 1.2), Span(1.2, 3.1), Span(3.1, 4.0), Span(8, 9)])
    assert [said.text for said in words] == [None, "Hello", "Goodbye.", None]
    assert words_of(found, []) == []


def test_cues_out_of_order_overlapping_and_beyond_the_end(tmp_path):
    content = (
        "1\n00:00:05,000 --> 00:00:06,000\nthird\n\n2\n00:00:00,500 --> 00:00:02,000\nfirst\n\n"
        "3\n00:00:01,500 --> 00:00:02,500\nsecond\n\n4\n99:00:00,000 --> 99:00:01,000\nnever\n\n"
        "5\n00:00:09,000 --> 00:00:08,000\nbackwards\n"
    )
    said = words_of(cues(tmp_path, content), [Span(0, 3), Span(4, 7)])
    assert [words.text for words in said] == ["first second", "third"]


def test_what_is_no_subtitle_file_is_told(tmp_path):
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "just some words", "1\n00:00:01 -> what\nHm"):
        with pytest.raises(InvalidRow):
            cues(tmp_path, content)
    assert cues(tmp_path, "") == []
    assert cues(tmp_path, "WEBVTT\n", "a.vtt") == []


def test_the_sidecar_of_a_file(tmp_path):
    media = tmp_path / "talk.one.mp4"
    assert find_sidecar(media) is None
    (tmp_path / "talk.one.de.srt").write_text("")
    (tmp_path / "talk.one.two.mp4.srt").write_text("")
    (tmp_path / "talk.srt").write_text("")
    assert find_sidecar(media).name == "talk.one.de.srt"
    (tmp_path / "talk.one.vtt").write_text("")
    assert find_sidecar(media).name == "talk.one.vtt"
    assert find_sidecar(tmp_path / "gone" / "a.mp4") is None
