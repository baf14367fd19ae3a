"""What was forgotten leaves a real Label Studio, and its files."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.local_server import server
from curate.annotation.local_server.connection import connection
from curate.pipeline.forget import Scope, forget, plan_forgetting
from curate.stages.annotate import Annotate, pull, push
from curate.storage.workspace import Workspace
from tests.annotation.annotation_builders import make_clip, make_corpus, make_item, make_prelabel, make_tools
from tests.annotation.conftest import Served

pytestmark = pytest.mark.label_studio


@pytest.fixture
def served(make_root: Any) -> Served:
    """A server of its own: what is forgotten leaves its database, and the workspace's tables."""
    root = make_root()
    shutil.move(root / "label_studio", root.with_suffix(".golden"))
    Workspace(root)
    shutil.move(root.with_suffix(".golden"), root / "label_studio")
    server.up(root)
    return Served(root)


def test_no_byte_stays_in_the_files_of_the_workspaces_own_server(served: Served) -> None:
    root: Path = served.root
    corpus = make_corpus(root, [], recipe="forget_all")
    image = corpus.workspace.blobs.put(make_clip("jpg"), "jpg")
    words = "nobody else would ever say this sentence about a walrus"
    items = [make_item(0, text=words), make_item(1), make_item(2, layout="image", image=image)]
    corpus = make_corpus(root, items, [make_prelabel(item) for item in items], recipe="forget_all")
    reach = connection(root)
    push(corpus, make_tools(corpus, root), Annotate(raters_per_item=2), reach)
    ada = served.sign_up("ada.forgets@example.org")
    with served.http() as http:
        projects = http.get("/api/projects/", params={"page_size": 100}).json()["results"]
        mine = [p["id"] for p in projects if "curate:forget_all:" in p["description"]]
        tasks = [
            t for p in mine for t in http.get("/api/tasks/", params={"project": p, "fields": "all"}).json()["tasks"]
        ]
        for task in tasks:
            value = {"choices": ["fear"]}
            result = [{"id": "x", "type": "choices", "from_name": "emotion", "to_name": "Words", "value": value}]
            body = {"result": result, "completed_by": ada.user_id}
            assert http.post(f"/api/tasks/{task['id']}/annotations/", json=body).status_code == 201
    pull(corpus, reach)
    shared = root / "label_studio" / "media" / "blobs" / image
    database = root / "label_studio" / "data" / "label_studio.sqlite3"
    assert shared.is_file()
    assert words.encode() in stored(database)
    for name in (items[0]["item_id"], items[2]["item_id"]):
        plan = plan_forgetting(corpus.workspace, Scope("item", name), "asked", today=date(2027, 3, 1))
        assert "1 task and 0 other judgements" in plan.server
        assert not forget(corpus.workspace, plan).server_waits
    assert not shared.exists()
    for needle in (words, items[0]["item_id"], items[2]["item_id"], image.rpartition("/")[2]):
        assert needle.encode() not in stored(database), needle
    plan = plan_forgetting(corpus.workspace, Scope("annotator", ada.email), "asked", today=date(2027, 3, 1))
    assert "0 tasks and 1 other judgement " in plan.server
    forget(corpus.workspace, plan)
    assert pull(corpus, reach).new == 0
    assert corpus.table("annotations").read().num_rows == 0


def stored(database: Path) -> bytes:
    return b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
