"""Consent that has expired: whose items no release may hold any more."""

from datetime import date
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.sentences import count_of, verb_of


class Expired(NamedTuple):
    """What is left out of a release because consent has expired."""

    source_ids: tuple[str, ...]
    items: int

    def sentences(self) -> list[str]:
        """Return what a person has to know; nothing if nothing has expired."""
        if not self.items:
            return []
        items = f"{self.items:,} {verb_of(self.items, 'item is', 'items are')} left out of the release"
        sources = count_of(len(self.source_ids), "source")
        return [f"{items}, because the consent to use {sources} has expired; `curate forget --expired` removes them"]


def expired_consent(items: pa.Table, sources: pa.Table, today: date) -> Expired:
    """Return which of the sources (``consent_until``, the last day of consent) have expired, and how many items."""
    ends = sources["consent_until"]
    is_expired = pc.fill_null(pc.less(ends, today.isoformat()), False)
    ids = sources.filter(is_expired)["source_id"]
    count = pc.sum(pc.is_in(items["source_id"], value_set=ids)).as_py() or 0
    return Expired(tuple(sorted(set(ids.to_pylist()))), int(count))
