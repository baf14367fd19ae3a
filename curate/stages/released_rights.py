"""Under which licence a release may be, and which items are out of it because consent has ended."""

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from curate.corpus.consent import Expired, expired_consent
from curate.corpus.view import Corpus
from curate.release.licences import Combination
from curate.release.rows import ReleaseTables
from curate.release.takedown import drop_other_files
from curate.stages.contract import Tools


class LicenceOverride(BaseModel):
    """The licence of the release where that of its sources does not follow by itself, and why it may have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: str = Field(min_length=1, max_length=200)
    """An SPDX name, or LicenseRef-<name>."""
    reason: str = Field(min_length=1, max_length=1_000)
    """Why the release may have this licence, for the card."""


def licences_of(tables: ReleaseTables, selected: pa.Array) -> list[str | None]:
    """Return the licences of the sources of the items that are selected."""
    sources = tables.items["source_id"].filter(selected).unique()
    licences: list[str | None] = (
        tables.sources.filter(pc.is_in(tables.sources["source_id"], value_set=sources))["licence"].unique().to_pylist()
    )
    return licences


def licence_sentences(combination: Combination, override: LicenceOverride | None) -> list[str]:
    """Return what a card says of the licence of a release."""
    if override is None:
        return combination.sentences()
    stated = f"{override.licence} by decision of those who made this release, because {override.reason.rstrip('.')}."
    against = [f"Otherwise: {problem}." for problem in combination.problems]
    return [f"Licence: {stated}", *against, *combination.sentences()]


def expired_in(corpus: Corpus, tools: Tools) -> Expired:
    """Return the sources and items whose consent has ended."""
    if not days_of_ended_consent(corpus, tools):
        return Expired((), 0)
    sources = corpus.read("sources", ["source_id", "consent_until"])
    return expired_consent(corpus.read("items", ["source_id"]), sources, tools.today)


def days_of_ended_consent(corpus: Corpus, tools: Tools) -> list[str]:
    """Return the last days of consent that have passed, of all sources that are stored, current or not.

    It is a single column: what is current need not be known, which takes long where there are many sources.
    """
    days = corpus.table("sources").read(["consent_until"])["consent_until"].unique()
    return sorted(days.filter(pc.fill_null(pc.less(days, tools.today.isoformat()), False)).to_pylist())


def without_expired(items: pa.Table, expired: Expired) -> pa.Table:
    """Return the items whose consent has not ended, and of files recorded beside them those whose has not either."""
    is_expired = pc.is_in(items["source_id"], value_set=pa.array(expired.source_ids, pa.string()))
    remaining = items.filter(pc.invert(is_expired)) if expired.items else items
    return drop_other_files(remaining, expired.source_ids)
