"""What the offline labeller is trained and measured with: GoEmotions as its authors publish it, and F1."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def read_split(folder: Path, split: str, labels: int) -> tuple[list[str], Matrix]:
    """The texts of `<split>.tsv` and which labels each has (0 or 1). There is no header, and quotes mean nothing."""
    rows = [line.split("\t") for line in (folder / f"{split}.tsv").read_text("utf-8").split("\n") if line]
    truth = np.zeros((len(rows), labels), np.float32)
    for at, (_, ids, *_) in enumerate(rows):
        truth[at, [int(each) for each in ids.split(",")]] = 1
    return [row[0] for row in rows], truth


def best_thresholds(scores: NDArray, truth: NDArray) -> NDArray[np.float64]:
    """For every label the threshold with the best F1."""
    found = []
    for score, true in zip(scores.T, truth.T, strict=True):
        order = np.argsort(-score, kind="stable")
        hits = np.cumsum(true[order])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + true.sum())
        # Equal scores stand or fall together.
        last = np.append(np.diff(score[order]) != 0, True)
        best = int(np.argmax(np.where(last, f1, 0)))
        below = score[order][best + 1] if best + 1 < len(order) else 0.0
        found.append((score[order][best] + below) / 2)
    return np.array(found)


def f1_scores(chosen: NDArray[np.bool_], truth: NDArray) -> NDArray[np.float64]:
    """F1 of every label."""
    hits = (chosen & (truth > 0)).sum(0)
    return 2 * hits / np.maximum(chosen.sum(0) + truth.sum(0), 1)


def calibration_error(probabilities: NDArray, truth: NDArray, bins: int = 10) -> float:
    """How far, on average over all judgements, what is promised lies from what comes true (ECE, bins of one width)."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1).ravel()
    gaps = np.bincount(place, (probabilities - truth).ravel(), minlength=bins)
    return float(np.abs(gaps).sum() / truth.size)
