"""Agreement and consensus over many judgements: seconds, and the peak memory of a process of their own.

    python benchmarks/consensus.py [--judgements 1000000] [--items 1000000]

The reference is polars counting the votes of the same judgements by item and label.
"""

import argparse
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))
from curate.consensus.aggregate import aggregate
from curate.consensus.agreement.alpha import krippendorff_alpha
from curate.consensus.agreement.ratings import Ratings
from curate.consensus.agreement.sums import estimate
from curate.consensus.methods.dawid_skene import dawid_skene
from curate.consensus.methods.glad import glad
from curate.consensus.methods.mace import mace
from curate.consensus.settings import FieldSettings
from curate.corpus.spec import table_spec
from curate.labels import load_labels

LABELS = 8


def simulate(items: int, judgements: int, raters: int = 50) -> tuple[np.ndarray, Ratings]:
    """Return true values, and judgements by raters who know them in 30 to 95 % of cases."""
    rng = np.random.default_rng(7)
    truth = rng.choice(LABELS, items, p=[0.4, *[0.6 / 7] * 7])
    knows = rng.uniform(0.3, 0.95, raters)
    of_items = np.repeat(np.arange(items), judgements)
    of_raters = (rng.integers(0, raters, items)[:, None] + np.arange(judgements) * 7).ravel() % raters
    known = rng.random(len(of_items)) < knows[of_raters]
    return truth, Ratings(
        of_items, of_raters, np.where(known, truth[of_items], rng.integers(0, LABELS, len(of_items))), range(LABELS)
    )


def run_method(method, items: int) -> str:
    truth, ratings = simulate(items, 5)
    began, cpu = time.monotonic(), time.process_time()
    result = method(ratings)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    right = (result.probabilities.argmax(axis=1) == truth).mean()
    return f"{seconds:.1f} s ({cpu:.1f} CPU s), {result.rounds} rounds, {right:.1%} right"


def run_alpha(metric: str) -> str:
    _, ratings = simulate(100_000, 3)
    began = time.monotonic()
    result = estimate(krippendorff_alpha(ratings.counts(), metric), draws=1_000)
    return f"{time.monotonic() - began:.1f} s, {result.value:.4f} ({result.low:.4f} to {result.high:.4f})"


def make_tables(items: int, *, people: int) -> tuple[pa.Table, pa.Table]:
    """Return annotations by ``people`` raters of each item, or else a proposal for each."""
    labels = load_labels("utterance_emotion.v1")
    rng = np.random.default_rng(7)
    count = items * max(people, 1)
    names = np.array(labels.fields["emotion"].labels)
    ids = pl.Series(np.repeat(np.arange(items), max(people, 1))).cast(pl.String).str.zfill(64)
    numbers = pl.Series(np.arange(count)).cast(pl.String).str.zfill(64)
    values = {
        "emotion": pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1), pa.int32()), pa.array(names[rng.integers(0, 7, count)])
        ),
        "intensity": pa.array(rng.integers(1, 6, count).astype(float)),
        "valence": pa.array(np.round(rng.uniform(-1, 1, count), 2)),
        "item_id": ids.to_arrow().cast(pa.string()),
    }
    filled = {
        "annotations": {
            "annotation_id": numbers.to_arrow().cast(pa.string()),
            "judgement_id": numbers.to_arrow().cast(pa.string()),
            "annotator": pa.array([f"r{n}" for n in range(50)]).take(pa.array(np.arange(count) % 50)),
            "action": pa.array(["created"]).take(pa.array(np.zeros(count, np.int64))),
            "acted_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)]).take(pa.array(np.zeros(count, np.int64))),
        },
        "prelabels": {
            "prelabel_id": numbers.to_arrow().cast(pa.string()),
            "labeller": pa.array(["offline"]).take(pa.array(np.zeros(count, np.int64))),
            "final": pa.array(np.ones(count, np.bool_)),
            "outcome": pa.array(["ok"]).take(pa.array(np.zeros(count, np.int64))),
        },
    }
    tables = []
    for name, columns in filled.items():
        schema = table_spec(name, labels).schema
        has_rows = (name == "annotations") == (people > 0)
        every = {**values, **columns}
        arrays = [every.get(field.name, pa.nulls(count, field.type)).cast(field.type) for field in schema]
        tables.append(pa.Table.from_arrays(arrays, schema=schema) if has_rows else schema.empty_table())
    return tables[0], tables[1]


def run_aggregate(items: int, people: int, method: str = "majority") -> str:
    annotations, prelabels = make_tables(items, people=people)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    judged = annotations if people else prelabels
    began = time.process_time()
    pl.from_arrow(judged.select(["item_id", "emotion"])).explode("emotion").group_by("item_id", "emotion").len()
    reference = time.process_time() - began
    began, cpu = time.monotonic(), time.process_time()
    rows = aggregate(load_labels("utterance_emotion.v1"), annotations, prelabels, settings=FieldSettings(method=method))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    tables = (annotations.nbytes + prelabels.nbytes) / 2**20
    about = f"{rows.num_rows:,} rows, {cpu / reference:.0f} x counting; input {tables:,.0f} MB"
    return f"{seconds:.1f} s ({cpu:.1f} CPU s) for {about}, peak before {before / 1024:,.0f} MB"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--judgements", type=int, default=1_000_000)
    options.add_argument("--items", type=int, default=1_000_000)
    options.add_argument("--only", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    jobs = {
        "alpha, nominal, 1,000 draws": lambda: run_alpha("nominal"),
        "alpha, ordinal, 1,000 draws": lambda: run_alpha("ordinal"),
        "alpha, interval, 1,000 draws": lambda: run_alpha("interval"),
        "Dawid-Skene": lambda: run_method(dawid_skene, chosen.judgements // 5),
        "MACE": lambda: run_method(mace, chosen.judgements // 5),
        "GLAD": lambda: run_method(glad, chosen.judgements // 50),
        "aggregate, proposals": lambda: run_aggregate(chosen.items, 0),
        "aggregate, one person an item": lambda: run_aggregate(chosen.items, 1),
        "aggregate, three people an item": lambda: run_aggregate(chosen.items // 3, 3),
        "aggregate, Dawid-Skene": lambda: run_aggregate(chosen.items // 3, 3, "dawid_skene"),
    }
    if chosen.only:
        print(jobs[chosen.only]())
        return
    for name in jobs:
        command = [sys.executable, __file__, "--only", name, "--items", str(chosen.items)]
        done = subprocess.run(
            [*command, "--judgements", str(chosen.judgements)], stdout=subprocess.PIPE, text=True, check=True
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{name:34}{done.stdout.strip()}; greatest peak so far {peak:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
