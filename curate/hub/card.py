"""The dataset card: YAML for the Hub and a description for people, made from statistics and a template."""

import re
from collections.abc import Sequence
from string import Template
from typing import Any

import yaml

from curate.document import parse_value
from curate.errors import InvalidInput
from curate.hub.card_audit import audit_section
from curate.hub.card_errata import errata_section
from curate.hub.card_facts import CardFacts, Counts
from curate.hub.card_people import (
    agreement_section,
    citation_section,
    consent_section,
    instructions_section,
    limitations_section,
    models_section,
)
from curate.hub.card_sections import (
    code,
    escape,
    labels_section,
    provenance_section,
    review_section,
    schema_section,
    splits_section,
    summary,
    total_label_sources,
    warning,
)
from curate.hub.card_signals import signals_section
from curate.hub.card_splits import schemes_section

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

_HUB_NAMES = {
    "odbl-1.0": "odbl",
    "odc-by-1.0": "odc-by",
    "pddl-1.0": "pddl",
    **dict.fromkeys(("gpl-3.0-only", "gpl-3.0-or-later"), "gpl-3.0"),
}
"""The Hub's ids of licences that SPDX calls otherwise."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MAX_DESCRIPTION = 5_000
_MODALITIES = ("text", "audio", "image", "video")


def render_card(template: str, facts: CardFacts, counts: Counts) -> str:
    """Return the card. ``template`` is Markdown with ``$header`` in its YAML block and any of the other ``$names``.

    Raises ``InvalidInput`` for an unknown ``$name``, and if the result does not begin with a valid YAML block.
    """
    values = {
        "header": _header(facts, counts),
        "name": escape(facts.name),
        "version": code(facts.version),
        "changes": escape(facts.changes),
        "content_sha256": facts.content_sha256,
        "recipe": code(facts.recipe),
        "tool": escape(facts.tool),
        "label_schema": code(facts.label_schema),
        "warning": warning(counts),
        "summary": summary(counts),
        "errata": errata_section(facts.errata),
        "schema": "\n".join(schema_section(facts)),
        "splits": splits_section(facts, counts) + schemes_section(facts.schemes),
        "labels": labels_section(facts, counts),
        "review": review_section(facts, counts),
        "provenance": provenance_section(facts, counts),
        "description": escape(facts.credits.description, max_chars=_MAX_DESCRIPTION),
        "agreement": agreement_section(facts),
        "audit": audit_section(facts.audit, facts.unaudited),
        "instructions": instructions_section(facts, counts),
        "models": models_section(facts),
        "signals": signals_section(facts.signals, sum(counts.rows.values())),
        "consent": consent_section(facts, counts),
        "limitations": limitations_section(facts, counts),
        "citation": citation_section(facts),
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


def hub_licences(stated: Sequence[str]) -> list[str]:
    """Return the Hub's ids of licences as stated by sources; the rest become ``other`` or ``unknown``."""
    ids = set()
    for licence in stated:
        plain = _HUB_NAMES.get(licence.strip().lower(), licence.strip().lower())
        ids.add(plain if plain in LICENCES else "unknown" if plain in ("", "not stated") else "other")
    return sorted(ids) or ["unknown"]


def _header(facts: CardFacts, counts: Counts) -> str:
    stated = [facts.licence] if facts.licence else [licence for _, licence in counts.origins]
    licences = hub_licences(stated)
    total = sum(counts.rows.values())
    by_people = ["human-annotation"] if total_label_sources(counts)["human"] else []
    header: dict[str, Any] = {
        "pretty_name": facts.name,
        "license": licences if len(licences) > 1 else licences[0],
        **({"license_name": _licence_name(facts.licence)} if "other" in licences else {}),
        **({"language": list(facts.languages)} if facts.languages else {}),
        **({"task_categories": tasks} if (tasks := _task_categories(facts, counts)) else {}),
        "tags": ["affective-computing", "emotion", *by_people],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>1M")],
        "configs": [
            {
                "config_name": configuration.name,
                "data_files": [
                    {"split": split, "path": f"{configuration.folder}/{split}-*.parquet"}
                    for split in configuration.rows
                ],
            }
            for configuration in facts.configurations
        ],
        "dataset_info": [
            {
                "config_name": configuration.name,
                # Readers cache a folder by this block and by its name, so whatever differs in content must differ here.
                "description": f"Content hash {facts.content_sha256}",
                "features": [dict(feature) for feature in configuration.card_features],
                "splits": [
                    {"name": split, "num_bytes": configuration.row_bytes.get(split, 0), "num_examples": count}
                    for split, count in configuration.rows.items()
                ],
                "download_size": sum(configuration.file_bytes.values()),
                "dataset_size": sum(configuration.row_bytes.values()),
            }
            for configuration in facts.configurations
        ],
    }
    text: str = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")


def _licence_name(licence: str | None) -> str:
    """Return what the Hub shows of a licence that it has no id for: the release's, if it has one as a whole."""
    return re.sub(r"[^a-z0-9.]+", "-", (licence or "").lower()).strip("-") or "stated-for-each-source"


def _task_categories(facts: CardFacts, counts: Counts) -> list[str]:
    """Return the Hub's names of the tasks for which some items have both a label and the medium."""
    if not facts.labels:
        return []
    return [f"{medium}-classification" for medium in _MODALITIES if counts.modalities[medium]]


def _check_front_matter(card: str) -> None:
    match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    try:
        header = parse_value(match[1]) if match else None
    except ValueError as error:
        cause = error.__cause__ or error
        raise InvalidInput(f"the data card's YAML block is not valid: {cause}", hint="correct the template") from error
    if not isinstance(header, dict):
        raise InvalidInput("the data card does not begin with a YAML block", hint="begin the template with ---")
