"""The sections of a dataset card in Markdown; texts from outside lose their markup."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from curate.hub.card_facts import CardFacts, Counts, Separation
from curate.sentences import count_of, verb_of

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~:@$^=])")
_MAX_CHARS = 200
_MAX_NOTICE_CHARS = 1_000
_MANY_LABELS = 60
_KEYS = {"source": "source", "speaker": "speaker", "participant": "participant", "identity": "person", "group": "group"}


def escape(text: str, *, max_chars: int = _MAX_CHARS) -> str:
    """Return text from outside as one line of Markdown without any markup."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    line = line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"
    line = _MARKUP.sub(r"\\\1", line)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Return text for use between backticks."""
    return "".join(char for char in text if char.isprintable() and char != "`")[:_MAX_CHARS]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with numbers aligned to the right; cells are Markdown."""
    numeric = [all(row[column].lstrip("-")[:1].isdigit() for row in rows) for column in range(len(head))]
    rule = ["--:" if right else ":--" for right in numeric]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def schema_section(facts: CardFacts) -> Iterator[str]:
    for name, line in facts.fields.items():
        yield f"- {_schema_line(line)}"
        if question := facts.questions.get(name):
            yield f"  Question: {escape(question)}"
    if facts.definitions:
        yield "\nWhat the labels mean:\n"
        yield from (f"- {escape(label)}: {escape(meaning)}" for label, meaning in facts.definitions.items())


def warning(counts: Counts) -> str:
    sources = total_label_sources(counts)
    total = sum(sources.values()) - (withheld := sources["hidden"])
    if sources["human"] == total:
        return f"Every {'released ' if withheld else ''}label was given by people."
    lines = []
    if sources["model"]:
        lines.append(
            f"> **{_share(sources['model'], total)} of the items ({sources['model']:,} of {total:,}) "
            "have unreviewed model output as label,** with `reviewed = false`: results on them are "
            "agreement with that model."
        )
    if sources["none"]:
        lines.append(
            f"> {sources['none']:,} of {count_of(total, 'item')} "
            f"{verb_of(sources['none'], 'has', 'have')} no label yet."
        )
    return "\n>\n".join(lines)


def summary(counts: Counts) -> str:
    units = ", ".join(f"{count:,} × {escape(unit)}" for unit, count in sorted(counts.units.items()))
    seconds = sum(counts.seconds.values())
    length = f", {_duration(seconds)}" if seconds else ""
    sources = sum(counts.sources.values())
    speakers = f" by {count_of(len(counts.speakers), 'named speaker')}" if counts.speakers else ""
    return f"{units}{length}, from {count_of(sources, 'source')}{speakers}."


def splits_section(facts: CardFacts, counts: Counts) -> str:
    rows = [
        [
            f"`{split}`",
            f"{count:,}",
            _duration(counts.seconds[split]),
            *(
                "withheld"
                if counts.label_sources[split]["hidden"]
                else _share(counts.label_sources[split][source], count)
                for source in ("human", "model", "none")
            ),
        ]
        for split, count in counts.rows.items()
    ]
    text = table(["split", "items", "length", "labelled by people", "by a model", "not labelled"], rows)
    if len(counts.rows) > 1:
        text += "\n\n" + " ".join(filter(None, map(_separation, facts.separations)))
    return text.rstrip()


def labels_section(facts: CardFacts, counts: Counts) -> str:
    total = sum(counts.rows.values())
    parts = []
    for name in facts.fields:
        value_count = counts.values[name]
        text = f"### `{name}`\n\nGiven for {value_count:,} of {count_of(total, 'item')}."
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
                more = len(absent) - _MANY_LABELS
                text += f"\n\n{count_of(more, 'more label')} {verb_of(more, 'occurs', 'occur')} in no item."
        elif numbers := counts.numbers.get(name):
            text += f" Mean {fmean(numbers.elements()):.2f}, minimum {min(numbers):g}, maximum {max(numbers):g}."
        if values := counts.agreement.get(name):
            text += (
                f"\n\nTwo raters' answers about one item are alike by {fmean(values):.2f} on average (1: the same, 0: "
                f"as different as can be; not corrected for chance; {count_of(len(values), 'item')})."
            )
        parts.append(text)
    return "\n\n".join(parts)


def review_section(facts: CardFacts, counts: Counts) -> str:
    reasons = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in sorted(counts.cannot_judge.items()))
    unjudged = f"\n\nJudgements saying that the item cannot be judged: {reasons}." if reasons else ""
    if not counts.raters:
        return f"No item has been reviewed by people yet.{unjudged}"
    rows = [[str(raters), f"{items:,}"] for raters, items in sorted(counts.raters.items())]
    number = len(counts.annotators)
    people = f"{count_of(number, 'person')} took part, {verb_of(number, 'by a pseudonym', 'by pseudonyms')}"
    days = sorted(counts.judged_on)
    period = "" if not days else f", on {days[0]}" if len(days) == 1 else f", between {days[0]} and {days[-1]}"
    text = f"{people}{period}.\n\n" + table(["raters of an item", "items"], rows)
    shares = [
        [f"`{name}`", f"{counts.answers[name]:,}", f"{counts.copied[name]:,}", _share(counts.copied[name], total)]
        for name in facts.fields
        if (total := counts.answers[name])
    ]
    if any(counts.copied.values()):
        text += "\n\nSome answers are the pre-label's, left as it was; they make raters look more alike.\n\n"
        text += table(["field", "answers", "taken over", "share"], shares)
    return text + unjudged


def provenance_section(facts: CardFacts, counts: Counts) -> str:
    rows = [
        [escape(collection), escape(licence), f"{counts.sources[collection, licence]:,}", f"{items:,}"]
        for (collection, licence), items in sorted(counts.origins.items())
    ]
    text = table(["collection", "licence", "sources", "items"], rows)
    if facts.sessions[0]:
        sources, sessions = facts.sessions
        is_are = verb_of(sources, "is a file", "are files")
        text += (
            f"\n\n{count_of(sources, 'source')} {is_are} of {count_of(sessions, 'session')}, which no split divides."
        )
    if counts.datasets:
        names = ", ".join(f"`{name}` ({count_of(items, 'item')})" for name, items in sorted(counts.datasets.items()))
        text += f"\n\nRead from the Hugging Face Hub, at these commits: {names}."
    if counts.proposals:
        models = ", ".join(_proposer(model, outcomes) for model, outcomes in sorted(counts.proposals.items()))
        text += f"\n\nAsked for pre-labels: {models}."
    return "\n\n".join([text, *(escape(notice, max_chars=_MAX_NOTICE_CHARS) for notice in facts.notices)])


def total_label_sources(counts: Counts) -> dict[str, int]:
    total = dict.fromkeys(("human", "model", "none", "hidden"), 0)
    for sources in counts.label_sources.values():
        for source, count in sources.items():
            total[source] = total.get(source, 0) + count
    return total


def _schema_line(line: str) -> str:
    """Return a field's description with its names in bold and as code, and everything else without markup."""
    parts = re.split(r"(\*\*[\w-]+\*\*|`[^`\n]*`)", " ".join(line.split()))
    plain = (re.sub(r"([\\`*_\[\]!|$])", r"\\\1", part) for part in parts[::2])
    parts[::2] = [part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for part in plain]
    return "".join(parts)


def _separation(separation: Separation) -> str:
    """Return what is known of values that occur in more than one split; there is none, or no release."""
    name, unknown = _KEYS.get(separation.key, separation.key), separation.total - separation.known
    if separation.leaks:
        count = len(separation.leaks)
        return f"{count_of(count, name)} {verb_of(count, 'occurs', 'occur')} in several splits."
    if not separation.known:
        return "" if name == "group" else f"The {name} is known for no item: one {name} may occur in several splits."
    if not unknown or name == "group":
        return f"No {name} occurs in more than one split."
    return (
        f"No known {name} occurs in more than one split; for {unknown:,} of {count_of(separation.total, 'item')} the "
        f"{name} is unknown and may occur in several."
    )


def _proposer(model: str, outcomes: Mapping[str, int]) -> str:
    """Return ``offline (24 proposals, 3 abstained)``."""
    rest = [f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in sorted(outcomes.items()) if outcome != "ok"]
    parts = ", ".join([count_of(outcomes.get("ok", 0), "proposal"), *map(escape, rest)])
    return f"{escape(model)} ({parts})"


def _share(part: float, total: float) -> str:
    return f"{part / total:.0%}" if total else "0%"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"
