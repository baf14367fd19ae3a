"""Train the model behind `{stage: prelabel, model: offline}` and write its weights.

    python benchmarks/train_offline_words.py FOLDER [--rows 90000] [--out curate/llm/labellers/goemotions.v1.npz]

FOLDER holds `train.tsv`, `dev.tsv` and `labels.txt` of GoEmotions (Demszky, D. et al. (2020). GoEmotions: a dataset of
fine-grained emotions. ACL 2020; CC BY 4.0; github.com/google-research/google-research/tree/master/goemotions).

A logistic regression for each of the 28 labels over the n-grams of `curate.llm.labellers.features`. It is fitted on all
n-grams that two training texts have, those that move the scores most are kept, and it is fitted again on these; the
weights become 8-bit integers. The development texts give the calibration and the thresholds. Takes some minutes on one
core; the same data, processor and versions of numpy and scipy give the same bytes.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # sums in another order end in other weights

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.goemotions import best_thresholds, read_split
from curate.llm.labellers.features import count_ngrams
from curate.llm.labellers.model import EmotionModel, Vocabulary

LEAST_TEXTS = 2
STRENGTH = 2.5
"""The inverse of the penalty on squared weights."""
STEPS = 80
IDF_UNIT = 24

Matrix = NDArray[np.float32]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, help="the data of GoEmotions")
    options.add_argument("--rows", type=int, default=90_000, help="how many n-grams to keep")
    options.add_argument("--out", type=Path, default=Path("curate/llm/labellers/goemotions.v1.npz"))
    given = options.parse_args()
    labels = (given.folder / "labels.txt").read_text("utf-8").split()
    texts, truth = read_split(given.folder, "train", len(labels))

    found = count_ngrams(texts)
    seen = np.bincount(found.buckets)
    buckets = np.flatnonzero(seen >= LEAST_TEXTS)
    idf = np.round(IDF_UNIT * (1 + np.log((1 + len(texts)) / (1 + seen[buckets])))).astype(np.uint8)
    weights, _ = fit(design(texts, buckets, idf), truth)
    print(f"{len(buckets):,} n-grams")

    moved = np.square(weights).sum(1) * np.square(idf.astype(float)) * seen[buckets]
    kept = np.sort(np.argsort(-moved, kind="stable")[: given.rows])
    buckets, idf = buckets[kept], idf[kept]
    weights, bias = fit(design(texts, buckets, idf), truth)

    scales = np.abs(weights).max(0) / 127
    arrays = {
        "labels": np.array(labels),
        "bucket_steps": np.diff(buckets, prepend=0).astype(np.uint32),
        "idf": idf,
        "idf_unit": np.float32(IDF_UNIT),
        "weights": np.round(weights / scales).astype(np.int8),
        "scales": scales.astype(np.float32),
        "bias": bias.astype(np.float32),
        "thresholds": np.zeros(len(labels), np.float32),
        "frequencies": truth.mean(0).astype(np.float32),
    }
    texts, truth = read_split(given.folder, "dev", len(labels))
    calibrate(arrays, EmotionModel(arrays).probabilities(texts), truth)
    arrays["thresholds"] = best_thresholds(EmotionModel(arrays).probabilities(texts), truth).astype(np.float32)
    np.savez_compressed(given.out, **arrays)
    print(f"{given.out}: {given.out.stat().st_size:,} bytes")


def design(texts: list[str], buckets: NDArray[np.int64], idf: NDArray[np.uint8]) -> sparse.csr_matrix:
    """The vectors of texts as the rows of a matrix."""
    vectors = Vocabulary(buckets, idf.astype(np.float32) / IDF_UNIT).vectors(texts)
    return sparse.csr_matrix((vectors.values, (vectors.texts, vectors.rows)), shape=(len(texts), len(buckets)))


def fit(vectors: sparse.csr_matrix, truth: Matrix) -> tuple[Matrix, Matrix]:
    """Weights and biases of the logistic regressions."""
    size, count = vectors.shape[1], truth.shape[1]
    turned = vectors.T.tocsr()

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        at = flat.reshape(size + 1, count).astype(np.float32)
        logits = vectors @ at[:size] + at[size]
        value = np.logaddexp(0, logits).sum(dtype=float) - (logits * truth).sum(dtype=float)
        value += 0.5 / STRENGTH * np.square(flat[: size * count]).sum()
        error = 1 / (1 + np.exp(-logits)) - truth
        slope = np.vstack([turned @ error + at[:size] / STRENGTH, error.sum(0)])
        return value, slope.ravel().astype(np.float64)

    start = np.zeros((size + 1, count))
    start[size] = np.log(truth.mean(0) / (1 - truth.mean(0)))
    options = {"maxiter": STEPS, "maxcor": 6}
    best = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(size + 1, count)
    return best[:size].astype(np.float32), best[size].astype(np.float32)


def calibrate(arrays: dict[str, NDArray], probabilities: NDArray[np.float64], truth: Matrix) -> None:
    """Stretch and shift the logits so that of the texts given 0.7, 70 % have the label (Platt scaling)."""
    inside = np.clip(probabilities, 1e-4, 1 - 1e-4)
    logits = np.log(inside / (1 - inside))

    def loss(at: NDArray[np.float64]) -> float:
        moved = at[0] * logits + at[1:]
        # A label of a dozen texts says little about its own shift: it is held near none.
        return float((np.logaddexp(0, moved) - moved * truth).sum() + 2 * np.square(at[1:]).sum())

    best = minimize(loss, np.array([1.0, *[0.0] * truth.shape[1]]), method="L-BFGS-B").x
    arrays["scales"] = (arrays["scales"] * best[0]).astype(np.float32)
    arrays["bias"] = (arrays["bias"] * best[0] + best[1:]).astype(np.float32)
    print("stretched by", round(float(best[0]), 3), "shifted by up to", round(float(np.abs(best[1:]).max()), 3))


if __name__ == "__main__":
    main()
