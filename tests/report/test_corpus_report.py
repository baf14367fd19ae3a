"""``curate report`` gathers agreement, splits and the last run, and writes one page."""

import json

import curate
from curate.cli.commands.report import report_command
from curate.corpus.judgements import Judgement
from curate.pipeline import open_corpus
from curate.report.findings import Findings
from curate.report.run import render_report
from tests.report.test_report import Page
from tests.support.judging import item_ids, judge, make_posts_workspace


def newest_run_report(workspace):
    """The report of the last run that did something, after the contents of the head."""
    reports = sorted((workspace / "runs").glob("*/report.html"), key=lambda path: path.stat().st_mtime_ns)
    return reports[-1].read_text(encoding="utf-8").partition("<h1>")[2]


def test_the_command_writes_what_the_workspace_knows(tmp_path, capsys):
    loaded, workspace = make_posts_workspace(tmp_path, 6)
    arms = {"ann": "voice", "ben": "face"}
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=item, rater=rater, arm=arm, identity=(item, rater), revision=("1",), lead_time_s=12.0,
                      values={"emotion": ["fear" if i % 2 or rater + str(i) == "ben0" else "anger"], "valence": 0.0})
            for i, item in enumerate(item_ids(loaded, workspace))
            for rater, arm in arms.items()
        ],
    )  # fmt: skip
    curate.run(loaded.path, tmp_path / "ws")
    measured = curate.open_workspace(tmp_path / "ws").agreement()
    (alpha,) = measured.filter(field="emotion", measure="krippendorff_alpha_jaccard")["value"]
    report_command(None, str(tmp_path / "ws"), bootstrap=20)
    assert "".join(capsys.readouterr().out.split("\n")) == f"report: {tmp_path / 'ws' / 'report.html'}"
    page = Page((tmp_path / "ws" / "report.html").read_text(encoding="utf-8"))
    for words in (
        f"emotion krippendorff alpha jaccard {alpha:.2f}",
        "By rater, against each other one",
        "By what raters were shown No figure is defined yet",
        "A judgement takes 12 s (median); 0.0 h in all.",
        "6 items that people labelled and a model proposed labels for",
        "People saw no proposal in their forms.",
        "labelled by people 6",
        "As the next release has them.",
        "Audit of the proposals The model's proposals, measured against judgements of people who did not see them.",
        "only the 6 items that people judged without a proposal count as judged; arms face, voice are mixed",
        "Every item has been judged, and release 1.0.0 holds all of it.",
    ):
        assert words in page.text, words
    audit = page.text.partition("Audit of the proposals")[2].partition("Agreement")[0]
    assert "two halves of people" in audit
    assert "ann" not in audit.replace("annot", "")
    assert "and release 1.0.0 holds all of it" in newest_run_report(tmp_path / "ws")
    card = (tmp_path / "ws" / "releases" / "1.0.0" / "README.md").read_text(encoding="utf-8")
    assert "## Audit of the proposals" in card
    assert not [rater for rater in ("`ann`", " ann ", "ben") if rater in card.partition("## Audit")[2]]

    late = Judgement(item_id=item_ids(loaded, workspace)[0], rater="eve", identity=("late",), revision=("1",),
                     values={"emotion": ["fear"], "valence": 0.5})  # fmt: skip
    judge(loaded, workspace, [late])
    report_command(None, str(tmp_path / "ws"), bootstrap=0)
    text = Page((tmp_path / "ws" / "report.html").read_text(encoding="utf-8")).text
    assert "Every item has been judged. Run the recipe again to release what is new." in text
    without_release = Page(render_report(open_corpus(loaded, workspace), {}, Findings())).text
    assert "Every item has been judged." in without_release
    assert "Run the recipe again" not in without_release


def test_proposals_that_everybody_saw_are_not_audited(tmp_path):
    loaded, workspace = make_posts_workspace(tmp_path, 3)
    proposals = open_corpus(loaded, workspace).read("prelabels", ["item_id", "prelabel_id"]).to_pylist()
    judge(
        loaded,
        workspace,
        [
            Judgement(item_id=row["item_id"], rater=rater, arm="text pre-filled", identity=(row["item_id"], rater),
                      revision=("1",), values={"emotion": ["fear"]}, prelabel_id=row["prelabel_id"])
            for row in proposals for rater in ("ann", "ben")
        ],
    )  # fmt: skip
    curate.run(loaded.path, tmp_path / "ws")
    card = (tmp_path / "ws" / "releases" / "1.0.0" / "README.md").read_text(encoding="utf-8")
    for page in (newest_run_report(tmp_path / "ws"), card):
        assert "Audit of the proposals" not in page
        assert "By what raters were shown" not in page, "all were shown the same"


def test_a_corpus_that_nobody_judged_says_nothing_of_people(tmp_path, capsys):
    _, workspace = make_posts_workspace(tmp_path, 3)
    out = tmp_path / "page.html"
    report_command(None, str(workspace.local), out, json=True)
    assert json.loads(capsys.readouterr().out) == {"report": str(out)}
    text = Page(out.read_text(encoding="utf-8")).text
    for words in (
        "Agreement",
        "Pace",
        "Soft labels",
        "The model against people",
        "Valence and arousal",
        "Audit of the proposals",
        "Every item has been judged",
    ):
        assert words not in text, words
