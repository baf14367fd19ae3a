"""Which part of a transcript is said in which span, and where transcripts come from."""

import numpy as np
import pytest

from curate.errors import InvalidRow
from curate.media.container.decode import Span
from curate.media.words.markup import Cue
from curate.media.words.spread import Word
from curate.media.words.timing import describe_misfit
from curate.media.words.transcript import (
    EndpointTranscriber,
    EndpointTranscript,
    SidecarSubtitles,
    Transcript,
    assign_cues,
    assign_words,
    first_transcript,
)


def make_cue(start_s, end_s, text, speaker=None, words=()):
    return Cue(Span(start_s, end_s), text, speaker, tuple(Word(*word) for word in words))


def test_a_cue_goes_to_the_span_that_it_overlaps_most():
    cues = [make_cue(1, 2, "Hello"), make_cue(3, 4.5, "Goodbye.")]
    spans = [Span(0.0, 1.2), Span(1.2, 3.1), Span(3.1, 4.0), Span(8, 9)]
    assert [said.text for said in assign_cues(cues, spans)] == [None, "Hello", "Goodbye.", None]
    assert assign_cues(cues, []) == []


def test_cues_out_of_order_overlapping_and_beyond_the_end():
    cues = [make_cue(5, 6, "third"), make_cue(0.5, 2, "first"), make_cue(1.5, 2.5, "second")]
    cues += [make_cue(36_000, 36_001, "never")]
    assert [said.text for said in assign_cues(cues, [Span(0, 3), Span(4, 7)])] == ["first second", "third"]


def test_a_cue_that_knows_its_words_is_parted_by_word():
    words = [("I", 0.8, 0.9), ("see.", 1.0, 1.4), ("Go", 2.1, 2.3), ("on.", 2.4, 2.6)]
    found = assign_cues([make_cue(0.8, 2.6, "I see. Go on.", "Mary", words)], [Span(0, 1.5), Span(2, 3)])
    assert [(said.text, said.speaker, said.word_times) for said in found] == [
        ("I see.", "Mary", "native"),
        ("Go on.", "Mary", "native"),
    ]
    assert found[1].words == (Word("Go", 2.1, 2.3), Word("on.", 2.4, 2.6))


def test_the_speaker_is_who_says_most():
    cues = [make_cue(0, 1, "No.", "Bob"), make_cue(1, 2, "It was not me at all.", "Mary"), make_cue(2, 3, "Hm", None)]
    assert assign_cues(cues, [Span(0, 3)])[0].speaker == "Mary"


def test_windows_take_words_by_their_middle():
    words = [(Word("one", 0.0, 0.3), "A"), (Word("two", 0.3, 0.9), "A"), (Word("three", 1.0, 1.4), "B")]
    found = assign_words(words, [Span(0, 0.5), Span(0.5, 1.0), Span(0.0, 2.0)], "proportional")
    assert [said.text for said in found] == ["one", "two", "one two three"]
    assert assign_words(words, [Span(5, 6)], "native")[0].word_times is None


def test_a_remote_model_is_sent_each_span_and_its_words_are_put_in_their_place():
    asked = []

    def hear(samples, language):
        asked.append((len(samples), language))
        return EndpointTranscript(" so  \0it is ", (("so", 0.1, 0.2), ("it", 0.2, 9.0)), "en")

    sound = np.ones(16_000 * 4, np.int16)
    spans = [Span(0, 1), Span(2, 3.5), Span(3.6, 3.65)]
    found = EndpointTranscriber("m", hear).transcribe(sound, spans, language="en")
    assert asked == [(16_000, "en"), (24_000, "en")]
    assert [cue.text for cue in found.cues] == ["so it is", "so it is"]
    assert found.cues[1].words == (Word("so", 2.1, 2.2), Word("it", 2.2, 3.5))
    assert found.language == "en"
    assert EndpointTranscriber("m", hear).transcribe(np.zeros(64_000, np.int16), spans, language=None).cues == []
    assert EndpointTranscriber("m", hear).transcribe(None, spans, language=None).cues == []


class Silent:
    name = "silent"

    def transcribe(self, samples, spans, *, language):
        return Transcript([])


class Talker(Silent):
    name = "talker"

    def transcribe(self, samples, spans, *, language):
        return Transcript([make_cue(0, 1, "hi")], "en")


def test_the_first_that_has_words_is_taken(tmp_path):
    told = []
    broken = SidecarSubtitles(tmp_path / "gone.srt")
    found, name = first_transcript(
        [broken, Silent(), Talker()],
        None,
        (),
        language=None,
        on_error=lambda one, error: told.append((one, error.reason)),
    )
    assert (found.language, name, told) == ("en", "talker", [(broken, "unreadable")])
    assert first_transcript([Silent()], None, (), language=None, on_error=told.append) == (Transcript([]), None)


def test_what_a_transcriber_cannot_mend_is_raised():
    class Refusing(Silent):
        def transcribe(self, samples, spans, *, language):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        first_transcript([Refusing()], None, (), language=None, on_error=lambda one, error: None)
    with pytest.raises(InvalidRow):
        SidecarSubtitles(__import__("pathlib").Path("gone.srt")).transcribe(None, (), language=None)


SPEECH = [Span(1.0, 3.0), Span(4.0, 6.5), Span(9.0, 10.0), Span(14.0, 18.0)]


@pytest.mark.parametrize(
    ("shift_s", "sentence"),
    [
        (0.0, None),
        (0.4, None),
        (2.0, "earlier"),
        (-2.5, "later"),
        (36_000_000.0, None),
    ],
)
def test_cues_that_are_not_shown_when_they_are_said(shift_s, sentence):
    cues = [Span(max(0.0, span.start_s + shift_s), max(0.1, span.end_s + shift_s)) for span in SPEECH]
    misfit = describe_misfit(cues, SPEECH)
    assert misfit is None if sentence is None else sentence in (misfit or "")


def test_few_cues_and_long_ones_fit():
    assert describe_misfit(SPEECH[1:2], SPEECH) is None
    assert describe_misfit([Span(0.5, 7.5), Span(8.5, 20.0)], SPEECH) is None
    assert describe_misfit([Span(20.0, 30.0)], []) is None
