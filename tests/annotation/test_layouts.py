"""Which layout an item is shown in, and what cannot be shown at all."""

from pathlib import Path

import pytest

from curate.annotation.label_studio.tasks import variables_of
from curate.assets import list_assets
from curate.errors import InvalidInput
from curate.labels import compile_config, find_layout, load_labels, parse_layout, usual_layout
from tests.annotation.screen_items import KINDS

LAYOUT = '<View><Text name="Words" value="$text"/><Fields toName="Words"/></View>'
SCHEMA = "name: mine.v1\nunit: [utterance, post]\n{layout}fields:\n  {name}: {{type: category, taxonomy: mood.v1}}\n"
TAXONOMY = "taxonomy: mood.v1\ntitle: Mood\nlabels: [{labels}]\n"


def make_files(folder: Path, *, layout: str = "", name: str = "mood", labels: str = "good, bad") -> Path:
    (folder / "mine.v1.yaml").write_text(SCHEMA.format(layout=layout, name=name))
    (folder / "mood.v1.yaml").write_text(TAXONOMY.format(labels=labels))
    return folder


def test_layout_is_chosen_by_unit_and_by_what_there_is_to_look_at(tmp_path: Path) -> None:
    labels = load_labels("mine.v1", make_files(tmp_path))
    names = {kind: find_layout(labels, *kind).stem for kind in [("utterance", "video"), ("post", "text")]}
    assert names == {("utterance", "video"): "utterance_video", ("post", "text"): "text"}


def test_label_schema_names_another_layout(tmp_path: Path) -> None:
    labels = load_labels("mine.v1", make_files(tmp_path, layout="layout: {video: segments}\n"))
    assert find_layout(labels, "utterance", "video").stem == "segments"
    assert find_layout(labels, "utterance", "audio").stem == "utterance_audio"
    assert usual_layout(labels).stem == "segments"
    assert labels.sha256 == load_labels("mine.v1", make_files(tmp_path)).sha256, "how it looks is not what is judged"


def test_own_layout_wins(tmp_path: Path) -> None:
    own = make_files(tmp_path) / "annotation_ui_configs" / "post_text.xml"
    own.parent.mkdir()
    own.write_text(LAYOUT)
    assert find_layout(load_labels("mine.v1", tmp_path), "post", "text", user_folder=tmp_path) == own


def test_layout_that_is_not_there(tmp_path: Path) -> None:
    labels = load_labels("mine.v1", make_files(tmp_path, layout="layout: {video: segmnts}\n"))
    with pytest.raises(InvalidInput, match="no annotation_ui_configs file named 'segmnts'") as failed:
        find_layout(labels, "utterance", "video")
    assert failed.value.hint == "did you mean segments?"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("name", sorted(list_assets("schemas/labels", suffix=".yaml")))
def test_every_shipped_schema_fits_the_layouts_of_its_items(name: str, language: str) -> None:
    labels = load_labels(name)
    for unit in labels.units:
        for shown in KINDS[unit]:
            if not labels.layout or shown in labels.layout:
                layout = find_layout(labels, unit, shown).read_text("utf-8")
                assert variables_of(layout)
                assert parse_layout(layout).default
                compile_config(labels, layout, language=language)


def test_labels_of_which_label_studio_makes_a_truth_value(tmp_path: Path) -> None:
    labels = load_labels("mine.v1", make_files(tmp_path, labels='"true", "false"'))
    with pytest.raises(InvalidInput, match="cannot show a label named 'true'") as failed:
        compile_config(labels, LAYOUT)
    assert failed.value.hint == "name it 'True', or use another word"


@pytest.mark.parametrize(
    ("name", "where"),
    [("action", "table annotations"), ("evidence", "table labels"), ("speaker", "every release")],
)
def test_field_that_is_named_like_a_column(tmp_path: Path, name: str, where: str) -> None:
    with pytest.raises(InvalidInput) as failed:
        load_labels("mine.v1", make_files(tmp_path, name=name))
    (problem,) = failed.value.problems
    assert problem.startswith(f"{tmp_path}/mine.v1.yaml:4: {name} is a column of {where} already")
