"""Sum up what a stage rejected: how many inputs, how many of them only repeat others, and the most common reason."""

from collections import Counter
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.ledger import RETRIED
from curate.corpus.view import Corpus
from curate.sentences import count_of

REPEATS = frozenset({"duplicate", "near_duplicate"})
"""Reasons of inputs that are left out because another input has their content: nothing is lost with them."""
FORGOTTEN = "forgotten"
"""The reason of inputs that ``curate forget`` has removed for good."""
_UNUSED_PARTS = frozenset({"invalid", "no_signal"})
"""Reasons of parts of inputs, such as the table of a signal, that somebody may want to correct"""


class RejectedInputs(NamedTuple):
    """Inputs of which nothing was kept: how many only repeat others or were forgotten, and the reason for most others.

    Inputs that the next run tries again have no part in that reason.
    """

    repeats: int = 0
    forgotten: int = 0
    sentence: str = ""
    parts: str = ""
    """How many parts of other inputs could not be used, with an example; empty if none is to be corrected"""


def sum_up_rejections(corpus: Corpus, stage: str, works: pa.ChunkedArray) -> RejectedInputs:
    """Return the summary of the rejected inputs among those with these identities of their work."""
    rows = corpus.table("rejections").read(["stage", "parent_id", "subject", "reason", "detail", "work"])
    rows = rows.filter(pc.and_(pc.equal(rows["stage"], stage), pc.is_in(rows["work"], value_set=works)))
    is_input = pc.equal(rows["parent_id"], rows["subject"])
    parts = _sum_up_parts(rows.filter(pc.invert(is_input)))
    rows = rows.filter(is_input)
    by_work = dict(zip(rows["work"].to_pylist(), rows.select(["reason", "detail"]).to_pylist(), strict=True))
    repeats = sum(row["reason"] in REPEATS for row in by_work.values())
    forgotten = sum(row["reason"] == FORGOTTEN for row in by_work.values())
    lost = [row for row in by_work.values() if row["reason"] not in {*REPEATS, *RETRIED, FORGOTTEN}]
    if not lost:
        return RejectedInputs(repeats, forgotten, parts=parts)
    reason, count = Counter(row["reason"] for row in lost).most_common(1)[0]
    detail = Counter(row["detail"] for row in lost if row["reason"] == reason).most_common(1)[0][0]
    share = f" ({count:,} of {len(lost):,})" if len(lost) > 1 else ""
    return RejectedInputs(repeats, forgotten, f"{reason}{share}: {detail}", parts)


def _sum_up_parts(rows: pa.Table) -> str:
    unused = rows.filter(pc.is_in(rows["reason"], value_set=pa.array(sorted(_UNUSED_PARTS), pa.string())))
    if not unused.num_rows:
        return ""
    example = min(zip(unused["reason"].to_pylist(), unused["detail"].to_pylist(), strict=True))[1]
    return f"{count_of(unused.num_rows, 'part')} of inputs that it kept, such as {example}"
