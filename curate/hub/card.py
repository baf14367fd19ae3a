"""The dataset card: YAML for the Hub and a description for people, made from statistics and a template."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from string import Template
from typing import Any, NamedTuple, Protocol

import yaml

from curate.errors import InvalidInput

# fmt: off
LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "cc0-1.0",
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
    "odc-by", "odbl", "pddl",
})
# fmt: on
"""Licence ids of the Hub for data sets; SPDX ids differ from them only in case."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~:@$^=])")
_MAX_CHARS = 200


class Counts(Protocol):
    """Statistics of the rows of a release; split and label names are keys."""

    rows: Any
    seconds: Any
    label_sources: Any
    units: Any
    raters: Any
    origins: Any
    models: Any
    speakers: Any
    annotators: Any
    classes: Any
    values: Any
    numbers: Any
    agreement: Any

    @property
    def sources(self) -> Any: ...


class CardFacts(NamedTuple):
    """The facts of a card apart from statistics."""

    name: str
    version: str
    content_sha256: str
    recipe: str
    label_schema: str
    fields: Mapping[str, str]
    """A Markdown line for each label field."""
    features: Sequence[Mapping[str, Any]]
    """The columns in the form of ``dataset_info``."""
    disjoint_by: Sequence[str]
    tool: str
    notices: Sequence[str] = ()
    """Notices about the tools used, such as their licences."""


def render_card(template: str, facts: CardFacts, counts: Counts) -> str:
    """Return the card. ``template`` is Markdown with ``$header`` in its YAML block and any of the other ``$names``.

    Raises ``InvalidInput`` for an unknown ``$name``, and if the result does not begin with a valid YAML block.
    """
    values = {
        "header": _header(facts, counts),
        "name": escape(facts.name),
        "version": _code(facts.version),
        "content_sha256": facts.content_sha256,
        "recipe": _code(facts.recipe),
        "tool": escape(facts.tool),
        "label_schema": _code(facts.label_schema),
        "warning": _warning(counts),
        "summary": _summary(counts),
        "schema": "\n".join(f"- {_schema_line(line)}" for line in facts.fields.values()),
        "splits": _splits(facts, counts),
        "labels": _labels(facts, counts),
        "review": _review(counts),
        "provenance": _provenance(facts, counts),
        "first_split": next(iter(counts.rows), "train"),
    }
    try:
        card = Template(template).substitute(values)
    except (KeyError, ValueError) as error:
        names = ", ".join(f"${name}" for name in values)
        raise InvalidInput(
            f"the data card template has an unknown placeholder: {error}", hint=f"valid: {names}"
        ) from error
    _check_front_matter(card)
    return card


def escape(text: str) -> str:
    """Return text from outside as one line of Markdown without any markup."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    line = line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"
    line = _MARKUP.sub(r"\\\1", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _schema_line(line: str) -> str:
    """Return a field's description with its names in bold and as code, and everything else without markup."""
    parts = re.split(r"(\*\*[\w-]+\*\*|`[^`\n]*`)", " ".join(line.split()))
    plain = (re.sub(r"([\\`*_\[\]!|$])", r"\\\1", part) for part in parts[::2])
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for part in plain]
    return "".join(parts)


def _code(text: str) -> str:
    """Return text for use between backticks."""
    return "".join(char for char in text if char.isprintable() and char != "`")[:_MAX_CHARS]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with numbers aligned to the right; cells are Markdown."""
    numeric = [all(row[column][:1].isdigit() for row in rows) for column in range(len(head))]
    rule = ["--:" if right else ":--" for right in numeric]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def hub_licences(stated: Sequence[str]) -> list[str]:
    """Return the Hub's ids of licences as stated by sources; the rest become ``other`` or ``unknown``."""
    ids = set()
    for licence in stated:
        plain = licence.strip().lower()
        ids.add(plain if plain in LICENCES else "unknown" if plain in ("", "not stated") else "other")
    return sorted(ids) or ["unknown"]


def _header(facts: CardFacts, counts: Counts) -> str:
    licences = hub_licences([licence for _, licence in counts.origins])
    total = sum(counts.rows.values())
    header: dict[str, Any] = {
        "pretty_name": facts.name,
        "license": licences if len(licences) > 1 else licences[0],
        **({"license_name": "stated-for-each-source"} if "other" in licences else {}),
        "tags": ["affective-computing", "emotion", "human-annotation"],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts.rows],
            }
        ],
        "dataset_info": {"features": [dict(feature) for feature in facts.features]},
    }
    text: str = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")


def _check_front_matter(card: str) -> None:
    match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    try:
        header = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise InvalidInput(f"the data card's YAML block is not valid: {error}", hint="correct the template") from error
    if not isinstance(header, dict):
        raise InvalidInput("the data card does not begin with a YAML block", hint="begin the template with ---")


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "0%"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"


def _total_sources(counts: Counts) -> dict[str, int]:
    total = dict.fromkeys(("human", "model", "none"), 0)
    for sources in counts.label_sources.values():
        for source, count in sources.items():
            total[source] = total.get(source, 0) + count
    return total


def _warning(counts: Counts) -> str:
    sources = _total_sources(counts)
    total = sum(sources.values())
    if sources["human"] == total:
        return "Every label was given by people."
    lines = []
    if sources["model"]:
        lines.append(
            f"> **{_share(sources['model'], total)} of the items ({sources['model']} of {total}) carry unreviewed "
            "model output as label.** They have `reviewed = false`: results on them are agreement with that model."
        )
    if sources["none"]:
        lines.append(f"> {sources['none']} of {total} items have no label yet.")
    return "\n>\n".join(lines)


def _summary(counts: Counts) -> str:
    units = ", ".join(f"{count:,} × {escape(unit)}" for unit, count in sorted(counts.units.items()))
    seconds = sum(counts.seconds.values())
    length = f", {_duration(seconds)}" if seconds else ""
    sources = sum(counts.sources.values())
    speakers = f" by {len(counts.speakers)} named speakers" if counts.speakers else ""
    return f"{units}{length}, from {sources:,} sources{speakers}."


def _splits(facts: CardFacts, counts: Counts) -> str:
    rows = [
        [
            f"`{split}`",
            f"{count:,}",
            _duration(counts.seconds[split]),
            *(_share(counts.label_sources[split][source], count) for source in ("human", "model", "none")),
        ]
        for split, count in counts.rows.items()
    ]
    text = table(["split", "items", "length", "labelled by people", "by a model", "not labelled"], rows)
    if len(counts.rows) > 1 and facts.disjoint_by:
        text += f"\n\nNo {' and no '.join(facts.disjoint_by)} occurs in more than one split."
    return text


def _labels(facts: CardFacts, counts: Counts) -> str:
    total = sum(counts.rows.values())
    parts = []
    for name in facts.fields:
        value_count = counts.values[name]
        text = f"### `{name}`\n\nGiven for {value_count:,} of {total:,} items."
        if by_split := counts.classes.get(name):
            label_counts = sum(by_split.values(), Counter[str]())
            greatest = max(label_counts.values())
            rows = [
                [escape(label), f"{count:,}", _share(count, value_count), "█" * max(1, round(20 * count / greatest))]
                for label, count in sorted(label_counts.items(), key=lambda entry: (-entry[1], entry[0]))
            ]
            text += "\n\n" + table(["label", "items", "share", ""], rows)
        elif numbers := counts.numbers.get(name):
            text += f" Mean {fmean(numbers.elements()):.2f}, minimum {min(numbers):g}, maximum {max(numbers):g}."
        if values := counts.agreement.get(name):
            text += f"\n\nRaters of the same item agree in {fmean(values):.0%} of pairs ({len(values):,} items)."
        parts.append(text)
    return "\n\n".join(parts)


def _review(counts: Counts) -> str:
    if not counts.raters:
        return "No item has been reviewed by people yet."
    rows = [[str(raters), f"{items:,}"] for raters, items in sorted(counts.raters.items())]
    people = f"{len(counts.annotators)} people took part, shown by pseudonyms."
    return people + "\n\n" + table(["raters of an item", "items"], rows)


def _provenance(facts: CardFacts, counts: Counts) -> str:
    rows = [
        [escape(collection), escape(licence), f"{counts.sources[collection, licence]:,}", f"{items:,}"]
        for (collection, licence), items in sorted(counts.origins.items())
    ]
    text = table(["collection", "licence", "sources", "items"], rows)
    if counts.models:
        models = ", ".join(f"{escape(model)} ({count:,} items)" for model, count in sorted(counts.models.items()))
        text += f"\n\nPre-labels were proposed by {models}."
    return "\n\n".join([text, *(escape(notice) for notice in facts.notices)])
