"""The report of a corpus: what its last run did, what it holds, how people agree, and what to do next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.judgements import current_judgements
from curate.corpus.view import Corpus
from curate.report.findings import Findings
from curate.report.page import render_page, show_duration, write_page
from curate.report.sections.affect import affect_plot
from curate.report.sections.agreement import ZERO, agreement_group
from curate.report.sections.audit import audit_tables
from curate.report.sections.confusion import compare_with_people
from curate.report.sections.funnel import funnel
from curate.report.sections.gallery import PAGE_ITEMS, gallery
from curate.report.sections.items import final_proposals
from curate.report.sections.labels import label_distributions
from curate.report.sections.models import accounts, proposal_outcomes
from curate.report.sections.pace import costs, pace
from curate.report.sections.soft import soft_labels
from curate.report.sections.sources import rejections_by_reason, source_rows
from curate.report.sections.splits import split_balance
from curate.sentences import count_of, verb_of

_STAGE_KEYS = ("stage", "seconds", "rows", "rejected", "skipped", "message", "counts")
_NOTHING_FOUND = Findings()
_COLUMNS = {
    "items": ("item_id", "source_id", "start_s", "end_s"),
    "sources": ("source_id", "file", "kind", "title", "collection", "licence", "duration_s"),
    "labels": ("item_id", "label_source", "raters", "soft", "agreement", "decisions"),
    "prelabels": ("item_id", "labeller", "final", "outcome", "detail", "tokens_in", "tokens_out", "usd"),
    "annotations": (
        *("annotation_id", "judgement_id", "item_id", "annotator", "action", "acted_at", "cannot_judge"),
        *("lead_time_s", "origins", "prelabel_id"),
    ),
    "rejections": ("stage", "reason", "subject", "detail"),
}
"""What is read of each table, besides the fields of the label schema"""


def write_report(
    path: Path, corpus: Corpus, run_record: Mapping[str, Any], findings: Findings = _NOTHING_FOUND
) -> Path:
    """Write one self-contained HTML file about a corpus and its last run, and return its path.

    ``run_record`` holds ``recipe``, ``stages`` (each with ``stage``, ``seconds``, ``rows``, ``rejected``, ``skipped``,
    ``message``), ``versions`` (by name) and, if the run ended early, ``ended``: the reason.
    """
    return write_page(path, render_report(corpus, run_record, findings), name="report")


def render_report(corpus: Corpus, run_record: Mapping[str, Any], findings: Findings = _NOTHING_FOUND) -> str:
    """Return the report as HTML; see ``write_report``."""
    schema = corpus.labels
    # Arrow tables, since few rows of a large corpus are shown and the rest is only counted.
    tables = {name: corpus.read(name, [*names, *_fields_of(name, corpus)]) for name, names in _COLUMNS.items()}
    judgements = current_judgements(tables["annotations"], with_skipped=True)
    unjudged = len(judgements) - judgements["cannot_judge"].null_count
    judged = int(pc.count_distinct(judgements["item_id"]).as_py())
    faces = corpus.read("faces", ["face_id"]).num_rows
    stages = run_record.get("stages") or ()
    items = gallery(corpus, tables, findings)
    return render_page(
        "report.html",
        script="gallery.js" if items.cards else None,
        title=run_record.get("recipe") or corpus.workspace.recipe or "corpus",
        labels=schema.name,
        ended=run_record.get("ended"),
        notices=findings.notices,
        tiles=_tiles(tables, faces, judged, unjudged),
        funnel=funnel({**tables, "annotations": judgements}, findings.splits),
        stages=[{key: stage.get(key) for key in _STAGE_KEYS} for stage in stages],
        proposals=proposal_outcomes(tables["prelabels"]),
        accounts=accounts(stages),
        costs=costs(tables["prelabels"]),
        steps=_next_steps(tables, judged, findings.release),
        distributions=label_distributions(schema, tables["labels"]),
        soft=soft_labels(schema, tables["labels"]),
        affect=affect_plot(schema, tables["labels"]),
        against=compare_with_people(schema, {**tables, "annotations": judgements}),
        agreement={by: agreement_group(rows, by) for by, rows in findings.agreement.items() if rows},
        audit=audit_tables(findings.audit),
        zero=ZERO,
        pace=pace(judgements),
        balance=split_balance(schema, tables["labels"], findings.splits),
        gallery=items,
        page_items=PAGE_ITEMS,
        rejections=rejections_by_reason(tables["rejections"]),
        sources=source_rows(tables),
        versions=run_record.get("versions") or {},
    )


def _fields_of(table: str, corpus: Corpus) -> tuple[str, ...]:
    return tuple(corpus.labels.fields) if table in ("labels", "prelabels") else ()


def _tiles(tables: Mapping[str, pa.Table], faces: int, judged: int, unjudged: int) -> list[tuple[str, str]]:
    items = tables["items"]
    seconds = pc.sum(pc.subtract(pc.fill_null(items["end_s"], 0.0), pc.fill_null(items["start_s"], 0.0))).as_py()
    counts = {
        "face tracks": faces,
        "pre-labelled": final_proposals(tables["prelabels"]).num_rows,
        "seen by people": judged,
        "labelled by people": _labelled_by_people(tables["labels"]),
        "judgements that it cannot be judged": unjudged,
        "rejected": tables["rejections"].num_rows,
    }
    return [
        ("sources", f"{tables['sources'].num_rows:,}"),
        ("items", f"{items.num_rows:,}"),
        ("of speech and video", show_duration(seconds or 0.0)),
        *((name, f"{count:,}") for name, count in counts.items()),
    ]


def _labelled_by_people(labels: pa.Table) -> int:
    return int(labels.filter(pc.equal(labels["label_source"], "human")).num_rows)


def _released(release: str | None) -> str:
    """Return what is to do for a release; see ``Findings.release``."""
    if release is None:
        return ""
    return f", and release {release} holds all of it" if release else ". Run the recipe again to release what is new"


def _next_steps(tables: Mapping[str, pa.Table], judged: int, release: str | None) -> list[str]:
    labels, items, prelabels = tables["labels"], tables["items"], tables["prelabels"]
    by_model = labels.num_rows - _labelled_by_people(labels)
    waiting = items.num_rows - judged
    failed = pc.count_distinct(prelabels.filter(pc.equal(prelabels["outcome"], "error"))["item_id"]).as_py()
    steps = []
    if waiting > 0:
        steps += [
            f"{count_of(waiting, 'item')} {verb_of(waiting, 'has', 'have')} not been judged by people. "
            "`curate annotate up` starts Label Studio; `curate annotate push` sends items there.",
            "`curate annotate pull` fetches the judgements; run the recipe again to release them.",
        ]
    elif judged:
        steps.append(f"Every item has been judged{_released(release)}.")
    if failed:
        steps.append(
            f"An answer is missing for {count_of(failed, 'item')} (`error`). Run the recipe again to ask again."
        )
    if tables["rejections"].num_rows:
        steps.append("Look through the rejections below; files that you repair are picked up by the next run.")
    if by_model:
        steps.append(
            f"{count_of(by_model, 'label')} {verb_of(by_model, 'is a proposal', 'are proposals')} of a model. Do not "
            f"report results on {verb_of(by_model, 'it', 'them')} as if people had judged."
        )
    return steps
