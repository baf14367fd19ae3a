"""How good the offline labellers are on a corpus of your own, beside always saying the commonest label.

    python benchmarks/offline_elsewhere.py test_sent_emo.csv --text Utterance --label Emotion --taxonomy meld7.v1
    python benchmarks/offline_elsewhere.py emobank.csv --label V --cuts 2.75 3.25 --split test

The file is CSV or TSV with a text and one label in each row. A column of numbers is read with ``--cuts`` as negative,
neutral and positive (``sentiment3.v1``). An abstention counts as a wrong answer. Labels are not used for training.
"""

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.goemotions import f1_scores
from curate.labels import LabelSchema, load_taxonomy
from curate.labels.fields import Category
from curate.llm.labellers import open_offline
from curate.media.words.language import detect_languages


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", type=Path)
    options.add_argument("--text", default="text", help="the column with the text")
    options.add_argument("--label", default="emotion", help="the column with the label")
    options.add_argument("--taxonomy", default="ekman7.v1", help="the taxonomy of the labels")
    options.add_argument(
        "--cuts", type=float, nargs=2, help="numbers below the first are negative, above the second positive"
    )
    options.add_argument("--split", help="only rows whose column `split` is this")
    options.add_argument("--model", default="offline", choices=("offline", "lexicon", "vader", "textblob"))
    given = options.parse_args()
    taxonomy = load_taxonomy("sentiment3.v1" if given.cuts else given.taxonomy)
    rows = read_rows(given.file, given.split)
    texts = [row[given.text] for row in rows]
    if given.cuts:
        low, high = given.cuts
        truth = [
            "negative" if float(row[given.label]) < low else "positive" if float(row[given.label]) > high else "neutral"
            for row in rows
        ]
    else:
        truth = [(taxonomy.labels_for(row[given.label]) or ("",))[0] for row in rows]
    if unknown := Counter(row[given.label] for row, label in zip(rows, truth, strict=True) if not label):
        sys.exit(f"not a label of {taxonomy.taxonomy}: {', '.join(map(str, unknown))}")

    field = Category(name="emotion", type="category", taxonomy=taxonomy)
    schema = LabelSchema(name="measured.v1", unit="post", fields={"emotion": field})
    items = [
        {"text": text, "language": language} for text, language in zip(texts, detect_languages(texts), strict=True)
    ]
    proposals = open_offline(given.model).propose_many(items, schema)
    chosen = [proposal.values.get("emotion", "") for proposal in proposals]
    names = [name for name in taxonomy.names if name in truth]
    scores = f1_scores(one_hot(chosen, names), one_hot(truth, names).astype(np.float32))
    ((commonest, count),) = Counter(truth).most_common(1)
    always = f1_scores(one_hot([commonest] * len(truth), names), one_hot(truth, names).astype(np.float32))
    print(f"{len(texts):,} texts, labels of {taxonomy.taxonomy}      macro-F1   accuracy")
    correct = np.mean([label == true for label, true in zip(chosen, truth, strict=True)])
    print(f"{given.model:36} {scores.mean():.3f}      {correct:.3f}   ({chosen.count('') / len(chosen):.1%} abstained)")
    print(f"{'always ' + commonest:36} {always.mean():.3f}      {count / len(truth):.3f}")
    print("F1:", ", ".join(f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)))


def read_rows(path: Path, split: str | None) -> list[dict[str, str]]:
    """Return the rows of a CSV or TSV file with a header."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        delimiter = "\t" if "\t" in file.readline() else ","
        file.seek(0)
        return [row for row in csv.DictReader(file, delimiter=delimiter) if split in (None, row.get("split"))]


def one_hot(labels: list[str], names: list[str]) -> np.ndarray:
    """Return which label of ``names`` each is, of shape (labels, names)."""
    return np.array([[label == name for name in names] for label in labels])


if __name__ == "__main__":
    main()
