"""Judgements in long form, a row for each answer, and what may be said of the raters who gave them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.files import canonical_json
from curate.labels import Feature, Field, arrow_type
from curate.labels.features import scalar
from curate.release.columns import DistinctValues, Indices, combined

JUDGEMENT_FEATURES: dict[str, Feature] = {
    "item_id": scalar("string"),
    "judgement_id": scalar("string"),
    "rater": scalar("string"),
    "field": scalar("string"),
    "value": scalar("string"),
    "number": scalar("float64"),
    "origin": scalar("string"),
    "arm": scalar("string"),
    "position": scalar("int32"),
    "seconds": scalar("float64"),
    "acted_at": scalar("timestamp[us, tz=UTC]"),
    "skipped": scalar("bool"),
    "cannot_judge": scalar("string"),
    "label_schema": scalar("string"),
}
"""The columns of the configuration ``judgements``. ``value`` is the answer in words, as JSON where it has parts;
``number`` the same where it is a number; ``position`` counts the judgements of the rater, from 1, in order of time."""
COUNTS = ("judgements", "items")
"""The columns of the configuration ``raters`` besides their pseudonyms and what they say of themselves"""
MIN_GROUP = 5
"""Fewer raters than this who say the same of themselves are not shown to do so (k-anonymity; Sweeney 2002)."""


def judgement_rows(
    acts: pa.Table, owners: pa.Array, raters: pa.Array, positions: pa.Array, fields: Mapping[str, Field], schema: str
) -> pa.Table:
    """Return a row for each answer, in the order of ``acts`` and of the fields; one for an act without any.

    ``acts`` are current acts of people with a column for each field; ``owners`` holds the item of each, ``raters`` the
    pseudonym, and ``positions`` how many judgements its rater had given.
    """
    parts = [_answers(acts, name, field, number) for number, (name, field) in enumerate(fields.items())]
    answered = np.unique(np.concatenate([part["act"].to_numpy() for part in parts] or [np.zeros(0, np.int64)]))
    silent = np.setdiff1d(np.arange(acts.num_rows), answered)
    parts.append(_part(silent, -1, {}))
    rows = pa.concat_tables(parts).sort_by([("act", "ascending"), ("order", "ascending")])
    act = rows["act"]
    columns = {
        "item_id": owners.take(combined(act)),
        "judgement_id": acts["judgement_id"].take(act),
        "rater": raters.take(combined(act)),
        **{name: rows[name] for name in ("field", "value", "number", "origin")},
        "arm": acts["arm"].take(act),
        "position": positions.take(combined(act)),
        "seconds": acts["lead_time_s"].take(act),
        "acted_at": acts["acted_at"].take(act),
        "skipped": pc.equal(acts["action"], "skipped").take(act),
        "cannot_judge": acts["cannot_judge"].take(act),
        "label_schema": pa.repeat(schema, rows.num_rows),
    }
    kinds = {name: arrow_type(feature) for name, feature in JUDGEMENT_FEATURES.items()}
    return pa.table({name: combined(columns[name]).cast(kind) for name, kind in kinds.items()})


def positions_of(acts: pa.Table) -> pa.Array:
    """Return for each act which judgement of its rater it was, from 1; null where the time or the rater is unknown."""
    keys = ["annotator", "acted_at", "judgement_id"]
    numbered = acts.select(keys).append_column("row", pa.array(range(acts.num_rows), pa.int64()))
    dated = numbered.filter(pc.and_(acts["annotator"].is_valid(), acts["acted_at"].is_valid()))
    ordered = dated.sort_by([(name, "ascending") for name in keys])
    positions = np.zeros(acts.num_rows, np.int64)
    if len(ordered):
        raters = combined(ordered["annotator"]).dictionary_encode().indices.to_numpy(False)
        starts = np.flatnonzero(np.r_[True, np.diff(raters) != 0])
        lengths = np.diff(np.r_[starts, len(ordered)])
        positions[ordered["row"].to_numpy()] = np.arange(len(ordered)) - np.repeat(starts, lengths) + 1
    return pa.array(positions, pa.int32(), mask=positions == 0)


def rater_rows(items: pa.Array, raters_of: pa.Array, attributes: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """Return a row for each named rater: how many judgements they gave, of how many items, and attributes.

    ``items`` and ``raters_of`` hold the item and the rater of each judgement.
    ``attributes`` holds what raters (by pseudonym) say of themselves. It is left out of a row unless at least
    ``MIN_GROUP`` raters say exactly the same.
    """
    named = pa.table({"rater": raters_of, "item": items}).filter(raters_of.is_valid())
    counts = named.group_by("rater").aggregate([("item", "count"), ("item", "count_distinct")])
    counts = counts.sort_by("rater")
    raters = counts["rater"].to_pylist()
    names = list(dict.fromkeys(name for rater in raters for name in attributes.get(rater, {})))
    profiles = {rater: tuple(attributes.get(rater, {}).get(name) or None for name in names) for rater in raters}
    sizes = Counter(profiles.values())
    published = {
        rater: values if sizes[values] >= MIN_GROUP else (None,) * len(names) for rater, values in profiles.items()
    }
    return pa.table(
        {
            "rater": counts["rater"],
            "judgements": counts["item_count"].cast(pa.int64()),
            "items": counts["item_count_distinct"].cast(pa.int64()),
            **{name: pa.array([published[r][n] for r in raters], pa.string()) for n, name in enumerate(names)},
        }
    )


def rater_features(table: pa.Table) -> dict[str, Feature]:
    """Return the features of the columns of ``rater_rows``."""
    return {field.name: scalar("int64" if field.type == pa.int64() else "string") for field in table.schema}


def _answers(acts: pa.Table, name: str, field: Field, number: int) -> pa.Table:
    answered: Indices = np.flatnonzero(combined(acts[name].is_valid()).to_numpy(False))
    distinct = DistinctValues(acts[name], lambda value: _as_text_and_number(field, value), [pa.string(), pa.float64()])
    value, numeric = (column.values for column in distinct.take(answered, with_json=False))
    return _part(
        answered,
        number,
        {"field": [name] * len(answered), "value": value, "number": numeric, "origin": _origins(acts, name, answered)},
    )


def _part(act: Indices, order: int, columns: Mapping[str, Any]) -> pa.Table:
    kinds: Sequence[tuple[str, pa.DataType]] = (
        ("field", pa.string()),
        ("value", pa.string()),
        ("number", pa.float64()),
        ("origin", pa.string()),
    )
    rows = {
        name: pa.array(columns[name], kind) if name in columns else pa.nulls(len(act), kind) for name, kind in kinds
    }
    return pa.table(
        {"act": pa.array(act, pa.int64()), "order": pa.repeat(pa.scalar(order, pa.int32()), len(act)), **rows}
    )


def _as_text_and_number(field: Field, value: Any) -> tuple[str, float | None]:
    number = None if field.labels else field.number_of(value)
    if isinstance(value, str):
        return value, number
    return canonical_json(value).decode(), None if number is None else float(number)


def _origins(acts: pa.Table, name: str, answered: Indices) -> pa.Array:
    """Return where the answers of a field come from: typed, or taken over from the pre-label."""
    origins = combined(acts["origins"])
    entries = pc.list_flatten(origins)
    is_wanted = pc.equal(entries.field("field"), name)
    owners = pc.list_parent_indices(origins).filter(is_wanted)
    values = entries.field("origin").filter(is_wanted)
    return values.take(pc.index_in(pa.array(answered, owners.type), value_set=owners))
