"""Objects of a bucket: every failure is one sentence without a key, and media are checked by their hash."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from curate.corpus.spec import open_table
from curate.errors import (
    CurateError,
    InvalidInput,
    MissingDependency,
    ServiceRefused,
    ServiceUnavailable,
    StorageFailed,
    WorkspaceUnusable,
)
from curate.labels import load_labels
from curate.storage.blobs import BlobMissing
from curate.storage.s3 import client
from curate.storage.s3.client import S3Prefix
from curate.storage.workspace import Workspace
from tests.support.object_store import ObjectStore


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no key to s3://corpora/w at 127.0.0.1:"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "s3://corpora/w at 127.0.0.1:1 does not answer"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "is not a valid address"),
        ({"bucket": "nowhere"}, "there is no bucket nowhere at 127.0.0.1:"),
        ({"bucket": "me:secret@corpora"}, "has more than a bucket and a prefix"),
    ],
)
def test_a_missing_key_server_or_bucket_is_named(here, monkeypatch, tmp_path, changed, message):
    client._open.cache_clear()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in changed.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    with pytest.raises(CurateError) as failure:
        Workspace(f"s3://{changed.get('bucket', 'corpora')}/w")
    client._open.cache_clear()
    assert message in failure.value.message
    assert failure.value.hint
    assert "me:secret" not in f"{failure.value.message} {failure.value.hint}"


def test_a_store_that_goes_away(here, url, tmp_path, monkeypatch):
    """Tables have a client of their own, with other messages."""
    store = ObjectStore()
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    table = open_table(Workspace(url), "items", load_labels("utterance_emotion.v1"))
    monkeypatch.setattr("curate.storage.s3.folder._DELTA_OPTIONS", {"max_retries": "1", "retry_timeout": "2s"})
    assert table.version() is None
    store.close()
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        table.commit([{"item_id": "a", "work": "w"}], metadata={})
    for text, kind in [
        ("Client error with status 403 Forbidden: <Code>SignatureDoesNotMatch</Code> test-key", ServiceRefused),
        ("<Error><Code>NoSuchBucket</Code>", WorkspaceUnusable),
        ("the credential provider was not enabled", MissingDependency),
        ("a riddle about test-key", StorageFailed),
    ]:
        with pytest.raises(kind) as failure, table.folder.errors():
            raise OSError(text)
        assert "test-key" not in f"{failure.value.message} {failure.value.hint}"


def test_urls_that_cannot_be_used(monkeypatch, tmp_path):
    urls = ["memory://x", "gs://x/y", "s3://", "s3:/bucket", "s3://[x"]
    urls += [f"s3://bucket/{prefix}" for prefix in ("a*b", "a//b", "../other", "a?b=c", "a b")]
    for wrong in urls:
        with pytest.raises(InvalidInput):
            Workspace(wrong)
    monkeypatch.setattr(client.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency) as missing:
        Workspace("s3://bucket/corpus")
    assert missing.value.hint == "pip install 'curate[s3]'"
    assert Workspace(f"file://{tmp_path}/w").local == tmp_path / "w"


def test_blobs_are_checked_copied_and_listed(here, url, store, tmp_path):
    blobs = Workspace(url).blobs
    names = [blobs.put(data, "jpg") for data in (b"one", b"two", b"one")]
    blobs.flush()
    assert names[0] == names[2]
    assert [blobs.sizes()(name) for name in names] == [3, 3, 3]
    here("second")
    assert blobs.path(names[0]).read_bytes() == b"one"
    assert blobs.path(names[0]).is_relative_to(tmp_path / "second" / "cache")
    (tmp_path / "second" / "cache" / "blobs" / names[0]).write_bytes(b"")
    assert blobs.path(names[0]).read_bytes() == b"one", "a damaged copy is fetched again"
    assert blobs.read_many(names) == {names[0]: b"one", names[1]: b"two"}
    folder = tmp_path / "shared"
    blobs.share(names, folder)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")} == set(names)
    assert not folder.is_relative_to(tmp_path / "second" / "cache"), "people may be looking at it"
    temporary = blobs.put(b"for a while", "wav")
    blobs.remove(temporary)
    blobs.remove(temporary)
    with pytest.raises(StorageFailed, match="it is gone"):
        blobs.path(temporary)
    here("third")
    store.files().pipe_file(f"{url}/blobs/{names[0]}", b"other")
    for read in (blobs.path, blobs.read):
        with pytest.raises(BlobMissing, match="is damaged: the store returned"):
            read(names[0])
    store.files().rm_file(f"{url}/blobs/{names[1]}")
    with pytest.raises(WorkspaceUnusable, match=r"gone\.parquet is gone"):
        Workspace(url).folder.fetch(["gone.parquet"])
    for read in (blobs.path, blobs.read, blobs.sizes()):
        with pytest.raises(BlobMissing, match="it is gone"):
            read(names[1])
    with pytest.raises(WorkspaceUnusable, match="there is no bucket nowhere"):
        replace(blobs, prefix=S3Prefix("s3://nowhere/blobs")).read(names[1])


def test_a_label_studio_of_this_machine_shows_copies(here, url):
    from curate.annotation.label_studio.client import LabelStudioServer
    from curate.annotation.local_server.connection import Connection

    requests = []

    class Recording(LabelStudioServer):
        def _call(self, method, path, **about):
            requests.append(about.get("content"))
            return []

    opened = Workspace(url)
    name = opened.blobs.put(b"a clip", "mp4")
    opened.blobs.flush()
    here("second")
    opened = Workspace(url)
    server = Recording(Connection("http://127.0.0.1:1", "key", local=True, name="own"))
    shown = server.share_media(1, opened.blobs, [name], print)[name]
    document_root = opened.local.resolve() / "label_studio" / "media"
    assert (document_root / shown.partition("?d=")[2]).read_bytes() == b"a clip"
    assert requests[-1]["path"] == str(document_root / "blobs")


def test_no_outcome_names_media_that_were_not_stored(here, url, monkeypatch):
    from curate.pipeline.tasks import Task, run_task
    from curate.stages.contract import Outcome, Tools
    from curate.stages.ingest.stage import Ingest

    class Stage(Ingest):
        def apply(self, batch, tools):
            return Outcome({"items": [{"image": tools.blobs.put(b"a picture", "jpg")}]})

    def fail(self, name, data):
        raise ServiceUnavailable("gone")

    tools = Tools(Workspace(url).blobs, load_labels("utterance_emotion.v1"), Path())
    task = Task(Stage(files="*"), pa.table({"file": ["a.jpg"], "size_bytes": [1]}), tools)
    with monkeypatch.context() as patch:
        patch.setattr(S3Prefix, "create", fail)
        with pytest.raises(ServiceUnavailable):
            run_task(task)
    (row,) = run_task(task).rows["items"]
    here("second")
    assert tools.blobs.read(row["image"]) == b"a picture"
