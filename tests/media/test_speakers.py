"""Who speaks, as a file of the user's tells."""

import pytest

from curate.errors import InvalidRow
from curate.media.container.decode import Span
from curate.media.speech.speakers import SpeakerTurn, dominant_speakers, find_turn_file, load_turns

RTTM = (
    ";; a comment\n"
    "SPEAKER talk 1 0.50 2.00 <NA> <NA> Mary <NA> <NA>\n"
    "SPEAKER talk 1 3.00 1.50 <NA> <NA> Bob <NA> <NA>\n"
    "SPEAKER other 1 0.00 9.00 <NA> <NA> Eve <NA> <NA>\n"
    "LEXEME talk 1 0.5 0.1 hi lex Mary <NA>\n"
)


def test_an_rttm_file_tells_of_many_media(tmp_path):
    path = tmp_path / "turns.rttm"
    path.write_text(RTTM)
    assert load_turns(path, "in/talk.mp4") == [SpeakerTurn(Span(0.5, 2.5), "Mary"), SpeakerTurn(Span(3.0, 4.5), "Bob")]
    assert load_turns(path, "in/none.mp4") == []


def test_a_csv_file(tmp_path):
    path = tmp_path / "turns.csv"
    path.write_text("\ufeffstart_s,end_s,speaker,file\n0.5,2.5, Mary  Ann ,talk.mp4\n3,4,Bob,\n", encoding="utf-8")
    assert load_turns(path, "talk.mp4") == [SpeakerTurn(Span(0.5, 2.5), "Mary Ann"), SpeakerTurn(Span(3.0, 4.0), "Bob")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.rttm", "SPEAKER talk 1 0.5\n", "a.rttm:1"),
        ("a.rttm", "\nSPEAKER talk 1 x 2 <NA> <NA> Mary\n", "a.rttm:2: 'x' is not a time"),
        ("a.rttm", "SPEAKER talk 1 nan 2 <NA> <NA> Mary\n", "is not a time"),
        ("a.rttm", "SPEAKER talk 1 -1 2 <NA> <NA> Mary\n", "not a turn"),
        ("a.csv", "from,to,who\n1,2,Mary\n", "lacks the column end_s, speaker, start_s"),
        ("a.csv", "start_s,end_s,speaker\n1,1,Mary\n", "a.csv:2: not a turn"),
        ("a.csv", "start_s,end_s,speaker\n1\n", "a.csv:2: None is not a time"),
        ("a.csv", "start_s,end_s,speaker\n1,2,\n", "not a turn"),
        ("a.csv", "", "lacks the column"),
    ],
)
def test_an_invalid_line_is_reported_by_number(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidRow) as caught:
        load_turns(tmp_path / name, "talk.mp4")
    assert message in caught.value.message


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00start_s")
    for name in ("a.csv", "gone.rttm"):
        with pytest.raises(InvalidRow):
            load_turns(tmp_path / name, "talk.mp4")


def test_a_folder_holds_a_file_for_each_source(tmp_path):
    (tmp_path / "talk.csv").write_text("")
    assert find_turn_file(tmp_path, "in/talk.mp4") == tmp_path / "talk.csv"
    assert find_turn_file(tmp_path, "in/none.mp4") is None
    assert find_turn_file(tmp_path / "talk.csv", "in/none.mp4") == tmp_path / "talk.csv"


def test_the_speaker_of_a_span_speaks_at_least_half_of_it():
    turns = [SpeakerTurn(Span(0, 2), "Mary"), SpeakerTurn(Span(1.5, 4), "Bob"), SpeakerTurn(Span(4, 4.5), "Eve")]
    spans = [Span(0, 1), Span(1, 4), Span(3.9, 4.1), Span(9, 10)]
    assert dominant_speakers(turns, spans) == ["Mary", "Bob", "Bob", None]
    assert dominant_speakers([SpeakerTurn(Span(i, i + 1), f"s{i}") for i in range(3)], [Span(0, 3)]) == [None]
