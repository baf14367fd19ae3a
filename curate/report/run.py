"""Write the report of a run: what was done, what came of it, and what to do next."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.view import Corpus
from curate.files import write_whole
from curate.labels import LabelSchema
from curate.report.figures import Bar, bar_table, histogram
from curate.report.sections.items import item_cards, rows_with, standing
from curate.report.sections.models import models_section
from curate.report.words import show_count, show_duration, show_text

_MOST_SOURCES = 100
_EXAMPLES = 5

Row = dict[str, Any]


def write_report(path: Path, corpus: Corpus, run_record: Mapping[str, Any]) -> Path:
    """Write one self-contained HTML file about a run, and give its path.

    ``run_record`` holds ``recipe``, ``stages`` (each with ``stage``, ``seconds``, ``rows``, ``rejected``, ``skipped``,
    ``message``), ``versions`` (by name) and, where the run ended before its end, ``ended``: why. At most 200 items are
    shown, spread evenly over the corpus. Nothing in the file is fetched from elsewhere or run.
    """
    write_whole(path, render_report(corpus, run_record).encode("utf-8", "replace"))
    return path


def render_report(corpus: Corpus, run_record: Mapping[str, Any]) -> str:
    """The report as HTML."""
    shown = {
        "items": ("item_id", "source_id", "layout", "start_s", "end_s", "speaker", "text", "face"),
        "sources": ("source_id", "file", "kind", "title", "collection", "licence", "duration_s"),
        "labels": ("item_id", "label_source", *corpus.labels.fields),
        "prelabels": ("item_id", "labeller", "final", "outcome", "detail", *corpus.labels.fields),
        "rejections": ("stage", "reason", "subject", "detail"),
    }
    # As Arrow: of a large corpus few rows are shown, and the rest is only counted.
    tables = {name: corpus.read(name, columns) for name, columns in shown.items()}
    rejections = tables["rejections"].to_pylist()
    people = set(corpus.read("annotations", ["item_id"])["item_id"].to_pylist())
    faces = corpus.read("faces", ["face_id"]).num_rows
    recipe = escape(str(run_record.get("recipe") or "corpus"))
    body = [
        f"<h1>{recipe}</h1>",
        f'<p class="soft">What this run did, and what the corpus holds now. Labels: {escape(corpus.labels.name)}.</p>',
        f'<p class="ended">It ended before its end: {show_text(ended)}.</p>'
        if (ended := run_record.get("ended"))
        else "",
        _tiles(tables, faces, len(people)),
        _stages(run_record.get("stages") or ()),
        models_section(tables["prelabels"], run_record.get("stages") or ()),
        _next_steps(tables, people),
        _distributions(corpus.labels, tables["labels"]),
        item_cards(tables, corpus.labels, corpus.workspace.blobs),
        _rejections(rejections),
        _sources(tables),
        _footer(run_record.get("versions") or {}),
    ]
    style = (files("curate.report") / "run.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{recipe}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _tiles(tables: Mapping[str, pa.Table], faces: int, judged: int) -> str:
    items = tables["items"]
    seconds = pc.sum(pc.subtract(pc.fill_null(items["end_s"], 0.0), pc.fill_null(items["start_s"], 0.0))).as_py()
    figures = [
        ("sources", f"{tables['sources'].num_rows:,}"),
        ("items", f"{items.num_rows:,}"),
        ("of speech and video", show_duration(seconds or 0.0)),
        ("face tracks", f"{faces:,}"),
        ("pre-labelled", f"{standing(tables['prelabels']).num_rows:,}"),
        ("seen by people", f"{judged:,}"),
        ("labelled by people", f"{_by_people(tables['labels']):,}"),
        ("rejected", f"{tables['rejections'].num_rows:,}"),
    ]
    tiles = "".join(f'<div class="panel"><b>{number}</b><span>{what}</span></div>' for what, number in figures)
    return f'<div class="tiles">{tiles}</div>'


def _by_people(labels: pa.Table) -> int:
    return int(labels.filter(pc.equal(labels["label_source"], "human")).num_rows)


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for stage in stages:
        counts = "".join(
            f'<td class="number">{show_count(stage.get(key))}</td>' for key in ("rows", "rejected", "skipped")
        )
        rows.append(
            f"<tr><th scope=row>{show_text(stage.get('stage'))}</th>{counts}"
            f'<td class="number">{stage.get("seconds") or 0:.1f} s</td><td>{_outcome(stage)}</td></tr>'
        )
    head = "".join(f'<th class="number">{name}</th>' for name in ("new", "rejected", "already done", "time"))
    head = f"<thead><tr><th>stage</th>{head}<th></th></tr></thead>"
    table = f'<table class="stages">{head}<tbody>{"".join(rows)}</tbody></table>'
    return f'<h2>What was done</h2><div class="panel">{table}</div>' if rows else ""


def _outcome(stage: Mapping[str, Any]) -> str:
    counts = " · ".join(f"{number:,} {name}" for name, number in (stage.get("counts") or {}).items())
    return "; ".join(show_text(part) for part in (stage.get("message"), counts) if part)


def _next_steps(tables: Mapping[str, pa.Table], people: set[str]) -> str:
    model = tables["labels"].num_rows - _by_people(tables["labels"])
    waiting = tables["items"].num_rows - len(people)
    steps = []
    if waiting > 0:
        steps.append(
            f"{waiting:,} items have not been judged by people. <code>curate annotate up</code> starts Label Studio; "
            "<code>curate annotate push</code> puts the items there."
        )
        steps.append(
            "<code>curate annotate pull</code> brings the judgements back; run the recipe again to release them."
        )
    elif people:
        steps.append("Every item has been judged. Run the recipe again to release what is new.")
    prelabels = tables["prelabels"]
    failed = pc.count_distinct(prelabels.filter(pc.equal(prelabels["outcome"], "error"))["item_id"]).as_py()
    if failed:
        items = "item" if failed == 1 else "items"
        steps.append(
            f"An answer is missing for {failed:,} {items} (<code>error</code>). Run the recipe again to ask again."
        )
    if tables["rejections"].num_rows:
        steps.append("Look through what was rejected below; mended files are picked up by the next run.")
    if model:
        steps.append(
            f"{model:,} labels are a model's proposals. Do not report results on them as if people had given them."
        )
    return (
        f'<h2>Next steps</h2><div class="panel"><ol>{"".join(f"<li>{step}</li>" for step in steps)}</ol></div>'
        if steps
        else ""
    )


def _distributions(schema: LabelSchema, labels: pa.Table) -> str:
    panels = []
    for name, field in schema.fields.items():
        given = labels.select([name, "label_source"]).filter(pc.is_valid(labels[name]))
        if not given.num_rows:
            continue
        if field.labels:
            counts: dict[str, Counter[str]] = defaultdict(Counter)
            for value, source in zip(given[name].to_pylist(), given["label_source"].to_pylist(), strict=True):
                for label in field.labels_of(value):
                    counts[label]["human" if source == "human" else "model"] += 1
            order = sorted(counts, key=lambda label: -counts[label].total())
            bars = [Bar(label, {kind: counts[label][kind] for kind in ("human", "model")}) for label in order]
        else:
            numbers = [field.number_of(value) for value in given[name].to_pylist()]
            known = [number for number in numbers if number is not None]
            bars = histogram(known) if known else []
        if not bars:
            continue
        panels.append(f'<div class="panel"><h3>{escape(name)}</h3>{bar_table(bars)}</div>')
    if not panels:
        return ""
    key = '<p><span class="key human">given by people</span><span class="key model">proposed by a model</span></p>'
    return f'<h2>Labels</h2>{key}<div class="columns">{"".join(panels)}</div>'


def _rejections(rejections: Sequence[Row]) -> str:
    if not rejections:
        return ""
    by_reason: dict[str, list[Row]] = defaultdict(list)
    for row in rejections:
        by_reason[f"{row['stage']}: {row['reason']}"].append(row)
    order = sorted(by_reason, key=lambda reason: (-len(by_reason[reason]), reason))
    bars = bar_table([Bar(reason, {"bad": len(by_reason[reason])}) for reason in order])
    rows = "".join(
        f"<tr><th scope=row>{show_text(reason)}</th><td>{show_text(row['subject'])}</td>"
        f"<td>{show_text(row['detail'])}</td></tr>"
        for reason in order
        for row in by_reason[reason][:_EXAMPLES]
    )
    head = "<thead><tr><th>reason</th><th>what</th><th>detail</th></tr></thead>"
    return (
        f'<h2>Rejected</h2><div class="panel">{bars}</div><p></p>'
        f'<div class="panel"><table>{head}<tbody>{rows}</tbody></table></div>'
    )


def _sources(tables: Mapping[str, pa.Table]) -> str:
    sources = tables["sources"]
    if not sources.num_rows:
        return ""
    first = sources.sort_by([("collection", "ascending"), ("file", "ascending")]).slice(0, _MOST_SOURCES).to_pylist()
    counts = Counter(
        rows_with(tables["items"], "source_id", (row["source_id"] for row in first))["source_id"].to_pylist()
    )
    rows = "".join(
        f"<tr><th scope=row dir=auto>{show_text(row['title'] or row['file'])}</th><td>{show_text(row['kind'])}</td>"
        f'<td class="number">{show_duration(row["duration_s"]) if row["duration_s"] else ""}</td>'
        f"<td>{show_text(row['collection'])}</td><td>{show_text(row['licence'] or 'not stated')}</td>"
        f'<td class="number">{counts[row["source_id"]]:,}</td></tr>'
        for row in first
    )
    head = (
        '<thead><tr><th>source</th><th>kind</th><th class="number">length</th><th>collection</th><th>licence</th>'
        '<th class="number">items</th></tr></thead>'
    )
    more = sources.num_rows - len(first)
    note = f'<p class="soft">and {more:,} more</p>' if more > 0 else ""
    return f'<h2>Sources</h2><div class="panel"><table>{head}<tbody>{rows}</tbody></table>{note}</div>'


def _footer(versions: Mapping[str, Any]) -> str:
    named = " · ".join(f"{show_text(name)} {show_text(version)}" for name, version in versions.items())
    return f"<footer>{named}</footer>"
