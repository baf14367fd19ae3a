"""The citation file of a release, in the Citation File Format 1.2 (https://citation-file-format.github.io)."""

import re
from typing import Any

import yaml

from curate.hub.card_facts import CardFacts

FILE = "CITATION.cff"
_URL = re.compile(r"https?://[^\s<>]+")
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
        document["contact"] = [{"name": f"The makers of {title}", **contact_of(makers.contact, address="website")}]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def contact_of(contact: str, *, address: str) -> dict[str, str]:
    """Return a contact as ``email``, as a URL under the key ``address``, or as a name if it is neither."""
    if _EMAIL.fullmatch(contact):
        return {"email": contact}
    return {address: contact} if _URL.fullmatch(contact) else {"name": contact}


def _author(name: str) -> dict[str, str]:
    family, comma, given_names = (part.strip() for part in name.partition(","))
    return {"family-names": family, "given-names": given_names} if comma and family and given_names else {"name": name}
