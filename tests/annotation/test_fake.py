"""Push and pull against the stand-in server: deletions, pages that shift, restores, in seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.fake import KEY, FakeLabelStudio
from curate.annotation.label_studio import client
from curate.annotation.label_studio.pull import PullCounts
from curate.annotation.label_studio.push import PushCounts
from curate.annotation.local_server.connection import Connection
from curate.corpus.judgements import current_judgements, is_prefilled
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.stages.annotate import Annotate, pull, push, status
from tests.annotation.annotation_builders import make_clip, make_corpus, make_item, make_prelabel, make_tools

STAGE = Annotate(raters_per_item=2)


def choice(emotion: str) -> list[dict[str, Any]]:
    value = {"choices": [emotion]}
    return [{"id": "x", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": value}]


class Round:
    """A corpus and a stand-in server."""

    def __init__(self, root: Path, url: str, fake: FakeLabelStudio) -> None:
        self.root, self.fake = root, fake
        self.connection = Connection(url, KEY, local=False, name="fake")
        self.corpus: Corpus

    def push(self, count: int) -> int:
        return self.exchange(count).added

    def exchange(self, count: int, stage: Annotate = STAGE, **prelabel: Any) -> PushCounts:
        items = [make_item(n) for n in range(count)]
        self.corpus = make_corpus(self.root, items, [make_prelabel(item, **prelabel) for item in items])
        return push(self.corpus, make_tools(self.corpus, self.root), stage, self.connection)

    def predicted(self) -> dict[str, bool]:
        """Whether the task of each item has a prediction."""
        return {task["data"]["item_id"]: bool(task["predictions"]) for task in self.fake.tasks.values()}

    def pull(self) -> PullCounts:
        with self.corpus.workspace.lock():
            return pull(self.corpus, self.connection)

    def acts(self) -> list[dict[str, Any]]:
        rows = self.corpus.table("annotations").read().to_pylist()
        return sorted(rows, key=lambda row: row["acted_at"])


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Round]:
    fake = FakeLabelStudio()
    with fake.serve() as url:
        yield Round(tmp_path / "workspace", url, fake)


def test_every_act_comes_back_once(loop: Round) -> None:
    assert loop.push(4) == 4
    assert loop.push(4) == 0
    first, second, third, _ = loop.fake.tasks
    kept, gone = loop.fake.judge(first, choice("fear")), loop.fake.judge(second, choice("neutral"))
    loop.fake.judge(third, choice("fear"), was_cancelled=True)
    assert loop.pull()[:5] == (2, 0, 1, 0, 0)
    assert loop.pull().new == 0
    loop.fake.revise(kept, result=choice("disgust"))
    loop.fake.delete_annotation(gone)
    loop.fake.judge(second, choice("surprise"))
    assert loop.pull()[:5] == (1, 1, 0, 1, 0)
    assert loop.pull().new == 0
    assert [act["emotion"] for act in loop.acts() if act["action"] == "updated"] == [["disgust"]]


def test_a_listing_that_shifts_loses_no_judgement(loop: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAGE", 3)
    loop.push(7)
    tasks = list(loop.fake.tasks)
    for task_id in tasks[1:]:
        loop.fake.judge(task_id, choice("fear"))
    assert loop.pull().created == 6

    def delete_from_first_page(project_id: int, page: int) -> None:
        if page == 2:
            loop.fake.tasks.pop(tasks[0], None)

    loop.fake.before_page = delete_from_first_page
    # The fourth task moves to the first page after that was read, so that no page lists it.
    assert loop.pull().new == 0
    assert {act["action"] for act in loop.acts()} == {"created"}


def test_a_database_restored_from_a_copy_and_back_restores_judgements(loop: Round) -> None:
    loop.push(3)
    before = loop.fake.snapshot()
    for task_id, emotion in zip(list(loop.fake.tasks), ("fear", "anger", "sadness"), strict=True):
        loop.fake.judge(task_id, choice(emotion))
    skipped = loop.fake.judge(next(iter(loop.fake.tasks)), choice("fear"), was_cancelled=True)
    assert loop.pull().new == 4
    after = loop.fake.snapshot()
    loop.fake.restore(before)
    assert loop.pull()[:5] == (0, 0, 0, 4, 0)
    loop.fake.restore(after)
    counts = loop.pull()
    assert (counts.restored, counts.skipped, counts.new) == (3, 1, 4)
    assert loop.pull().new == 0
    loop.fake.delete_annotation(skipped)
    assert loop.pull()[:5] == (0, 0, 0, 1, 0)
    loop.fake.revise(next(a["id"] for t in loop.fake.tasks.values() for a in t["annotations"]), result=choice("fear"))
    assert loop.pull().updated == 1
    newest: dict[str, dict[str, Any]] = {}
    for act in loop.acts():
        newest[act["judgement_id"]] = act
    assert sorted(act["action"] for act in newest.values()) == ["deleted", "restored", "restored", "updated"]
    assert len({act["annotation_id"] for act in loop.acts()}) == len(loop.acts())


def test_a_deleted_task_takes_its_judgements_with_it(loop: Round) -> None:
    loop.push(2)
    first = next(iter(loop.fake.tasks))
    loop.fake.judge(first, choice("fear"))
    loop.pull()
    del loop.fake.tasks[first]
    assert loop.pull()[:5] == (0, 0, 0, 1, 0)
    assert loop.pull().new == 0
    assert loop.push(2) == 1


def test_misfits_are_reported_by_every_pull_until_they_are_mended(loop: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.push(1)
    annotation = loop.fake.judge(next(iter(loop.fake.tasks)), choice("rage"))
    for _ in range(2):
        with pytest.raises(InvalidInput) as raised:
            loop.pull()
        assert len(raised.value.problems) == 1
        assert "rage" in raised.value.problems[0]
    monkeypatch.setenv("LABEL_STUDIO_URL", loop.connection.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", KEY)
    receipt = STAGE.perform(loop.corpus, make_tools(loop.corpus, loop.root))
    assert "1 answers do not fit" in receipt.message
    assert "rage" in receipt.message
    loop.fake.revise(annotation, result=choice("anger"))
    assert loop.pull().updated == 1


def test_judgements_without_a_user_are_of_different_raters(loop: Round) -> None:
    loop.push(1)
    task_id = next(iter(loop.fake.tasks))
    for emotion in ("fear", "anger"):
        loop.fake.judge(task_id, choice(emotion), user_id=None)
    assert loop.pull().created == 2
    assert len({act["annotator"] for act in loop.acts()}) == 2


def test_a_share_of_items_is_judged_without_a_proposal(loop: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    some, all_of_them = Annotate(blind_share=0.3), Annotate(blind_share=1.0)
    counts = loop.exchange(40, some)
    before = loop.predicted()
    blind = {item for item, has_prediction in before.items() if not has_prediction}
    assert counts == PushCounts(40, 0, 40, 0, len(blind))
    assert 5 <= len(blind) <= 20
    blind_tasks = [task for task in loop.fake.tasks.values() if task["data"]["item_id"] in blind]
    assert {name for task in blind_tasks for name in task["data"]} == {"item_id", "text", "speaker", "shown", "blind"}

    # Tasks that are there stay as they were sent, whatever the share and the proposals are later.
    assert loop.exchange(40, Annotate(), labeller="other") == PushCounts(0, 40 - len(blind), 40, 0, len(blind))
    assert loop.exchange(41, all_of_them, labeller="other") == PushCounts(1, 0, 41, 0, len(blind) + 1)
    after = loop.predicted()
    assert {item: after[item] for item in before} == before
    (status_there,) = status(loop.corpus, loop.connection)
    assert (status_there.tasks, status_there.blind) == (41, len(blind) + 1)

    # More items move none; another seed draws others.
    tools = make_tools(loop.corpus, loop.root)
    loop.fake.tasks.clear()
    loop.exchange(60, some)
    assert {item for item, has_prediction in loop.predicted().items() if not has_prediction} & set(before) == blind
    loop.fake.tasks.clear()
    push(loop.corpus, tools._replace(seed=1), some, loop.connection)
    assert {item for item, has_prediction in loop.predicted().items() if not has_prediction} & set(before) != blind

    monkeypatch.setenv("LABEL_STUDIO_URL", loop.connection.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", KEY)
    done = some.perform(loop.corpus, tools)
    assert f"{done.counts['blind']} of 60 items there show no proposal" in done.message
    loop.fake.tasks.clear()
    assert "no proposal" not in Annotate().perform(loop.corpus, tools).message


def test_arms_tell_blind_judgements_from_others_for_good(loop: Round) -> None:
    loop.exchange(20, Annotate(blind_share=0.5))
    tasks = list(loop.fake.tasks.values())
    blind = next(task for task in tasks if task["data"]["blind"])
    untouched = next(task for task in reversed(tasks) if task["data"]["blind"])
    assisted = next(task for task in tasks if not task["data"]["blind"])
    first = loop.fake.judge(blind["id"], choice("fear"))
    loop.fake.judge(assisted["id"], choice("anger"))
    # Whatever fills the form of a blind task by hand is taken away before somebody begins.
    untouched["predictions"] = assisted["predictions"]
    loop.pull()
    assert loop.exchange(20, Annotate(blind_share=0.0)).refilled == 1
    assert untouched["predictions"] == []
    loop.fake.revise(first, result=choice("disgust"))
    loop.fake.delete_annotation(assisted["annotations"][0]["id"])
    loop.pull()
    assert [(act["action"], act["arm"]) for act in loop.acts()] == [
        ("created", "text blind"), ("created", "text pre-filled"), ("updated", "text blind"),
        ("deleted", "text pre-filled"),
    ]  # fmt: skip
    judgements = current_judgements(loop.corpus.table("annotations").read(), with_skipped=True)
    assert is_prefilled(judgements).tolist() == [False]


def test_media_are_uploaded_once_and_shown(loop: Round) -> None:
    loop.push(0)
    clip = loop.corpus.workspace.blobs.put(make_clip("flac"), "flac")
    for count in (1, 2):
        items = [make_item(n, layout="audio", audio=clip) for n in range(count)]
        loop.corpus = make_corpus(loop.root, items)
        assert push(loop.corpus, make_tools(loop.corpus, loop.root), STAGE, loop.connection).added == 1
    assert [data for files in loop.fake.uploads.values() for data in files.values()] == [make_clip("flac")]
    assert len({task["data"]["audio"] for task in loop.fake.tasks.values()}) == 1
