"""``curate forget --published``: every tag is cut again, and nothing of the old ones can be fetched."""

import hashlib
import json
from datetime import date

import pytest
import yaml
from pyarrow import parquet

from curate.corpus.errata import add_erratum
from curate.errors import ServiceConflict
from curate.pipeline.forget import Scope, forget, plan_forgetting
from curate.pipeline.forget.published import forget_published, is_begun, plan_published
from curate.pipeline.verify import verify
from curate.stages.export import Export
from curate.stages.publish import Publish
from tests.support.hub_double import Entry
from tests.support.release_builders import make_corpus

TODAY = date(2027, 3, 1)


@pytest.fixture
def workspace(tmp_path, hub):
    """Two published versions: the first without item-0500, and both with item-0001."""
    export = Export(stage="export", split={"train": 0.5, "test": 0.5})
    for first, items in ((0, 4), (5, 3)):
        made = make_corpus(tmp_path / "w", items=items, sources=2, first=first)
        export.perform(*made)
        Publish(stage="publish", repo="acme/clips", read_back=False).perform(*made)
    assert len(hub.repos["acme/clips"].tags) == 2
    return made.corpus.workspace


def content_of(hub, entry: Entry) -> bytes:
    return entry.blob if entry.blob is not None else hub.objects[entry.sha256]


def forget_item(workspace, name: str):
    return forget(workspace, plan_forgetting(workspace, Scope("item", name), "asked", today=TODAY))


def test_every_tag_is_cut_again_and_nothing_old_can_be_fetched(hub, workspace, tmp_path):
    repo = hub.repos["acme/clips"]
    before, old_objects = dict(repo.tags), set(hub.objects)
    commits = set(repo.commits)
    tombstones = forget_item(workspace, "item-0500")
    plan = plan_published(workspace, "acme/clips", tombstones)
    first, second = before
    assert (plan.tags[first].items, plan.tags[second].items) == (0, 1)
    assert plan.steps()[:2] == [
        f"{first}: stays as it is, in a new commit",
        f"{second}: cut again without 1 forgotten item",
    ]
    assert any("support" in line for line in plan.only_support)
    assert repo.tags == before, "a plan changes nothing"
    assert forget_published(workspace, "acme/clips", tombstones, today=TODAY) == []
    assert list(repo.tags) == [first, second]
    assert not set(repo.commits) & commits
    assert not plan_published(workspace, "acme/clips", tombstones).is_needed
    assert not is_begun(workspace)
    gone = old_objects - set(hub.objects)
    assert gone
    assert not any(
        b"item-0500" in entry.blob for c in repo.commits.values() for entry in c.files.values() if entry.blob
    )
    for tag in (first, second):
        assert verify(f"hf://acme/clips@{tag}", workspace=workspace.local).damages == []
    card = content_of(hub, repo.resolve(second).files["README.md"]).decode()
    assert "Cut again on 2027-03-01" in card
    info = yaml.safe_load(card.split("---\n")[1])["dataset_info"][0]
    assert sum(split["num_examples"] for split in info["splits"]) == 6
    croissant = json.loads(content_of(hub, repo.resolve(second).files["croissant.json"]))
    stated = {file["sha256"] for file in croissant["distribution"] if "sha256" in file}
    assert stated <= {entry.sha256 for entry in repo.resolve(second).files.values() if entry.sha256}
    assert stated
    ids = {}
    for number, (name, entry) in enumerate(repo.resolve(second).files.items()):
        if name.endswith(".parquet"):
            path = tmp_path / f"{number}.parquet"
            path.write_bytes(hub.objects[entry.sha256])
            ids[name] = parquet.read_table(path, columns=["item_id"])["item_id"].to_pylist()
    assert sum(len(part) for name, part in ids.items() if name.startswith("data/")) == 6
    assert len(ids) > 2
    assert not any("item-0500" in part for part in ids.values())


def test_interrupted_anywhere_it_is_finished_by_the_next_call(hub, workspace):
    tombstones = forget_item(workspace, "item-0001")
    repo = hub.repos["acme/clips"]
    tags = list(repo.tags)
    for call in (
        r"POST .*/commit/main",
        r"DELETE .*/tag/",
        r"POST .*/super-squash/",
        r"POST .*/tag/",
        r"POST .*/lfs-files",
    ):
        hub.fail(call, 403, times=1, after=call.startswith("DELETE"))
        with pytest.raises(Exception, match="refuses access"):
            forget_published(workspace, "acme/clips", tombstones, today=TODAY)
        assert is_begun(workspace)
    assert forget_published(workspace, "acme/clips", tombstones, today=TODAY) == []
    assert list(repo.tags) == tags
    for tag in tags:
        assert verify(f"hf://acme/clips@{tag}", workspace=workspace.local).damages == []


def test_a_tag_whose_labels_rest_on_a_forgotten_rater_is_removed(hub, workspace):
    scope = Scope("annotator", "ada@example.org")
    tombstones = forget(workspace, plan_forgetting(workspace, scope, "asked", today=TODAY))
    plan = plan_published(workspace, "acme/clips", tombstones)
    assert all("removed, because its labels rest on 1 forgotten rater" in step for step in plan.steps()[:2])
    assert forget_published(workspace, "acme/clips", tombstones, today=TODAY) == []
    repo = hub.repos["acme/clips"]
    assert repo.tags == {}
    assert list(repo.head.files) == [".gitattributes"]
    assert hub.objects == {}
    made = make_corpus(workspace.local, items=0, sources=0)
    Export(stage="export").perform(*made)
    Publish(stage="publish", repo="acme/clips").perform(*made)
    (tag,) = repo.tags
    assert verify(f"hf://acme/clips@{tag}", workspace=workspace.local).damages == []


def test_tags_that_nobody_can_check_stop_it(hub, workspace):
    repo = hub.repos["acme/clips"]
    repo.tags["by-hand"] = repo.add("by hand", {"x.txt": Entry(b"x", None, 1)}, branch="other").oid
    with pytest.raises(ServiceConflict, match=r"by-hand of .* holds no release"):
        plan_published(workspace, "acme/clips", forget_item(workspace, "item-0001"))


def test_errata_of_what_was_forgotten_are_in_no_file_of_a_tag(hub, tmp_path):
    made = make_corpus(tmp_path / "w", items=4, sources=2)
    workspace = made.corpus.workspace
    for item, text in (("item-0001", "Bob says his name."), ("item-0002", "Cut too late.")):
        add_erratum(workspace, text, item_id=item, release=None, day="2027-02-01")
    Export(stage="export").perform(*made)
    Publish(stage="publish", repo="acme/clips", read_back=False).perform(*made)
    assert forget_published(workspace, "acme/clips", forget_item(workspace, "item-0001"), today=TODAY) == []
    texts = {name: content_of(hub, entry) for name, entry in hub.repos["acme/clips"].head.files.items()}
    assert [name for name, text in texts.items() if b"Bob" in text or b"item-0001" in text] == []
    assert b"- item `item-0002`: Cut too late." in texts["README.md"]
    assert len(texts["errata.jsonl"].splitlines()) == 1


def test_a_later_takedown_that_leaves_the_same_cuts_begins_anew_as_well(hub, workspace):
    repo = hub.repos["acme/clips"]
    for rater in ("ada@example.org", "ben@example.org"):
        made = make_corpus(workspace.local, items=0, sources=0)
        Export(stage="export").perform(*made)
        Publish(stage="publish", repo="acme/clips", read_back=False).perform(*made)
        assert repo.tags
        scope = Scope("annotator", rater)
        tombstones = forget(workspace, plan_forgetting(workspace, scope, "asked", today=TODAY))
        assert forget_published(workspace, "acme/clips", tombstones, today=TODAY) == []
        assert repo.tags == {}
        assert list(repo.head.files) == [".gitattributes"]
        assert hub.objects == {}


def test_files_of_others_stay_when_every_release_is_removed(hub, workspace):
    repo, data = hub.repos["acme/clips"], b"a picture of somebody else"
    picture = Entry(None, hashlib.sha256(data).hexdigest(), len(data))
    hub.objects[picture.sha256] = data
    repo.tags["1.1.0"] = repo.add("by hand", {**repo.head.files, "picture.png": picture}).oid
    scope = Scope("annotator", "ada@example.org")
    tombstones = forget(workspace, plan_forgetting(workspace, scope, "asked", today=TODAY))
    assert forget_published(workspace, "acme/clips", tombstones, today=TODAY) == []
    assert repo.tags == {}
    assert sorted(repo.head.files) == [".gitattributes", "picture.png"]
    assert hub.objects == {picture.sha256: data}
