"""Timelines out to ELAN and Praat and back: whoever corrects them, each value says where it started."""

import json
from collections.abc import Callable
from pathlib import Path

import pympi
import pytest
from praatio import textgrid as praat
from typer.testing import CliRunner

from curate.cli.app import app
from curate.corpus.judgements import current_judgements
from curate.errors import InvalidInput
from curate.executors.local import LocalExecutor
from curate.media.tiers.open import read_tier_file
from curate.pipeline import make_tools, open_corpus, run
from curate.recipe import load_recipe
from curate.stages.tier_files.export import export_tiers
from curate.stages.tier_files.returning import import_tiers
from curate.storage.workspace import Workspace
from tests.stages.test_tier_tables import make_moods, make_session, segments
from tests.support.builders import make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.runs import Quiet

KEY = "sk-test"
STRETCHES = {
    "table": "*.eaf",
    "where": {"tier": "talk A"},
    "item": {"id": "{stem}#{id}", "media": "media", "start_s": "start_s", "end_s": "end_s", "text": "text"},
}
PROPOSED = [(0.0, 0.5, "calm"), (0.25, 1.0, "joy")]


class Session:
    """A corpus of two stretches of a recording, with a proposal for each."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_session(folder)
        make_moods(folder, "utterance")
        schema = folder / "moods_over_time.v1.yaml"
        schema.write_text(schema.read_text().replace(", overlap: false", "").partition("  arousal")[0])
        recipe = make_recipe(
            folder,
            {"stage": "ingest", "tables": [STRETCHES], "licence": "CC0-1.0"},
            {"stage": "preprocess"},
            {"stage": "prelabel", "labellers": [{"model": "openai/gpt-5-mini", "prompt": "utterance_emotion.v1"}]},
            labels="moods_over_time.v1",
        )
        self.folder, self.loaded, self.workspace = folder, load_recipe(recipe), Workspace(folder / "ws")
        executor = LocalExecutor(1)
        with ChatDouble(key=KEY) as double:
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("OPENAI_BASE_URL", double.url)
            answer = {"mood": segments(*PROPOSED), "confidence": 0.9, "reasons": "It sounds so."}
            double.answer = lambda body: json.dumps(answer)
            try:
                run(self.loaded, self.workspace, executor=executor, listener=Quiet())
            finally:
                executor.close()
        self.corpus = open_corpus(self.loaded, self.workspace)
        self.items = sorted(self.corpus.read("items").to_pylist(), key=lambda item: item["start_s"])

    def export(self, form: str, name: str = "out"):
        return export_tiers(self.corpus, make_tools(self.loaded, self.workspace).raw, form, self.folder / name)

    def take_back(self, path: Path | None = None, **options):
        return import_tiers(self.corpus, path or self.folder / "out", **options)

    def file(self, item: int, suffix: str, name: str = "out") -> Path:
        (path,) = (self.folder / name).glob(f"*{self.items[item]['item_id'][:12]}*{suffix}")
        return path

    def judged(self) -> list[tuple]:
        """Item (by number), rater, value, origin, action and whether the proposal is named, of each judgement."""
        numbers = {item["item_id"]: number for number, item in enumerate(self.items)}
        rows = current_judgements(self.corpus.read("annotations")).to_pylist()
        return sorted(
            (
                numbers[row["item_id"]],
                row["annotator"],
                row["mood"],
                [entry["origin"] for entry in row["origins"]],
                row["action"],
                row["prelabel_id"] is not None,
            )
            for row in rows
        )


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    return Session(tmp_path, monkeypatch)


def change_eaf(path: Path, change: Callable[[pympi.Eaf], None]) -> None:
    eaf = pympi.Eaf(str(path))
    change(eaf)
    eaf.to_file(str(path))


def test_elan_files_are_corrected_and_come_back_as_judgements(session):
    written = session.export("elan")
    assert (written.files, written.proposals, written.left_out, written.unwritten) == (2, 2, {}, ())
    tiers = read_tier_file(session.file(1, ".eaf"))
    assert (list(tiers.tiers), tiers.media, tiers.start_s) == (
        ["mood", "mood#2", "mood@openai/gpt-5-mini", "mood@openai/gpt-5-mini#2"],
        ["../talk one.wav"],
        2.5,
    )
    assert [entry.value for entry in tiers.vocabularies[0].entries] == ["joy", "anger", "calm"]
    assert [(a.start_s, a.end_s, a.text) for a in tiers.annotations if a.tier == "mood"] == [(2.5, 3.0, "calm")]

    def correct(eaf: pympi.Eaf) -> None:
        eaf.remove_annotation("mood#2", 300)
        eaf.add_annotation("mood", 500, 1500, "anger")

    change_eaf(session.file(1, ".eaf"), correct)
    done = session.take_back(rater="cleo")
    assert (done.judgements, done.items, done.created, done.updated, done.problems) == (2, 2, 2, 0, ())
    unchanged = (0, "cleo", segments(*PROPOSED), ["prediction"], "created", True)
    assert session.judged() == [
        unchanged,
        (1, "cleo", segments((0.0, 0.5, "calm"), (0.5, 1.5, "anger")), ["prediction-changed"], "created", True),
    ]
    assert session.take_back(rater="cleo")[2:5] == (0, 0, 0)
    change_eaf(session.file(1, ".eaf"), lambda eaf: eaf.remove_annotation("mood", 1000))
    assert session.take_back(rater="cleo")[2:5] == (0, 1, 0)
    assert session.judged() == [
        unchanged,
        (1, "cleo", segments((0.0, 0.5, "calm")), ["prediction-changed"], "updated", True),
    ]
    again = session.export("elan", "again")
    assert "mood@cleo" in read_tier_file(session.file(1, ".eaf", "again")).tiers
    assert again.files == 2


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
def test_textgrids_are_corrected_and_come_back_as_judgements(form, session):
    session.export("textgrid")
    assert session.file(1, ".flac").stat().st_size > 1_000
    path = session.file(1, ".TextGrid")
    grid = praat.openTextgrid(str(path), includeEmptyIntervals=False)
    assert (grid.minTimestamp, grid.maxTimestamp, grid.tierNames[:3]) == (0, 1.5, ("curate", "mood", "mood#2"))
    grid.getTier("mood").insertEntry((0.75, 1.25, "Anger"))
    grid.save(str(path), format=form, includeBlankSpaces=True)
    path.rename(path.with_name("renamed by cleo.TextGrid"))
    done = session.take_back(rater="cleo")
    assert (done.created, done.problems) == (2, ())
    assert session.judged() == [
        (0, "cleo", segments(*PROPOSED), ["prediction"], "created", True),
        (1, "cleo", segments(*PROPOSED, (0.75, 1.25, "anger")), ["prediction-changed"], "created", True),
    ]


def test_the_annotator_of_a_tier_is_who_corrected_it(session):
    session.export("elan")
    for number in range(2):
        path = session.file(number, ".eaf")
        path.write_text(path.read_text("utf-8").replace('TIER_ID="mood"', 'TIER_ID="mood" ANNOTATOR="dora"'))
    assert session.take_back().problems == ()
    assert [entry[1] for entry in session.judged()] == ["dora", "dora"]


def test_two_annotators_in_one_file_are_not_taken_for_one(session):
    session.export("elan")
    path = session.file(0, ".eaf")
    text = path.read_text("utf-8").replace('TIER_ID="mood"', 'TIER_ID="mood" ANNOTATOR="dora"')
    path.write_text(text.replace('TIER_ID="mood#2"', 'TIER_ID="mood#2" ANNOTATOR="eve"'))
    (problem,) = session.take_back(path).problems
    assert problem == (
        f"{path.name}: its tiers are of dora and eve, and a file is of one person: "
        "add --rater NAME, or give each a file of their own"
    )
    assert session.judged() == []
    assert session.take_back(path, rater="cleo").created == 1


def test_what_cannot_be_used_costs_itself_and_is_named(session):
    session.export("elan")

    def spoil(eaf: pympi.Eaf) -> None:
        eaf.add_annotation("mood", 600, 700, "fury")
        eaf.add_annotation("mood", 800, 900, "")
        eaf.add_annotation("mood", 2000, 3000, "joy")
        eaf.add_tier("remarks")
        eaf.add_annotation("remarks", 0, 100, "noisy")

    path = session.file(0, ".eaf")
    change_eaf(path, spoil)
    (session.folder / "out" / "stray.eaf").write_text("<html/>")
    (session.folder / "out" / "foreign.eaf").write_bytes((session.folder / "s.eaf").read_bytes())
    (session.folder / "out" / "zz copy.eaf").write_bytes(session.file(1, ".eaf").read_bytes())
    gone = session.file(1, ".eaf")
    done = session.take_back(rater="cleo")
    said = [problem.replace(path.name, "A").replace(gone.name, "B") for problem in done.problems]
    assert said == [
        "foreign.eaf: it does not say which item it is of: import it by a table with --map",
        "stray.eaf: its root is <html> instead of <ANNOTATION_DOCUMENT>",
        "A: annotation a5: 'fury' is not a label of mood",
        "A: annotation a6: it has no label",
        "A: annotation a7: it lies outside of the item",
        "A: tier 'remarks' (1) is no field: not read",
        "zz copy.eaf: cleo corrected the same item in B, which counts",
    ]
    assert [entry[:3] for entry in session.judged()] == [
        (0, "cleo", segments(*PROPOSED)),
        (1, "cleo", segments(*PROPOSED)),
    ]
    with pytest.raises(InvalidInput, match="nothing was imported"):
        session.take_back(rater="eve", is_strict=True)
    assert {entry[1] for entry in session.judged()} == {"cleo"}


def test_files_that_do_not_belong_here(session):
    session.export("elan")
    path = session.file(0, ".eaf")
    text = path.read_text("utf-8")
    for before, after, sentence in (
        ("moods_over_time.v1<", "other.v1<", "it was written for other.v1, and the recipe has moods_over_time.v1"),
        (session.items[0]["item_id"] + "<", "../../etc<", "item '../../etc' is not in the workspace any longer"),
    ):
        path.write_text(text.replace(before, after))
        assert sentence in session.take_back(path, rater="cleo").problems[0]
    path.write_text(text)
    assert "it does not say who corrected it" in session.take_back(path).problems[0]
    assert session.judged() == []


def test_all_stretches_removed_is_an_answer_and_nothing_proposed_is_none(session):
    session.export("elan")
    change_eaf(session.file(0, ".eaf"), lambda eaf: (eaf.remove_tier("mood#2"), eaf.remove_annotation("mood", 100)))
    path = session.file(1, ".eaf")
    change_eaf(path, lambda eaf: (eaf.remove_tier("mood#2"), eaf.remove_annotation("mood", 100)))
    path.write_text(path.read_text("utf-8").replace("curate:from:mood", "was:mood"))
    done = session.take_back(rater="cleo")
    assert done.problems == (f"{path.name}: nothing is marked in it: it counts as not judged",)
    assert session.judged() == [(0, "cleo", None, [], "created", True)]


def test_a_folder_with_files_is_never_written_to(session):
    session.export("elan")
    with pytest.raises(InvalidInput, match="is not an empty folder"):
        session.export("elan")


def test_commands(session):
    folder, workspace = session.folder, str(session.folder / "ws")
    recipe = str(session.loaded.path)
    out = str(folder / "out")
    done = CliRunner().invoke(app, ["annotate", "export", recipe, "--format", "elan", "--to", out, "-w", workspace])
    assert "2 files in" in done.output
    assert "2 with a proposal" in done.output
    done = CliRunner().invoke(app, ["annotate", "import", out, recipe, "--rater", "cleo", "-w", workspace])
    assert "2 judgements of 2 items: 2 new" in done.output
    (folder / "t.csv").write_text("a,b\n")
    done = CliRunner().invoke(app, ["annotate", "import", str(folder / "t.csv"), recipe, "-w", workspace])
    assert done.exit_code
    assert "--map" in str(done.exception.hint)
