"""Inputs whose workers were killed are missed by nobody: the card, the run and its exit code say so."""

import pyarrow as pa

from curate.executors import WorkerDied
from curate.pipeline.commit import Commits
from curate.pipeline.record import StageResult
from curate.pipeline.walk import BatchWork
from curate.stages.contract import Outcome, Rejection
from curate.stages.export import Export
from curate.stages.preprocess.stage import Preprocess
from tests.support.release_builders import LIVE, make_corpus


def test_the_card_names_what_crashed(tmp_path):
    made = make_corpus(tmp_path / "ws")
    row = {"rejection_id": "r", "stage": "preprocess", "reason": "crashed", "detail": "killed", "run_id": "x"}
    row |= {"parent_id": "source-0001", "subject": "source-0001", "work": LIVE["sources"].works[0].as_py()}
    table = made.corpus.table("rejections")
    table.commit([{name: row.get(name) for name in table.spec.schema.names}], metadata={})
    receipt = Export(stage="export").perform(made.corpus, made.tools)
    assert receipt.changed
    card = (made.corpus.workspace.releases.path / "1.0.0" / "README.md").read_text()
    files = made.corpus.read("sources").to_pylist()
    name = next(source["file"] or "source-0001" for source in files if source["source_id"] == "source-0001")
    (line,) = [line for line in card.splitlines() if "Incomplete" in line]
    assert "crashed" in line
    assert name.partition(".")[0] in line.replace("\\", "")


def test_crashed_inputs_are_counted(tmp_path):
    corpus, ids = make_corpus(tmp_path / "ws", items=0, sources=0).corpus, pa.chunked_array([["a", "b"]])
    work = BatchWork(Preprocess(stage="preprocess"), pa.table({"source_id": ids}), ids, ids)
    result = StageResult("preprocess")

    class RecordDouble:
        run_id = "x"

        def log(self, *about, **more): ...

    commits = Commits(work, work.ledger(corpus), corpus.labels, result, RecordDouble())
    commits.add([0], WorkerDied("killed"))
    commits.add([1], Outcome(rejections=[Rejection("b", "b", "invalid", "no")]))
    commits.commit()
    assert (result.crashed, result.rejected, commits.retried) == (1, 2, 1)
