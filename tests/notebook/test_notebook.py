"""From Python: a workspace as frames, runs, agreement and consensus on frames, and releases."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import polars
import pytest

import curate
from curate.consensus.audit.rows import Options
from curate.errors import CurateError, InvalidInput, WorkspaceUnusable
from curate.pipeline.agreement import measure_agreement
from curate.pipeline.audit import audit_model
from tests.support.builders import make_posts
from tests.support.judging import judge, make_posts_workspace
from tests.support.release_builders import make_corpus

FRAME = polars.DataFrame(
    {
        "item_id": ["a", "a", "a", "b", "b", "c", "c"],
        "annotator": ["ann", "ben", "cy", "ann", "ben", "ann", "ben"],
        "emotion": [["anger"], ["anger"], ["fear"], ["fear"], ["fear"], ["anger"], ["fear"]],
        "valence": [0.5, 0.3, None, -0.5, -0.5, 1.0, 0.0],
        "site": ["x", "x", "x", "y", "y", "y", "y"],
    }
)
SCHEMA = "utterance_emotion.v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A workspace of ten posts with a release, of which people judged four."""
    folder = tmp_path_factory.mktemp("notebook")
    recipe = make_posts(folder, 10)
    curate.run(recipe, folder / "ws", workers=1)
    return folder


def test_the_names_of_the_package_are_those_of_its_types():
    stub = (Path(curate.__file__).with_suffix(".pyi")).read_text()
    assert sorted(curate.__all__) == sorted(
        line.split(" as ")[1] for line in stub.splitlines() if line.startswith("from curate.notebook")
    )
    assert Path(curate.__file__).with_name("py.typed").is_file()
    for name in curate.__all__:
        thing = getattr(curate, name)
        assert inspect.getdoc(thing), name
        assert name in dir(curate)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        curate.nothing  # noqa: B018


def test_tables_are_frames(folder):
    workspace = curate.open_workspace(folder / "ws")
    assert repr(workspace) == f"<workspace {folder / 'ws'} of recipe sample>"
    items = workspace.items()
    assert items.height == workspace.labels().height == 10
    assert set(items["file"]) == {f"posts.jsonl#{number}" for number in range(1, 11)}
    assert set(items["licence"]) == {"CC0-1.0"}
    assert workspace.judgements().height == 0
    assert workspace.table("prelabels")["labeller"].unique().to_list() == ["offline"]
    assert workspace.status().tables["items"] == 10
    assert workspace.trace(items["item_id"][0]).releases == {workspace.releases()[0]: "train"}
    with pytest.raises(InvalidInput, match="there is no table 'item'; did you mean items"):
        workspace.table("item")


def test_media_are_paths_of_files(tmp_path):
    from curate.notebook.workspace import CorpusFrames
    from curate.recipe import load_recipe

    made = make_corpus(tmp_path / "ws", items=2)
    frames = CorpusFrames.__new__(CorpusFrames)
    frames._loaded, frames._workspace, frames._corpus = (
        load_recipe(Path("quickstart")),
        made.corpus.workspace,
        made.corpus,
    )
    items = frames.items()
    assert all(Path(path).is_file() for path in [*items["audio"], *items["video"]])
    assert items["face"].to_list()[1] is None
    assert items["title"].to_list() == ["Film 0", "Film 1"]
    assert set(frames.judgements()["annotator"]) == {"ada@example.org", "ben@example.org"}


def test_runs_and_plans_are_those_of_the_commands(folder, tmp_path):
    recipe = folder / "sample.yaml"
    assert not curate.run(recipe, folder / "ws", workers=1).changed
    assert not any(stage.changes for stage in curate.plan(recipe, folder / "ws"))
    plans = curate.plan(recipe, tmp_path / "none", settings=["stages.export.reviewed_only=true"])
    assert [stage.todo for stage in plans][:1] == [10]
    assert not (tmp_path / "none").exists()
    with pytest.raises(InvalidInput, match="has 1 problem"):
        curate.plan(recipe, tmp_path / "none", settings=["stages.export.typo=1"])
    with pytest.raises(InvalidInput, match="no such stage"):
        curate.run(recipe, folder / "ws", until="nothing", workers=1)
    with pytest.raises(WorkspaceUnusable, match="there is no workspace"):
        curate.open_workspace(tmp_path / "none")


def test_a_run_that_ends_early_raises_what_ended_it(folder, tmp_path):
    done = curate.run(folder / "sample.yaml", tmp_path / "ws", workers=1, stop=lambda: True, check=False)
    assert done.error is not None
    with pytest.raises(type(done.error)):
        curate.run(folder / "sample.yaml", tmp_path / "ws", workers=1, stop=lambda: True)


def test_agreement_of_a_workspace_and_of_its_frame_are_those_of_the_command(tmp_path):
    from curate.corpus.judgements import Judgement
    from tests.support.judging import item_ids

    loaded, workspace = make_posts_workspace(tmp_path, 4)
    values = [("anger", 0.5), ("anger", 0.0), ("fear", -1.0)]
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=item, rater=rater, identity=(item, rater), revision=("1",), arm="text",
                      values={"emotion": [values[(i + j) % 3][0]], "valence": values[(i * j) % 3][1]})
            for i, item in enumerate(item_ids(loaded, workspace))
            for j, rater in enumerate(("ann", "ben"))
        ],
    )  # fmt: skip
    expected = measure_agreement(loaded, workspace, draws=20).rows
    opened = curate.open_workspace(tmp_path / "ws")
    rows = opened.agreement(draws=20)
    assert rows["measure"].to_list() == [row.measure for row in expected]
    assert rows["value"].to_list() == [row.value for row in expected]
    assert rows["low"].to_list() == [row.low for row in expected]
    assert curate.agreement(opened.judgements(), opened.schema, draws=20).equals(rows)
    audited, expected_rows = opened.audit_model(draws=0), audit_model(loaded, workspace, options=Options(0)).rows
    assert audited["value"].to_list() == [row.value for row in expected_rows]
    assert [json.loads(group) for group in audited["group"]] == [row.group for row in expected_rows]
    assert set(opened.audit_bias(["speaker"], draws=0)["measure"]) == {"small_groups"}
    with pytest.raises(InvalidInput, match="nothing was compared"):
        opened.scores()
    by_arm = curate.agreement(opened.judgements(), opened.schema, by="arm")
    assert set(by_arm["group"]) == {'{"arm": "text"}'}


def test_agreement_and_consensus_of_any_frame():
    rows = curate.agreement(FRAME, SCHEMA)
    percent = rows.filter(polars.col("field") == "emotion", polars.col("measure") == "percent")
    assert percent.select("value", "items", "judgements", "raters").row(0) == (pytest.approx(4 / 9), 3, 7, 3)
    groups = curate.agreement(FRAME, SCHEMA, by="site")["group"].unique().sort().to_list()
    assert groups == ['{"site": "x"}', '{"site": "y"}']
    labels = curate.aggregate(FRAME, SCHEMA, fields={"valence": {"method": "median"}})
    assert labels["item_id"].to_list() == ["a", "b", "c"]
    assert labels["emotion"].to_list() == [["anger"], ["fear"], None]
    assert labels["valence"].to_list() == [0.4, -0.5, 0.5]
    assert labels["raters"].to_list() == [3, 2, 2]
    assert curate.aggregate(FRAME, SCHEMA, method="union")["emotion"].to_list()[2] == ["anger", "fear"]
    empty = curate.aggregate(FRAME.clear(), SCHEMA)
    assert (empty.height, empty.columns) == (0, labels.columns)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda frame: frame.drop("item_id"), {}, "no column for item_id"),
        (lambda frame: frame.drop("emotion", "valence"), {}, "no column for a field of"),
        (lambda frame: frame.with_columns(emotion=polars.lit(["rage"])), {}, r"column emotion: .*rage.* is not"),
        (lambda frame: frame.with_columns(valence=polars.lit(7.0)), {}, "column valence: 7.0 is not a value"),
        (lambda frame: frame.with_columns(annotator=polars.lit([1])), {}, "column annotator holds"),
        (lambda frame: frame, {"by": "sites"}, "no column sites; did you mean site"),
    ],
)  # fmt: skip
def test_a_frame_that_does_not_fit_is_refused(change, options, words):
    with pytest.raises(InvalidInput, match=words):
        curate.agreement(change(FRAME), SCHEMA, **options)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "mojority"}, "method = 'mojority'"),
        ({"ties": "coin"}, "ties = 'coin'"),
        ({"sorcery": 1}, "sorcery = 1"),
        ({"fields": {"mood": {"method": "median"}}}, "do not fit"),
    ],
)
def test_settings_of_aggregate_that_do_not_exist_are_refused(settings, words):
    with pytest.raises(CurateError, match=words):
        curate.aggregate(FRAME, SCHEMA, **settings)


def test_a_release_is_a_dataset(folder, tmp_path):
    workspace = curate.open_workspace(folder / "ws")
    version = workspace.releases()[-1]
    rows = workspace.release(version, split="train", streaming=True)
    assert sorted(row["item_id"] for row in rows) == sorted(workspace.items()["item_id"])
    place = folder / "ws" / "releases" / version
    with pytest.raises(InvalidInput, match="has no split 'trian'; did you mean train"):
        curate.load_release(place, split="trian")
    with pytest.raises(InvalidInput, match="there is no release"):
        workspace.release("9.9.9")
    with pytest.raises(WorkspaceUnusable, match=r"no readable manifest\.json"):
        curate.load_release(tmp_path)
    assert workspace.diff(version, version).kind == "none"


def test_nothing_heavy_is_imported_before_it_is_used():
    code = "import sys, curate; curate.open_workspace; print('datasets' in sys.modules, 'polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_rater_without_a_partner_has_undefined_figures():
    """Judgements with a proposal in the form are apart from others, and there one person may be alone."""
    alone = FRAME.with_columns(prelabel_id=polars.when(polars.col("annotator") == "ben").then(polars.lit("p")))
    rows = curate.agreement(alone, SCHEMA, by="rater").filter(polars.col("group").str.contains("pre-filled"))
    assert rows["value"].null_count() == rows.height > 5
