"""The dataset card: YAML for the Hub and a description for people, made from statistics and a template."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
_MODALITIES = ("text", "audio", "image", "video")
_MANY_LABELS = 60
_KEYS = {"source": "source", "speaker": "speaker", "participant": "participant", "identity": "person", "group": "group"}


class Counts(Protocol):
    """Statistics of the rows of a release; split and label names are keys."""

    rows: Any
    seconds: Any
    label_sources: Any
    units: Any
    raters: Any
    origins: Any
    proposals: Any
    modalities: Any
    copied: Any
    answers: Any
    judged_on: Any
    speakers: Any
    annotators: Any
    classes: Any
    values: Any
    numbers: Any
    agreement: Any

    @property
    def sources(self) -> Any: ...


class Separation(Protocol):
    """How far items that share a value are in one split: see ``curate.corpus.splits``."""

    @property
    def key(self) -> str: ...
    @property
    def known(self) -> int: ...
    @property
    def total(self) -> int: ...


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
    tool: str
    separations: Sequence[Separation] = ()
    """For each thing that splits must not have in common, how many items have it and whether it holds."""
    row_bytes: Mapping[str, int] = {}
    """The size of the rows of each split, not compressed."""
    split_bytes: Mapping[str, int] = {}
    """The size of the files of each split."""
    languages: Sequence[str] = ()
    """ISO 639-1 codes"""
    labels: Mapping[str, Sequence[str]] = {}
    """The labels of each field that has some, in order."""
    definitions: Mapping[str, str] = {}
    """What labels mean, where a taxonomy says so."""
    questions: Mapping[str, str] = {}
    """The question of each field as people were asked it."""
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
        "schema": "\n".join(_schema_lines(facts)),
        "splits": _splits(facts, counts),
        "labels": _labels(facts, counts),
        "review": _review(facts, counts),
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


def _schema_lines(facts: CardFacts) -> Iterator[str]:
    for name, line in facts.fields.items():
        yield f"- {_schema_line(line)}"
        if question := facts.questions.get(name):
            yield f"  Question: {escape(question)}"
    if facts.definitions:
        yield "\nWhat the labels mean:\n"
        yield from (f"- {escape(label)}: {escape(meaning)}" for label, meaning in facts.definitions.items())


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
        **({"language": list(facts.languages)} if facts.languages else {}),
        **({"task_categories": tasks} if (tasks := _task_categories(facts, counts)) else {}),
        "tags": ["affective-computing", "emotion", *(["human-annotation"] if _total_sources(counts)["human"] else [])],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts.rows],
            }
        ],
        "dataset_info": {
            # Readers cache a folder by this block and by its name, so whatever differs in content must differ here.
            "description": f"Content hash {facts.content_sha256}",
            "features": [dict(feature) for feature in facts.features],
            "splits": [
                {"name": split, "num_bytes": facts.row_bytes.get(split, 0), "num_examples": count}
                for split, count in counts.rows.items()
            ],
            "download_size": sum(facts.split_bytes.values()),
            "dataset_size": sum(facts.row_bytes.values()),
        },
    }
    text: str = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")


def _task_categories(facts: CardFacts, counts: Counts) -> list[str]:
    """Return the Hub's names of the tasks for which some items have both a label and the medium."""
    if not facts.labels:
        return []
    return [f"{medium}-classification" for medium in _MODALITIES if counts.modalities[medium]]


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
    if len(counts.rows) > 1:
        text += "\n\n" + " ".join(filter(None, map(_separation, facts.separations)))
    return text.rstrip()


def _separation(separation: Separation) -> str:
    """Return what is known of values that occur in more than one split; there is none, or no release."""
    name, unknown = _KEYS.get(separation.key, separation.key), separation.total - separation.known
    if not separation.known:
        return "" if name == "group" else f"The {name} is known for no item: one {name} may occur in several splits."
    if not unknown or name == "group":
        return f"No {name} occurs in more than one split."
    return (
        f"No known {name} occurs in more than one split; for {unknown:,} of {separation.total:,} items the {name} is "
        "unknown and may occur in several."
    )


def _labels(facts: CardFacts, counts: Counts) -> str:
    total = sum(counts.rows.values())
    parts = []
    for name in facts.fields:
        value_count = counts.values[name]
        text = f"### `{name}`\n\nGiven for {value_count:,} of {total:,} items."
        if by_split := counts.classes.get(name):
            label_counts = sum(by_split.values(), Counter[str]())
            greatest = max(label_counts.values())
            absent = [label for label in facts.labels.get(name, ()) if not label_counts[label]]
            rows = [
                [escape(label), f"{count:,}", _share(count, value_count), "█" * max(1, round(20 * count / greatest))]
                for label, count in sorted(label_counts.items(), key=lambda entry: (-entry[1], entry[0]))
            ]
            rows += [[escape(label), "0", _share(0, value_count), ""] for label in absent[:_MANY_LABELS]]
            text += "\n\n" + table(["label", "items", "share", ""], rows)
            if len(absent) > _MANY_LABELS:
                text += f"\n\n{len(absent) - _MANY_LABELS} more labels occur in no item."
        elif numbers := counts.numbers.get(name):
            text += f" Mean {fmean(numbers.elements()):.2f}, minimum {min(numbers):g}, maximum {max(numbers):g}."
        if values := counts.agreement.get(name):
            text += (
                f"\n\nTwo raters' answers about one item are alike by {fmean(values):.2f} on average (1: the same, 0: "
                f"as different as can be; not corrected for chance; {len(values):,} items)."
            )
        parts.append(text)
    return "\n\n".join(parts)


def _review(facts: CardFacts, counts: Counts) -> str:
    if not counts.raters:
        return "No item has been reviewed by people yet."
    rows = [[str(raters), f"{items:,}"] for raters, items in sorted(counts.raters.items())]
    number = len(counts.annotators)
    people = "1 person took part, shown by a pseudonym" if number == 1 else f"{number} people took part, by pseudonyms"
    days = sorted(counts.judged_on)
    when = "" if not days else f", on {days[0]}" if len(days) == 1 else f", between {days[0]} and {days[-1]}"
    text = f"{people}{when}.\n\n" + table(["raters of an item", "items"], rows)
    shares = [
        [f"`{name}`", f"{counts.answers[name]:,}", f"{counts.copied[name]:,}", _share(counts.copied[name], total)]
        for name in facts.fields
        if (total := counts.answers[name])
    ]
    if any(counts.copied.values()):
        text += "\n\nSome answers are the pre-label's, left as it was; they make raters look more alike.\n\n"
        text += table(["field", "answers", "taken over", "share"], shares)
    return text


def _provenance(facts: CardFacts, counts: Counts) -> str:
    rows = [
        [escape(collection), escape(licence), f"{counts.sources[collection, licence]:,}", f"{items:,}"]
        for (collection, licence), items in sorted(counts.origins.items())
    ]
    text = table(["collection", "licence", "sources", "items"], rows)
    if counts.proposals:
        models = ", ".join(_proposer(model, outcomes) for model, outcomes in sorted(counts.proposals.items()))
        text += f"\n\nAsked for pre-labels: {models}."
    return "\n\n".join([text, *(escape(notice) for notice in facts.notices)])


def _proposer(model: str, outcomes: Mapping[str, int]) -> str:
    """Return ``offline (24 proposals, 3 abstained)``."""
    rest = [f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in sorted(outcomes.items()) if outcome != "ok"]
    parts = ", ".join([f"{outcomes.get('ok', 0):,} proposals", *map(escape, rest)])
    return f"{escape(model)} ({parts})"
