"""Versions follow from what changed, in order of their numbers, with the reason wherever a release is shown."""

import json

import pyarrow as pa
import pytest

from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.release.manifest import read_manifest
from curate.release.semver import parse_version
from curate.release.versions import Releases
from tests.release.test_export import make_release
from tests.support.release_builders import LIVE, Made, make_corpus, make_labels

HALVES = {"train": 0.5, "test": 0.5}


def relabel(made, item="item-0000", emotion=("anger",)):
    labels = made.corpus.table("labels")
    rows = [row | ({"emotion": list(emotion)} if row["item_id"] == item else {}) for row in labels.read().to_pylist()]
    labels.replace_all(pa.Table.from_pylist(rows, schema=labels.spec.schema), metadata={})


def correct_text(made):
    made.corpus.update_column("items", "text", {"item-0003": "Corrected."})


def change_medium(made):
    made.corpus.update_column("items", "audio", {"item-0003": made.tools.blobs.put(b"fLaC other", "flac")})


@pytest.mark.parametrize(
    ("change", "settings", "version", "reason"),
    [
        (relabel, {}, "1.0.1", "1 label of emotion"),
        (correct_text, {}, "1.1.0", "1 item with another text"),
        (change_medium, {}, "1.1.0", "1 item with other audio"),
        (None, {"media": ["video"]}, "1.1.0", "6 items with other audio, 3 items with other face"),
        (None, {"split": {"dev": 1.0}}, "1.1.0", "6 items in another split"),
        (None, {"reviewed_only": True}, "1.1.0", "3 items removed"),
    ],
)
def test_the_version_follows_from_what_changed(tmp_path, change, settings, version, reason):
    made = make_corpus(tmp_path / "ws")
    receipt, _ = make_release(made)
    assert "release 1.0.0 (first release, 6 items) is in" in receipt.message
    if change is not None:
        change(made)
    receipt, folder = make_release(made, **settings)
    assert f"release {version} ({reason}) is in" in receipt.message
    manifest = read_manifest(folder)
    assert (manifest.version, manifest.history[-1].reason) == (version, reason)
    assert [step.version for step in manifest.history] == ["1.0.0", version]
    assert f"Version `{version}`: {reason} (" in (folder / "README.md").read_text()
    log = (folder / "CHANGELOG.md").read_text()
    assert log.index(f"## {version}\n\n{reason}") < log.index("## 1.0.0\n\nFirst release, 6 items.")


def test_added_and_relabelled_items_are_counted_and_the_log_names_the_fields(tmp_path):
    made = make_corpus(tmp_path / "ws")
    make_release(made)
    relabel(made)
    make_corpus(tmp_path / "ws", items=3, sources=3, first=5)
    step = read_manifest(make_release(made)[1]).history[-1]
    assert (step.kind, step.reason) == ("minor", "3 items added, 1 label of emotion")
    assert (step.items, step.added, step.removed, step.relabelled) == (9, 3, 0, {"emotion": 1})
    log = (made.corpus.workspace.releases.path / "1.1.0" / "CHANGELOG.md").read_text()
    assert "- 3 items added\n- 1 item relabelled: `emotion`\n" in log


def test_another_label_schema_is_a_major_change(tmp_path):
    made = make_corpus(tmp_path / "ws")
    make_release(made)
    labels = make_labels()
    wider = labels.fields["intensity"].model_copy(update={"maximum": 9.0})
    changed = labels.model_copy(update={"fields": {**labels.fields, "intensity": wider}})
    corpus = Corpus(made.corpus.workspace, changed, LIVE)
    receipt, _ = make_release(Made(corpus, made.tools._replace(labels=changed)))
    assert "release 2.0.0 (another label schema" in receipt.message


def test_a_release_may_be_named_if_its_version_is_greater_and_they_sort_as_numbers(tmp_path):
    made = make_corpus(tmp_path / "ws")
    for number, version in enumerate(("0.9.0", "0.10.0")):
        relabel(made, emotion=("anger", "fear")[: number + 1])
        make_release(made, release=version)
    relabel(made, emotion=("fear",))
    for version, words in (
        ("0.9.5", "0.9.5 is not greater than 0.10.0"),
        ("0.9.0", "0.9.0 exists already, with other content"),
    ):
        with pytest.raises(InvalidInput, match=words):
            make_release(made, release=version)
    receipt, _ = make_release(made)
    assert "release 0.10.1 (1 label of emotion)" in receipt.message
    versions = [manifest.version for manifest in Releases(made.corpus.workspace.releases).manifests()]
    assert versions == ["0.9.0", "0.10.0", "0.10.1"]
    assert parse_version("1.10.0") > parse_version("1.9.0")


def test_a_named_version_too_small_for_the_change_says_what_was_proposed(tmp_path):
    made = make_corpus(tmp_path / "ws")
    make_release(made)
    make_corpus(tmp_path / "ws", items=3, sources=3, first=5)
    receipt, _ = make_release(made, release="1.0.1")
    assert "release 1.0.1 (3 items added; a minor change, for which 1.1.0 was proposed) is in" in receipt.message


def test_a_folder_of_someone_else_in_the_place_of_a_release_is_left_alone(tmp_path):
    made = make_corpus(tmp_path / "ws")
    (made.corpus.workspace.releases.path / "1.0.0").mkdir()
    with pytest.raises(InvalidInput, match=r"1\.0\.0 exists already, and is not a release"):
        make_release(made)
    assert [path.name for path in made.corpus.workspace.releases.path.iterdir()] == ["1.0.0"]


def test_a_manifest_holds_its_history_as_plain_json(tmp_path):
    _, folder = make_release(make_corpus(tmp_path / "ws"))
    history = json.loads((folder / "manifest.json").read_text())["history"]
    assert history[0]["reason"] == "first release, 6 items"
