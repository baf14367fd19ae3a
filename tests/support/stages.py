"""Walk the batch stages of a recipe by hand, over a mix of good and broken inputs."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curate.corpus.spec import table_spec
from curate.pipeline.parents import open_parent
from curate.pipeline.walk import open_corpus
from curate.recipe import load_recipe
from curate.stages.capabilities import Discovered
from curate.stages.contract import BatchStage, Outcome, Tools
from curate.storage.blobs import Blobs
from tests.support.builders import TEXTS, make_posts, make_recipe
from tests.support.media_builders import sample
from tests.support.runs import run_quietly


class Step(NamedTuple):
    """A batch stage with its inputs, and what it makes of them."""

    stage: BatchStage
    inputs: pa.Table
    tools: Tools
    outcome: Outcome


def make_mix(folder: Path) -> Path:
    """A recipe over a film with subtitles, posts, and files that must be rejected."""
    folder.mkdir(parents=True)
    for path in (sample(), sample().with_suffix(".srt")):
        shutil.copy(path, folder)
    lines = [f'{{"text": "{text}", "author": "writer{at % 2}"}}' for at, text in enumerate(TEXTS)]
    (folder / "posts.jsonl").write_text("\n".join([*lines, '{"text": ""}', "not json"]) + "\n")
    (folder / "broken.mp4").write_bytes(b"no film at all")
    (folder / "empty.txt").write_bytes(b"")
    return make_recipe(
        folder,
        {"stage": "ingest", "files": ["*.mp4", "*.txt", "*.jsonl"], "licence": "CC0-1.0"},
        {"stage": "preprocess"},
        {"stage": "prelabel", "model": "offline"},
        {"stage": "annotate"},
        {"stage": "aggregate"},
        {"stage": "describe", "model": "openai/gpt-5-mini"},
        {"stage": "export"},
        {"stage": "publish", "repo": "tester/mix"},
    )


def make_derived(folder: Path) -> Path:
    """A recipe that pairs the posts of another corpus, which has been run."""
    run_quietly(make_posts(folder, 5), folder / "posts-workspace")
    make = {"view": "pairs", "of": "text"}
    derive = {"stage": "derive", "corpus": "posts-workspace", "make": make}
    return make_recipe(folder, derive, {"stage": "preprocess"}, name="compare", labels="text_preference.v1")


def walk_stages(recipe: Path, blobs: Path, *, overrides: Sequence[str] = ()) -> Iterator[Step]:
    """Yield each batch stage of a recipe, done on the rows of those before it."""
    loaded = load_recipe(recipe, overrides)
    tools = Tools(Blobs(blobs), loaded.labels, loaded.folder, loaded.recipe.seed, loaded.recipe.recipe)
    tools = tools._replace(parent=partial(open_parent, open_corpus))
    tables: dict[str, pa.Table] = {}
    for stage in loaded.recipe.stages:
        if isinstance(stage, BatchStage):
            found = isinstance(stage, Discovered)
            inputs = stage.discover(tools) if found else stage.inputs(tables[stage.reads], tools)
            outcome = stage.apply(inputs, tools)
            yield Step(stage, inputs, tools, outcome)
            for name in stage.writes:
                schema = table_spec(name, loaded.labels).schema
                tables[name] = pa.Table.from_pylist(outcome.dicts(name), schema=schema)


def known(rows: Iterable[dict]) -> list[dict]:
    """Rows without what is not known: in a batch of many rows a column is there if any row has it."""
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
