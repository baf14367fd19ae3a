"""Answers with small slips: mended and marked, whatever mode the service was asked in."""

import json
import os
from pathlib import Path

import pytest

from curate.labels import ItemContext, load_labels
from curate.llm.prompts.answer import parse_answer
from curate.llm.prompts.load import load_prompt
from curate.llm.prompts.scores import Scoring
from tests.support.chat_faults import raw

LABELS, PROMPT = load_labels("utterance_emotion.v1"), load_prompt("utterance_emotion.v1")
GOOD = {"reasons": "It is said.", "emotion": ["sadness"], "intensity": 3, "valence": 0.5, "description": "sad"}
SCORED = {"scores": {"emotion": [{"label": "sadness", "score": 0.9}]}, "confidence": 0.8}
TRIALS = Path(os.environ.get("CURATE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"), "trials")


def parse(**changed):
    answer = {**GOOD, **SCORED, **changed}
    return parse_answer(PROMPT, LABELS, json.dumps(answer), ItemContext(text="Oh."), scoring=Scoring(LABELS))


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        ({"emotion": "sadness"}, "emotion", ["sadness"]),
        ({"emotion": ["Sadness"]}, "emotion", ["sadness"]),
        ({"intensity": "3"}, "intensity", 3.0),
        ({"valence": 1.02}, "valence", 1.0),
        ({"description": "x" * 601}, "description", "x" * 600),
        ({"mood": 1}, "valence", 0.5),
        ({"emotion": ["neutral", "sadness"]}, "emotion", ["sadness"]),
        ({"emotion": ["Sadness", "fear", "neutral", "neutral"]}, "emotion", ["fear", "sadness"]),
        ({"scores": None}, "valence", 0.5),
        ({"scores": {"emotion": [{"label": "zeal", "score": 1}]}}, "valence", 0.5),
        ({"confidence": 85}, "valence", 0.5),
    ],
)
def test_slips_are_mended_and_marked(changed, name, value):
    answer = parse(**changed)
    assert answer.values[name] == value
    assert 1 <= len(answer.repairs) <= 2
    assert answer.model_scores.confidence == (0.85 if "confidence" in changed else 0.8)


@pytest.mark.parametrize(
    "text", ["a\x00b\x1b\u2060\x07c", "\ufeffa\x9bb\x7fc", "\u202ea\u2066b\u2069c\u202c", "\x85abc"]
)
def test_control_characters_never_reach_a_text(text):
    answer = parse(description=text, reasons=text)
    assert answer.values["description"] == answer.extras["reasons"] == "abc"
    # Nor do those of a person, or of a table that is imported.
    assert LABELS.fields["description"].check(text) == "abc"
    (words,) = (each for each in load_labels("open_emotion.v1").fields.values() if each.type == "open_set")
    assert words.check([text]) == ["abc"]


@pytest.mark.parametrize("changed", [{"emotion": ["zeal"]}, {"valence": 3}, {"intensity": "many"}])
def test_what_was_meant_is_not_guessed(changed):
    with pytest.raises(ValueError, match=next(iter(changed))):
        parse(**changed)


@pytest.mark.skipif(not TRIALS.is_dir(), reason="needs the folder of trial inputs")
@pytest.mark.parametrize("structured", ["json_schema", "json_object", "none"])
def test_replies_that_wrap_the_object_are_read_in_every_mode(corpus, double, structured):
    corpus.write(["I am so glad today."])
    for file in sorted((TRIALS / "llm-fenced").glob("*.json")):
        double.then(raw(file.read_bytes()))
        corpus.run(
            name=file.stem, labellers=[{"model": "openai/gpt-5-mini", "structured": structured, "scores": False}]
        )
        (row,) = corpus.rows()
        assert (row["outcome"], row["emotion"], row["valence"]) == ("ok", ["happiness"], 0.5), file.stem


@pytest.mark.skipif(not TRIALS.is_dir(), reason="needs the folder of trial inputs")
@pytest.mark.parametrize(
    ("file", "outcome", "requests"),
    [
        ("llm-max-tokens/maxtokens", "truncated", 2),
        ("llm-max-tokens/maxtokensl", "truncated", 2),
        ("llm-prompt-filter/nochoices", "filtered", 1),
        ("llm-tool-call/toolcall", "ok", 1),
        ("llm-choice-error/errorchoice", "error", 4),
    ],
)
def test_trial_replies_come_to_their_outcome(corpus, double, file, outcome, requests):
    corpus.write(["I am so glad today."])
    double.then(*[raw((TRIALS / f"{file}.json").read_bytes())] * 20)
    for number in range(2):
        corpus.run(labellers=[{"model": "openai/gpt-5-mini", "scores": False}], tries=2)
        (row,) = corpus.rows()
        assert row["outcome"] == outcome
        if outcome != "error":
            assert len(double.calls) == requests, number
    assert len(double.calls) == requests
