"""Texts that a model wrote for other labels than people gave are written anew, and nothing else is."""

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.errors import Interrupted, InvalidInput
from curate.pipeline import plan
from curate.pipeline.forget import Scope, forget, plan_forgetting
from curate.recipe import load_recipe
from curate.release.diff import compare_releases
from curate.release.shapes.convert import convert_release
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import status
from tests.support.runs import run_quietly

SCHEMA = """
name: told.v1
unit: post
fields:
  emotion: {type: category, taxonomy: ekman7.v1, required: true, question: {en: "Which emotion?"}}
  description: {type: text, max_chars: 80, question: {en: "What shows it?"}}
"""
PROPOSED = "They laugh and are glad."
# id: emotion and description that a person gave
JUDGED = {
    "corrected": ("sadness", PROPOSED),
    "confirmed": ("happiness", PROPOSED),
    "reworded": ("sadness", "They sob."),
    "blank": ("anger", ""),
}
DUE = {"corrected", "blank"}


class Told:
    """A table of posts with judgements, a model that finds everybody glad, and one that writes by the labels."""

    def __init__(self, folder: Path, double: ChatDouble) -> None:
        self.folder, self.double = folder, double
        folder.mkdir(exist_ok=True)
        (folder / "told.v1.yaml").write_text(SCHEMA)
        self.judge(JUDGED)
        double.answer = self._answer

    def judge(self, judged: dict[str, tuple[str, str]]) -> None:
        with (self.folder / "posts.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "text", "who", "emotion", "description"])
            rows.writerows([name, f"This is the text of {name}.", "ann", *values] for name, values in judged.items())

    @staticmethod
    def _answer(body: dict[str, Any]) -> str:
        question = body["messages"][-1]["content"]
        if "Write the text." not in question:
            return json.dumps({"reasons": "So.", "emotion": "happiness", "description": PROPOSED})
        emotion = question.split('"emotion": "')[1].partition('"')[0]
        return json.dumps({"description": f"It fits {emotion}."})

    def recipe(self, *, export: dict[str, Any] | None = None, until: str | None = None, **describe: Any) -> Path:
        table = {
            "table": "posts.csv",
            "item": {"id": "id", "text": "text"},
            "rater": "who",
            "long": {"emotion": "emotion", "description": "description"},
        }
        labeller = {"model": "openai/gpt-5-mini", "scores": False}
        return make_recipe(
            self.folder,
            {"stage": "ingest", "tables": [table], "licence": "CC0-1.0", "consent_until": until},
            {"stage": "preprocess"},
            {"stage": "prelabel", "labellers": [labeller]},
            {"stage": "annotate", "server": False},
            {"stage": "aggregate"},
            {"stage": "describe", "model": "openai/gpt-5", **describe},
            {"stage": "export", **(export or {"split": {"train": 1.0}})},
            labels="told.v1",
        )

    def run(self, **settings: Any):
        return run_quietly(self.recipe(**settings), self.folder / "w")

    def asked(self) -> list[str]:
        """The texts of requests to write."""
        bodies = [call.body for call in self.double.calls if call.path == "/v1/chat/completions"]
        return [text for body in bodies if "Write the text." in (text := body["messages"][-1]["content"])]

    def released(self) -> dict[str, dict[str, Any]]:
        newest = max((self.folder / "w/releases").glob("[0-9]*"), key=lambda path: path.stat().st_mtime)
        return {row["key"]: row for row in pl.read_parquet(newest / "data/*.parquet").to_dicts()}


@pytest.fixture
def told(tmp_path, monkeypatch):
    with ChatDouble(key=KEY) as double:
        monkeypatch.setenv("OPENAI_BASE_URL", double.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield Told(tmp_path / "told", double)


def test_only_texts_for_other_labels_are_written_anew(told: Told) -> None:
    told.run()
    rows = told.released()
    assert {name: row["description_rewritten"] for name, row in rows.items()} == {
        "corrected": "It fits sadness.",
        "confirmed": None,
        "reworded": None,
        "blank": "It fits anger.",
    }
    # What people said stays what they said.
    assert {name: row["description"] for name, row in rows.items()} == {
        name: description or None for name, (_, description) in JUDGED.items()
    }
    assert len(told.asked()) == 2
    (request,) = (text for text in told.asked() if "text of corrected" in text)
    assert PROPOSED in request
    assert '"description"' not in request.split("The labels that people gave:")[1]
    (root,) = (told.folder / "w/releases").glob("1.0.0")
    card = (root / "README.md").read_text().replace("\\", "")
    assert "Nobody has checked description_rewritten: texts of 2 items that gpt-5-2026-08-07 wrote" in card
    assert "people gave other labels than the text was written for, or there was none." in card


def test_nothing_is_asked_or_released_twice(told: Told) -> None:
    told.run()
    calls = len(told.double.calls)
    (step,) = (
        entry for entry in plan(load_recipe(told.recipe()), Workspace(told.folder / "w")) if entry.stage == "describe"
    )
    assert (step.changes, step.note) == (False, "the texts are up to date")
    assert not told.run().changed
    assert len(told.double.calls) == calls
    # A label that is taken back: its text is not released any more, and the other one is not asked for again.
    told.judge(JUDGED | {"corrected": ("happiness", PROPOSED)})
    told.run()
    assert told.released()["corrected"]["description_rewritten"] is None
    assert told.released()["blank"]["description_rewritten"] == "It fits anger."
    assert len(told.asked()) == 2
    told.judge(JUDGED | {"corrected": ("fear", PROPOSED)})
    told.run()
    assert told.released()["corrected"]["description_rewritten"] == "It fits fear."
    assert len(told.asked()) == 3


def test_a_service_that_fails_is_asked_again_by_the_next_run(told: Told) -> None:
    told.double.on("Write the text.", *[status(503)] * 2)
    result = told.run(tries=1)
    (described,) = (stage for stage in result.stages if stage.stage == "describe")
    assert dict(described.counts) == {"written": 0, "error": 2}
    assert told.released()["corrected"]["description_rewritten"] is None
    told.run(tries=1)
    assert told.released()["corrected"]["description_rewritten"] == "It fits sadness."


def test_a_text_that_does_not_fit_is_asked_for_once_more_and_then_left_out(told: Told) -> None:
    answers = iter([{"description": "x" * 81}, {"description": " "}, {}, {"description": 7}])
    told.double.answer = lambda body: (
        json.dumps(next(answers)) if "Write the text." in str(body["messages"]) else Told._answer(body)
    )
    result = told.run(in_flight=1)
    (described,) = (stage for stage in result.stages if stage.stage == "describe")
    assert dict(described.counts) == {"written": 0, "invalid": 2}
    assert {row["description_rewritten"] for row in told.released().values()} == {None}


def test_the_answers_of_a_hidden_split_stay_hidden(told: Told) -> None:
    (told.folder / "test.txt").write_text("corrected\n")
    told.run(export={"split": {"train": 0.5, "test": 0.5}, "hidden": "test"})
    for row in told.released().values():
        if row["emotion"] is None:
            assert row["description_rewritten"] is None
    hidden = [name for name, row in told.released().items() if row["emotion"] is None]
    written = {name for name, row in told.released().items() if row["description_rewritten"]}
    assert written == DUE - set(hidden)


def test_chats_tell_the_text_that_fits(told: Told) -> None:
    told.run()
    folder = told.folder / "w/releases/1.0.0"
    convert_release(folder, "chat", told.folder / "chat", labels=load_recipe(told.recipe()).labels)
    chats = [json.loads(line) for line in (told.folder / "chat/train.jsonl").read_text().splitlines()]
    told_texts = {chat["messages"][1]["content"] for chat in chats if chat["task"] == "description"}
    assert told_texts == {"It fits sadness.", PROPOSED, "They sob.", "It fits anger."}


def test_what_is_forgotten_takes_its_text_along(told: Told) -> None:
    told.run()
    workspace = Workspace(told.folder / "w")
    (item,) = (row["item_id"] for row in told.released().values() if row["key"] == "corrected")
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, Scope("item", item), "asked", today=date(2026, 1, 1)))
    remaining = [
        path for path in (told.folder / "w").rglob("*") if path.is_file() and b"It fits sadness" in path.read_bytes()
    ]
    assert remaining == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"model": "offline"}, "name one behind an endpoint"),
        ({"prompt": "utterance_emotion.v1"}, "does not show the labels: it needs the variable answer"),
        ({"fields": ["emotion"]}, "emotion is no field of free text of told.v1; those are: description"),
        ({"prompt": "nowhere.v1"}, "nowhere.v1"),
    ],
)
def test_what_cannot_be_written_is_named_before_anything_runs(told: Told, settings, problem) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_recipe(told.recipe(**settings))
    assert any(problem in sentence for sentence in (caught.value.message, *caught.value.problems))


def test_a_run_that_is_stopped_leaves_no_text_unwritten(told: Told) -> None:
    many = {f"many {number}": ("sadness", PROPOSED) for number in range(12)}
    told.judge(many)
    told.double.latency_s = 0.2
    with pytest.raises(Interrupted):
        run_quietly(told.recipe(in_flight=1), told.folder / "w", stop=lambda: len(told.asked()) >= 1)
    assert 1 <= len(told.asked()) < len(many)
    told.run(in_flight=1)
    assert {row["description_rewritten"] for row in told.released().values()} == {"It fits sadness."}
    assert len(told.asked()) == len(set(told.asked())) == len(many)


def test_a_text_that_a_person_changed_since_is_not_stood_in_for(told: Told) -> None:
    told.run()
    told.judge(JUDGED | {"corrected": ("sadness", "They weep.")})
    run_quietly(told.recipe(), told.folder / "w", until="aggregate")
    run_quietly(told.recipe(), told.folder / "w", only="export")
    row = told.released()["corrected"]
    assert (row["description"], row["description_rewritten"]) == ("They weep.", None)


def test_nothing_is_written_of_those_whose_consent_has_ended(told: Told) -> None:
    told.run(until="2020-01-31")
    assert told.asked() == []
    told.run(until="9999-01-31")
    assert len(told.asked()) == len(DUE)


def test_a_text_written_anew_is_no_label_in_what_changed(told: Told) -> None:
    told.run()
    told.judge(JUDGED | {"corrected": ("fear", PROPOSED)})
    told.run()
    releases = told.folder / "w/releases"
    difference = compare_releases(releases / "1.0.0", releases / "1.0.1")
    assert list(difference.relabelled) == ["emotion"]
    assert "1 item with other description_rewritten" in difference.reasons()
    assert difference.kind == "patch"


def test_the_text_for_a_forgotten_judgement_goes_with_it(told: Told) -> None:
    told.run()
    workspace = Workspace(told.folder / "w")
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, Scope("annotator", "ann"), "asked", today=date(2026, 1, 1)))
    assert _files_with(told.folder / "w", b"It fits") == []


def test_the_text_for_a_judgement_under_another_name_stays(told: Told) -> None:
    told.run()
    workspace = Workspace(told.folder / "w")
    scope = Scope("annotator", "ann", unlink=True)
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, scope, "asked", today=date(2026, 1, 1)))
    assert _files_with(told.folder / "w", b"It fits sadness") != []


def _files_with(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]
