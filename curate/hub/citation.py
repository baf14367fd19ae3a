"""The citation file of a release, in the Citation File Format 1.2 (https://citation-file-format.github.io)."""

import re
from typing import Any

import yaml

from curate.hub.card_facts import CardFacts

FILE = "CITATION.cff"
_EMAIL = re.compile(r"[^@\s,<>]+@[^@\s,<>]+\.[^@\s,<>]+")


def citation_file(facts: CardFacts) -> str:
    """Return the file as YAML. Without authors in the recipe, the makers of the corpus are one unnamed group."""
    makers, title = facts.credits, facts.name
    reference = f" Reference: {makers.citation}" if makers.citation else ""
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "type": "dataset",
        "message": f"If you use this data set, please cite this version.{reference}",
        "title": title,
        "version": facts.version,
        "authors": [_author(name) for name in makers.authors] or [{"name": f"The makers of {title}"}],
        "keywords": ["affective computing", "emotion"],
    }
    if makers.description:
        document["abstract"] = makers.description
    if facts.licence and facts.is_spdx:
        document["license"] = facts.licence
    if makers.contact:
        document["contact"] = [{"name": f"The makers of {title}", **_contact(makers.contact)}]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def is_email(contact: str) -> bool:
    """Whether a contact is an e-mail address."""
    return bool(_EMAIL.fullmatch(contact))


def _author(name: str) -> dict[str, str]:
    family, comma, given = (part.strip() for part in name.partition(","))
    return {"family-names": family, "given-names": given} if comma and family and given else {"name": name}


def _contact(contact: str) -> dict[str, str]:
    return {"email": contact} if is_email(contact) else {"website": contact}
