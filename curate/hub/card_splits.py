"""The part of a card on split schemes: shares reached, balance, what is kept apart, and what is withheld."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from curate.hub.card_sections import code, escape, table

_MAX_SPLITS = 12


def schemes_section(schemes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a card says of the schemes, after the table of the splits that divide the files.

    ``schemes`` holds the facts of each as the manifest does (see ``curate.release.schemes``).
    """
    parts = [text for facts in schemes.values() if facts["primary"] for text in _primary(facts)]
    secondary = {name: facts for name, facts in schemes.items() if not facts["primary"]}
    if secondary:
        rows = [[f"`split_{code(name)}`", escape(facts["rule"]), _sizes(facts)] for name, facts in secondary.items()]
        parts.append("Further ways to divide the same items are columns:")
        parts.append(table(["column", "how", "items"], rows))
        parts += [
            f"`split_{code(name)}`: {' '.join(sentences)}"
            for name, facts in secondary.items()
            if (sentences := _sentences(facts))
        ]
    return "".join(f"\n\n{part}" for part in parts)


def _primary(facts: Mapping[str, Any]) -> Iterator[str]:
    if len(facts["splits"]) > 1 and facts["wanted"]:
        total = sum(facts["splits"].values())
        shares = [
            f"`{code(name)}` {facts['splits'].get(name, 0) / total:.1%} of {wanted:.1%}"
            for name, wanted in facts["wanted"].items()
        ]
        yield f"Reached of the shares asked for: {', '.join(shares)}."
    if balance := _balance(facts):
        yield balance
    for name in facts["hidden"]:
        withheld = "The labels, judgements and pre-labels"
        yield f"{withheld} of split `{code(name)}` are withheld: this release has its items only."


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    """Return sentences on a scheme that is a column."""
    apart = [key for key, separation in facts["keys"].items() if separation["disjoint"] and separation["known"]]
    sentences = [f"{' and '.join(apart)} never occur in two splits." if len(apart) > 1 else ""]
    if len(apart) == 1:
        sentences = [f"No {apart[0]} occurs in two splits."]
    total = sum(facts["splits"].values()) + sum(facts["sizes"])
    for key, separation in facts["keys"].items():
        if separation["shared"]:
            sentences.append(f"{separation['shared']:,} values of {key} occur in more than one split.")
        if separation["disjoint"] and separation["known"] < total and key != "group":
            sentences.append(
                f"The {key} of {total - separation['known']:,} items is unknown, and may occur in several splits."
            )
    if facts["without"]:
        sentences.append(f"{facts['without']:,} items have no split.")
    return [escape(text) for text in [*sentences, _balance(facts)] if text]


def _balance(facts: Mapping[str, Any]) -> str:
    """Return how alike the labels of the splits are."""
    worst = [
        (max(distances.values()), name, max(distances, key=lambda split: distances[split]))
        for name, distances in facts["balance"].items()
    ]
    if not worst:
        return ""
    listing = ", ".join(f"{name} {distance:.2f} ({split})" for distance, name, split in worst)
    return (
        "Labels by split are at most this far from those of all items (total variation distance, 0: alike, 1: "
        f"nothing in common): {listing}."
    )


def _sizes(facts: Mapping[str, Any]) -> str:
    splits = facts["splits"]
    if splits and len(splits) <= _MAX_SPLITS:
        return ", ".join(f"{escape(name)} {count:,}" for name, count in splits.items())
    counts = sorted((*splits.values(), *facts["sizes"]))
    if not counts:
        return "none"
    return f"{len(counts):,} splits of {counts[0]:,} to {counts[-1]:,} items, median {median(counts):,g}"
