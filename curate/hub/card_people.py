"""The sections of a card on people and models: agreement, instructions, prompts, consent, limits, and how to cite."""

from collections.abc import Sequence

from curate.corpus.figures import Figure
from curate.hub.card_facts import CardFacts, Counts
from curate.hub.card_sections import code, escape, table, total_label_sources
from curate.sentences import count_of, verb_of

_MAIN = ("krippendorff_alpha", "label_alpha", "detection_f1", "ccc")
LOW_ALPHA = 0.667
"""Below this, Krippendorff (2004, p. 241) lets nobody draw even tentative conclusions."""
FEW_ITEMS = 10
_MAX_NAMED = 12
_MAX_LINES, _MAX_LINE_CHARS = 200, 1_000


def agreement_section(facts: CardFacts) -> str:
    """Return a table of every figure of agreement that is defined, and why others are not."""
    if not facts.agreement:
        return "No item has judgements of two people, so nothing can be said of agreement."
    rows = [
        [
            f"`{code(row.field)}`",
            _group(row),
            f"`{row.measure}`",
            f"{row.value:.3f}",
            _interval(row),
            f"{row.items:,}",
            f"{row.raters:,}",
        ]
        for row in facts.agreement
        if row.value is not None
    ]
    head = ["field", "of", "measure", "value", "95 % interval", "items", "raters"]
    text = table(head, rows) if rows else "No figure is defined."
    reasons: dict[str, list[str]] = {}
    for row in facts.agreement:
        for note in filter(None, row.note.split("; ")):
            reasons.setdefault(note, []).append(f"{code(row.field)} {_values(row)}".strip())
    notes = [f"- {escape(note)} ({', '.join(dict.fromkeys(fields))})" for note, fields in reasons.items()]
    caveat = "" if any(row.low is not None for row in facts.agreement) else "\n\nNo interval could be computed."
    return "\n\n".join(filter(None, [text + caveat, "\n".join(notes)]))


def agreement_sentences(facts: CardFacts) -> list[str]:
    """Return the main figure of each field as a sentence."""
    return [
        f"{_name(row)}: {row.measure} {row.value:.3f}{_in_brackets(row)} over {count_of(row.items, 'item')}"
        for row in _main_figures(facts.agreement)
        if row.value is not None
    ]


def instructions_section(facts: CardFacts, counts: Counts) -> str:
    """Return the guideline that people had, if it is known, and what they were shown."""
    parts = []
    if counts.arms:
        arms = ", ".join(f"{escape(arm)} ({count_of(n, 'judgement')})" for arm, n in sorted(counts.arms.items()))
        parts.append(f"What raters were shown: {arms}.")
    if facts.instructions:
        lines = facts.instructions.splitlines()
        quoted = "\n".join(f"> {escape(line, max_chars=_MAX_LINE_CHARS)}" for line in lines[:_MAX_LINES])
        more = f"\n>\n> and {count_of(len(lines) - _MAX_LINES, 'more line')}" if len(lines) > _MAX_LINES else ""
        parts.append(f"Raters had these instructions:\n\n{quoted}{more}")
    if facts.other_guidelines:
        judgements = count_of(facts.other_guidelines, "judgement")
        parts.append(f"{judgements} {verb_of(facts.other_guidelines, 'was', 'were')} made with other instructions.")
    return "\n\n".join(parts) or "Nothing is recorded of instructions beyond the questions above."


def models_section(facts: CardFacts) -> str:
    """Return which models proposed labels, by which prompts."""
    if not facts.models:
        return "No model proposed a label."
    rows = [
        [escape(row.labeller), escape(row.model or "not stated"), f"`{code(row.prompt)}`" if row.prompt else "none",
         f"`{code(row.prompt_sha256[:12])}`" if row.prompt_sha256 else "", f"{row.items:,}"]
        for row in facts.models
    ]  # fmt: skip
    return table(["labeller", "model", "prompt", "its hash", "items"], rows)


def consent_section(facts: CardFacts, counts: Counts) -> str:
    """Return what sources state of consent, and what recordings of people ask of their users."""
    has_people = counts.faces or any(counts.modalities[medium] for medium in ("audio", "image", "video"))
    care = "\n\nRecordings and pictures may show people: use them only for what those people agreed to."
    return _consents(facts) + (care if has_people else "")


def _consents(facts: CardFacts) -> str:
    stated = {words: n for words, n in facts.consents.items() if words}
    total = sum(facts.consents.values())
    if not stated:
        return f"Consent is stated for none of the {count_of(total, 'source')}."
    lines = [f"- {escape(words)}: {count_of(n, 'source')}" for words, n in sorted(stated.items())]
    missing = total - sum(stated.values())
    if missing:
        lines.append(f"- not stated: {count_of(missing, 'source')}")
    return "Consent, as stated for the sources:\n\n" + "\n".join(lines)


def limitations(facts: CardFacts, counts: Counts) -> list[str]:
    """Return what limits the use of a release, a sentence for each figure that shows it."""
    sources, sentences = total_label_sources(counts), []
    total = sum(sources.values())
    if sources["model"]:
        sentences.append(f"{sources['model']:,} of {count_of(total, 'label')} are a model's, reviewed by nobody.")
    alone, reviewed = counts.raters[1], sum(counts.raters.values())
    if alone:
        sentences.append(
            f"{alone:,} of {count_of(reviewed, 'reviewed item')} {verb_of(alone, 'has', 'have')} one rater only."
        )
    sentences += [
        f"Raters agree little on {_name(row)}: {row.measure} is {row.value:.2f}{_in_brackets(row)}, below {LOW_ALPHA}."
        for row in _main_figures(facts.agreement)
        if row.value is not None and row.measure.startswith("krippendorff") and row.value < LOW_ALPHA
    ]
    copied, answers = sum(counts.copied.values()), sum(counts.answers.values())
    if copied:
        sentences.append(f"{copied:,} of {count_of(answers, 'answer')} of people are the pre-label's, left as it was.")
    for name, labels in facts.labels.items():
        by_split = counts.classes.get(name) or {}
        rare = [label for label in labels if sum(split[label] for split in by_split.values()) < FEW_ITEMS]
        if rare:
            more = f" and {len(rare) - _MAX_NAMED} more" if len(rare) > _MAX_NAMED else ""
            sentences.append(
                f"Fewer than {FEW_ITEMS} items have these labels of {name}: {', '.join(rare[:_MAX_NAMED])}{more}."
            )
    sentences += [
        f"The {separation.key} is unknown for {separation.total - separation.known:,} of "
        f"{count_of(separation.total, 'item')}, and may be in several splits."
        for separation in facts.separations
        if len(counts.rows) > 1 and separation.key != "group" and separation.known < separation.total
    ]
    if len(facts.languages) == 1:
        sentences.append(f"All texts whose language is known are in one language: {facts.languages[0]}.")
    return sentences


def limitations_section(facts: CardFacts, counts: Counts) -> str:
    """Return the limits as a list; what nobody computes, such as who is missing from the corpus, is not in it."""
    sentences = limitations(facts, counts)
    lines = [f"- {escape(sentence, max_chars=_MAX_LINE_CHARS)}" for sentence in sentences]
    return (
        "\n".join(lines)
        if lines
        else "The figures of this card show none. Whom the corpus leaves out, they cannot show."
    )


def citation_section(facts: CardFacts) -> str:
    """Return who made the corpus, how to cite it and whom to ask."""
    makers = facts.credits
    parts = []
    if makers.authors:
        parts.append(f"Made by {'; '.join(map(escape, makers.authors))}.")
    if makers.citation:
        quoted = "\n".join(f"> {escape(line, max_chars=_MAX_LINE_CHARS)}" for line in makers.citation.splitlines())
        parts.append(f"Please cite:\n\n{quoted}")
    else:
        parts.append(f"Its makers name no publication: cite {escape(facts.name)}, version `{code(facts.version)}`.")
    if makers.contact:
        parts.append(f"Contact: {escape(makers.contact)}")
    return "\n\n".join([*parts, "`CITATION.cff` holds this for programs, and `croissant.json` describes every file."])


def _main_figures(rows: Sequence[Figure]) -> list[Figure]:
    """Return the figure of each field, and of blind and pre-filled values apart, that says most."""
    chosen: dict[tuple[str, str], Figure] = {}
    for start in _MAIN:
        for row in rows:
            inner = set(row.group) - {"values"}
            if row.measure.startswith(start) and not inner and row.value is not None:
                chosen.setdefault((row.field, str(row.group.get("values", ""))), row)
    return list(chosen.values())


def _group(row: Figure) -> str:
    return (
        escape(", ".join(f"{key} {value}" if key != "values" else str(value) for key, value in row.group.items()))
        or "all"
    )


def _values(row: Figure) -> str:
    """Return whether a figure is of blind or of pre-filled values, where these are apart."""
    return escape(str(row.group.get("values", "")))


def _name(row: Figure) -> str:
    return f"{row.field} ({values})" if (values := _values(row)) else row.field


def _interval(row: Figure) -> str:
    return "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"


def _in_brackets(row: Figure) -> str:
    interval = _interval(row)
    return f" ({interval})" if interval else ""
