"""Subtitles of any make, beside a file or in it."""

import time
from collections import Counter

import pytest

from curate.errors import InvalidRow
from curate.media.container.decode import Span
from curate.media.words.subtitles import embedded_cues, load_cues
from tests.support.media_builders import embed_subtitles, make_frames, make_tone, sample, write_media

SRT = "1\n00:00:01,000 --> 00:00:02,000\n{}\n\n2\n00:00:03,000 --> 00:00:04,500\nGoodbye.\n"


def cues(tmp_path, content, name="a.srt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_cues(path).cues


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


def test_a_file_without_subtitles_is_refused(tmp_path):
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "just some words", "1\n00:00:01 -> what\nHm"):
        with pytest.raises(InvalidRow):
            cues(tmp_path, content)
    assert cues(tmp_path, "") == []
    assert cues(tmp_path, "WEBVTT\n", "a.vtt") == []


ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n"
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Dialogue: 0,0:00:01.00,0:00:02.00,Default,Mary,0,0,0,,{{\\i1}}Hello,\\Nyou{{\\i0}}\n"
    "Comment: 0,0:00:02.00,0:00:03.00,Default,Bob,0,0,0,,hidden\n"
    "Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{{\\p1}}m 0 0 l 100 0\n"
    "{}"
)


def test_ass_names_and_what_is_not_said(tmp_path):
    assert texts(tmp_path, ASS.format(""), "a.ass") == [("Hello, you", "Mary")]
    assert texts(tmp_path, ASS.format("").encode("utf-16"), "a.ass") == [("Hello, you", "Mary")]


def test_word_times_in_the_file(tmp_path):
    sung = "Dialogue: 0,0:00:05.00,0:00:06.00,Default,Bob,0,0,0,,{{\\k50}}Bye {{\\k30}}now\n".replace(
        "{{", "{"
    ).replace("}}", "}")
    cue = cues(tmp_path, ASS.format(sung), "a.ass")[-1]
    assert [(word.text, word.start_s, word.end_s) for word in cue.words] == [("Bye", 5.0, 5.5), ("now", 5.5, 6.0)]
    vtt = "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Mary>Hi <00:00:01.500><c>there</c> <00:02.000>friend\n"
    cue = cues(tmp_path, vtt, "a.vtt")[0]
    assert (cue.text, cue.speaker) == ("Hi there friend", "Mary")
    assert [word.start_s for word in cue.words] == [1.0, 1.5, 2.0]
    backwards = "WEBVTT\n\n00:01.000 --> 00:03.000\nHi <00:02.900>there <00:01.200>friend\n"
    assert cues(tmp_path, backwards, "b.vtt")[0].words == ()


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mov_text"), ("mkv", "srt"), ("mkv", "ass")])
def test_a_text_track_in_the_file(tmp_path, suffix, codec):
    text = tmp_path / ("a.ass" if codec == "ass" else "a.srt")
    text.write_text(ASS.format("") if codec == "ass" else SRT.format("MARY: Hello, you"))
    found = embedded_cues(embed_subtitles(sample(), text, tmp_path / f"b.{suffix}", codec=codec))
    assert (found[0].text, found[0].speaker.upper(), found[0].span) == ("Hello, you", "MARY", Span(1.0, 2.0))


def test_a_text_track_is_chosen_by_language(tmp_path):
    for name, said in (("de", "Hallo"), ("en", "Hello")):
        (tmp_path / f"{name}.srt").write_text(SRT.format(said))
    one = embed_subtitles(sample(), tmp_path / "de.srt", tmp_path / "one.mkv", codec="srt", language="deu")
    both = embed_subtitles(one, tmp_path / "en.srt", tmp_path / "both.mkv", codec="srt", language="eng", track=1)
    assert embedded_cues(both, language="en")[0].text == "Hello"
    assert embedded_cues(both, language="de")[0].text == "Hallo"
    assert embedded_cues(both)[0].text == "Hallo"


@pytest.mark.parametrize("source", ["file", "track"])
def test_cues_of_equal_time_and_text(tmp_path, source):
    """Common in ASS files with layers: the same line twice, once with a name and once without."""
    line = "Dialogue: {layer},0:00:05.00,0:00:06.00,Default,{name},0,0,0,,Run!\n"
    events = line.format(layer=0, name="") + line.format(layer=1, name="Mary") + line.format(layer=2, name="")
    (tmp_path / "a.ass").write_text(ASS.format(events))
    if source == "file":
        cues = load_cues(tmp_path / "a.ass").cues
    else:
        cues = embedded_cues(embed_subtitles(sample(), tmp_path / "a.ass", tmp_path / "b.mkv", codec="ass"))
    assert [cue.text for cue in cues[1:]] == ["Run!"] * 3
    assert Counter(cue.speaker for cue in cues[1:]) == {None: 2, "Mary": 1}


def test_a_file_without_a_text_track(tmp_path):
    assert embedded_cues(write_media(tmp_path / "a.mp4", frames=make_frames(), sound=make_tone())) == []


VTT = """WEBVTT - Interview
X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000

REGION
id:fred
width:40%

STYLE
::cue(b) {
  color: red;
}

NOTE 00:00:01.000 --> 00:00:02.000
hidden

intro-1
00:01.000 --> 00:02.000 region:fred align:left line:0 position:10%,line-left
<v Ann>Hi</v>
you

second caption
1:00:02.000 --> 1:00:03.000
{}
"""


def test_what_is_no_cue_in_a_vtt_file(tmp_path):
    found = texts(tmp_path, VTT.replace("{}", "I <3 you"), "a.vtt")
    assert found == [("Hi", "Ann"), ("you", None), ("I <3 you", None)]
    assert cues(tmp_path, "WEBVTT\n00:01.000 --> 00:02.000\nAt once\n", "b.vtt")[0].text == "At once"
    assert cues(tmp_path, "WEBVTT\n\n0:0:0.0 --> 0:0:0.570\nOdd times\n", "c.vtt")[0].span == Span(0.0, 0.57)


@pytest.mark.parametrize(
    ("marked_up", "text"),
    [
        ('<i>a</i> <font color="red">b</font> {\\an8}<b>c</b><br/>d', "a b c d"),
        ("x < y, 2 > 1 and <3, List<String>, {not a tag}", "x < y, 2 > 1 and <3, List<String>, {not a tag}"),
        ("a <b and c> d", "a <b and c> d"),
        ("&lt;i&gt; &amp;lt; AT&T &copy", "<i> &lt; AT&T &copy"),
    ],
)
def test_tags_and_what_only_looks_like_them(tmp_path, marked_up, text):
    assert texts(tmp_path, SRT.replace("{}", marked_up))[0] == (text, None)


@pytest.mark.parametrize(
    ("srt", "expected"),
    [
        ("00:00:01,000 --> 00:00:02,000\n1\n\n00:00:02,000 --> 00:00:03,000\n2\n", ["1", "2"]),
        ("00:00:01,000 --> 00:00:02,000\nIn\n1984\n00:00:02,000 --> 00:00:03,000\n1999", ["In 1984", "1999"]),
        ("1\n00:00:01,000 --> 00:00:02,000\nIn\n1984\n2\n00:00:02,000 --> 00:00:03,000\n7", ["In 1984", "7"]),
        ("1\n\n00:00:01,000 --> 00:00:02,000\nA\n\n2\n\n00:00:02,000 --> 00:00:03,000\nB", ["A", "B"]),
    ],
)
def test_numbers_that_are_text_and_those_of_cues(tmp_path, srt, expected):
    assert [text for text, _ in texts(tmp_path, srt)] == expected


def test_cues_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "a.srt"
    broken = "3\n00:00:0O,000 --> 00:00:06,000\nLost\n\n4\n00:00:07,000 --> 00:00:07,000\nToo short\n"
    path.write_text(SRT.format("Hi") + "\n" + broken)
    found, problems = load_cues(path)
    assert [cue.text for cue in found] == ["Hi", "Goodbye."]
    assert problems == [
        "a.srt: left out line 10: '00:00:0O,000 --> 00:00:06,000' is not a pair of times; "
        "line 14: a cue from 7 to 7 s has no length"
    ]


def test_rolling_captions_without_word_times(tmp_path):
    times = ["00:00:01,000 --> 00:00:02,000", "00:00:02,000 --> 00:00:02,010", "00:00:02,010 --> 00:00:03,000"]
    rolling = f"1\n{times[0]}\nA b\n\n2\n{times[1]}\nA b\n\n3\n{times[2]}\nA b\nC d\n"
    assert [text for text, _ in texts(tmp_path, rolling)] == ["A b", "C d"]
    said_twice = f"1\n{times[0]}\nNo.\n\n2\n00:00:02,000 --> 00:00:03,000\nNo.\n"
    assert [text for text, _ in texts(tmp_path, said_twice)] == ["No.", "No."]


def test_ass_fields_in_any_order(tmp_path):
    head = "[Script Info]\n[Events]\nFormat: Start, End, Text\n"
    events = head + "Dialogue: 0:00:01.00,0:00:02.00,{\\p1}m 0 0{\\p0}Hi, {x}you\n"
    assert texts(tmp_path, events, "a.ass") == [("Hi, you", None)]


@pytest.mark.parametrize("repeated", ["{\\p1", "{\\k1", "{\\k1}a ", "<v ", "<b =", "<00:00:01.000>x", "word ", "\n- "])
def test_long_cues_take_linear_time(tmp_path, repeated):
    started = time.process_time()
    cues(tmp_path, SRT.replace("{}", repeated * (95_000 // len(repeated))))
    assert time.process_time() - started < 5
    with pytest.raises(InvalidRow, match="at most 100000"):
        cues(tmp_path, "1\n00:00:01,000 --> 00:00:02,000\n" + "word " * 40_000)
