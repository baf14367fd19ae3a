"""``curate forget``: no byte of what was forgotten stays, and it never comes back."""

import errno
import json
import shutil
import sqlite3
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from deltalake import DeltaTable
from pyarrow import parquet

from curate.cli.commands.forget import forget_command
from curate.corpus.masking import mask_rows
from curate.corpus.spec import open_table
from curate.corpus.tombstones import MASK, Tombstones
from curate.errors import CurateError, InvalidInput, WorkspaceUnusable
from curate.llm.replies import ReplyStore, StoredReply, put_reply
from curate.pipeline.forget import Scope, forget, plan_forgetting, resume
from curate.pipeline.verify import verify
from curate.release.versions import Releases
from curate.stages.export import Export
from curate.storage.workspace import Workspace
from tests.support.builders import make_posts
from tests.support.release_builders import make_corpus, make_flac, make_jpeg, make_labels
from tests.support.runs import run_quietly

TODAY = date(2027, 3, 1)
PULSE = 7000.125
REPLY = "the model speaks of item "


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Six items of three sources, judged by two raters; with replies, pages, records of a run, and a release."""
    root = tmp_path_factory.mktemp("forget") / "w"
    made = make_corpus(root, items=6)
    export(made)
    keys = {f"pre-{n}": f"key-{n}" for n in range(6)}
    made.corpus.update_column("prelabels", "request_key", keys)
    signals = open_table(made.corpus.workspace, "signals", made.corpus.labels)
    signals.commit([make_signal(n) | {"work": "signals-work"} for n in range(3)], metadata={})
    for at in ("faces", "shots"):
        rows = [{"source_id": f"source-{n:04d}", "start_s": n * 1.5, "end_s": n * 1.5 + 1} for n in range(3)]
        if at == "faces":
            crop = made.corpus.workspace.blobs.put(make_jpeg(77), "jpg")
            seen = {"times_s": [1.0, 6.5], "scores": [0.5, 0.75], "best_time_s": 6.5, "crop": crop}
            rows[1] |= {"start_s": 0.0, "end_s": 8.0, **seen, "frames": [{"time_s": 6.5, "crop": crop}]}
        key = open_table(made.corpus.workspace, at, made.corpus.labels)
        key.commit(
            [{**row, key.spec.key: f"{at}-{row['source_id']}", "work": f"{at}-work"} for row in rows], metadata={}
        )
    with ReplyStore(root / "answers.sqlite") as store:
        times = {"created_at": "2027-01-01T00:00:00+00:00", "answered_by": None, "request_id": None}
        replies = [StoredReply(f"key-{n}", f"c{n}", "e", "m", reply=f"{REPLY}{n}.", **times) for n in range(7)]
        quoting = json.dumps({"content": json.dumps({"why": "as in 'Sentence 1, ünïcode'"})})
        replies[3] = replies[3]._replace(reply=quoting)
        store.commit_now([put_reply(reply) for reply in replies])
    run = root / "runs" / "20270101T000000-abcd"
    run.mkdir()
    (run / "log.jsonl").write_text(
        json.dumps({"message": "rejected item-0001 of source-0001: ünïcode by ada@example.org"})
    )
    (run / "report.html").write_text("<p>Sentence 1, ünïcode")
    (root / "report.html").write_text("<p>Sentence 1, ünïcode")
    (root / "previews").mkdir()
    (root / "previews" / "film.html").write_text("<p>Sentence 1, ünïcode")
    (root / ".settled.json").write_text('{"rejection": "item-0001"}')
    return root


def make_signal(number: int) -> dict:
    """A signal of a source with one value in each of its two items: 7000.125 for the first item of all, and so on."""
    items = (number, number + 3)
    signal = {"signal_id": f"pulse-{number}", "source_id": f"source-{number:04d}", "file": f"film-{number}.mp4"}
    signal |= {"signal": "pulse", "names": ["bpm"], "values": [[PULSE + item for item in items]]}
    return signal | {"times_s": [item * 1.5 + 0.5 for item in items]}


@pytest.fixture
def workspace(whole, tmp_path) -> Workspace:
    return Workspace(shutil.copytree(whole, tmp_path / "w"))


def export(made) -> None:
    Export(stage="export", split={"train": 0.5, "test": 0.5}).perform(made.corpus, made.tools)


def do_forget(workspace: Workspace, kind: str, name: str, **options) -> Tombstones:
    return forget(workspace, plan_forgetting(workspace, Scope(kind, name, **options), "asked by letter", today=TODAY))


def leaks(root: Path, needles: list[bytes]) -> list[str]:
    """Files that hold one of the needles: as bytes, or as a value of a Parquet or SQLite file."""
    found = []
    for path in (path for path in root.rglob("*") if path.is_file()):
        raw, contents = path.read_bytes(), []
        if path.suffix == ".parquet":
            rows = parquet.read_table(path).to_pylist()
            contents += [str(rows).encode(), *media_in(rows)]
            # In footers of checkpoints, greatest values are cut off and raised by one: item-0000 becomes item-0001.
            contents += [str(parquet.read_metadata(path).to_dict()).encode()] if "_delta_log" not in path.parts else []
        elif path.name == "answers.sqlite":
            with sqlite3.connect(path) as database:
                contents += [str(database.execute("SELECT * FROM answers").fetchall()).encode()]
        # A short word may be among compressed bytes by chance.
        certain = [n for n in needles if n in raw and (len(n) > 12 or path.suffix != ".parquet")]
        held = [n for n in needles if n in certain or any(n in part for part in contents)]
        found += [f"{path.relative_to(root)}: {n[:40]!r}" for n in held]
    return found


def media_in(rows: list[dict]) -> list[bytes]:
    values = [value for row in rows for value in row.values()]
    return [value["bytes"] for value in values if isinstance(value, dict) and isinstance(value.get("bytes"), bytes)]


def item_needles(number: int) -> list[bytes]:
    from curate.files import sha256_of

    media = [make_flac(number), b"film" + make_flac(number), *([make_jpeg(number)] if number % 2 == 0 else [])]
    texts = [
        f"item-{number:04d}",
        f"Sentence {number}, ünïcode",
        f"{REPLY}{number}.",
        f"pre-{number}",
        f"act-{number}-",
        str(PULSE + number),
    ]
    return [*media, *(sha256_of(data).encode() for data in media), *(text.encode() for text in texts)]


SCOPES = {
    "source": (("source", "source-0001"), [*item_needles(1), *item_needles(4), b"source-0001", b"Film 1"]),
    "item": (("item", "item-0004"), [make_jpeg(77), *item_needles(4)]),
    "speaker": (("participant", "speaker of source-0002"), [*item_needles(2), *item_needles(5), b"of source-0002"]),
    "rater": (("annotator", "ada@example.org"), [b"ada@example.org", b"act-0-0-", b"of rater 0"]),
}


@pytest.mark.parametrize("name", SCOPES)
def test_no_byte_of_it_stays_in_any_file_nor_in_the_next_release(workspace, name):
    (kind, forgotten), needles = SCOPES[name]
    root = workspace.local
    assert {n for n in needles if leaks(root, [n])} >= set(needles[-1:]), "the needles are there before"
    tombstones = do_forget(workspace, kind, forgotten)
    assert not tombstones.unfinished
    assert leaks(root, needles) == []
    for log in root.glob("tables/**/_delta_log"):
        table = DeltaTable(log.parent)
        for version in range(table.version()):
            with pytest.raises(Exception, match=r"(?i)version|log|commit|not"):
                DeltaTable(log.parent, version=version)
    made = make_corpus(root, items=0, sources=0)
    export(made)
    (manifest,) = Releases(workspace.releases).manifests()
    assert sum(manifest.splits.values()) == 6 - {"source": 2, "item": 1, "speaker": 2, "rater": 0}[name]
    assert leaks(root, needles) == []
    assert verify(root).damages == []
    if name == "item":
        track = next(row for row in rows(workspace, "faces") if row["source_id"] == "source-0001")
        assert (track["times_s"], track["scores"], track["crop"], track["frames"]) == ([1.0], [0.5], None, [])
    assert len(list(root.glob("blobs/*/*"))) == 16 - {"source": 6, "item": 4, "speaker": 5, "rater": 0}[name]


def test_everything_else_stays_as_it_was(workspace):
    before = {name: rows(workspace, name) for name in ("items", "prelabels", "annotations", "faces")}
    do_forget(workspace, "source", "source-0001")
    for name, table in before.items():
        column = "source_id" if name in ("items", "faces") else "item_id"
        gone = {"source-0001", "item-0001", "item-0004"}
        assert rows(workspace, name) == [row for row in table if row[column] not in gone], name
    with sqlite3.connect(workspace.local / "answers.sqlite") as database:
        kept = {key for (key,) in database.execute("SELECT key FROM answers")}
    assert kept == {"key-0", "key-2", "key-5"}, "the fourth reply quoted, and the seventh rested on nothing"


def rows(workspace: Workspace, name: str) -> list[dict]:
    table = open_table(workspace, name, make_labels())
    return table.read().sort_by(table.spec.key).to_pylist()


def test_a_withdrawn_version_never_comes_back_and_nothing_moves(workspace):
    releases = Releases(workspace.releases)
    (first,) = releases.manifests()
    before = releases.splits(first)
    do_forget(workspace, "item", "item-0004")
    assert releases.manifests() == []
    export(make_corpus(workspace.local, items=0, sources=0))
    (second,) = releases.manifests()
    assert second.version != first.version
    assert releases.splits(second) == {item: split for item, split in before.items() if item != "item-0004"}


def test_a_rater_is_made_unlinkable(workspace):
    acts = rows(workspace, "annotations")
    do_forget(workspace, "annotator", "ada@example.org", unlink=True)
    after = rows(workspace, "annotations")
    assert len(after) == len(acts)
    (alias,) = {row["annotator"] for row in after} - {"ben@example.org", "cleo"}
    assert alias.startswith("unlinked-")
    assert leaks(workspace.local, [b"ada@example.org", b"act-0-0-", b"judgement-0-0"]) == []
    assert "alias" not in (workspace.local / "forgotten.json").read_text()
    old = {row["item_id"] for row in acts if row["annotator"] == "ada@example.org"}
    assert {row["item_id"] for row in after if row["annotator"] == alias} == old


def test_sources_whose_consent_has_expired_are_forgotten_together(tmp_path):
    make_corpus(tmp_path / "w", items=2, sources=2, media=False, consent_until="2027-02-28")
    workspace = make_corpus(tmp_path / "w", items=1, sources=1, first=7, media=False).corpus.workspace
    assert plan_forgetting(workspace, Scope("expired"), "", today=date(2027, 2, 28)).stones == ()
    do_forget(workspace, "expired", "")
    assert [row["item_id"] for row in rows(workspace, "items")] == ["item-0700"]


class Killed(BaseException):
    """Stands for ``kill -9``: nothing catches it."""


def test_killed_at_any_moment_the_next_call_finishes_it(whole, tmp_path, monkeypatch):
    from curate.storage import blobs, delta, folder

    effects = [
        (folder.DiskFolder, "write"),
        (folder.DiskFolder, "remove"),
        (delta.Table, "rewrite"),
        (delta.Table, "purge"),
        (blobs.Blobs, "remove"),
    ]
    originals = {(owner, name): getattr(owner, name) for owner, name in effects}
    calls, deadly = [0], [0]

    def counting(original):
        def call(self, *arguments, **options):
            calls[0] += 1
            if calls[0] == deadly[0]:
                raise Killed
            return original(self, *arguments, **options)

        return call

    for (owner, name), original in originals.items():
        monkeypatch.setattr(owner, name, counting(original))
    needles = SCOPES["source"][1]
    uninterrupted = Workspace(shutil.copytree(whole, tmp_path / "whole"))
    do_forget(uninterrupted, "source", "source-0001")
    total = calls[0]
    assert total > 30
    for moment in (2, 5, total // 3, total // 2, 3 * total // 4, total):
        workspace = Workspace(shutil.copytree(whole, tmp_path / str(moment)))
        calls[0], deadly[0] = 0, moment
        with pytest.raises(Killed):
            do_forget(workspace, "source", "source-0001")
        deadly[0] = 0
        with pytest.raises(WorkspaceUnusable, match="interrupted"):
            Tombstones.read(workspace).check_finished()
        assert any(damage.kind == "takedown" for damage in verify(workspace.local).damages)
        assert not resume(workspace).unfinished
        assert leaks(workspace.local, needles) == []
        for name in ("items", "annotations", "prelabels", "labels", "sources"):
            assert rows(workspace, name) == rows(uninterrupted, name), (moment, name)


def test_the_next_run_rejects_what_raw_files_still_hold(tmp_path):
    recipe, root = make_posts(tmp_path / "posts", 6), tmp_path / "w"
    run_quietly(recipe, root)
    workspace = Workspace(root)
    do_forget(workspace, "participant", "writer1")
    needles = [b"This is disgusting", b"Wow, no way"]
    assert leaks(root, needles) == []
    result = run_quietly(recipe, root)
    ingest = result.stages[0]
    assert (ingest.forgotten, ingest.rejected_share, ingest.rows) == (2, 0.0, 0)
    assert leaks(root, [*needles, b"writer1"]) == []
    assert not run_quietly(recipe, root).changed, "what is forgotten is not looked at again"
    (manifest,) = Releases(workspace.releases).manifests()
    assert sum(manifest.splits.values()) == 4


def test_a_turn_is_forgotten_where_others_show_it_too(tmp_path):
    turns = [{"speaker": name, "text": f"{name} has a long story to tell, number {n}"} for n, name in enumerate("ABAC")]
    folder = tmp_path / "posts"
    recipe = make_posts(folder, 1)
    (folder / "posts.jsonl").write_text(json.dumps({"dialogue": turns}) + "\n")
    root = tmp_path / "w"
    run_quietly(recipe, root)
    workspace = Workspace(root)
    target = next(row for row in rows(workspace, "items") if row["turn"] == 1)
    plan = plan_forgetting(workspace, Scope("item", target["item_id"]), "asked", today=TODAY)
    assert plan.rows["items"] == 1
    assert plan.raw_files == ("posts.jsonl",)
    assert plan.masked == {"items": 3, "sources": 1}
    forget(workspace, plan)
    needles = [b"B has a long story", target["item_id"].encode()]
    assert leaks(root, needles) == []
    shown = {turn["text"] for row in rows(workspace, "items") for turn in row["dialogue"]}
    assert MASK * len(turns[1]["text"]) in shown
    text = recipe.read_text().replace("CC0-1.0", "CC-BY-4.0")
    recipe.write_text(text)
    run_quietly(recipe, root)
    assert leaks(root, needles) == [], "ingested again with other settings, it does not come back"
    assert len(rows(workspace, "items")) == 3


def test_what_a_participant_said_is_forgotten_in_the_dialogues_around_other_turns(tmp_path):
    lines = [f"t1,{n},{name},{name} has a long story to tell about {n}" for n, name in enumerate(["ann", "ben", "ann"])]
    (tmp_path / "talk.csv").write_text("\n".join(["talk,turn,who,words", *lines]) + "\n")
    item = {"id": "{talk}-{turn}", "text": "words", "speaker": "who", "participant": "who"}
    item["dialogue"] = {"id": "talk", "turn": "turn", "text": "words", "speaker": "who"}
    ingest = {"stage": "ingest", "licence": "CC0-1.0", "tables": [{"table": "talk.csv", "item": item}]}
    recipe = {"recipe": "talk", "labels": "utterance_emotion.v1", "stages": [ingest, {"stage": "preprocess"}]}
    (tmp_path / "talk.yaml").write_text(json.dumps(recipe))
    root = tmp_path / "w"
    run_quietly(tmp_path / "talk.yaml", root)
    workspace = Workspace(root)
    assert len(leaks(root, [b"ben has a long story"])) > 0
    do_forget(workspace, "participant", "ben")
    assert leaks(root, [b"ben has a long story"]) == []
    shown = [turn["text"] for row in rows(workspace, "items") for turn in row["dialogue"]]
    assert shown.count("ann has a long story to tell about 0") == 2
    assert shown.count(MASK * len("ben has a long story to tell about 1")) == 2


def test_verify_fails_on_a_release_that_holds_something_forgotten(workspace, tmp_path):
    copy = shutil.copytree(workspace.releases.path, tmp_path / "releases")
    do_forget(workspace, "annotator", "ada@example.org")
    (name,) = [path.name for path in copy.iterdir() if not path.name.startswith(".")]
    assert verify(copy / name).damages == [], "nobody knows what this copy should not hold"
    (damage,) = verify(copy / name, workspace=workspace.local).damages
    assert damage.kind == "takedown"
    assert "1 forgotten rater" in damage.problem
    shutil.copytree(copy / name, workspace.releases.path / name)
    assert [damage.kind for damage in verify(workspace.local).damages] == ["takedown"]
    assert [damage.kind for damage in verify(workspace.releases.path / name).damages] == ["takedown"]


def test_the_plan_shows_everything_and_removes_nothing(whole, capsys):
    before = written(whole)
    forget_command(source="source-0001", dry_run=True, workspace=str(whole))
    output = capsys.readouterr().out
    for words in ("items", "6 files of it", "4 stored replies", "2 forgotten items", "3 pages", "is withdrawn"):
        assert words in output
    assert written(whole) == before


def written(root: Path) -> dict[Path, int]:
    """The files of a workspace and when they were written, without locks and what SQLite keeps while it reads."""
    passing = (".lock", "sqlite-wal", "sqlite-shm")
    paths = (path for path in root.rglob("*") if path.is_file() and not any(word in path.name for word in passing))
    return {path: path.stat().st_mtime_ns for path in paths}


MISTAKES = {
    "nothing": ({}, "one thing at a time"),
    "two things": ({"source": "a", "item": "b"}, "one thing at a time"),
    "no reason": ({"source": "source-0001", "reason": ""}, "--reason is missing"),
    "unknown": ({"participant": "nobody"}, "holds nothing of participant nobody"),
    "empty": ({"item": " "}, "--item is empty"),
    "unlink what": ({"item": "item-0001", "unlink": True}, "--unlink keeps"),
    "not agreed": ({"source": "source-0001"}, "nothing was removed"),
    "several": ({"item": "item-00"}, "items begin with"),
    "resume and more": ({"resume": True, "item": "x"}, "--resume only"),
    "resume and only look": ({"resume": True, "dry_run": True}, "--resume only"),
    "empty, on the Hub": ({"published": True, "item": "", "yes": True}, "--item is empty"),
    "no data set": ({"published": True, "source": "source-0001", "yes": True}, "recipe"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_sentence_and_remove_nothing(whole, name, monkeypatch):
    options, sentence = MISTAKES[name]
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises((CurateError, typer.Exit), match=sentence):
        forget_command(**{"reason": "asked", "workspace": str(whole), **options})
    assert not (whole / "forgotten.json").exists()


def test_what_failed_on_the_hub_is_done_when_nothing_more_has_expired(whole, monkeypatch, capsys):
    from curate.pipeline.forget import published
    from curate.release.takedown import HeldInRelease

    plan = published.PublishedPlan("hub/acme/clips", {"1.0.0": HeldInRelease("1.0.0", 1, 0)}, ())
    calls = []
    monkeypatch.setattr("curate.cli.commands.forget._repo", lambda _: "acme/clips")
    monkeypatch.setattr(published, "plan_published", lambda *_: plan)
    monkeypatch.setattr(published, "forget_published", lambda *arguments, **_: calls.append(arguments[1]) or [])
    options = {"expired": True, "published": True, "reason": "asked", "workspace": str(whole), "json": True}
    forget_command(**options, dry_run=True)
    assert calls == []
    capsys.readouterr()
    forget_command(**options, yes=True)
    assert calls == ["acme/clips"]
    output = capsys.readouterr()
    assert json.loads(output.out)["scope"]["kind"] == "expired"
    assert "1.0.0: cut again" in output.err


def test_a_full_disk_is_one_sentence(workspace, monkeypatch):
    from curate.corpus.errata import add_erratum

    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("curate.storage.folder.DiskFolder.write", write)
    with pytest.raises(CurateError, match="No space left"):
        add_erratum(workspace, "it is of another clip", item_id="item-0001", release=None, day="2027-03-01")


def test_rejections_of_what_has_a_similar_name_stay(workspace):
    name = "source-0001"
    facts = {"stage": "ingest", "reason": "unreadable", "work": "ingest-work"}
    subjects = {f"1{name}": f"1{name} is cut off", f"other {name}": f"it repeats {name}.", "x": None}
    rejections = open_table(workspace, "rejections", make_labels())
    added = [{**facts, "parent_id": s, "subject": s, "detail": detail} for s, detail in subjects.items()]
    rejections.commit([{**row, rejections.spec.key: row["subject"]} for row in added], metadata={})
    do_forget(workspace, "source", name)
    after = {row["subject"]: row["detail"] for row in rows(workspace, "rejections") if row["work"] == "ingest-work"}
    assert after == {**subjects, f"other {name}": f"it repeats {MASK * len(name)}."}


def test_damaged_tombstones_stop_everything(workspace):
    do_forget(workspace, "item", "item-0004")
    for content in ("{", "[]", '{"tombstones": [{}], "unfinished": false, "server_waits": false}'):
        (workspace.local / "forgotten.json").write_text(content)
        with pytest.raises(WorkspaceUnusable, match=r"forgotten\.json cannot be read"):
            Tombstones.read(workspace)


def test_rows_of_all_tables_are_recognised(tmp_path):
    workspace = make_corpus(tmp_path / "w", items=0, sources=0).corpus.workspace
    tombstones = Tombstones(workspace.secret)
    assert tombstones.forgotten_rows(pa.table({"source_id": ["a"]})).to_pylist() == [False]
    with pytest.raises(InvalidInput):
        plan_forgetting(workspace, Scope("source", "none"), "asked", today=TODAY)


def test_a_signal_keeps_what_was_measured_in_other_seconds(workspace):
    do_forget(workspace, "item", "item-0001")
    table = open_table(workspace, "signals", make_labels())
    rows = {row["source_id"]: row for row in table.read().to_pylist()}
    assert (rows["source-0001"]["times_s"], rows["source-0001"]["values"]) == ([6.5], [[PULSE + 4]])
    assert rows["source-0000"]["values"] == [[PULSE, PULSE + 3]]
    do_forget(workspace, "source", "source-0000")
    assert sorted(row["source_id"] for row in table.read().to_pylist()) == ["source-0001", "source-0002"]
    # Read again, the file of the signal gives no more than before.
    again = pa.Table.from_pylist([make_signal(1)], schema=table.spec.schema)
    masked = mask_rows("signals", again, Tombstones.read(workspace))
    assert masked["values"].to_pylist() == [[[PULSE + 4]]]
    whole_file = pa.Table.from_pylist([make_signal(1) | {"times_s": None}], schema=table.spec.schema)
    assert mask_rows("signals", whole_file, Tombstones.read(workspace))["values"].to_pylist() == [[[None, None]]]
