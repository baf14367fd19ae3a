"""Texts: their language, sentences, turns, and likeness."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.media.words.language import detect_language, detect_languages
from curate.media.words.sentences import Passage, normalize_text, split_sentences, split_turns


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I am so happy that you came to see us!", "en"),
        ("Der Lappen liegt auf dem Eisschrank.", "de"),
        ("Je ne sais pas quoi dire, c'est incroyable.", "fr"),
        ("私はとても嬉しいです、本当にありがとう", "ja"),
        ("Wow!", None),
        ("1234 5678 9012 3456", None),
        ("", None),
    ],
)
def test_the_language_of_a_text(text, language):
    assert detect_language(text) == language


@given(st.lists(st.text(max_size=60) | st.sampled_from(["Das ist ja schön, dass du kommst!", "HOW ARE YOU ALL TODAY"])))
def test_the_languages_of_many_texts_are_those_of_each(texts):
    texts = [
        *texts,
        "I am so happy that you came! " * 60,
        "今日はとても楽しかったですね本当に",
        "\ud800 an odd surrogate",
    ]
    assert detect_languages(texts) == [detect_language(text) for text in texts]


def test_sentences():
    text = 'Dr. Who met me at 3.30 p.m. today. "Run!" he said... Why?\nI ran e.g. home.  No'
    assert [one.text for one in split_sentences(text)] == [
        "Dr. Who met me at 3.30 p.m. today.",
        '"Run!"',
        "he said...",
        "Why?",
        "I ran e.g. home.",
        "No",
    ]
    assert [one.text for one in split_sentences("嬉しい！本当？はい。")] == ["嬉しい！", "本当？", "はい。"]
    assert split_sentences("  ") == []


@given(st.text(max_size=200))
def test_nothing_of_a_text_is_lost(text):
    found = split_sentences(text)
    assert "".join("".join(one.text for one in found).split()) == "".join(text.split())
    assert all(text[one.start :].startswith(one.text) for one in found)


def test_turns_of_a_dialogue():
    text = "Anna: Hi, how are you?\nBen: Fine.\n  Really fine.\nAnna: I see: good."
    assert split_turns(text) == [
        Passage(6, "Hi, how are you?", "Anna"),
        Passage(28, "Fine. Really fine.", "Ben"),
        Passage(55, "I see: good.", "Anna"),
    ]
    assert split_turns("Note: this is no dialogue\nat all") == [Passage(0, "Note: this is no dialogue\nat all")]


def test_likeness():
    assert normalize_text("  I am SO happy!!! ") == normalize_text("i am so happy") == "i am so happy"
    assert normalize_text("Café") == normalize_text("cafe")
    assert normalize_text("!!!") == "!!!"
    assert normalize_text("happy") != normalize_text("unhappy")
