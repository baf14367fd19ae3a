"""Utterances are cut where the speaker changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.media.container.decode import Span
from curate.media.speech.speaker_changes import MIN_PIECE_S, cut_at_changes
from curate.media.speech.speakers import SpeakerTurn, dominant_speakers
from tests.support.media_builders import RATE_HZ, make_talk, write_media
from tests.support.preprocessing import preprocess


def turns(*rows):
    return [SpeakerTurn(Span(start_s, end_s), name) for start_s, end_s, name in rows]


@pytest.mark.parametrize(
    ("given_turns", "pieces"),
    [
        ([], [(1, 9)]),
        ([(0, 10, "A")], [(1, 9)]),
        ([(0, 4, "A"), (4, 10, "B")], [(1, 4), (4, 9)]),
        ([(0, 3, "A"), (4, 10, "B")], [(1, 3.5), (3.5, 9)]),
        ([(0, 3, "A"), (4, 6, "A"), (6, 10, "B")], [(1, 6), (6, 9)]),
        ([(0, 6, "A"), (5, 7, "B"), (7, 10, "A")], [(1, 6), (6, 7), (7, 9)]),
        ([(0, 10, "A"), (4, 5, "B")], [(1, 9)]),
        ([(0, 4, "A"), (4, 4.05, "B"), (4.05, 10, "A")], [(1, 9)]),
        ([(0, 4, "A"), (4, 4.05, "C"), (4.05, 10, "B")], [(1, 4), (4, 9)]),
        ([(0, 1.1, "A"), (1.1, 10, "B")], [(1, 9)]),
        ([(0, 8.9, "A"), (8.9, 10, "B")], [(1, 9)]),
        ([(20, 30, "A")], [(1, 9)]),
    ],
)
def test_a_cut_lies_where_another_begins(given_turns, pieces):
    assert cut_at_changes([Span(1, 9)], turns(*given_turns)) == pieces


def test_each_piece_has_one_speaker():
    said = turns((0, 2, "A"), (2.2, 5, "B"), (4.5, 9, "A"), (11, 12, "B"))
    pieces = cut_at_changes([Span(0, 9), Span(10.9, 12)], said)
    assert dominant_speakers(said, pieces) == ["A", "B", "A", "B"]
    assert pieces[-1] == (10.9, 12)


TURN = st.tuples(st.floats(0, 30), st.floats(0.01, 10), st.sampled_from("ABC"))


@given(st.lists(TURN, max_size=12), st.lists(st.floats(0, 30), min_size=2, max_size=8, unique=True))
def test_pieces_cover_what_they_were_cut_from(rows, edges):
    edges = sorted(round(edge, 2) for edge in edges)
    spans = [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False) if b - a > 0.01]
    said = turns(*((start_s, start_s + length_s, name) for start_s, length_s, name in rows))
    pieces = cut_at_changes(spans, said)
    assert pieces == sorted(pieces)
    assert sum(b - a for a, b in pieces) == pytest.approx(sum(b - a for a, b in spans), abs=1e-6)
    for span in spans:
        within = [piece for piece in pieces if span.start_s <= piece.start_s and piece.end_s <= span.end_s]
        assert (within[0].start_s, within[-1].end_s) == span
        assert len(within) == 1 or min(b - a for a, b in within) >= MIN_PIECE_S - 0.002


def make_rapid_dialogue():
    """Six turns of two speakers, 80 ms apart; the sound and the turns."""
    talk, spans = make_talk(gaps_s=[0.6] * 5)
    parts, said, at_s = [np.zeros(RATE_HZ // 2, np.int16)], [], 0.5
    for index, span in enumerate(spans[:6]):
        piece = talk[round(span.start_s * RATE_HZ) : round(span.end_s * RATE_HZ)]
        said.append((at_s, at_s + len(piece) / RATE_HZ, "AB"[index % 2]))
        parts += [piece, np.zeros(round(0.08 * RATE_HZ), np.int16)]
        at_s = said[-1][1] + 0.08
    return np.concatenate([*parts, np.zeros(RATE_HZ, np.int16)]), said


def check_dialogue(items, said, tolerance_s):
    for start_s, end_s, name in said:
        middle_s = (start_s + end_s) / 2
        item = next(item for item in items if item["start_s"] <= middle_s < item["end_s"])
        assert item["speaker"] == name
        assert item["start_s"] >= start_s - tolerance_s
        assert item["end_s"] <= end_s + tolerance_s


def test_a_dialogue_without_pauses_is_cut_by_the_users_turns(tmp_path):
    sound, said = make_rapid_dialogue()
    write_media(tmp_path / "a.wav", sound=sound)
    rows = [f"{start_s:.3f},{end_s:.3f},{name}\n" for start_s, end_s, name in said]
    (tmp_path / "who.csv").write_text("start_s,end_s,speaker\n" + "".join(rows))
    uncut = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs").items
    items = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs", speakers={"file": "who.csv"}).items
    assert len(uncut) < len(said) <= len(items)
    assert {item["speaker_source"] for item in items} == {"file"}
    check_dialogue(items, said, 0.15)
    assert (items[0]["start_s"], items[-1]["end_s"]) == (uncut[0]["start_s"], uncut[-1]["end_s"])


def test_a_dialogue_without_pauses_is_cut_by_the_speakers_of_subtitles(tmp_path):
    sound, said = make_rapid_dialogue()
    write_media(tmp_path / "a.wav", sound=sound)
    cue = "00:00:{:06.3f} --> 00:00:{:06.3f}\n<v {}>Words of {}</v>\n\n"
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n" + "".join(cue.format(*row, row[2]) for row in said))
    items = preprocess(tmp_path, "a.wav", blobs=tmp_path / "blobs").items
    check_dialogue(items, said, 0.6)
    assert all(item["text"] == f"Words of {item['speaker']}" for item in items if item["text"])
