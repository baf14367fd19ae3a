"""Who speaks, as a file of the user's tells."""

import pytest

from curate.errors import InvalidRow
from curate.media.container.decode import Span
from curate.media.speech.speakers import SpeakerTurn, dominant_speakers, find_turn_file, load_turns, turn_files

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
    assert load_turns(path, "in/talk.mp4").turns == [
        SpeakerTurn(Span(0.5, 2.5), "Mary"),
        SpeakerTurn(Span(3.0, 4.5), "Bob"),
    ]
    turns, problems = load_turns(path, "in/none.mp4")
    assert (turns, problems) == ([], ["turns.rttm names no turn of none.mp4: it names other, talk"])


def test_a_csv_file(tmp_path):
    path = tmp_path / "turns.csv"
    path.write_text("\ufeffstart_s,end_s,speaker,file\n0.5,2.5, Mary  Ann ,talk.mp4\n3,4,Bob,\n", encoding="utf-8")
    turns = load_turns(path, "talk.mp4").turns
    assert turns == [SpeakerTurn(Span(0.5, 2.5), "Mary Ann"), SpeakerTurn(Span(3.0, 4.0), "Bob")]


GOOD = {"a.rttm": "SPEAKER talk 1 5 1 <NA> <NA> Bob <NA> <NA>\n", "a.csv": "5,6,Bob\n"}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.rttm", "SPEAKER talk 1 0.5\n", "line 1: a SPEAKER line has at least 8 fields, not 4"),
        ("a.rttm", "\nSPEAKER talk 1 x 2 <NA> <NA> Mary\n", "line 2: 'x' is not a time"),
        ("a.rttm", "SPEAKER talk 1 nan 2 <NA> <NA> Mary\n", "is not a time"),
        ("a.rttm", "SPEAKER talk 1 -1 2 <NA> <NA> Mary\n", "not a turn"),
        ("a.rttm", "SPEAKER talk 1 1 2 <NA> <NA> Dr. Ann Example\n", "line 1: 'Dr.' is followed by 'Ann Example'"),
        ("a.rttm", "SPEAKER talk 1 1 2 <NA> <NA> Ann Lee <NA>\n", "'Ann' is followed by 'Lee <NA>'"),
        ("a.rttm", "SPEAKER my talk 1 1 2 <NA> <NA> Mary <NA> <NA>\n", "line 1: "),
        ("a.rttm", "SPEAKER talk 1 1 2 <NA> <NA> <NA> <NA> <NA>\n", "not a turn"),
        ("a.rttm", "SPEAKER\n", "line 1"),
        ("a.csv", "start_s,end_s,speaker\n1,1,Mary\n", "line 2: not a turn"),
        ("a.csv", "start_s,end_s,speaker\n1\n", "line 2: None is not a time"),
        ("a.csv", "start_s,end_s,speaker\n1,2,\n", "not a turn"),
        ("a.csv", "start_s,end_s,speaker\n1,2,Lee, Ann\n", "line 2: more cells than columns"),
    ],
)
def test_a_bad_line_costs_that_line(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text + GOOD[name])
    turns, problems = load_turns(tmp_path / name, "talk.mp4")
    assert turns == [SpeakerTurn(Span(5, 6), "Bob")]
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize("text", ["", "from,to,who\n1,2,Mary\n"])
def test_a_file_without_columns(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InvalidRow, match="lacks the column end_s, speaker, start_s"):
        load_turns(tmp_path / "a.csv", "talk.mp4")


def test_names_with_spaces(tmp_path):
    line = "SPEAKER talk 1 0.30 2.40 <NA> <NA> {} <NA> <NA>\n"
    (tmp_path / "a.rttm").write_text(line.format("Dr. Ann Example") + line.format("Ben"))
    turns, problems = load_turns(tmp_path / "a.rttm", "talk.mp4")
    assert [turn.speaker for turn in turns] == ["Ben", "Dr. Ann Example"]
    assert not problems


def test_a_name_that_several_files_have(tmp_path):
    line = "SPEAKER {} 1 1 2 <NA> <NA> Ann <NA> <NA>\n"
    path = tmp_path / "who.rttm"
    path.write_text(line.format("talk") + line.format("b/talk.mp4"))
    turns, problems = load_turns(path, "a/talk.mp4", namesakes=["b/talk.mp4"])
    assert (turns, problems) == ([], ["who.rttm: talk is ambiguous: write a/talk and b/talk"])
    turns, problems = load_turns(path, "b/talk.mp4", namesakes=["a/talk.mp4"])
    assert (len(turns), len(problems)) == (1, 1)
    assert len(load_turns(path, "b/talk.mp4").turns) == 2
    assert len(load_turns(path, "a/talk.mp4", namesakes=["b/talk.mp4"], is_only_of_media=True).turns) == 1


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00start_s")
    for name in ("a.csv", "gone.rttm"):
        with pytest.raises(InvalidRow):
            load_turns(tmp_path / name, "talk.mp4")


def test_a_folder_with_a_file_for_each_source(tmp_path):
    (tmp_path / "talk.csv").write_text("")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "talk.RTTM").write_text("")
    assert find_turn_file(tmp_path, "in/talk.mp4") == (tmp_path / "talk.csv", False)
    assert find_turn_file(tmp_path, "in/b/talk.mp4") == (tmp_path / "b" / "talk.RTTM", True)
    assert find_turn_file(tmp_path, "in/none.mp4") is None
    assert find_turn_file(tmp_path / "talk.csv", "in/none.mp4") == (tmp_path / "talk.csv", False)
    assert turn_files(tmp_path) == [tmp_path / "b" / "talk.RTTM", tmp_path / "talk.csv"]


def test_the_speaker_of_a_span_speaks_at_least_half_of_it():
    turns = [SpeakerTurn(Span(0, 2), "Mary"), SpeakerTurn(Span(1.5, 4), "Bob"), SpeakerTurn(Span(4, 4.5), "Eve")]
    spans = [Span(0, 1), Span(1, 4), Span(3.9, 4.1), Span(9, 10)]
    assert dominant_speakers(turns, spans) == ["Mary", "Bob", "Bob", None]
    assert dominant_speakers([SpeakerTurn(Span(i, i + 1), f"s{i}") for i in range(3)], [Span(0, 3)]) == [None]
