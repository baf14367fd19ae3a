"""Errata are kept in the workspace, and said by every later release."""

import json

import pytest
from typer.testing import CliRunner

from curate.cli.app import app
from curate.corpus.errata import add_erratum, drop_errata, read_errata
from curate.corpus.tombstones import Tombstones
from curate.errors import InvalidInput, WorkspaceUnusable
from curate.pipeline.errata import note_erratum
from curate.pipeline.verify import verify
from curate.recipe import load_recipe
from curate.release.manifest import read_manifest
from curate.release.takedown import withdraw
from curate.release.versions import Releases
from tests.release.test_export import make_release
from tests.release.test_whole_rows import card_of
from tests.support.release_builders import make_corpus

RECIPE = """
recipe: demo_corpus
labels: utterance_emotion.v1
stages:
  - {stage: ingest, files: "*.mp4"}
  - {stage: preprocess}
  - {stage: export}
"""


def make(tmp_path):
    (tmp_path / "demo_corpus.yaml").write_text(RECIPE)
    return make_corpus(tmp_path / "ws"), load_recipe(tmp_path / "demo_corpus.yaml", check_sources=False)


def test_an_erratum_makes_a_patch_that_says_it(tmp_path):
    made, loaded = make(tmp_path)
    _, first = make_release(made)
    assert not (first / "errata.jsonl").exists()
    workspace = made.corpus.workspace
    added = note_erratum(loaded, workspace, ["item-0003", "The transcript", "is *of* another clip."], release=None)
    assert note_erratum(loaded, workspace, ["item-0003", "The transcript is *of* another clip."], release=None) == added
    note_erratum(loaded, workspace, ["Seven clips were cut too early."], release="1.0.0")
    receipt, folder = make_release(made)
    assert "release 1.0.1 (2 errata added) is in" in receipt.message
    lines = [json.loads(line) for line in (folder / "errata.jsonl").read_text().splitlines()]
    assert [(line["item_id"], line["release"], line["text"]) for line in lines] == [
        ("item-0003", None, "The transcript is *of* another clip."),
        (None, "1.0.0", "Seven clips were cut too early."),
    ]
    assert "- item `item-0003`: The transcript is *of* another clip. (" in card_of(folder)[1]
    assert "\\*of\\*" in (folder / "README.md").read_text()
    assert "- 2 errata added: see `errata.jsonl`" in (folder / "CHANGELOG.md").read_text()
    assert not make_release(made)[0].changed
    add_erratum(workspace, "One more.", item_id="item-0001", release=None, day="2027-01-01")
    assert "release 1.0.2 (1 erratum added)" in make_release(made)[0].message
    assert read_manifest(folder).history[-1].errata == 2


def test_errata_added_after_a_withdrawal_are_counted_once(tmp_path):
    made, _ = make(tmp_path)
    workspace = made.corpus.workspace
    add_erratum(workspace, "Wrong.", item_id="item-0001", release=None, day="2027-01-01")
    make_release(made)
    releases = Releases(workspace.releases)
    withdraw(releases, releases.manifests()[-1], Tombstones(workspace.secret))
    for number, text in enumerate(("Also wrong.", "Cut too late.")):
        add_erratum(workspace, text, item_id="item-0002", release=None, day="2027-01-02")
        _, folder = make_release(made)
        assert [step.errata for step in read_manifest(folder).history] == [1] * (number + 2)


def test_damage_to_errata_and_changes_is_found(tmp_path):
    made, _ = make(tmp_path)
    add_erratum(made.corpus.workspace, "Wrong.", item_id="item-0001", release=None, day="2027-01-01")
    _, folder = make_release(made)
    assert verify(folder).damages == []
    for name in ("errata.jsonl", "CHANGELOG.md"):
        whole = (folder / name).read_text()
        (folder / name).write_text(whole + " ")
        assert [damage.problem for damage in verify(folder).damages] == [
            f"{name} was changed since the release was made"
        ]
        (folder / name).write_text(whole)


@pytest.mark.parametrize(
    ("words", "release", "message"),
    [
        (["item-0003"], None, "is about an item or a release"),
        (["item-00", "x"], None, "6 items begin with"),
        (["itm", "x"], None, "hold no item 'itm'"),
        (["x"], "3.0.0", "there is no release 3.0.0"),
        ([" \u200b "], "1.0.0", "has no text"),
        (["x" * 2001], "1.0.0", "has 2,001 characters"),
    ],
)
def test_an_erratum_about_nothing_is_refused(tmp_path, words, release, message):
    made, loaded = make(tmp_path)
    make_release(made)
    with pytest.raises(InvalidInput, match=message):
        note_erratum(loaded, made.corpus.workspace, words, release=release)
    assert read_errata(made.corpus.workspace) == []


@pytest.mark.parametrize("text", ["nonsense", "[]", '{"text": "x"}', "\udcff", '{"a": ' * 50_000])
def test_a_file_of_errata_that_is_none_is_one_sentence(tmp_path, text):
    made, _ = make(tmp_path)
    (made.corpus.workspace.local / "errata.jsonl").write_text(text, errors="surrogateescape")
    with pytest.raises(WorkspaceUnusable, match=r"errata\.jsonl cannot be read"):
        make_release(made)


def test_errata_of_what_is_forgotten_go(tmp_path):
    made, _ = make(tmp_path)
    for item in ("item-0001", "item-0002"):
        add_erratum(made.corpus.workspace, "Wrong.", item_id=item, release=None, day="2027-01-01")
    drop_errata(made.corpus.workspace, {"item-0001"})
    assert [erratum.item_id for erratum in read_errata(made.corpus.workspace)] == ["item-0002"]


def test_the_commands_add_and_list(tmp_path):
    made, _ = make(tmp_path)
    make_release(made)
    place = ["-w", str(made.corpus.workspace.location)]
    done = CliRunner().invoke(app, ["errata", "add", *place, "item-0003", "Cut", "too", "late"])
    assert "of item item-0003 is noted: Cut too late" in done.stdout, done.output
    listed = CliRunner().invoke(app, ["errata", "list", "--json", *place])
    assert [erratum["text"] for erratum in json.loads(listed.stdout)] == ["Cut too late"]
    assert "Cut too late" in CliRunner().invoke(app, ["errata", "list", *place]).stdout
