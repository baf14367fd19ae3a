"""``curate report`` gathers agreement, splits and the last run, and writes one page."""

import json

import curate
from curate.cli.commands.report import report_command
from curate.corpus.judgements import Judgement
from tests.report.test_report import Page
from tests.support.judging import item_ids, judge, make_posts_workspace


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
    ):
        assert words in page.text, words


def test_a_corpus_that_nobody_judged_says_nothing_of_people(tmp_path, capsys):
    _, workspace = make_posts_workspace(tmp_path, 3)
    out = tmp_path / "page.html"
    report_command(None, str(workspace.local), out, json=True)
    assert json.loads(capsys.readouterr().out) == {"report": str(out)}
    text = Page(out.read_text(encoding="utf-8")).text
    for words in ("Agreement", "Pace", "Soft labels", "The model against people", "Valence and arousal"):
        assert words not in text, words
