"""Guidelines: a Markdown file beside the label schema, at hand for annotators and hashed into each of their acts."""

from pathlib import Path
from typing import Any

import pytest

from curate.annotation.fake import KEY, FakeLabelStudio, Response
from curate.annotation.guideline import find_guideline
from curate.annotation.local_server.connection import Connection
from curate.assets import shipped_folder
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.stages.annotate import Annotate, pull, push
from tests.annotation.annotation_builders import make_corpus, make_item, make_labels, make_tools

SCHEMA = (shipped_folder("schemas") / "labels" / "utterance_emotion.v1.yaml").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own" / "schemas" / "labels"
    own.mkdir(parents=True)
    (own / "utterance_emotion.v1.yaml").write_text(SCHEMA, "utf-8")
    (own / "utterance_emotion.v1.md").write_text(
        "# Judge *calmly*\n\n<script>alert(1)</script> [x](javascript:1)", "utf-8"
    )
    (own / "utterance_emotion.v1.de.md").write_text("# Ruhig urteilen", "utf-8")
    return tmp_path / "own"


def test_it_is_shown_as_text_in_the_annotators_language(folder: Path) -> None:
    labels = load_labels("utterance_emotion.v1", folder)
    english = find_guideline(labels, "en", folder, "And *listen*.")
    assert english.text.startswith("# Judge")
    assert "<h1>Judge <em>calmly</em></h1>" in english.html
    assert "<em>listen</em>" in english.html
    assert "<script" not in english.html
    assert "href" not in english.html
    assert "Displeasure or hostility" in english.html
    assert "Ruhig urteilen" in find_guideline(labels, "de-AT", folder).html
    assert len({english.sha256, find_guideline(labels, "en", folder).sha256, ""}) == 3


def test_without_one_the_meanings_of_the_labels_are_at_hand(tmp_path: Path) -> None:
    guideline = find_guideline(make_labels(), "en", tmp_path)
    assert guideline.text == ""
    assert "No emotion is shown." in guideline.html


def test_a_file_that_is_no_guideline(folder: Path) -> None:
    (folder / "schemas" / "labels" / "utterance_emotion.v1.md").write_text("x" * 200_000)
    with pytest.raises(InvalidInput, match="characters"):
        find_guideline(make_labels(), "en", folder)


def test_every_act_names_the_guideline_of_its_time(folder: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "workspace", [make_item(1), make_item(2)])
    tools = make_tools(corpus, folder)
    fake = FakeLabelStudio()
    labels = load_labels("utterance_emotion.v1", folder)
    emotion = [{"id": "e", "from_name": "emotion", "type": "choices", "value": {"choices": ["fear"]}}]
    with fake.serve() as url:
        reach = Connection(url, KEY, local=False, name="https://labels.example.org")
        push(corpus, tools, Annotate(), reach)
        (project,) = (p for p in fake.projects.values() if "curate:" in p["description"])
        assert project["show_instruction"]
        assert "Judge <em>calmly</em>" in project["expert_instruction"]
        assert project["description"].startswith(labels.title)
        assert project["title"].startswith("Emotion of an")
        first, second = fake.tasks
        fake.judge(first, emotion)
        earlier = find_guideline(labels, "en", folder).sha256
        (folder / "schemas" / "labels" / "utterance_emotion.v1.md").write_text("# Judge boldly", "utf-8")
        push(corpus, tools, Annotate(), reach)
        fake.judge(second, emotion)
        pull(corpus, reach)
    acts = {row["task_id"]: row["guideline_sha256"] for row in corpus.read("annotations").to_pylist()}
    assert acts == {first: earlier, second: find_guideline(labels, "en", folder).sha256}
    assert earlier != acts[second]


def test_a_push_of_few_items_does_not_have_every_project_counted(folder: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "workspace", [make_item(1)])
    fake = FakeLabelStudio()
    targets: list[str] = []
    answer = fake.handle

    def handle(method: str, target: str, *rest: Any) -> Response:
        targets.append(f"{method} {target}")
        return answer(method, target, *rest)

    fake.handle = handle  # type: ignore[method-assign]
    said: list[str] = []
    with fake.serve() as url:
        reach = Connection(url, KEY, local=False, name="https://labels.example.org")
        push(corpus, make_tools(corpus, folder), Annotate(), reach, say=said.append)
    listed = [target for target in targets if target.startswith("GET /api/projects/?")]
    assert len(listed) == 1
    assert all("include=id" in target for target in listed)
    assert said[-1] == "text: 1 of 1 items sent"
