"""How good, sure, small and fast the offline labeller is on the test split of GoEmotions.

    python benchmarks/offline_labeller.py FOLDER

FOLDER holds the data of GoEmotions (see `benchmarks/train_offline_words.py`). Thresholds come from its dev split, all
figures from its test split. Speed is CPU time, with the ratio to a plain loop that lowers and splits the same texts.
The ablations keep the weights that ship and leave something out; `lexicon` is the labeller by words of the taxonomy.
"""

import argparse
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.goemotions import best_thresholds, calibration_error, f1_scores, read_split
from curate.labels import LabelSchema, load_taxonomy
from curate.labels.fields import Category
from curate.labels.maps import TaxonomyMap, load_map
from curate.llm.labellers import OfflineName, open_offline
from curate.llm.labellers.model import EmotionModel, emotion_model
from curate.llm.labellers.ngrams import SOURCE, mapped_labels

EKMAN = "ekman7.v1"
LIMIT_F1, LIMIT_BYTES = 0.57, 3_000_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path, help="the data of GoEmotions")
    folder = options.parse_args().folder
    model = emotion_model()
    dev, dev_truth = read_split(folder, "dev", len(model.labels))
    test, truth = read_split(folder, "test", len(model.labels))
    probabilities = {"dev": model.probabilities(dev), "test": model.probabilities(test)}
    found = load_map(SOURCE, EKMAN)
    reached = mapped_labels(found)
    ekman = {name: reached.map_probabilities(each)[0] for name, each in probabilities.items()}
    ekman_dev, ekman_truth = mapped(dev_truth, found), mapped(truth, found)

    tuned = f1_scores(ekman["test"] >= best_thresholds(ekman["dev"], ekman_dev), ekman_truth)
    shipped = f1_scores(ekman["test"] >= reached.thresholds, ekman_truth)
    chosen = f1_scores(proposed("offline", test, EKMAN), ekman_truth)
    fine = f1_scores(probabilities["test"] >= model.thresholds, truth)
    print(f"{len(test):,} test texts                 macro-F1   calibration error")
    error = calibration_error(ekman["test"], ekman_truth)
    print(f"Ekman, thresholds tuned on dev   {tuned.mean():.4f}     {error:.4f}   (limit {LIMIT_F1})")
    print(f"Ekman, thresholds of the labeller{shipped.mean():7.4f}")
    print(f"Ekman, as proposed               {chosen.mean():.4f}")
    print(
        f"GoEmotions, 28 labels            {fine.mean():.4f}     {calibration_error(probabilities['test'], truth):.4f}"
    )
    print("\nF1 by label")
    for name, value in sorted([*zip(reached.names, tuned, strict=True)], key=lambda each: -each[1]):
        print(f"  {name:16}{value:.3f}")
    print("  of the 28:", ", ".join(f"{name} {value:.2f}" for name, value in zip(model.labels, fine, strict=True)))

    print("\nwithout                          Ekman     28 labels")
    for name, arrays in ablations().items():
        other = EmotionModel(arrays)
        scores = [other.probabilities(dev), other.probabilities(test)]
        wide = best_f1(*(reached.map_probabilities(each)[0] for each in scores), ekman_dev, ekman_truth)
        print(f"{name:32} {wide:.4f}    {best_f1(*scores, dev_truth, truth):.4f}")
    print(f"{'all but the words (lexicon)':32} {f1_scores(proposed('lexicon', test, EKMAN), ekman_truth).mean():.4f}")

    weights = resources.files("curate.llm.labellers").joinpath("goemotions.v1.npz").read_bytes()
    print(f"\nweights {len(weights):,} bytes (limit {LIMIT_BYTES:,})")
    plain = seconds(lambda: [text.lower().split() for text in test])
    for title, run in (
        ("probabilities", lambda: model.probabilities(test)),
        ("proposals: offline", lambda: proposed("offline", test, EKMAN)),
        ("proposals: lexicon", lambda: proposed("lexicon", test, EKMAN)),
        ("proposals: vader", lambda: proposed("vader", test, "sentiment3.v1")),
        ("proposals: textblob", lambda: proposed("textblob", test, "sentiment3.v1")),
    ):
        took = seconds(run)
        print(f"{title:24}{len(test) / took:9,.0f} texts/s   {took / plain:6.0f} x lower and split")


def mapped(truth: NDArray, found: TaxonomyMap) -> NDArray[np.float32]:
    """What is true, in the labels of another taxonomy."""
    becomes = np.array(
        [[target in found.weights[name] for target in found.target.names] for name in found.source.names], np.float32
    )
    return (truth @ becomes > 0).astype(np.float32)


def proposed(model: OfflineName, texts: list[str], taxonomy: str) -> NDArray[np.bool_]:
    """Which labels of a taxonomy a labeller proposes for texts."""
    field = Category(name="emotion", type="category", taxonomy=load_taxonomy(taxonomy), multiple=True)
    labels = LabelSchema(name="measured.v1", unit="post", fields={"emotion": field})
    items = [{"text": text, "language": "en"} for text in texts]
    proposals = open_offline(model).propose_many(items, labels)
    return np.array([[name in each.values.get("emotion", ()) for name in field.labels] for each in proposals])


def ablations() -> dict[str, dict[str, NDArray]]:
    """The shipped weights with some of them left out."""
    packed = resources.files("curate.llm.labellers").joinpath("goemotions.v1.npz")
    with packed.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        whole = dict(arrays)
    words = np.cumsum(whole["bucket_steps"].astype(np.int64)) >= 1 << 20
    moved = np.square(whole["weights"] * whole["scales"]).sum(1)
    half = moved < np.median(moved)
    kept = {"nothing": np.zeros_like(words), "words and pairs": words, "characters": ~words, "the weaker half": half}
    return {name: {**whole, "weights": np.where(gone[:, None], 0, whole["weights"])} for name, gone in kept.items()}


def best_f1(dev: NDArray, test: NDArray, dev_truth: NDArray, truth: NDArray) -> float:
    """Macro-F1 with thresholds from dev."""
    return float(f1_scores(test >= best_thresholds(dev, dev_truth), truth).mean())


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of the faster of two runs."""
    took = []
    for _ in range(2):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return min(took)


if __name__ == "__main__":
    main()
