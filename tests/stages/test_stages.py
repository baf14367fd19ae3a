"""The contracts that every stage keeps."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from curate.corpus.ledger import RETRIED
from curate.files import digest
from curate.recipe import load_recipe
from curate.stages.capabilities import Discovered
from curate.stages.contract import REASONS, BatchStage, Tools
from curate.storage.blobs import Blobs
from tests.support.builders import make_posts

GOLDEN = {
    "ingest": (3, "8672"),
    "preprocess": (3, "93a7"),
    "prelabel": (4, "d828"),
}
"""By stage: its version, and the start of the hash of what it makes of six posts."""


def walk(recipe: Path, blobs: Path):
    """Each batch stage of a recipe over posts, with its inputs and tools."""
    loaded = load_recipe(recipe)
    tools = Tools(Blobs(blobs), loaded.labels, loaded.folder, loaded.recipe.seed, loaded.recipe.recipe)
    rows: dict[str, pa.Table] = {}
    for stage in loaded.recipe.stages:
        if isinstance(stage, BatchStage):
            found = isinstance(stage, Discovered)
            inputs = stage.discover(tools) if found else stage.inputs(rows[stage.reads], tools)
            yield stage, inputs, tools
            outcome = stage.apply(inputs, tools)
            from curate.corpus.spec import table_spec

            for name in stage.writes:
                schema = table_spec(name, loaded.labels).schema
                rows[name] = pa.Table.from_pylist(outcome.rows.get(name, []), schema=schema)


def test_rows_change_only_with_the_version(posts_recipe, tmp_path):
    """When this fails because a stage now makes other rows: raise its ``version``, then take over the new hash."""
    made = {}
    for stage, inputs, tools in walk(posts_recipe, tmp_path / "blobs"):
        rows = json.loads(json.dumps(stage.apply(inputs, tools).rows, default=str))
        for row in rows.get("prelabels", ()):
            del (
                row["schema_sha256"],
                row["prelabel_id"],
            )  # these follow the label schema, which has a version of its own
        made[stage.stage] = (stage.version, digest(rows)[:4])
    assert made == GOLDEN


def test_any_part_gives_what_the_whole_gives(posts_recipe, tmp_path):
    for stage, inputs, tools in walk(posts_recipe, tmp_path / "blobs"):
        whole = stage.apply(inputs, tools)
        parts = [stage.apply(inputs.slice(at, 1), tools) for at in range(inputs.num_rows)]
        for table in stage.writes:
            assert whole.rows.get(table, []) == [row for part in parts for row in part.rows.get(table, [])]
        assert list(whole.rejections) == [rejection for part in parts for rejection in part.rejections]


@pytest.mark.parametrize("todo", [[], [3], [0, 2, 5], list(range(6))])
def test_batches_hold_every_row_to_do_once(posts_recipe, tmp_path, todo):
    for stage, inputs, _ in walk(posts_recipe, tmp_path / "blobs"):
        assert sorted(place for batch in stage.cut(inputs, todo) for place in batch) == todo


def test_settings_count_and_workers_do_not(tmp_path):
    recipe = make_posts(tmp_path, 2)
    identities = set()
    for override in ((), ("stages.preprocess.max_pause_s=0.5",), ("stages.preprocess.faces.every=7",)):
        loaded = load_recipe(recipe, override)
        tools = Tools(Blobs(tmp_path / "b"), loaded.labels, loaded.folder, 0, "x")
        identities.add(loaded.recipe.stages[1].identity(tools))
        moved = tools._replace(blobs=Blobs(tmp_path / "elsewhere"), recipe="other")
        assert loaded.recipe.stages[1].identity(moved) == loaded.recipe.stages[1].identity(tools)
    assert len(identities) == 3


def test_reasons_are_a_closed_list():
    import re

    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "curate").rglob("*.py"))
    used = set(re.findall(r'reason="([a-z_]+)"', source)) | RETRIED
    assert used <= set(REASONS)
