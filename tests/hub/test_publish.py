"""Publishing to a server that speaks the Hub's protocol, with the unmodified clients."""

import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from curate.errors import (
    InvalidInput,
    MissingDependency,
    ServiceConflict,
    ServiceRefused,
    ServiceUnavailable,
    WorkspaceUnusable,
)
from curate.stages.export import Export
from curate.stages.publish import Publish
from tests.support.hub_double import TOKEN, Entry, HubDouble
from tests.support.release_builders import make_corpus

READ_BACK = """
import hashlib, json, sys
import datasets
from datasets import Audio, Image, load_dataset

place, revision, cache = sys.argv[1:]
data = load_dataset(place, revision=revision or None, cache_dir=cache)
rows = []
for split in data.values():
    for column, kind in (("audio", Audio), ("face", Image)):
        assert isinstance(split.features[column], kind), split.features[column]
        split = split.cast_column(column, kind(decode=False))
    rows.extend(split)
for row in rows:
    for column in ("audio", "face"):
        if row[column]:
            row[column]["bytes"] = hashlib.sha256(row[column]["bytes"]).hexdigest()
print("ROWS" + json.dumps(sorted(rows, key=lambda row: row["item_id"]), default=str))
"""


@pytest.fixture(params=["lfs", "xet"])
def hub(request, tmp_path, monkeypatch):
    with HubDouble(tmp_path / "hub", mode=request.param) as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", request.param == "lfs")
        monkeypatch.setattr("curate.hub.client._WAITS_S", (0.0, 0.0, 0.0, 0.0))
        yield double


@pytest.fixture
def lfs_hub(tmp_path, monkeypatch):
    with HubDouble(tmp_path / "hub") as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("curate.hub.client._WAITS_S", (0.0, 0.0, 0.0, 0.0))
        yield double


def make_release(tmp_path, **changes):
    made = make_corpus(tmp_path / "ws", items=12, **changes)
    Export(stage="export", split={"train": 0.5, "test": 0.5}).perform(*made)
    return made


def publish(made, **settings):
    return Publish(stage="publish", **{"repo": "acme/clips", **settings}).perform(*made)


def read_back(hub, tmp_path, repo, revision, place=None):
    """Rows as another person's fresh process sees them, media by hash."""
    home = tmp_path / f"home-{len(list(tmp_path.iterdir()))}"
    home.mkdir()
    environment = {
        **{name: os.environ[name] for name in ("PATH",)},
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "HOME": str(home),
        "HF_HUB_DISABLE_XET": "1" if hub.mode == "lfs" else "0",
    }
    arguments = [sys.executable, "-c", READ_BACK, place or repo, revision, str(home / "cache")]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, cwd=home)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("ROWS"))[4:])


def shards(repo):
    return sorted(path for path in repo.head.files if path.startswith("data/"))


def test_publish_tag_and_read_back_with_equal_rows(hub, tmp_path):
    made = make_release(tmp_path)
    receipt = publish(made)
    assert receipt.changed
    assert f"{hub.url}/datasets/acme/clips" in receipt.message
    repo = hub.repos["acme/clips"]
    assert repo.private
    assert [commit.title for commit in repo.commits.values()] == ["initial commit", "Release 1.0.0"]
    assert repo.tags == {"1.0.0": repo.head.oid}
    there = read_back(hub, tmp_path, "acme/clips", "1.0.0")
    here = read_back(hub, tmp_path, "", "", place=str(made.corpus.workspace.releases.path / "1.0.0"))
    assert len(there) == 12
    assert there == here
    assert (bool(hub.objects), bool(hub.xet_hashes())) == (hub.mode == "lfs", hub.mode == "xet")

    again = publish(made)
    assert not again.changed
    assert len(repo.commits) == 2


def test_a_server_without_xet_at_an_address_with_a_slash(lfs_hub, tmp_path, monkeypatch):
    """The client uses Xet without asking whether the server knows it; self-hosted ones answer 404."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    monkeypatch.setenv("HF_ENDPOINT", f"{lfs_hub.url}/")
    receipt = publish(make_release(tmp_path))
    assert receipt.changed
    assert receipt.message.startswith(f"{lfs_hub.url}/datasets/acme/clips has release 1.0.0")
    assert shards(lfs_hub.repos["acme/clips"])


def test_a_new_release_replaces_the_files_and_both_tags_load(hub, tmp_path):
    made = make_release(tmp_path)
    publish(made)
    repo = hub.repos["acme/clips"]
    hub.repos["acme/clips"].add("by hand", {**repo.head.files, "NOTES.md": Entry(b"mine", None, 4)})
    make_corpus(tmp_path / "ws", items=12, first=5)
    Export(stage="export", split={"only": 1.0}).perform(*made)
    receipt = publish(made)
    assert receipt.changed
    assert shards(repo) == ["data/only-00000-of-00001.parquet"]
    assert "NOTES.md" in repo.head.files
    assert len(repo.commits) == 4
    old, new = (read_back(hub, tmp_path, "acme/clips", tag) for tag in ("1.0.0", "1.1.0"))
    assert (len(old), len(new)) == (12, 24)
    assert {row["item_id"] for row in old} < {row["item_id"] for row in new}


def foreign(name):
    if name == "another recipe":
        return {"manifest.json": Entry(b'{"recipe": "others"}', None, 20), "data/train-00000-of-00001.parquet": SHARD}
    if name == "another manifest":
        return {"manifest.json": Entry(b"[]", None, 2)}
    if name == "a card":
        return {"README.md": Entry(b"# Ten years of work" * 40, None, 760)}
    return {"data/train-00000-of-00001.parquet": SHARD}


SHARD = Entry(b"PAR1", None, 4)


@pytest.mark.parametrize("name", ["shards", "another recipe", "another manifest", "a card"])
def test_a_repository_with_something_else_in_it_is_left_alone(lfs_hub, tmp_path, name):
    made = make_release(tmp_path)
    repo = lfs_hub.make_repo("acme/clips", private=True)
    head = repo.add("by push_to_hub", {**repo.head.files, **foreign(name)})
    with pytest.raises(ServiceConflict, match="would replace its card") as caught:
        publish(made)
    assert "stages.publish.repo" in caught.value.hint
    assert repo.head is head
    assert not repo.tags


def test_a_new_repository_may_have_the_files_that_the_hub_makes(lfs_hub, tmp_path):
    repo = lfs_hub.make_repo("acme/clips", private=True)
    repo.add(
        "created",
        {".gitattributes": Entry(b"*.x lfs", None, 7), "README.md": Entry(b"---\nlicense: mit\n---", None, 20)},
    )
    assert publish(make_release(tmp_path)).changed


@pytest.mark.parametrize("status", [0, 500, 503, 504])
def test_a_lost_reply_makes_no_second_commit(lfs_hub, tmp_path, status):
    made = make_release(tmp_path)
    lfs_hub.tells_oids = False  # or the client would leave out a second commit by itself
    lfs_hub.fail(r"POST .*/commit/main", status, after=True)
    lfs_hub.fail(r"POST .*/tag/", status, after=True)
    lfs_hub.fail(r"POST .*/repos/create", status, after=True)
    assert publish(made).changed
    repo = lfs_hub.repos["acme/clips"]
    assert [commit.title for commit in repo.commits.values()] == ["initial commit", "Release 1.0.0"]
    assert repo.tags == {"1.0.0": repo.head.oid}
    assert lfs_hub.count("POST .*/commit/main") == 1


def test_rate_limits_and_short_failures_are_waited_out(lfs_hub, tmp_path):
    made = make_release(tmp_path)
    lfs_hub.fail(r"POST .*/commit/main", 429, times=2)
    lfs_hub.fail(r"GET .*/refs", 503)
    lfs_hub.fail(r"GET .*/tree/", 500)
    lfs_hub.fail(r"POST .*/validate-yaml", 503)
    assert publish(made).changed
    assert len(lfs_hub.repos["acme/clips"].commits) == 2


def test_someone_else_commits_at_the_same_time(lfs_hub, tmp_path, monkeypatch):
    made = make_release(tmp_path)
    publish(made)
    make_corpus(tmp_path / "ws", items=4, first=5)
    Export(stage="export").perform(*made)
    repo = lfs_hub.repos["acme/clips"]
    moved = []

    import huggingface_hub

    send = huggingface_hub.HfApi.create_commit

    def interfere(api, *args, **settings):
        if not moved:
            moved.append(repo.add("theirs", {**repo.head.files, "theirs.txt": Entry(b"x", None, 1)}))
        return send(api, *args, **settings)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", interfere)
    assert publish(made).changed
    assert [commit.title for commit in repo.commits.values()][-2:] == ["theirs", "Release 1.1.0"]
    assert "theirs.txt" in repo.head.files
    assert lfs_hub.count("POST .*/commit/main") == 3  # the middle one was refused


def test_a_repository_that_never_holds_still_is_a_conflict(lfs_hub, tmp_path):
    made = make_release(tmp_path)
    lfs_hub.fail(r"POST .*/commit/main", 412, times=99)
    with pytest.raises(ServiceConflict, match="someone else"):
        publish(made)


def test_a_tag_that_holds_something_else_is_left_alone(lfs_hub, tmp_path):
    made = make_release(tmp_path)
    publish(made)
    repo = lfs_hub.repos["acme/clips"]
    first = next(iter(repo.commits))
    repo.tags["1.0.0"] = first
    before = len(repo.commits)
    with pytest.raises(ServiceConflict, match=r"tag 1\.0\.0"):
        publish(made)
    assert len(repo.commits) == before
    assert repo.tags["1.0.0"] == first
    assert publish(made, tag="1.0.0-again").changed
    assert len(repo.commits) == before


def test_a_public_repository_gets_nothing_private(lfs_hub, tmp_path):
    made = make_release(tmp_path)
    publish(made, private=False)
    make_corpus(tmp_path / "ws", items=4, first=5)
    Export(stage="export").perform(*made)
    with pytest.raises(ServiceConflict, match="is public"):
        publish(made)
    assert list(lfs_hub.repos["acme/clips"].tags) == ["1.0.0"]


def test_without_a_namespace_the_repository_is_the_users_own(lfs_hub, tmp_path):
    receipt = publish(make_release(tmp_path), repo="clips")
    assert "datasets/tester/clips" in receipt.message
    assert list(lfs_hub.repos) == ["tester/clips"]


def test_a_wrong_key_is_refused_and_never_shown(lfs_hub, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongsecret")
    with pytest.raises(ServiceRefused) as caught:
        publish(make_release(tmp_path))
    assert "HF_TOKEN" in caught.value.hint
    assert "hf_wrongsecret" not in f"{caught.value} {caught.value.hint} {caplog.text}"


def test_a_server_that_repeats_the_key_does_not_get_it_printed(lfs_hub, tmp_path):
    lfs_hub.fail(r"POST .*/repos/create", 400, X_Error_Message=f"what is {TOKEN}?")
    with pytest.raises(InvalidInput, match=r"what is \*\*\*") as caught:
        publish(make_release(tmp_path))
    assert TOKEN not in str(caught.value)


def test_rights_missing_for_the_commit_alone(lfs_hub, tmp_path):
    made = make_release(tmp_path)
    lfs_hub.fail(r"POST .*/commit/main", 403, times=99)
    with pytest.raises(ServiceRefused):
        publish(made)
    assert lfs_hub.count("POST .*/commit/main") == 1


def test_no_key_at_all(lfs_hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(MissingDependency, match="key") as caught:
        publish(make_release(tmp_path))
    assert "hf auth login" in caught.value.hint
    assert not lfs_hub.requests


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "not a url"])
def test_no_server(lfs_hub, tmp_path, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        publish(make_release(tmp_path))


def test_a_server_that_fails_for_good(lfs_hub, tmp_path):
    lfs_hub.fail(r"POST .*/repos/create", 503, times=99)
    with pytest.raises(ServiceUnavailable):
        publish(make_release(tmp_path))


def test_nothing_to_publish(lfs_hub, tmp_path):
    with pytest.raises(InvalidInput, match="no release"):
        publish(make_corpus(tmp_path / "ws"))


def test_a_damaged_release_is_not_published(lfs_hub, tmp_path):
    made = make_release(tmp_path)
    folder = made.corpus.workspace.releases.path / "1.0.0"
    (folder / "README.md").write_text("changed by hand")
    with pytest.raises(WorkspaceUnusable, match=r"README\.md was changed"):
        publish(made)
    assert not lfs_hub.requests


@pytest.mark.parametrize("repo", ["", "a/b/c", "../x", "acme/", "acme/a b", "acme/x.git", "a--b", "-x", "https://h/x"])
def test_names_that_are_no_repository_are_refused(repo):
    with pytest.raises(ValidationError):
        Publish(stage="publish", repo=repo)
