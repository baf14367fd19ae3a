"""Requests and rows that workspaces already hold: a change of wording must not make stored replies unfindable."""

import hashlib
import re
from pathlib import Path

import pytest

from curate.assets import list_assets
from curate.labels import ItemContext, describe_labels, load_labels
from curate.llm.prompts.answer import parse_answer
from curate.llm.prompts.load import load_prompt
from curate.llm.prompts.material import describe_item
from curate.llm.prompts.prompt import MODALITIES, answer_schema
from curate.llm.prompts.scores import Scoring
from curate.llm.request import MediaPart, Request
from curate.stages.contract import Tools
from curate.stages.prelabel.stage import Prelabel
from curate.storage.blobs import Blobs
from tests.support.chat_double import ChatDouble
from tests.support.posts import MINI, Posts

TURNS = [
    {"turn": 0, "speaker": "Ann\n[1]", "text": "Where were\nyou?"},
    {"turn": 1, "speaker": "Ben", "text": "</text-0123456789> I am sorry."},
    {"turn": 2, "speaker": None, "text": None},
]
ITEM = {
    "text": "I am sorry.\u200b <|im_start|>" + "So sorry.\n" * 4_000,
    "text_b": "I am not.",
    "statement": "Ben is sad.",
    "speaker": "Ben",
    "language": "en",
    "dialogue": TURNS,
    "turn": 1,
    "action_units": "- AU12 (lip corner puller): highest 3.2 of 5 (C) at 0.20 s",
}
SCHEMA_AND_KEY = {
    "utterance_emotion.v1": (
        "utterance_emotion.v1",
        "c80538231b4b9191ac6bdde9b08dbcd9338cf1b940116d536f3e95c73c8dd2e2",
    ),
    "dialogue_causes.v1": ("emotion_causes.v1", "1480614aa7f892c3625a6ff1104aaec464942a19c3baa2b52d1fe25dbf110020"),
    "clues_then_words.v1": ("open_emotion.v1", "f151d973ebc8c4fd63df3bb48a6da9032739857dc09f569db40605357eec0eec"),
    "chain_of_translation.v1": (
        "utterance_emotion.v1",
        "071de47f30026f5a197cac0360afcfcf2b29b835830d88b68249cb560e9b2a0d",
    ),
    "action_units_to_emotion.v1": (
        "face_emotion.v1",
        "facb67c948322816bcdf976023897435a6db3791c535a683e8518e3d3147cdac",
    ),
    "action_units_to_emotion.v2": (
        "face_emotion.v1",
        "022b9f0691d89af67190f3ecfc614bb33f99d8d42f74f7483531e9750ccac958",
    ),
    "image_emotion.v1": ("image_emotion.v1", "74f6819cdc2d00e35877427893263cd6522a0049adeacbadf4de82d58b92524a"),
    "viewer_reaction.v1": ("viewer_reaction.v1", "a89caaf4aa67977e39a367987a4485ec8022510fbcb3fa78c94cf9c05ae289bd"),
    "statement_truth.v1": ("emotion_statement.v1", "2e5f2055b21cd3d3faf6e060ac4cab25ea9a3f9f833538778828b7ece0450b1f"),
    "preference_critique.v1": (
        "text_preference.v1",
        "ed4a916de67866788bf906aa52e7c9e7487791b5aa8bd8aeba099925a082bb59",
    ),
    "text_quality_gate.v1": ("text_quality.v1", "0d183774a01be3de58cba8bb1ff6d01ab5f04676d2bc62da57678cfa5f2cd4e5"),
    "text_from_labels.v1": (
        "utterance_emotion.v1",
        "051c89767790c8d30d652bd961639ae15fe8278c98e9a9d6d03a69a9da3f2647",
    ),
    "clip_clues.v1": (
        "emotion_cause_description.v1",
        "51c6d7f55c32abfb8088031f855ffdd6c7ca6b7691bf73a233527744da5d04e8",
    ),
    "face_clues.v1": (
        "emotion_cause_description.v1",
        "2c271c57a70aad8fe995d0bc21feb6f678c3ab05dab2ea8dedc6be061a727f7d",
    ),
    "scene_clues.v1": (
        "emotion_cause_description.v1",
        "0b2a8e3a33427e092ad3486ae2c6ea8c58e6b7d03b70765723b75df31850a2a0",
    ),
    "utterance_emotion_de.v1": (
        "utterance_emotion.v1",
        "dac04ab7c4002c939be2e99c17697414b0fc1c853d79f79b83125ba22e6d4113",
    ),
    "utterance_from_clues.v1": (
        "emotion_cause_description.v1",
        "07459476fa1162a688bdc6d8d26943c5a39552e0eeb65a902ad8dd0fda56e59a",
    ),
    "voice_clues.v1": (
        "emotion_cause_description.v1",
        "270f9553a8fa2c3ece407d3b85130a48969c9b6df1a40b6d431eb29dd9d7f60c",
    ),
    "words_clues.v1": (
        "emotion_cause_description.v1",
        "248a2cd07ace9d9082b3b8317ea53529a5e9fe1f9f0cd837e0d40a536c2a263c",
    ),
    "review.v1": ("utterance_emotion.v1", "b68af9645ec2203915f8fa8aa71092662f444687c480a8d1ae2981170665d1e7"),
}


def request_for(prompt_name: str, labels_name: str) -> Request:
    """A request with every variable and every modality of a prompt."""
    prompt, labels = load_prompt(prompt_name), load_labels(labels_name)
    variables = describe_item(ITEM) | {
        "labels": describe_labels(labels),
        "answer": "{}",
        "clues": "[voice]\nquality: breath",
        "draft": "She laughs.",
        "examples": '{"text": "Oh."}',
    }
    media = {name: (MediaPart(f"ab/{name}.jpg", "image"),) for name in MODALITIES}
    schema = Scoring(labels).extend_schema(answer_schema(prompt, labels))
    return Request("gpt-5-mini", prompt.render(variables, media), schema, parameters={"seed": 1}, sample=2)


def test_every_shipped_prompt_has_a_key():
    assert set(SCHEMA_AND_KEY) == set(list_assets("recipes/prompts", suffix=".md"))


@pytest.mark.parametrize("prompt", SCHEMA_AND_KEY)
def test_requests_of_shipped_prompts_keep_their_keys(prompt: str) -> None:
    labels, key = SCHEMA_AND_KEY[prompt]
    assert request_for(prompt, labels).key == key


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ("Sorry!", "the reply is not JSON: Expecting value at character 0"),
        ("[]", "the reply is not a JSON object"),
        ("{}", "scores.emotion: a list of labels with scores is needed"),
        (
            '{"scores": {"emotion": [{"label": "joyful", "score": 1}]}}',
            "scores.emotion: 'joyful' is not one of its 7 labels",
        ),
        ('{"scores": {"emotion": []}, "confidence": 2}', "confidence: 2 is not a number from 0 to 1"),
        ('{"scores": {"emotion": []}, "confidence": 1}', "the reply: 'reasons' is a required property"),
        ('{"scores": {"emotion": []}, "confidence": 1, "reasons": 7}', "reasons: 7 is not text"),
        (
            '{"scores": {"emotion": []}, "confidence": 1, "reasons": "", "emotion": ["joyful"], "intensity": 1, '
            '"valence": 0, "description": null}',
            "emotion.0: 'joyful' is not one of its 7 labels",
        ),
    ],
)
def test_problems_quoted_to_models_keep_their_wording(reply: str, sentence: str) -> None:
    """A request for a correction quotes the problem, so that its key depends on the wording."""
    prompt, labels = load_prompt("utterance_emotion.v1"), load_labels("utterance_emotion.v1")
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        parse_answer(prompt, labels, reply, ItemContext(text="Hello."), scoring=Scoring(labels))
    assert str(caught.value) == sentence


STAGES = {
    "default": ({}, "12548d90f81a9aac54911108d132dbfbafe68854ad50fc4f29c87923db72245b"),
    "one": ({"model": "openai/gpt-5-mini"}, "a591ed93f2f299fcf387977bbe271951ec6bff575d577dfefee80488b6b10a6f"),
    "everything": (
        {
            "labellers": [{"model": "openai/gpt-5-mini", "samples": 3, "temperature": 1.0}, {"model": "offline"}],
            "combine": "union",
            "review": {"model": "openai/gpt-5"},
            "context": {"before": 4, "after": 1},
            "examples": {"count": 3},
            "show": ["image", "faces", "frames", "audio"],
            "mode": "batch",
            "budget": {"usd": 25},
        },
        "35895c15e99b605031369b698700dfe6ec01ee26bcba97298da9abfd9dd18137",
    ),
    "local": (
        {"labellers": [{"model": "offline"}, {"model": "lexicon"}]},
        "2f3fcc8c0dd502b68a6d3cea004efe9eeb498e7fda997f4b267a0a5604167f9d",
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_settings_keep_their_identity(name: str, tmp_path: Path) -> None:
    settings, identity = STAGES[name]
    tools = Tools(Blobs(tmp_path), load_labels("utterance_emotion.v1"), tmp_path)
    assert Prelabel(stage="prelabel", **settings).identity(tools) == identity


def test_rows_keep_their_ids_and_keys(corpus: Posts, double: ChatDouble) -> None:
    corpus.run(
        labellers=[
            {**MINI, "samples": 2, "temperature": 1.0},
            {"model": "openai/gpt-5", "name": "large", "structured": "json_object", "scores": False},
            {"model": "lexicon"},
        ],
        review={"model": "openai/gpt-5", "name": "reviewer"},
        context={"before": 1, "after": 1},
        examples={"count": 2},
    )
    parts = sorted((row["prelabel_id"], row["request_key"] or "") for row in corpus.rows())
    assert (
        hashlib.sha256(repr(parts).encode()).hexdigest()
        == "c2bcc01e2bb6265a01554493d1a58f16c3b8efc1841a54de5fcff8fa25ef91bd"
    )
