"""Ingest: files and posts become sources, what is neither becomes a rejection."""

import csv
import errno
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError

from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.contract import REASONS, Outcome, Tools
from curate.stages.ingest.finding import find_files
from curate.stages.ingest.stage import Ingest
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.media_builders import make_frames, make_portrait, make_tone, sample, write_media
from tests.support.runs import assert_same, contents, run_quietly
from tests.support.stages import known


class Done(NamedTuple):
    inputs: pa.Table
    outcome: Outcome

    @property
    def sources(self) -> dict[str, dict]:
        return {row["file"]: row for row in self.outcome.dicts("sources")}

    @property
    def reasons(self) -> dict[str, str]:
        return {rejection.subject: rejection.reason for rejection in self.outcome.rejections}


def make_tools(folder: Path) -> Tools:
    return Tools(Blobs(folder / "blobs"), load_labels("utterance_emotion.v1"), folder)


def ingest(folder: Path, *files: str, **settings) -> Done:
    """Run the stage, and check that every input is kept or rejected."""
    tools, stage = make_tools(folder), Ingest(files=files, **settings)
    inputs = stage.discover(tools)
    outcome = stage.apply(inputs, tools)
    done = Done(inputs, outcome)
    ids = inputs.column(0).to_pylist()
    assert sorted([*done.sources, *done.reasons]) == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert set(done.reasons.values()) <= set(REASONS)
    parts = [stage.apply(inputs.slice(i, 1), tools) for i in range(len(inputs))]
    assert known(row for part in parts for row in part.dicts("sources")) == known(outcome.dicts("sources"))
    return done


def test_a_video_with_its_subtitles(tmp_path):
    (tmp_path / "in").mkdir()
    data = sample().read_bytes()
    (tmp_path / "in/talk.mp4").write_bytes(data)
    (tmp_path / "in/talk.srt").write_bytes(sample().with_suffix(".srt").read_bytes())
    done = ingest(tmp_path, "in/*", licence="CC0-1.0", collection="tests")
    row = done.sources["in/talk.mp4"]
    assert list(done.sources) == ["in/talk.mp4"]
    assert row["source_id"] == hashlib.sha256(data).hexdigest()
    assert (row["kind"], row["size_bytes"], row["width_px"], row["licence"]) == ("video", len(data), 320, "CC0-1.0")
    assert row["subtitles_file"] == "in/talk.srt"
    assert row["subtitles_sha256"] == hashlib.sha256((tmp_path / "in/talk.srt").read_bytes()).hexdigest()


def test_a_change_of_the_sidecar_is_seen(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_tone())
    before = ingest(tmp_path, "*.wav").inputs
    assert before.equals(ingest(tmp_path, "*.wav").inputs)
    (tmp_path / "a.en.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    assert not before.equals(ingest(tmp_path, "*.wav").inputs)


def test_every_column_is_one_of_the_table(tmp_path):
    from curate.assets import shipped_folder

    columns = (shipped_folder("schemas") / "tables" / "sources.yaml").read_text()
    write_media(tmp_path / "a.mp4", frames=make_frames(), sound=make_tone())
    (tmp_path / "p.jsonl").write_text('{"text": "hello"}\n')
    for row in ingest(tmp_path, "*").sources.values():
        assert not [name for name in row if f"\n  {name}:" not in columns]


def test_posts(tmp_path):
    lines = [
        {"text": " I am so glad! ", "author": "maple"},
        {"text": "Go away.", "speaker": "tern", "title": "Rant"},
    ]
    (tmp_path / "p.jsonl").write_text("\ufeff" + "\n\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    (tmp_path / "q.csv").write_text('text,author\n"Two\nlines",maple\nOne,\n')
    (tmp_path / "r.txt").write_text("Just this.\n")
    sources = ingest(tmp_path, "*.jsonl", "*.csv", "*.txt").sources
    assert list(sources) == ["p.jsonl#1", "p.jsonl#3", "q.csv#3", "q.csv#4", "r.txt"]
    assert [(row["text"], row["speaker"]) for row in sources.values()] == [
        ("I am so glad!", "maple"),
        ("Go away.", "tern"),
        ("Two\nlines", "maple"),
        ("One", None),
        ("Just this.", None),
    ]
    assert sources["p.jsonl#3"]["title"] == "Rant"
    assert {row["kind"] for row in sources.values()} == {"text"}


def test_the_same_post_has_the_same_id_in_any_file(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "hello", "author": "x"}\n')
    (tmp_path / "b.jsonl").write_text('\n{"author": "x", "text": "hello"}\n')
    rows = ingest(tmp_path, "*.jsonl").sources.values()
    assert len({row["source_id"] for row in rows}) == 1


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[]", "null", "{}", '{"text": ""}', '{"text": 3}', '{"text": "\\ud800"}', '{"text": "a", "author": {}}'),
        *("[" * 100_000, '{"text": "' + "a" * 1_100_000 + '"}', "\xff\xfe", '{"text": NaN}'),
    ],
)
def test_bad_lines_are_named_by_number(tmp_path, line):
    (tmp_path / "p.jsonl").write_bytes(b'{"text": "fine"}\n' + line.encode("latin-1") + b'\n{"text": "fine too"}\n')
    done = ingest(tmp_path, "p.jsonl")
    assert list(done.sources) == ["p.jsonl#1", "p.jsonl#3"]
    assert done.reasons == {"p.jsonl#2": "invalid"}
    assert "p.jsonl#2" in done.outcome.rejections[0].detail


def test_hostile_files(tmp_path):
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "words.mp4").write_text("not a video at all")
    content = write_media(tmp_path / "cut.mp4", frames=make_frames()).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[:500])
    (tmp_path / "no_header.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    (tmp_path / "void.txt").write_text("")
    odd = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    Path(os.fsdecode(odd)).write_bytes(b"x")
    done = ingest(tmp_path, "*")
    assert not done.sources
    assert done.reasons == {
        "zero.mp4": "empty_file",
        "words.mp4": "not_media",
        "cut.mp4": "truncated",
        "no_header.csv": "invalid",
        "empty.jsonl": "invalid",
        "latin.txt": "invalid",
        "void.txt": "empty_file",
        "bad\\udcff.mp4": "invalid",
    }


def test_globs(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("x.txt", "a/y.txt", "a/b/z.txt", "a/.hidden.txt"):
        (tmp_path / name).write_text(name)
    assert list(ingest(tmp_path, "**/*.txt", "*.txt").sources) == ["a/b/z.txt", "a/y.txt", "x.txt"]
    assert list(ingest(tmp_path, str(tmp_path / "x.txt")).sources) == [str(tmp_path / "x.txt")]


def test_folders_that_are_deep_or_linked_in_circles(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    path = str(folder)
    for depth in range(1_500):
        path += "/d"
        os.mkdir(path)
        if depth % 500 == 499:
            Path(path, "a.txt").write_text(str(depth))
    (folder / "loop").symlink_to(".")
    (folder / "d/back").symlink_to("../..")
    names = find_files("raw/**/*", RawFolders(tmp_path))
    assert len(names) == 3
    assert not any("loop" in name or "back" in name for name in names)
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_pattern_without_a_match_is_named(tmp_path):
    (tmp_path / "only.srt").write_text("")
    for pattern in ("*.mp4", "", "*.srt", "a\0b", "["):
        with pytest.raises(InvalidInput) as caught:
            ingest(tmp_path, pattern, "none/**/*.wav")
        assert len(caught.value.problems) == 2
        assert str(tmp_path) in caught.value.problems[0]
        assert repr(pattern) in caught.value.problems[0]


def test_settings_are_checked():
    for files in ((), None, 3):
        with pytest.raises(ValidationError):
            Ingest(files=files)


LONG = "a" * 1_100_000
BAD_ROWS = {
    f"{LONG},maple": "the line is longer than 1000000 bytes",
    f'"{LONG}\n\n""quoted"", {LONG}",maple': "the line is longer than 1000000 bytes",
    '"' + 'a, ""b""\n' * 1_000_000 + '",maple': "the row is longer than 8000000 characters",
    "a\0b,maple": "the row contains a NUL byte",
    "Gr\udcfc\udcdfe,maple": "the row is not UTF-8 text: byte 0xfc after 'Gr'; save the file as UTF-8",
    "Hello,J\udcb1\udcf5": "the row is not UTF-8 text: byte 0xb1 after 'J'; save the file as UTF-8",
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_only_the_row_of_a_table_that_is_wrong_is_rejected(tmp_path, row):
    lines = ["text,author", "One,maple", row, "Three,tern", ""]
    (tmp_path / "p.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    done = ingest(tmp_path, "p.csv")
    assert [source["text"] for source in done.sources.values()] == ["One", "Three"]
    number = 3 + row.count("\n")
    (rejection,) = done.outcome.rejections
    assert (rejection.subject, rejection.reason) == (f"p.csv#{number}", "invalid")
    assert rejection.detail == f"p.csv#{number}: {BAD_ROWS[row]}"
    assert list(done.sources) == ["p.csv#2", f"p.csv#{number + 1}"]


@pytest.mark.parametrize(
    "row", ["a" * 999_000 + ",,", '"' + "a\n" * 300_000 + '",,', "ok,maple,J\udcfcrgen", f"ok,,{LONG}"]
)
def test_rows_up_to_the_longest_post_are_kept_whatever_is_in_unused_columns(tmp_path, row):
    lines = ["text,author,more", row, "Two,,"]
    (tmp_path / "p.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    done = ingest(tmp_path, "p.csv")
    assert not done.reasons
    first, second = (source["text"] for source in done.sources.values())
    assert (len(first), second) == (len(row.split(",", 1)[0].strip('"\n')), "Two")
    assert csv.field_size_limit() == 131_072


def test_a_quotation_mark_that_is_not_closed_is_no_long_post(tmp_path):
    (tmp_path / "p.csv").write_text('text\nOne\n"Two\nThree\nFour\n')
    done = ingest(tmp_path, "p.csv")
    assert [source["text"] for source in done.sources.values()] == ["One"]
    assert [rejection.detail for rejection in done.outcome.rejections] == [
        "p.csv#3: a quotation mark that begins in this row is never closed; lines 3 to 5 are not read"
    ]


FOREIGN = ["Größe und Übermut tun weh, sagt sie", "Warum hast du mich belügt? Das ist schön hässlich"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "mac_roman"])
def test_tables_and_texts_are_read_in_the_encoding_that_they_are_surely_in(tmp_path, encoding):
    (tmp_path / "p.csv").write_bytes("\r\n".join(["text;author", *(f"{t};Jürg" for t in FOREIGN), ""]).encode(encoding))
    (tmp_path / "q.txt").write_bytes(FOREIGN[0].encode(encoding))
    done = ingest(tmp_path, "p.csv", "q.txt")
    rows = [("p.csv#2", FOREIGN[0], "Jürg"), ("p.csv#3", FOREIGN[1], "Jürg"), ("q.txt", FOREIGN[0], None)]
    assert [(name, row["text"], row["speaker"]) for name, row in done.sources.items()] == rows
    assert not done.reasons


def test_rows_in_an_unclear_encoding_are_refused_with_their_line(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"text,author\nPlain,a\n\xb1\xf5\xd7 \xe4,b\n")
    (tmp_path / "mixed.csv").write_bytes("text\nGrüße\n".encode() + "Grüße und Küsse\n".encode("latin-1"))
    (tmp_path / "cut.csv").write_bytes("text\nOne\n".encode("utf-16")[:-1])
    done = ingest(tmp_path, "*.csv")
    assert [row["text"] for row in done.sources.values()] == ["Grüße", "Plain"]
    assert {rejection.detail for rejection in done.outcome.rejections} == {
        "p.csv#3: the row is not UTF-8 text: byte 0xb1 after ''; save the file as UTF-8",
        "mixed.csv#3: the row is not UTF-8 text: byte 0xfc after 'Gr'; save the file as UTF-8",
        "cut.csv: it cannot be read as posts: it is damaged utf-16-le text: save it as UTF-8",
    }


@pytest.mark.parametrize(
    ("content", "texts", "problem"),
    [
        ("text;author\nYes, really;a\n", ["Yes, really"], None),
        ("text\tauthor\nYes, really\ta\n", ["Yes, really"], None),
        ("sep=;\ntext;author\nYes, really;a\n", ["Yes, really"], None),
        ('"sep=|"\n"text"|author\n"Yes, really"|a\n', ["Yes, really"], None),
        ("Text,author\nYes,a\n", [], "the file has columns Text, author; a column `text` is needed: rename it"),
        ("text,author\nYes, really,a\nNo,b\n", ["No"], "#2: the row has 3 cells, the first line names 2"),
        ("text,author\nYes\nNo,b\n", ["No"], "#2: the row has 1 cells, the first line names 2"),
        ("text;author\nYes; really;a\nNo;b\n", ["No"], "#2: the row has 3 cells, the first line names 2"),
        ("text,author\nYes,a,,\nNo,b\n", ["Yes", "No"], None),
        ("", [], "a column `text` is needed"),
    ],
)
def test_a_row_of_a_table_is_never_cut_or_joined(tmp_path, content, texts, problem):
    (tmp_path / "p.csv").write_text(content)
    done = ingest(tmp_path, "p.csv")
    assert [row["text"] for row in done.sources.values()] == texts
    assert [problem in rejection.detail for rejection in done.outcome.rejections] == [True] * bool(problem)


def test_a_disk_that_fails_for_a_moment_costs_no_file(tmp_path, monkeypatch):
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": ["*.wav", "*.txt"]})
    write_media(tmp_path / "a.wav", sound=make_tone())
    (tmp_path / "b.txt").write_text("here")
    (tmp_path / "c.wav").write_text("no sound")
    run_quietly(recipe, tmp_path / "new")

    def fail(path, *_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("curate.stages.ingest.files.sha256_of_file", fail)
        patch.setattr("curate.stages.ingest.files._read_text", fail)
        done = run_quietly(recipe, tmp_path / "w")
    assert done.rejected_share == 1
    rejections = open_corpus(load_recipe(recipe), Workspace(tmp_path / "w")).read("rejections").to_pylist()
    assert {row["reason"] for row in rejections} == {"unavailable"}
    assert "Input/output error" in rejections[0]["detail"]
    run_quietly(recipe, tmp_path / "w")
    assert_same(contents(tmp_path / "w"), contents(tmp_path / "new"))
    assert not run_quietly(recipe, tmp_path / "w").changed


def test_a_file_that_vanishes_before_it_is_read(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_tone())
    (tmp_path / "b.txt").write_text("here")
    tools, stage = make_tools(tmp_path), Ingest(files="*")
    inputs = stage.discover(tools)
    (tmp_path / "a.wav").unlink()
    (tmp_path / "b.txt").unlink()
    assert {rejection.reason for rejection in stage.apply(inputs, tools).rejections} == {"unavailable"}


def test_what_a_file_looks_and_sounds_like_is_recorded(tmp_path):
    write_media(tmp_path / "a.mp3", sound=make_tone(2.0), cover=make_frames(1)[0])
    write_media(tmp_path / "b.mp4", frames=make_frames())
    (tmp_path / "c.mp4").write_bytes(sample().read_bytes())
    Image.fromarray(make_portrait()).save(tmp_path / "d.png")
    (tmp_path / "e.txt").write_text("Hello")
    rows = ingest(tmp_path, "*").sources
    hashed = {file: (bool(row.get("picture_hash")), bool(row.get("sound_hash"))) for file, row in rows.items()}
    assert hashed == {
        "a.mp3": (False, True),
        "b.mp4": (False, False),
        "c.mp4": (True, True),
        "d.png": (True, False),
        "e.txt": (False, False),
    }


@pytest.mark.parametrize("suffix", ["srt", "vtt", "ass", "ssa", "en.ass"])
def test_subtitles_of_any_format_are_found_and_are_no_source(tmp_path, suffix):
    write_media(tmp_path / "a.wav", sound=make_tone())
    (tmp_path / f"a.{suffix}").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    rows = ingest(tmp_path, "*").sources
    assert list(rows) == ["a.wav"]
    assert rows["a.wav"]["subtitles_file"] == f"a.{suffix}"
