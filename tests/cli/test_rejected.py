"""What a run says of rejected inputs: the most common reason, how to see the rest, and why it ends with 3."""

import json
import re

import pytest

from curate.cli.commands.status import status_command
from curate.cli.output import counted, describe, explain_incomplete, show_missing
from curate.pipeline.record import StageResult
from tests.support.builders import make_recipe
from tests.support.runs import run_quietly

TABLES = {
    "capital": ("Text,who\nhello,Ann\n", "columns Text, who"),
    "wrong": ("sentence;who\nhello;Ann\n", "columns sentence, who"),
    "empty": ("", "column `text` is needed"),
    "latin": ("text\n\xe9t\xe9\n".encode("latin-1"), "UTF-8"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_be_read_is_explained_where_it_was_run(tmp_path, capsys, name):
    content, says = TABLES[name]
    (tmp_path / "posts.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "posts.csv"})
    done = run_quietly(recipe, tmp_path / "w")
    show_missing(done.stages, workspace="w")
    output = capsys.readouterr().out
    assert "note:    ingest rejected 1 of 1 input, most often" in output
    assert says in output
    assert "status --rejected -w w` lists every rejection" in output
    (reason,) = explain_incomplete(done.stages, max_rejected=0.5)
    assert reason == "ingest rejected 100% of its inputs, more than --max-rejected 0.5 allows"


def test_the_most_common_reason_is_said_and_all_are_listed(run_curate, tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for number in range(3):
        (tmp_path / "raw" / f"{number}.mp4").write_bytes(b"not a video" * number)
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "raw/*.mp4"})
    done = run_curate("run", recipe)
    assert done.returncode == 3
    assert "ingest rejected 3 of 3 inputs, most often" in done.stdout
    assert "not_media (2 of 3): 1.mp4 cannot be read as media" in done.stdout
    assert "exit 3: finished, but ingest rejected 100% of its inputs" in done.stderr
    status_command(recipe, str(tmp_path / "curate-workspace"), rejected=True)
    listed = capsys.readouterr().out
    assert all(f"raw/{number}.mp4" in listed for number in range(3))
    status_command(recipe, str(tmp_path / "curate-workspace"), rejected=True, json=True)
    assert len(json.loads(capsys.readouterr().out)["rejected"]) == 3
    status_command(recipe, str(tmp_path / "curate-workspace"))
    # Either of the two stands as the example.
    assert re.search(r"[12]\.mp4 cannot be read as media", capsys.readouterr().out)


def test_duplicates_alone_are_no_reason_for_exit_3(tmp_path):
    (tmp_path / "posts.jsonl").write_text('{"text": "the same words"}\n' * 8)
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "posts.jsonl", "licence": "CC0-1.0"})
    for _ in range(2):
        (ingest,) = run_quietly(recipe, tmp_path / "w").stages
        assert (ingest.rejected_in_all, ingest.repeats, ingest.rejection) == (7, 7, "")
        assert explain_incomplete([ingest], max_rejected=0.5) == []
    assert describe(ingest) == "8 done before, 7 duplicates left out"


def test_duplicates_do_not_hide_what_was_rejected():
    result = StageResult("ingest", inputs=10, rejected_in_all=8, repeats=6, rejection="invalid: it is empty")
    assert result.rejected_share == 0.5
    assert explain_incomplete([result], max_rejected=0.4)
    assert not explain_incomplete([result], max_rejected=0.5)
    assert explain_incomplete([StageResult("x", inputs=2, crashed=1)], max_rejected=1) == [
        "1 input of x missing: the worker was killed"
    ]


def test_counts_agree_with_their_nouns():
    assert counted({"items": 1, "sources": 2, "ok": 1}) == "1 item, 2 sources, 1 ok"


def test_an_abstention_names_its_reason_and_the_next_step(tmp_path):
    from curate.labels import load_labels
    from curate.stages.prelabel.labeller import LocalLabeller
    from curate.stages.prelabel.settings import LabellerSettings

    labels = load_labels("utterance_emotion.v1", tmp_path)
    for model in ("offline", "vader", "lexicon", "textblob"):
        labeller = LocalLabeller(LabellerSettings(model=model), labels, tmp_path)
        items = [{"text": None}, {"text": " "}, {"text": "Das ist so schön", "language": "de"}]
        records = labeller.propose_many(items)
        assert all(record.outcome == "abstained" for record in records[:2])
        assert all("has no text: put subtitles next to the media" in record.detail for record in records[:2])
        assert records[2].outcome == "ok" or "English" in records[2].detail, model
