"""What every registered stage keeps, whatever it does. A new stage is in here as soon as it is in ``STAGES``."""

import pickle
from operator import itemgetter

import pytest

from curate.assets import shipped_folder
from curate.corpus.ledger import Batch
from curate.corpus.sources import RawFolders
from curate.corpus.spec import parent_column, table_spec
from curate.errors import InvalidInput
from curate.executors.local import LocalExecutor
from curate.labels import load_labels
from curate.pipeline import open_corpus
from curate.pipeline.commit import batch_of
from curate.pipeline.tasks import TaskFlow, run_task
from curate.pipeline.walk import BatchWork
from curate.recipe import load_recipe
from curate.stages import STAGES, writer_of, written_tables
from curate.stages.capabilities import (
    Concluded,
    Discovered,
    Parted,
    Parts,
    Priced,
    Streamed,
    Summarised,
)
from curate.stages.contract import REASONS, BatchStage, DriverStage
from curate.storage.blobs import Blobs
from curate.storage.workspace import Workspace
from tests.support.asking import KEY
from tests.support.chat_double import ChatDouble
from tests.support.hub_double import TOKEN, HubDouble
from tests.support.runs import run_quietly
from tests.support.stages import Step, known, make_derived, make_mix, walk_stages

BATCH = [kind.kind() for kind in STAGES if issubclass(kind, BatchStage)]
ONCE = [kind.kind() for kind in STAGES if issubclass(kind, DriverStage)]


def having(capability: type) -> list[str]:
    return [kind.kind() for kind in STAGES if issubclass(kind, capability)]


@pytest.fixture(scope="module")
def mix(tmp_path_factory):
    return make_mix(tmp_path_factory.mktemp("mix") / "in")


@pytest.fixture(scope="module")
def steps(mix, tmp_path_factory) -> dict[str, Step]:
    derived = make_derived(tmp_path_factory.mktemp("derived"))
    walked = [step for recipe in (derived, mix) for step in walk_stages(recipe, tmp_path_factory.mktemp("blobs"))]
    return {step.stage.stage: step for step in walked}


@pytest.fixture
def step(request, steps) -> Step:
    assert request.param in steps, f"add {request.param} to tests/support/stages.py"
    return steps[request.param]


def each(names: list[str]):
    return pytest.mark.parametrize("step", names, indirect=True)


def column(step: Step, table) -> list[str]:
    return table[parent_column(step.stage.writes[0])].to_pylist()


def make_batch(step: Step) -> Batch:
    """The outcome of a step for the ledger."""
    ids = step.inputs[parent_column(step.stage.writes[0])]
    return batch_of(BatchWork(step.stage, step.inputs, ids, ids), [(range(len(ids)), step.outcome)], step.tools.labels)


def test_every_stage_is_of_one_kind_and_has_a_name_of_its_own():
    assert len({kind.kind() for kind in STAGES}) == len(STAGES)
    assert all(issubclass(kind, BatchStage) is not issubclass(kind, DriverStage) for kind in STAGES)
    assert all(kind.__name__.lower() == kind.kind().replace("_", "") for kind in STAGES)
    assert all(kind.operational <= kind.model_fields.keys() for kind in STAGES)


def test_what_a_stage_reads_an_earlier_one_writes():
    for index, kind in enumerate(STAGES):
        if issubclass(kind, BatchStage) and not issubclass(kind, Discovered):
            writer = writer_of(kind.reads)
            assert writer is not None, f"{kind.kind()} reads {kind.reads}, which no stage writes"
            assert STAGES.index(writer) < index
    tables = {path.stem for path in (shipped_folder("schemas") / "tables").glob("*.yaml")}
    assert set(written_tables()) == tables - {"rejections"}


@pytest.mark.parametrize("name", BATCH)
def test_rows_of_a_stage_name_the_same_input(name):
    kind = next(kind for kind in STAGES if kind.kind() == name)
    assert issubclass(kind, BatchStage)
    assert len({parent_column(table) for table in kind.writes}) == 1
    if kind.retried is not None:
        assert kind.retried[0] in table_spec(kind.writes[0], load_labels("utterance_emotion.v1")).schema.names


@each(BATCH)
def test_inputs_have_an_id_and_the_columns_that_count(step):
    ids = column(step, step.inputs)
    assert len(ids) > 1
    assert None not in ids
    assert len(set(ids)) == len(ids)
    used = step.stage.columns_used()
    assert used is None or ("work" not in used and set(used) <= set(step.inputs.column_names))


@each(BATCH)
def test_identity_is_that_of_settings_and_assets_alone(step):
    identity = step.stage.identity(step.tools)
    elsewhere = step.tools._replace(blobs=Blobs(step.tools.folder / "elsewhere"), recipe="other")
    assert step.stage.identity(elsewhere) == identity
    copy = type(step.stage).model_validate_json(step.stage.model_dump_json())
    assert copy.identity(step.tools) == identity
    for name in step.stage.operational:
        changed = step.stage.model_construct(**{**dict(step.stage), name: None})
        assert changed.identity(step.tools) == identity, f"{name} only says how the work is done"


@each(BATCH)
def test_batches_hold_every_input_to_do_once(step):
    last = step.inputs.num_rows - 1
    for todo in ([], [last], [0, last], list(range(last + 1))):
        assert sorted(index for batch in step.stage.cut(step.inputs, todo) for index in batch) == todo


@each(BATCH)
def test_every_input_is_kept_or_rejected_for_a_known_reason(step):
    ids = column(step, step.inputs)
    assert make_batch(step).input_ids.to_pylist() == ids
    assert {rejection.reason for rejection in step.outcome.rejections} <= set(REASONS)
    assert all(rejection.detail for rejection in step.outcome.rejections)
    for table in step.stage.writes:
        names = table_spec(table, step.tools.labels).schema.names
        assert all(row.keys() <= set(names) - {"work"} for row in step.outcome.dicts(table))


@each(BATCH)
def test_any_part_gives_what_the_whole_gives(step):
    parts = [step.stage.apply(step.inputs.slice(at, 1), step.tools) for at in range(step.inputs.num_rows)]
    for table in step.stage.writes:
        assert known(step.outcome.dicts(table)) == known(row for part in parts for row in part.dicts(table))
    assert list(step.outcome.rejections) == [rejection for part in parts for rejection in part.rejections]


@each(BATCH)
def test_stage_tools_and_outcome_travel_between_processes(step):
    stage, tools, outcome = pickle.loads(pickle.dumps((step.stage, step.tools, step.outcome)))
    assert (stage, outcome) == (step.stage, step.outcome)
    assert stage.identity(tools) == step.stage.identity(step.tools)


@each(having(Discovered))
def test_discovered_inputs_are_the_same_each_time(step, tmp_path):
    assert isinstance(step.stage, Discovered)
    assert step.stage.discover(step.tools).equals(step.inputs)
    assert not list(step.stage.missing(step.tools.raw))
    assert list(step.stage.missing(RawFolders(tmp_path))), "an empty folder holds nothing to find"
    with pytest.raises(InvalidInput):
        step.stage.discover(step.tools._replace(folder=tmp_path))


SHORT_PARTS = {"preprocess": ["stages.preprocess.chunk_s=2"]}
"""The settings with which a stage cuts even short inputs."""


@each(having(Parted))
def test_parts_joined_are_what_the_whole_is(mix, step, tmp_path):
    """With parts as short as they may be, done by workers, the rows of every table are those of ``apply``."""
    walked = walk_stages(mix, tmp_path, overrides=SHORT_PARTS[step.stage.stage])
    cut = next(other for other in walked if other.stage.stage == step.stage.stage)
    stage, inputs = cut.stage, cut.inputs
    assert isinstance(stage, Parted)
    begun = [stage.begin(inputs.slice(at, 1), cut.tools) for at in range(inputs.num_rows)]
    parts = [result for result in begun if isinstance(result, Parts)]
    assert parts, "nothing was cut"
    assert all(pickle.loads(pickle.dumps(part)) is not None for result in parts for part in result.parts)
    for result in parts:
        stage.discard(result, cut.tools)
    flow = TaskFlow(stage, inputs, list(stage.cut(inputs, range(inputs.num_rows))), cut.tools)
    results = LocalExecutor(1).map(run_task, flow.tasks(), stop=lambda: False)
    advances = list(flow.follow(results))
    assert sum(advance.inputs for advance in advances) == inputs.num_rows
    done = [advance.outcome for advance in advances if advance.outcome is not None]
    by_key = itemgetter(table_spec(stage.writes[0], cut.tools.labels).key)
    rows = [row for outcome in done for row in outcome.dicts(stage.writes[0])]
    assert sorted(known(rows), key=by_key) == sorted(known(cut.outcome.dicts(stage.writes[0])), key=by_key)


@pytest.fixture
def double(monkeypatch):
    with ChatDouble(key=KEY) as double:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", double.url)
        yield double


STREAMED = {"prelabel": "stages.prelabel.model=openai/gpt-5-mini"}
"""The setting with which a stage waits for a service."""


@pytest.mark.parametrize("name", having(Streamed))
def test_a_replay_is_what_the_stream_made(mix, steps, double, name, tmp_path):
    stage = next(s for s in load_recipe(mix, [STREAMED[name]]).recipe.stages if s.stage == name)
    assert isinstance(stage, Streamed)
    assert stage.is_streamed()
    assert not steps[name].stage.is_streamed(), "the offline stage asks nobody"
    tools = steps[name].tools._replace(answers=tmp_path / "answers.sqlite")
    inputs = stage.inputs(steps[name].inputs, tools)
    account: dict[str, object] = {}
    corpus = open_corpus(load_recipe(mix), Workspace(tmp_path / "w"))
    outcomes = list(stage.stream(inputs, corpus, tools, account=account, stop=lambda: False))
    assert sum(count for count, _ in outcomes) == inputs.num_rows
    assert account
    asked = len(double.calls)
    replay = stage.replay(inputs, tools)
    assert len(double.calls) == asked
    table, parent = stage.writes[0], parent_column(stage.writes[0])
    ids = inputs[parent].to_pylist()
    replayed = {ids[index] for index in replay.indices}
    streamed = [row for _, outcome in outcomes for row in outcome.dicts(table)]
    assert replayed
    assert known(replay.outcome.dicts(table)) == known(row for row in streamed if row[parent] in replayed)


@each(having(Priced))
def test_an_estimate_costs_nothing_and_changes_nothing(mix, step, tmp_path):
    assert isinstance(step.stage, Priced)
    corpus = open_corpus(load_recipe(mix), Workspace(tmp_path / "w"))
    for todo in (step.inputs, step.inputs.slice(0, 0)):
        assert step.stage.estimate(todo, corpus, step.tools) == "", "what asks nobody costs nothing"


@each(having(Summarised))
def test_a_summary_begins_empty_and_counts_every_input(step):
    assert isinstance(step.stage, Summarised)
    summary = step.stage.make_summary()
    assert (dict(summary.counts), summary.reason, summary.failed) == ({}, "", 0)
    summary.add(make_batch(step).rows[step.stage.writes[0]])
    assert sum(summary.counts.values()) == step.inputs.num_rows


def test_concluding_and_performing_again_changes_nothing(mix, tmp_path, monkeypatch):
    with HubDouble(tmp_path / "hub", mode="xet") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        first = run_quietly(mix, tmp_path / "w")
        again = run_quietly(mix, tmp_path / "w")
    ran = {result.stage for result in first.stages}
    assert {*ONCE, *having(Concluded)} <= ran
    assert [result.stage for result in again.stages if result.changed] == []
